"""What came to a desk, in order: it is only added to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from tests.fakes.internet.taken import Taken


class Ledger:
    """What one desk took, and how often it was asked.

    `taken` holds the messages, `counts` how often each of ours was taken; `arrivals` are the
    instants of all requests to send, whatever became of them, `answers` the statuses of what was
    answered ("lost" and "cut" where it did not arrive).
    """

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.counts: Counter[str] = Counter()
        self.arrivals: list[float] = []
        self.lookups = 0
        self.answers: Counter[int | str] = Counter()
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def take(self, taken: Taken) -> None:
        """Add a message."""
        self.taken.append(taken)
        self.counts[taken.message_id] += 1
        self.wake()

    def arrive(self, at: float) -> None:
        """Add a request."""
        self.arrivals.append(at)
        self.wake()

    def answer(self, status: int | str) -> None:
        """Count an answer."""
        self.answers[status] += 1
        self.wake()

    @property
    def duplicates(self) -> dict[str, int]:
        """Our messages that were taken more than once, and how often."""
        return {message: count for message, count in self.counts.items() if message and count > 1}

    def rate_seen(self, window_seconds: float = 1.0) -> float:
        """Return the messages a second that were taken within the window that ends now."""
        since = time.monotonic() - window_seconds
        count = 0
        for taken in reversed(self.taken):
            if taken.at < since:
                break
            count += 1
        return count / window_seconds

    def busiest(self, window_seconds: float = 1.0, *, recipients: bool = False) -> int:
        """Return the most messages (or recipients) that were taken within any window of this length."""
        return _busiest(
            [(taken.at, len(taken.recipients) if recipients else 1) for taken in self.taken], window_seconds
        )

    def busiest_arrivals(self, window_seconds: float = 1.0) -> int:
        """Return the most requests that came within any window of this length, whatever became of them."""
        return _busiest([(at, 1) for at in self.arrivals], window_seconds)

    def longest_gap(self) -> float:
        """Return the longest time between two requests, in seconds."""
        return max((later - earlier for earlier, later in pairwise(self.arrivals)), default=0.0)

    async def reached(self, count: int) -> list[Taken]:
        """Wait until so many messages were taken, and return them."""
        await self.until(lambda: len(self.taken) >= count)
        return list(self.taken)

    async def arrived(self, count: int) -> None:
        """Wait until so many requests to send have come, whatever became of them."""
        await self.until(lambda: len(self.arrivals) >= count)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is true of the ledger; it is looked at after every addition."""
        if holds():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((holds, waiter))
        await waiter

    def wake(self) -> None:
        """Look whether somebody waits for what is now true."""
        if not self._waiters:
            return
        for entry in tuple(self._waiters):
            holds, waiter = entry
            if waiter.done():
                self._waiters.remove(entry)
            elif holds():
                waiter.set_result(None)
                self._waiters.remove(entry)


def _busiest(events: list[tuple[float, int]], window_seconds: float) -> int:
    most = held = first = 0
    for at, weight in events:
        held += weight
        while events[first][0] <= at - window_seconds:
            held -= events[first][1]
            first += 1
        most = max(most, held)
    return most
