"""How many messages of one priority the providers of a pool would take now: so many are leased, and no more.

The rule is routing's own, asked beforehand for the message that waits longest: what is counted
here and refused there would be leased and handed back again and again.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.message import Priority
from shared.policy.breaker import BreakerState
from shared.policy.routing import GOOD_SHARE, LEAST_HEALTH, SCORE_PATIENCE_SECONDS, TIER_PATIENCE_SECONDS, may_probe
from shared.policy.views import ProviderView, RouteCode

_SHUT = frozenset({RouteCode.BREAKER_OPEN, RouteCode.MISCONFIGURED})


def places_for(
    providers: Sequence[ProviderView],
    now: float,
    most: int,
    priority: Priority,
    waited_seconds: float,
    *,
    nothing_else_waits: bool = True,
) -> int:
    """Return the room for messages of a priority of which the oldest has waited so long, at most `most`."""
    obstructions = [provider.obstruction(now) for provider in providers]
    free = [provider for provider, code in zip(providers, obstructions, strict=True) if code is None]
    places = _closed_places(free, most, priority, waited_seconds)
    shut = [provider for provider, code in zip(providers, obstructions, strict=True) if code in _SHUT]
    if shut:
        all_open = not any(
            provider.breaker is BreakerState.CLOSED and provider.paused_until <= now for provider in providers
        )
        if may_probe(priority, waited_seconds, nothing_else_waits=nothing_else_waits, all_open=all_open):
            places += sum(_takes_probe(provider, priority, all_open=all_open) for provider in shut)
    return max(0, min(places, most))


def _closed_places(candidates: Sequence[ProviderView], most: int, priority: Priority, waited_seconds: float) -> int:
    if not candidates:
        return 0
    bar = GOOD_SHARE * max(provider.health for provider in candidates)
    good = [provider for provider in candidates if provider.health >= bar]
    first_tier = min(provider.tier for provider in good)
    places = 0
    for provider in candidates:
        if provider.health < bar:
            counts = waited_seconds >= SCORE_PATIENCE_SECONDS[priority] and provider.health >= LEAST_HEALTH
        else:
            counts = provider.tier == first_tier or waited_seconds >= TIER_PATIENCE_SECONDS[priority]
        if counts:
            places += _places(provider, priority, most)
    return places


def _takes_probe(provider: ProviderView, priority: Priority, *, all_open: bool) -> bool:
    due = provider.probe_due_if_all_open if all_open else provider.probe_due
    return due and provider.breaker is BreakerState.OPEN and provider.has_room_for(priority)


def _places(provider: ProviderView, priority: Priority, most: int) -> int:
    tokens = provider.tokens_for(priority)
    return max(0, min(most, provider.slots_for(priority), most if tokens is None else tokens))
