"""What time alone makes necessary: promote, reap, expire, drop content, trim. The scheduler's side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.domain.states import State
from shared.queue.core import MAX_MESSAGES, Core

#: Trimming erases several keys for each message.
_TRIM_MESSAGES: Final = 100
#: Every drop may unlink pieces of megabytes.
_DROP_MESSAGES: Final = 50


@dataclass(frozen=True, slots=True)
class Due:
    """A message that was due and became ready, how late that was, and its place in a trace."""

    id: str
    state_before: State
    late_ms: int
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Promoted:
    """What one promotion did, and when the shard wants to be looked at next (None: nothing is due)."""

    messages: tuple[Due, ...]
    now: int
    next_due_at: int | None


@dataclass(frozen=True, slots=True)
class Reaped:
    """A lease that was taken back."""

    id: str
    had_begun: bool
    state: State
    tenant: str
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Expired:
    """What one expiry did."""

    states: tuple[State, ...]
    next_due_at: int | None


class Chores:
    """The scheduler's side of the queue; each call is one bounded step of one shard."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def promote(self, shard: int, limit: int = MAX_MESSAGES) -> Promoted:
        """Make ready what is due. Raises QueueError."""
        next_due, flat, now = await self._core.run("promote", self._core.tag(shard), {"limit": limit})
        rows = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        messages = tuple(
            Due(id_.decode(), State(state.decode()), int(now) - int(float(due)), trace.decode() or None)
            for id_, state, due, trace in rows
        )
        return Promoted(messages, int(now), _instant(next_due))

    async def reap(
        self, shard: int, *, ambiguous_delay_ms: int, max_rounds: int, max_age_ms: int, limit: int = MAX_MESSAGES
    ) -> list[Reaped]:
        """Take back leases that ran out. Raises QueueError."""
        answer = await self._core.run(
            "reap",
            self._core.tag(shard),
            {
                "limit": limit,
                "ambiguous_delay_ms": ambiguous_delay_ms,
                "max_rounds": max_rounds,
                "max_age_ms": max_age_ms,
            },
        )
        return [
            Reaped(id_.decode(), begun == b"1", State(state.decode()), tenant.decode(), trace.decode() or None)
            for id_, begun, state, tenant, trace in answer
        ]

    async def expire(self, shard: int, limit: int = MAX_MESSAGES) -> Expired:
        """End what nobody wants any more. Raises QueueError."""
        next_due, *states = await self._core.run("expire", self._core.tag(shard), {"limit": limit})
        return Expired(tuple(State(state.decode()) for state in states), _instant(next_due))

    async def drop_content(self, shard: int, *, keep_ms: int, limit: int = _DROP_MESSAGES) -> int:
        """Forget bodies of messages that ended `keep_ms` ago; return how many. Raises QueueError."""
        (dropped,) = await self._core.run("drop_content", self._core.tag(shard), {"keep_ms": keep_ms, "limit": limit})
        return int(dropped)

    async def trim(self, shard: int, *, finished_ms: int, failed_ms: int, limit: int = _TRIM_MESSAGES) -> int:
        """Drop messages whose retention is over; return how many. Raises QueueError."""
        (trimmed,) = await self._core.run(
            "trim", self._core.tag(shard), {"finished_ms": finished_ms, "failed_ms": failed_ms, "limit": limit}
        )
        return int(trimmed)


def _instant(number: int) -> int | None:
    return None if number < 0 else int(number)
