"""What all senders know together of a provider: its bucket of tokens, and its pause after a 429."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.queue.calls import PATIENCE_SECONDS
from shared.queue.core import Core


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens granted, when the next may be had, and until when the provider is blocked for all
    (instants of Redis's clock; `now` is that clock too)."""

    granted: int
    next_at: int
    blocked_until: int | None
    now: int


class ProviderStates:
    """The senders' side of what is shared about providers."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def draw(
        self,
        provider: str,
        *,
        rate: float | None,
        burst: float,
        wanted: int,
        reserve: float = 0,
        block_ms: int | None = None,
        seconds: float = PATIENCE_SECONDS,
    ) -> Drawn:
        """Take tokens from the bucket that all senders share, leaving `reserve` in it. Raises QueueError.

        `block_ms` blocks the provider for the whole cluster first. A call whose answer was lost
        may cost tokens, never grant them twice.
        """
        arguments: dict[str, Any] = {"burst": burst, "wanted": wanted, "reserve": reserve}
        if rate is not None:
            arguments["rate"] = rate
        if block_ms is not None:
            arguments["block_ms"] = block_ms
        granted, next_at, blocked, now = await self._core.run(
            "draw", self._core.provider_tag(provider), arguments, seconds=seconds
        )
        return Drawn(int(granted), int(next_at), int(blocked) or None, int(now))
