"""Which provider carries a message now; where none can, why it waits and until when.

Tiers first, then the class of good providers, then chance by weight, health and headroom.
Classes, because a weight alone never leaves a provider that loses one answer in twenty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.message import Priority, RouteStep
from shared.policy.abilities import looks_inside, obstacle_inside
from shared.policy.breaker import BreakerState
from shared.policy.priorities import USEFUL_SECONDS
from shared.policy.reasons import explain_route
from shared.policy.views import MessageView, ProviderView, RouteCode, WaitingCode

#: A provider is good from this share of the best one's health on. With 0.8 one that fails is left
#: 16 seconds later; 0.95 takes more than half of the share from one with 3 % of harmless noise.
GOOD_SHARE: Final = 0.9

#: Below this health nothing goes to a provider that is not good, whoever waits.
LEAST_HEALTH: Final = 0.25

#: How long a message waits for a full tier before it goes down one: 2 % of its useful time, critical less.
TIER_PATIENCE_SECONDS: Final = {
    priority: 0.02 if priority is Priority.CRITICAL else 0.02 * useful for priority, useful in USEFUL_SECONDS.items()
}
#: How long it waits for full good providers before it takes one that is not good: 10 % of its useful time.
SCORE_PATIENCE_SECONDS: Final = {priority: 0.1 * useful for priority, useful in USEFUL_SECONDS.items()}

HIGH_PROBES_AFTER_SECONDS: Final = 1.0

TRICKLE_AFTER_ELSEWHERE: Final = 30
TRICKLE_AFTER_SECONDS: Final = 1.0
TRICKLE_IN_FLIGHT: Final = 2

_CLOSED: Final = BreakerState.CLOSED
_URGENT: Final = frozenset({Priority.CRITICAL, Priority.HIGH})
_INABILITIES: Final = frozenset({RouteCode.TOO_LARGE, RouteCode.UNSUPPORTED})
_SHUT: Final = frozenset({RouteCode.BREAKER_OPEN, RouteCode.MISCONFIGURED})
_WAITING_CODES: Final = {
    RouteCode.PAUSED: WaitingCode.PAUSED,
    RouteCode.THROTTLED: WaitingCode.RATE_LIMITED,
    RouteCode.QUOTA_SPENT: WaitingCode.QUOTA_SPENT,
    RouteCode.MISCONFIGURED: WaitingCode.NO_PROVIDER_AVAILABLE,
    RouteCode.BREAKER_OPEN: WaitingCode.NO_PROVIDER_AVAILABLE,
}


@dataclass(slots=True)  # made for every message; frozen it would take twice as long
class Choice:
    """What routing decided.

    With a `provider`, `code` says why it. Without one, `is_impossible` says that no provider of
    the pool can ever carry the message; else `waiting` names the obstacle that ends first, and
    `until` its end where that is known. Where all are empty, a provider could take the message
    at once had it not been tried in this lease. `all_open` says of a probe that no provider of the
    pool is in use.
    """

    provider: str | None
    code: RouteCode | None = None
    waiting: WaitingCode | None = None
    until: float | None = None
    is_impossible: bool = False
    all_open: bool = False
    steps: tuple[RouteStep, ...] = ()


def choose(
    message: MessageView, providers: Sequence[ProviderView], now: float, draw: float, *, explain: bool = False
) -> Choice:
    """Choose among the providers of the message's pool; `steps` is filled in where an explanation is asked for."""
    if message.only is not None:
        providers = [provider for provider in providers if provider.name == message.only]
        if not providers:
            return Choice(None, is_impossible=True)
    codes = [_obstacle(message, provider, now) for provider in providers]
    candidates = [provider for provider, code in zip(providers, codes, strict=True) if code is None]
    if message.only is not None:
        picked = _single(message, providers[0], codes[0])
    else:
        picked = _probe(message, providers, codes, now) if len(candidates) < len(codes) else None
        picked = picked or (_among(message, candidates, draw) if candidates else None)
    if picked is None:
        choice = _wait(message, providers, candidates, now)
        return replace(choice, steps=explain_route(message, providers, codes, None, None, now)) if explain else choice
    chosen, code = picked
    if code is RouteCode.BEST:
        code = _why(message, chosen, providers)
    steps = explain_route(message, providers, codes, chosen.name, code, now) if explain else ()
    all_open = code is RouteCode.PROBE and message.only is None and _is_all_open(providers, codes, now)
    return Choice(chosen.name, code, all_open=all_open, steps=steps)


def is_unable(message: MessageView, provider: ProviderView) -> bool:
    """Whether the provider can never carry the message."""
    return _inability(message, provider) is not None


def is_trickle_due(elsewhere: int, since_seconds: float, in_flight: int) -> bool:
    """Whether a provider that is not good gets one attempt, to learn whether it is good again.

    `elsewhere` counts this sender's attempts at other providers since its last one here, which
    began `since_seconds` ago.
    """
    return (
        elsewhere >= TRICKLE_AFTER_ELSEWHERE
        and since_seconds >= TRICKLE_AFTER_SECONDS
        and in_flight < TRICKLE_IN_FLIGHT
    )


# What stands in the way


def _obstacle(message: MessageView, provider: ProviderView, now: float) -> RouteCode | None:
    code = _inability(message, provider)
    if code is None and provider.name in message.tried:
        return RouteCode.ALREADY_TRIED
    return code or provider.obstruction(now)


def _inability(message: MessageView, provider: ProviderView) -> RouteCode | None:
    """Return why the provider can never carry the message."""
    if provider.name in message.refused:
        return RouteCode.UNSUPPORTED
    able = provider.capabilities
    if able.max_bytes is not None and message.size_bytes > able.max_bytes:
        return RouteCode.TOO_LARGE
    if able.max_recipients is not None and message.recipients > able.max_recipients:
        return RouteCode.UNSUPPORTED
    return RouteCode.UNSUPPORTED if looks_inside(able) and obstacle_inside(message, able) is not None else None


# The choice


def _among(message: MessageView, candidates: list[ProviderView], draw: float) -> tuple[ProviderView, RouteCode] | None:
    """Choose among providers that lack at most a slot or a token."""
    priority, prefer = message.priority, message.prefer
    roomy = [provider for provider in candidates if provider.has_room_for(priority)]
    if prefer is not None:
        for provider in roomy:
            if provider.name == prefer:
                return provider, RouteCode.SAME_PROVIDER
    bar = _bar(candidates)
    good = [provider for provider in roomy if provider.health >= bar]
    if not good:
        return _lesser(message, roomy)
    tier = min([provider.tier for provider in good])
    if len(good) < len(candidates):
        trickle = _trickle(message, roomy, bar, tier)
        if trickle is not None:
            return trickle
        full_above = any(provider.tier < tier and provider.health >= bar for provider in candidates)
        if full_above and message.waited_seconds < TIER_PATIENCE_SECONDS[priority]:
            return None
    return _draw(priority, [provider for provider in good if provider.tier == tier], draw), RouteCode.BEST


def _bar(candidates: list[ProviderView]) -> float:
    """Return the health from which on a provider is good, those that are full included in the comparison."""
    return GOOD_SHARE * max([provider.health for provider in candidates])


def _trickle(
    message: MessageView, roomy: list[ProviderView], bar: float, tier: int
) -> tuple[ProviderView, RouteCode] | None:
    if message.priority in _URGENT or message.tried:
        return None
    for provider in roomy:
        if provider.trickle_due and provider.health < bar and provider.tier <= tier:
            return provider, RouteCode.LOWER_SCORE
    return None


def _lesser(message: MessageView, roomy: list[ProviderView]) -> tuple[ProviderView, RouteCode] | None:
    """Choose where every good provider is full: after some patience, the best of those that are not good."""
    if message.waited_seconds < SCORE_PATIENCE_SECONDS[message.priority]:
        return None
    lesser = [provider for provider in roomy if provider.health >= LEAST_HEALTH]
    if not lesser:
        return None
    return max(lesser, key=lambda provider: provider.health / provider.tier), RouteCode.LOWER_SCORE


def _draw(priority: Priority, equals: list[ProviderView], draw: float) -> ProviderView:
    if len(equals) == 1:
        return equals[0]
    shares = [provider.weight * provider.health * provider.headroom_for(priority) for provider in equals]
    left = draw * sum(shares)
    for provider, share in zip(equals, shares, strict=True):
        left -= share
        if left < 0.0:
            return provider
    return equals[-1]  # what rounding left over


def _single(
    message: MessageView, provider: ProviderView, code: RouteCode | None
) -> tuple[ProviderView, RouteCode] | None:
    """Choose the one provider that is tested, whatever its health: an open breaker takes it as a probe."""
    if not provider.has_room_for(message.priority):
        return None
    if code is None:
        return provider, RouteCode.BEST
    return (provider, RouteCode.PROBE) if code in _SHUT and provider.breaker is BreakerState.OPEN else None


def _probe(
    message: MessageView, providers: Sequence[ProviderView], codes: list[RouteCode | None], now: float
) -> tuple[ProviderView, RouteCode] | None:
    """Choose a provider that is to be tried again, where this message may be the one to try it with."""
    shut = [provider for provider, code in zip(providers, codes, strict=True) if code in _SHUT]
    if not shut:
        return None
    all_open = _is_all_open(providers, codes, now)
    if not may_probe(
        message.priority, message.waited_seconds, nothing_else_waits=message.nothing_else_waits, all_open=all_open
    ):
        return None
    for provider in shut:
        due = provider.probe_due_if_all_open if all_open else provider.probe_due
        if due and provider.breaker is BreakerState.OPEN and provider.has_room_for(message.priority):
            return provider, RouteCode.PROBE
    return None


def _is_all_open(providers: Sequence[ProviderView], codes: list[RouteCode | None], now: float) -> bool:
    """Whether no provider that can carry the message has a closed breaker."""
    return not any(
        provider.breaker is _CLOSED and code not in _INABILITIES and provider.paused_until <= now
        for provider, code in zip(providers, codes, strict=True)
    )


def may_probe(priority: Priority, waited_seconds: float, *, nothing_else_waits: bool, all_open: bool) -> bool:
    """Whether a message can bear to be the one that finds out."""
    if priority not in _URGENT:
        return True
    if not nothing_else_waits:
        return False
    return all_open or (priority is Priority.HIGH and waited_seconds >= HIGH_PROBES_AFTER_SECONDS)


def _why(message: MessageView, chosen: ProviderView, providers: Sequence[ProviderView]) -> RouteCode:
    if message.tried:
        return RouteCode.FAILOVER
    return RouteCode.LOWER_TIER if any(provider.tier < chosen.tier for provider in providers) else RouteCode.BEST


# No choice


def _wait(
    message: MessageView, providers: Sequence[ProviderView], candidates: list[ProviderView], now: float
) -> Choice:
    if not providers:
        # A pool without providers is a fault of this process's configuration, never of the message.
        return Choice(None, waiting=WaitingCode.NO_PROVIDER_AVAILABLE)
    able = [provider for provider in providers if _inability(message, provider) is None]
    if not able:
        return Choice(None, is_impossible=True)
    bar = _bar(candidates) if candidates else 0.0
    obstacles = [_obstacle_end(message, provider, bar, now) for provider in able]
    until, waiting = min(obstacles, key=lambda obstacle: obstacle[0])
    return Choice(None, waiting=waiting, until=until if now < until < math.inf else None)


def _obstacle_end(
    message: MessageView, provider: ProviderView, bar: float, now: float
) -> tuple[float, WaitingCode | None]:
    """Return when the provider's present obstacle ends, infinite where that is unknown, and its code."""
    code = provider.obstruction(now)
    if code is not None:
        return _obstruction_end(provider, code, now), _WAITING_CODES[code]
    if not provider.has_token_for(message.priority):
        return provider.next_token_at, WaitingCode.RATE_LIMITED
    if not provider.has_room_for(message.priority):
        return now, WaitingCode.TURN  # a slot becomes free nobody knows when, but soon
    if provider.name in message.tried:
        return now, None
    if provider.health < LEAST_HEALTH:
        return math.inf, WaitingCode.NO_PROVIDER_AVAILABLE
    patience = TIER_PATIENCE_SECONDS if provider.health >= bar else SCORE_PATIENCE_SECONDS
    return now + max(0.0, patience[message.priority] - message.waited_seconds), WaitingCode.TURN


def _obstruction_end(provider: ProviderView, code: RouteCode, now: float) -> float:
    if code is RouteCode.PAUSED:
        return provider.paused_until
    if code is RouteCode.THROTTLED:
        return provider.blocked_until
    if code is RouteCode.QUOTA_SPENT:
        return provider.quota_until
    # A probe that is under way, or due but for a message that may carry it, ends nobody knows when.
    return provider.next_probe_at if provider.next_probe_at > now else math.inf
