"""What this sender holds: its deliveries, and how much room they take, for each pool."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from services.sender.delivery import Delivery
from shared.policy.capacity import critical_reserve


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one sender may hold, and the share of it that only critical messages use."""

    messages: int
    size_bytes: int
    critical_percent: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What a pool may still take: messages for critical ones, for others, and bytes for either."""

    critical: int
    others: int
    critical_bytes: int
    other_bytes: int


#: Half of what there is belongs to nobody; of the other half each pool can count on its share,
#: so that one whose provider hangs cannot hold all places.
_GUARANTEED_SHARE: Final = 0.5


class Holdings:
    """The deliveries in this sender's hands, by message id.

    The same message may come again while an old delivery of it is still about (its lease was
    reaped, or an answer was lost): then the new one counts, and the old one only ends.
    """

    def __init__(self, bounds: Bounds, pools: Collection[str]) -> None:
        self._bounds = bounds
        self._guaranteed: dict[str, float] = {}
        self.share_among(pools)
        self._by_id: dict[str, Delivery] = {}
        self._messages: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._is_draining = False
        #: Set when a drain has left nothing here.
        self.emptied = asyncio.Event()

    def share_among(self, pools: Collection[str]) -> None:
        """Let these pools, and no others, count on a share of the room."""
        self._guaranteed = {pool: _GUARANTEED_SHARE / max(1, len(pools)) for pool in pools}

    def __len__(self) -> int:
        return len(self._by_id)

    def deliveries(self) -> Collection[Delivery]:
        """Return all that is held."""
        return tuple(self._by_id.values())

    def take(self, delivery: Delivery) -> None:
        """Hold a delivery; one of the same message that is still held has lost its lease."""
        before = self._by_id.get(delivery.lease.id)
        if before is not None:
            before.is_lost = True
            self.drop(before)
        self._by_id[delivery.lease.id] = delivery
        self.emptied.clear()
        self._messages[delivery.lease.pool] += 1
        self._bytes[delivery.lease.pool] += delivery.lease.size_bytes

    def drop(self, delivery: Delivery) -> None:
        """Hold a delivery no longer."""
        if self._by_id.get(delivery.lease.id) is not delivery:
            return
        del self._by_id[delivery.lease.id]
        self._messages[delivery.lease.pool] -= 1
        self._bytes[delivery.lease.pool] -= delivery.lease.size_bytes
        self.note_emptied()

    def is_held(self, delivery: Delivery) -> bool:
        """Whether this very delivery is held."""
        return self._by_id.get(delivery.lease.id) is delivery

    def budget(self, pool: str) -> Budget:
        """Return what a pool may still take, with what others can count on left to them."""
        messages = self._left(pool, self._messages, self._bounds.messages)
        size_bytes = self._left(pool, self._bytes, self._bounds.size_bytes)
        percent = self._bounds.critical_percent
        return Budget(
            critical=messages,
            others=messages - critical_reserve(self._bounds.messages, percent),
            critical_bytes=size_bytes,
            other_bytes=size_bytes - int(self._bounds.size_bytes * percent / 100),
        )

    def _left(self, pool: str, held: Counter[str], bound: int) -> int:
        promised = sum(
            max(0, int(share * bound) - held[other]) for other, share in self._guaranteed.items() if other != pool
        )
        return bound - promised - held.total()

    def drain(self) -> None:
        """Tell when all is gone."""
        self._is_draining = True
        self.note_emptied()

    def note_emptied(self) -> None:
        """Set `emptied` where a drain has left nothing."""
        if self._is_draining and not self._by_id:
            self.emptied.set()
