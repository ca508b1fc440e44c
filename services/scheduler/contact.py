"""How long each shard has been reachable without a break.

After an outage of Redis every lease looks overdue, although its sender lives and would have
renewed it. A scheduler therefore reaps only after a whole lease of uninterrupted contact with
the shard's present primary: by then each living sender has renewed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable


class Contact:
    """Since when each shard answers, and from where.

    A clock that jumps (a suspended machine, a stepped server) makes every lease look overdue too,
    and begins a new contact.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float]) -> None:
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._since: dict[int, float] = {}
        self._primary: dict[int, tuple[Hashable, float]] = {}

    def answered(self, shard: int, primary: Hashable, server_seconds: float) -> None:
        """Take note that a shard's primary has answered, and what its clock shows."""
        ahead = server_seconds - self._clock()
        known, before = self._primary.get(shard, (None, ahead))
        jumped = abs(ahead - before) > self._lease_seconds / 3
        if shard not in self._since or known != primary or jumped:
            self._since[shard] = self._clock()
            before = ahead
        self._primary[shard] = primary, before

    def lost(self, shard: int) -> None:
        """Take note that a shard did not answer."""
        self._since.pop(shard, None)

    def is_steady(self, shard: int) -> bool:
        """Whether the shard has answered for a whole lease."""
        return shard in self._since and self._clock() - self._since[shard] >= self._lease_seconds
