"""The transport of requests that go nowhere."""

from __future__ import annotations

import asyncio

from shared.providers.interface import Phase, Rehearsal, Reply


class RehearsalTransport:
    """Lets the planned time pass; an answer that never comes is waited for like any other."""

    def __init__(self, *, answer_seconds: float) -> None:
        self._answer_seconds = answer_seconds

    async def exchange(self, request: Rehearsal) -> Reply:
        """Return after the planned delay, or with a time-out where that is longer than the wait for an answer."""
        delay = request.delay_seconds
        if delay is None or delay > self._answer_seconds:
            await asyncio.sleep(self._answer_seconds)
            return Reply(Phase.SENT, f"no answer in {self._answer_seconds:g} s", "timeout")
        if delay:
            await asyncio.sleep(delay)
        return Reply(Phase.ANSWERED)

    async def close(self) -> None:
        """Do nothing: nothing is held."""
