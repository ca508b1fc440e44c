"""Waiting for something to happen, at most for a while: the one place where an event meets a timeout."""

from __future__ import annotations

import asyncio
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: How long a test waits for a `Witness` before it calls the code under test stuck.
PATIENCE_SECONDS: Final = 10.0


async def happened(event: asyncio.Event, timeout_seconds: float | None) -> bool:
    """Return whether the event was set within `timeout_seconds` (None: wait for ever)."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class Bell:
    """An event that clears itself for the one who hears it.

    Ringing while nobody listens is remembered, and rings that come together count once: what a
    loop needs that must not miss that something changed, and need not know how often.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiting loop, or let its next wait end at once."""
        self._event.set()

    async def heard(self, timeout_seconds: float | None = None) -> bool:
        """Wait for a ring and return True; False when `timeout_seconds` passed in silence."""
        rung = await happened(self._event, timeout_seconds)
        self._event.clear()
        return rung


class Witness(Generic[T]):
    """A point in running code that a test can wait for; in production it does nothing.

    The code calls `saw` with what it just did; a test calls `watch` before it starts the code
    and then awaits `next` once for each thing it expects, instead of sleeping and looking.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: asyncio.Queue[T] | None = None

    def saw(self, value: T) -> None:
        """Tell a watching test what happened."""
        if self._seen is not None:
            self._seen.put_nowait(value)

    def watch(self) -> None:
        """Keep from now on what is seen."""
        self._seen = asyncio.Queue()

    async def next(self, timeout_seconds: float = PATIENCE_SECONDS) -> T:
        """Return the next thing seen. Raises TimeoutError when it does not come."""
        if self._seen is None:
            raise RuntimeError("call watch() before the code under test starts")
        async with asyncio.timeout(timeout_seconds):
            return await self._seen.get()
