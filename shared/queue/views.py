"""Reading: one record, pages of ended messages, and how much lies where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.ids import shard_of
from shared.domain.message import DEFAULT_TENANT, Priority, Record
from shared.domain.states import PLACES, State
from shared.queue.core import Core
from shared.queue.records import fields, record_of

#: Redis scores are doubles; this instant is later than any.
_ALWAYS: Final = 9_000_000_000_000
#: The greatest text an id can be compared with.
_LAST_ID: Final = "~"
#: How many members one call may look at to find matching ones.
_LOOK: Final = 1000


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a listing goes on: behind this end time and id."""

    finished_at: int = _ALWAYS
    id: str = _LAST_ID


@dataclass(frozen=True, slots=True)
class Page:
    """Some ended messages, newest first, and where to go on (None: no more)."""

    records: tuple[Record, ...]
    next: Position | None


@dataclass(frozen=True, slots=True)
class FlowDepth:
    """How many messages of one pool and priority stand in each state, and since when the oldest waits."""

    pool: str
    priority: Priority
    states: dict[State, int]
    oldest_ready_at: int | None


@dataclass(frozen=True, slots=True)
class Depths:
    """How much lies where, over all shards, as of one instant of Redis's clock."""

    as_of: int
    flows: tuple[FlowDepth, ...]
    accepted_per_second: float
    sent_per_second: float
    pools: tuple[str, ...]
    #: The unfinished messages of each shard.
    live: tuple[int, ...] = ()

    def total(self, state: State) -> int:
        """Return how many messages stand in a state."""
        return sum(flow.states.get(state, 0) for flow in self.flows)


class Views:
    """The reading side of the queue; it asks primaries only, so that a client reads its own write."""

    def __init__(self, core: Core, tenant: str = DEFAULT_TENANT) -> None:
        self._core = core
        self._tenant = tenant

    async def read(self, message_id: str) -> Record | None:
        """Return everything that is known of a message, or None. Raises QueueError."""
        shard = shard_of(message_id)
        if shard is None or shard >= self._core.shards:
            return None
        answer = await self._core.run("read", self._core.tag(shard), {"ids": [message_id]})
        for id_, record, head, attempts, recipients, history, score in answer:
            due_at = int(float(score)) if score else None
            read = record_of(id_.decode(), fields(record), head, fields(recipients), attempts, history, due_at)
            return read if read.tenant == self._tenant else None
        return None

    async def page(
        self, states: Collection[State], limit: int, after: Position | None = None, pool: str | None = None
    ) -> Page:
        """Return ended messages in some states, newest first over all shards. Raises QueueError."""
        places = {PLACES[state] for state in states}
        before = after or Position()
        found: list[tuple[Position, Record]] = []
        horizons = []
        for place in sorted(places):
            answers = await self._core.run_everywhere(
                "page",
                {
                    "tenant": self._tenant,
                    "place": place,
                    "states": [state.value for state in states if PLACES[state] == place],
                    "before": before.finished_at,
                    "before_id": before.id,
                    "limit": limit,
                    "look": _LOOK,
                    **({"pool": pool} if pool else {}),
                },
            )
            for more, finished, id_, *rows in answers:
                found.extend(_row(row) for row in rows)
                if more:
                    horizons.append(Position(int(float(finished)), id_.decode()) if id_ else before)
        return _merge(found, horizons, limit)

    async def depths(self) -> Depths:
        """Return how much lies where. Raises QueueError."""
        counted: dict[tuple[str, Priority], dict[State, int]] = {}
        oldest: dict[tuple[str, Priority], int] = {}
        pools: set[str] = set()
        live: list[int] = []
        accepted = sent = as_of = 0
        for counts, work, accepted_here, sent_here, pools_here, now in await self._core.run_everywhere("depths", {}):
            as_of = max(as_of, int(now))
            accepted += int(accepted_here)
            sent += int(sent_here)
            pools.update(pool.decode() for pool in pools_here)
            live.append(_count(counted, counts))
            for flow, since in zip(work[::2], work[1::2], strict=True):
                pool, priority = flow.decode().split(":")[:2]
                name = (pool, Priority(priority))
                oldest[name] = min(oldest.get(name, _ALWAYS), int(float(since)))
        flows = tuple(
            FlowDepth(pool, priority, states, oldest.get((pool, priority)))
            for (pool, priority), states in counted.items()
        )
        return Depths(as_of, flows, accepted / 60, sent / 60, tuple(sorted(pools)), tuple(live))


def _count(counted: dict[tuple[str, Priority], dict[State, int]], counts: Sequence[bytes]) -> int:
    """Add what a shard counts, and return how many messages of it are unfinished."""
    live = 0
    for field, number in fields(counts).items():
        pool, *rest = field.decode().split(":")
        if not rest:
            live = int(number)  # the one field of that form, the sum that bounds the queue
            continue
        states = counted.setdefault((pool, Priority(rest[0])), {})
        state = State(rest[-1])
        states[state] = states.get(state, 0) + int(number)
    return live


def _row(row: Sequence[Any]) -> tuple[Position, Record]:
    message_id, record, head, recipients, last = row
    attempts = [last] if last else []
    read = record_of(message_id.decode(), fields(record), head, fields(recipients), attempts)
    return Position(read.finished_at or 0, read.id), read


def _merge(found: list[tuple[Position, Record]], horizons: Sequence[Position], limit: int) -> Page:
    """Return the newest rows that no shard can still undercut.

    A shard that has more to show has been seen down to its horizon: what lies below the highest
    horizon must wait until that shard has been looked at further.
    """
    found.sort(key=lambda row: row[0], reverse=True)
    horizon = max(horizons, default=None)
    sure = [row for row in found if horizon is None or row[0] >= horizon]
    shown = sure[:limit]
    if len(sure) > limit:
        go_on: Position | None = shown[-1][0]
    else:
        go_on = horizon
    return Page(tuple(record for _, record in shown), go_on)
