"""How long each shard has been reachable without a break.

After an outage of Redis every lease looks overdue, although its sender lives and would have
renewed it. A scheduler therefore reaps only after a whole lease of uninterrupted contact with
the shard's present primary: by then each living sender has renewed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable


class Contact:
    """Since when each shard answers, and from where."""

    def __init__(self, lease_seconds: float, clock: Callable[[], float]) -> None:
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._since: dict[int, tuple[Hashable, float]] = {}

    def answered(self, shard: int, primary: Hashable) -> None:
        """Take note that a shard's primary has answered; another primary begins a new contact."""
        if shard not in self._since or self._since[shard][0] != primary:
            self._since[shard] = (primary, self._clock())

    def lost(self, shard: int) -> None:
        """Take note that a shard did not answer."""
        self._since.pop(shard, None)

    def is_steady(self, shard: int) -> bool:
        """Whether the shard has answered for a whole lease."""
        return shard in self._since and self._clock() - self._since[shard][1] >= self._lease_seconds
