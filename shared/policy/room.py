"""How many messages the providers of a pool can take now: so many are leased, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.message import Priority
from shared.policy.breaker import BreakerState
from shared.policy.views import ProviderView, RouteCode


@dataclass(frozen=True, slots=True)
class Room:
    """How many messages fit in, and how many of these places are kept for critical ones."""

    total: int
    reserved: int


def room_of(providers: Sequence[ProviderView], now: float, most: int) -> Room:
    """Return the room of a pool, at most `most` messages; an open provider that is due for a probe takes one."""
    codes = [provider.obstruction(now) for provider in providers]
    all_open = not any(
        provider.breaker is BreakerState.CLOSED and code is not RouteCode.PAUSED
        for provider, code in zip(providers, codes, strict=True)
    )
    total = unreserved = 0
    for provider, code in zip(providers, codes, strict=True):
        most_here = most
        if code is not None:
            most_here = 1 if _takes_probe(provider, code, all_open=all_open) else 0
        total += _places(provider, Priority.CRITICAL, most_here)
        unreserved += _places(provider, Priority.BULK, most_here)
    total = min(total, most)
    return Room(total, total - min(unreserved, total))


def _takes_probe(provider: ProviderView, code: RouteCode, *, all_open: bool) -> bool:
    if provider.breaker is not BreakerState.OPEN or code not in {RouteCode.BREAKER_OPEN, RouteCode.MISCONFIGURED}:
        return False
    return provider.probe_due_if_all_open if all_open else provider.probe_due


def _places(provider: ProviderView, priority: Priority, most: int) -> int:
    tokens = provider.tokens_for(priority)
    return max(0, min(most, provider.slots_for(priority), most if tokens is None else tokens))
