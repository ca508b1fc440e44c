"""Why each provider was chosen or passed over, in words for the owner of a message."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from shared.domain.message import RouteStep
from shared.policy.abilities import obstacle_inside
from shared.policy.breaker import BreakerState
from shared.policy.views import MessageView, ProviderView, RouteCode


def explain_route(
    message: MessageView,
    providers: Sequence[ProviderView],
    obstacles: Sequence[RouteCode | None],
    chosen: str | None,
    chosen_code: RouteCode | None,
    now: float,
) -> tuple[RouteStep, ...]:
    """Return one step for each provider, in their order; `obstacles` holds what stands in the way of each."""
    tier = min(
        (provider.tier for provider in providers if chosen in (provider.name, None)),
        default=0,
    )
    steps = []
    for provider, obstacle in zip(providers, obstacles, strict=True):
        if provider.name == chosen and chosen_code is not None:
            steps.append(RouteStep(provider.name, True, chosen_code, _merits(message, provider, chosen_code)))  # noqa: FBT003 - chosen or not
            continue
        code = obstacle or _lost_to(message, provider, tier)
        steps.append(RouteStep(provider.name, False, code, _detail(message, provider, code, now)))  # noqa: FBT003 - chosen or not
    return tuple(steps)


def _lost_to(message: MessageView, provider: ProviderView, tier: int) -> RouteCode:
    """Return why a provider without an obstacle was passed over."""
    if not provider.has_room_for(message.priority):
        return RouteCode.NO_CAPACITY
    return RouteCode.LOWER_TIER if provider.tier > tier else RouteCode.LOWER_SCORE


def _merits(message: MessageView, provider: ProviderView, code: RouteCode) -> str:
    headroom = provider.headroom_for(message.priority)
    merits = _MERITS.format(provider.tier, provider.weight, provider.health, headroom)
    if code is RouteCode.SAME_PROVIDER:
        return f"its answer to the last try was lost; {merits}"
    return f"to learn whether it works again; {merits}" if code is RouteCode.PROBE else merits


def _detail(message: MessageView, provider: ProviderView, code: RouteCode, now: float) -> str:
    tell_ability = _ABILITIES.get(code)
    if tell_ability is not None:
        return tell_ability(message, provider)
    tell_obstruction = _OBSTRUCTIONS.get(code)
    return _merits(message, provider, code) if tell_obstruction is None else tell_obstruction(provider, now)


def _too_large(message: MessageView, provider: ProviderView) -> str:
    return f"takes {provider.capabilities.max_bytes} bytes, the message has {message.size_bytes}"


def _unsupported(message: MessageView, provider: ProviderView) -> str:
    if provider.name in message.refused:
        return "refused this message as one that it cannot carry"
    able = provider.capabilities
    if able.max_recipients is not None and message.recipients > able.max_recipients:
        return f"takes {able.max_recipients} recipients, the message has {message.recipients}"
    return obstacle_inside(message, able) or ""


def _already_tried(_message: MessageView, _provider: ProviderView) -> str:
    return "tried in this round"


def _no_capacity(message: MessageView, provider: ProviderView) -> str:
    if not provider.has_token_for(message.priority):
        return "its rate is used up"
    return f"{provider.free_slots} of {provider.slots} slots free, {provider.reserved_slots} kept for critical"


def _paused(provider: ProviderView, now: float) -> str:
    return f"resumes {_in(provider.paused_until, now)}" if provider.paused_until < math.inf else "until it is resumed"


def _throttled(provider: ProviderView, now: float) -> str:
    return f"asked to be left alone, may be used again {_in(provider.blocked_until, now)}"


def _quota_spent(provider: ProviderView, now: float) -> str:
    return f"frees {_in(provider.quota_until, now)}"


def _breaker_open(provider: ProviderView, now: float) -> str:
    if provider.breaker is BreakerState.PROBING:
        return "a probe is under way"
    if provider.next_probe_at <= now:
        return "next probe with the next message that can bear it"
    return f"next probe {_in(provider.next_probe_at, now)}"


def _misconfigured(provider: ProviderView, now: float) -> str:
    return f"refuses the account; {_breaker_open(provider, now)}"


def _in(at: float, now: float) -> str:
    return f"in {at - now:.1f} s" if at < math.inf else "nobody knows when"


_MERITS: Final = "tier {}, weight {:g} × health {:.2f} × headroom {:.2f}"  # noqa: RUF001 -- a sign of multiplication

_ABILITIES: Final[dict[RouteCode, Callable[[MessageView, ProviderView], str]]] = {
    RouteCode.TOO_LARGE: _too_large,
    RouteCode.UNSUPPORTED: _unsupported,
    RouteCode.ALREADY_TRIED: _already_tried,
    RouteCode.NO_CAPACITY: _no_capacity,
}
_OBSTRUCTIONS: Final[dict[RouteCode, Callable[[ProviderView, float], str]]] = {
    RouteCode.PAUSED: _paused,
    RouteCode.THROTTLED: _throttled,
    RouteCode.QUOTA_SPENT: _quota_spent,
    RouteCode.BREAKER_OPEN: _breaker_open,
    RouteCode.MISCONFIGURED: _misconfigured,
}
