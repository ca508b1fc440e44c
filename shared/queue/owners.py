"""What a message's owner may ask for: cancel, change, requeue, delete, move."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.domain.ids import shard_of
from shared.domain.message import DEFAULT_TENANT, Priority
from shared.domain.states import State
from shared.queue.core import MAX_MESSAGES, Core, gather_all


class Done(StrEnum):
    """What came of an owner's wish."""

    DONE = "done"
    NOTED = "noted"  # cancel: an attempt is in flight, nothing more begins after it
    UNCHANGED = "unchanged"  # requeue: it waits anyway
    BEGUN = "begun"  # change: an attempt is in flight
    FINAL = "final"  # cancel, change, requeue: the state does not allow it
    DROPPED = "dropped"  # requeue: the content is gone
    LIVE = "live"  # delete: it may still be sent
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class OwnerResult:
    """What came of a wish for one message, and the state it is in now."""

    id: str
    done: Done
    state: State | None


@dataclass(frozen=True, slots=True)
class Change:
    """New values for a message that waits; `keep` in a field leaves it as it is.

    `send_at` of None means now, `expires_at` of None never.
    """

    send_at: int | str | None = "keep"
    expires_at: int | str | None = "keep"
    priority: Priority | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class MoveStep:
    """What one step of a move did; `next_cursor` is None when nothing is left."""

    moved: int
    next_cursor: str | None


class Owners:
    """The owner's side of the queue. Each wish is done once, however often its answer is lost."""

    def __init__(self, core: Core, tenant: str = DEFAULT_TENANT) -> None:
        self._core = core
        self._tenant = tenant

    async def cancel(self, ids: Sequence[str]) -> list[OwnerResult]:
        """Send nothing more of these messages. Raises QueueError."""
        return await self._each("cancel", ids)

    async def requeue(self, ids: Sequence[str]) -> list[OwnerResult]:
        """Try failed and expired recipients again. Raises QueueError."""
        return await self._each("requeue", ids)

    async def delete(self, ids: Sequence[str]) -> list[OwnerResult]:
        """Drop final messages. Raises QueueError."""
        return await self._each("delete", ids)

    async def change(self, message_id: str, change: Change) -> OwnerResult:
        """Give a message that waits another time, end, priority or pool. Raises QueueError."""
        shard = self._shard(message_id)
        if shard is None:
            return OwnerResult(message_id, Done.MISSING, None)
        arguments: dict[str, Any] = {"operation": _operation(), "tenant": self._tenant, "id": message_id}
        if change.send_at != "keep":
            arguments["send"] = False if change.send_at is None else change.send_at
        if change.expires_at != "keep":
            arguments["expires"] = False if change.expires_at is None else change.expires_at
        if change.priority is not None:
            arguments["priority"] = change.priority
        if change.pool is not None:
            arguments["pool"] = change.pool
        answer = await self._core.run("change", self._core.tag(shard), arguments, durable=True)
        return _result(message_id, answer)

    async def move(self, source: str, target: str, cursor: str | None = None, limit: int = MAX_MESSAGES) -> MoveStep:
        """Take one step of moving what waits in the pool `source`. Raises QueueError, ValueError for a bad cursor."""
        shard, place, position = _parse_cursor(cursor, self._core.shards)
        places = _places(source)
        answer = await self._core.run(
            "move",
            self._core.tag(shard),
            {
                "operation": _operation(),
                "tenant": self._tenant,
                "from": source,
                "to": target,
                "place": places[place],
                "cursor": position,
                "limit": limit,
            },
            durable=True,
        )
        moved, position = int(answer[0]), answer[1].decode()
        if position == "0":
            place += 1
        if place == len(places):
            shard, place = shard + 1, 0
        return MoveStep(moved, f"{shard}.{place}.{position}" if shard < self._core.shards else None)

    def _shard(self, message_id: str) -> int | None:
        shard = shard_of(message_id)
        return shard if shard is not None and shard < self._core.shards else None

    async def _each(self, verb: str, ids: Sequence[str]) -> list[OwnerResult]:
        results = {message_id: OwnerResult(message_id, Done.MISSING, None) for message_id in ids}
        by_shard: dict[int, list[str]] = {}
        for message_id in results:
            if (shard := self._shard(message_id)) is not None:
                by_shard.setdefault(shard, []).append(message_id)
        batches = [
            (shard, some[start : start + MAX_MESSAGES])
            for shard, some in by_shard.items()
            for start in range(0, len(some), MAX_MESSAGES)
        ]
        answers = await gather_all(
            self._core.run(
                verb,
                self._core.tag(shard),
                {"operation": _operation(), "tenant": self._tenant, "ids": batch},
                durable=True,
            )
            for shard, batch in batches
        )
        for (_, batch), answer in zip(batches, answers, strict=True):
            for position, message_id in enumerate(batch):
                results[message_id] = _result(message_id, answer[2 * position : 2 * position + 2])
        return [results[message_id] for message_id in ids]


def _operation() -> str:
    return secrets.token_urlsafe(12)


def _result(message_id: str, answer: Sequence[bytes]) -> OwnerResult:
    return OwnerResult(message_id, Done(answer[0].decode()), State(answer[1].decode()) if answer[1] else None)


_PLACES: Final = tuple(f"{kind}:{priority}" for kind in ("scheduled", "retry") for priority in Priority)


def _places(pool: str) -> tuple[str, ...]:
    return (*(f"ready:{pool}:{priority}" for priority in Priority), *_PLACES)


#: Shard, place and position. Lua counts exactly up to 2^53, which has 16 digits.
_CURSOR: Final = re.compile(r"([0-9]{1,5})\.([0-9]{1,2})\.([0-9]{1,15})")


def _parse_cursor(cursor: str | None, shards: int) -> tuple[int, int, str]:
    if cursor is None:
        return 0, 0, "0"
    match = _CURSOR.fullmatch(cursor)
    if match is None or int(match[1]) >= shards or int(match[2]) >= len(_places("")):
        raise ValueError(cursor)
    return int(match[1]), int(match[2]), match[3]
