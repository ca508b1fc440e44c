"""Time and chance, which tests replace."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol


class Clock(Protocol):
    """What a blocking client knows of time and chance."""

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def draw(self) -> float:
        """Return a number from [0, 1)."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class AsyncClock(Protocol):
    """What an asynchronous client knows of time and chance."""

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    def draw(self) -> float:
        """Return a number from [0, 1)."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clock and the die of this machine."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def draw(self) -> float:
        """Return a number from [0, 1)."""
        return random.random()  # noqa: S311 - it spreads retries, and guards nothing

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        time.sleep(seconds)


class AsyncSystemClock:
    """The same, without holding up the event loop."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def draw(self) -> float:
        """Return a number from [0, 1)."""
        return random.random()  # noqa: S311 - it spreads retries, and guards nothing

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
