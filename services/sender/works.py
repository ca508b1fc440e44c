"""What this sender knows of the flows that hold messages. Plain state, brought up to date by bells and lease calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final

from shared.domain.message import Priority
from shared.queue.leases import Work

_ORDER: Final = {priority: place for place, priority in enumerate(Priority)}


class Works:
    """For each shard: its flows with work, by pool and priority, with the ready time of each head in
    milliseconds; None where nothing is known and somebody must look."""

    def __init__(self, shards: int) -> None:
        self._shards: list[dict[str, dict[Priority, int]] | None] = [None] * shards
        self._cool: dict[tuple[str, Priority], float] = {}

    def suspect_all(self) -> None:
        """Forget everything: each shard must be looked at."""
        self._shards = [None] * len(self._shards)

    def suspect(self, shard: int) -> None:
        """Forget what is known of one shard."""
        self._shards[shard] = None

    def rang(self, shard: int, flow: str, now_ms: float) -> None:
        """Note that a flow was filled just now."""
        known = self._shards[shard]
        if known is not None:
            pool, priority = flow.split(":")[:2]
            known.setdefault(pool, {}).setdefault(Priority(priority), int(now_ms))

    def learned(self, shard: int, work: Sequence[Work]) -> None:
        """Note what a call has just seen."""
        known: dict[str, dict[Priority, int]] = {}
        for flow in work:
            known.setdefault(flow.pool, {})[flow.priority] = flow.ready_at
        self._shards[shard] = known

    def in_shard(self, shard: int) -> Mapping[str, Mapping[Priority, int]] | None:
        """Return a shard's flows with work as they are known now, None where somebody must look.

        A copy: bells ring while the caller waits for Redis.
        """
        known = self._shards[shard]
        return None if known is None else {pool: dict(flows) for pool, flows in known.items()}

    def has(self, priority: Priority) -> bool:
        """Whether a message of this priority is known to wait."""
        return any(priority in flows for known in self._shards if known for flows in known.values())

    def has_humbler(self, pool: str, priority: Priority) -> bool:
        """Whether a less urgent message waits in the pool, that could serve as a probe instead."""
        rank = _ORDER[priority]
        return any(_ORDER[other] > rank for known in self._shards if known for other in known.get(pool, {}))

    def cool(self, pool: str, priority: Priority, until: float) -> None:
        """Let a flow alone until an instant: its head has just found no provider."""
        self._cool[pool, priority] = until

    def is_cool(self, pool: str, priority: Priority, now: float) -> bool:
        """Whether a flow is to be let alone."""
        return self._cool.get((pool, priority), now) > now

    def cools_for(self, pool: str, now: float) -> float:
        """Return after how many seconds a flow of the pool that is let alone may be asked again; else infinite."""
        return min(
            (until - now for (name, _), until in self._cool.items() if name == pool and until > now), default=inf
        )
