"""What a sender tells of its providers: to Prometheus, and to everybody who asks the frontend."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

from prometheus_client import Gauge

from services.sender.account import Account
from shared.domain.outcome import Outcome
from shared.policy.breaker import BreakerState
from shared.policy.opening import OpenReason
from shared.policy.views import RouteCode
from shared.providers.interface import Capabilities
from shared.queue.pauses import Pause
from shared.runtime.metrics import BREAKER_STATES, Metrics
from shared.runtime.series import Family, Labels
from shared.settings.model import ProviderSettings

_STATES = {
    RouteCode.PAUSED: "paused",
    RouteCode.THROTTLED: "throttled",
    RouteCode.QUOTA_SPENT: "quota_spent",
    RouteCode.BREAKER_OPEN: "open",
    RouteCode.MISCONFIGURED: "misconfigured",
}
#: Below this share of a perfect health a provider counts as degraded.
_DEGRADED_BELOW = 0.9


def show(metrics: Metrics, accounts: Iterable[Account], now: float) -> None:
    """Set the gauges of each provider."""
    for account in accounts:
        account.refresh(now)
        name = account.settings.name
        metrics.provider_health[name].set(account.view.health)
        metrics.provider_breaker_state[name].set(BREAKER_STATES[account.view.breaker.value])
        if account.view.tokens is not None:
            metrics.provider_tokens[name].set(account.view.tokens)
        else:
            metrics.provider_tokens.forget(name)
        metrics.provider_misconfigured[name].set(account.view.is_misconfigured)
        metrics.provider_paused[name].set(account.view.obstruction(now) is RouteCode.PAUSED)
        if account.rate_now is not None:
            metrics.provider_rate_per_second[name].set(account.rate_now)
        else:
            metrics.provider_rate_per_second.forget(name)
        metrics.provider_in_flight[name].set(account.in_flight)
        metrics.provider_concurrency[name].set(account.settings.concurrency)
        for quota, used in zip(account.stock.limits.quotas, account.stock.used, strict=True):
            metrics.provider_quota_left[name, quota.name].set(max(0, quota.messages - used))
            metrics.provider_quota_limit[name, quota.name].set(quota.messages)
        _forget_quotas(metrics, name, but={quota.name for quota in account.stock.limits.quotas})
        _show_info(metrics, account.settings)


def introduce(metrics: Metrics, provider: str) -> None:
    """Show the counters of a provider before there is anything to count."""
    for outcome in Outcome:
        metrics.attempts.begin((provider, outcome))
    for reason in OpenReason:
        metrics.breaker_openings.begin((provider, reason))


def forget(metrics: Metrics, provider: str) -> None:
    """Show the gauges of a provider no longer that was taken out: they would stand as they are for ever.

    Its counters stay: what they counted last has perhaps not been read yet.
    """
    for gauges in (
        metrics.provider_health,
        metrics.provider_breaker_state,
        metrics.provider_tokens,
        metrics.provider_misconfigured,
        metrics.provider_paused,
        metrics.provider_rate_per_second,
        metrics.provider_in_flight,
        metrics.provider_concurrency,
    ):
        gauges.forget(provider)
    _forget_quotas(metrics, provider)
    _forget_others(metrics.provider_info, provider)
    metrics.actor_mailbox_depth.forget(f"provider {provider}")


def _forget_quotas(metrics: Metrics, provider: str, but: Collection[str] = ()) -> None:
    for gauges in (metrics.provider_quota_left, metrics.provider_quota_limit):
        _forget_others(gauges, provider, {(provider, quota) for quota in but})


def _show_info(metrics: Metrics, settings: ProviderSettings) -> None:
    """Show what a provider is, and no longer what it was before the configuration changed."""
    labels = (settings.name, settings.kind, str(settings.tier))
    metrics.provider_info[labels].set(1)
    _forget_others(metrics.provider_info, settings.name, {labels})


def _forget_others(gauges: Family[Gauge], provider: str, but: Collection[Labels] = ()) -> None:
    gauges.keep({labels for labels in gauges if labels[0] != provider or labels in but})


def row(account: Account, revision: str, now: float, wall_ms: int) -> dict[str, Any]:
    """Return what `GET /v1/providers` shows of one provider, as this sender sees it; instants in milliseconds."""
    settings, view, breaker = account.settings, account.view, account.breaker
    obstruction = view.obstruction(now)
    outcomes, latencies = account.outcomes(now)
    return {
        "name": settings.name,
        "kind": settings.kind,
        "pools": list(settings.pools),
        "tier": settings.tier,
        "weight": settings.weight,
        "state": _state(account, obstruction),
        "available": obstruction is None,
        "available_at": _wall(_available_at(account, obstruction), now, wall_ms),
        "paused": _pause(account.pause),
        "health": round(view.health, 3),
        "breaker": {
            "state": breaker.state.value,
            "opened_at": _wall(breaker.opening.opened_at, now, wall_ms) if breaker.opening else None,
            "next_probe_at": _wall(breaker.opening.next_probe_at, now, wall_ms) if breaker.opening else None,
            "reason": breaker.opening.reason.value if breaker.opening else None,
        },
        "limits": {
            "rate_per_second": settings.rate_per_second,
            "rate_now_per_second": account.rate_now,
            "burst": account.stock.limits.burst,
            "concurrency": settings.concurrency,
            "quotas": _quotas(account, now, wall_ms),
        },
        "capabilities": _capabilities(view.capabilities),
        "usage": {"tokens": view.tokens, "in_flight": account.in_flight, "accepted_24h": None},
        "outcomes_1m": outcomes,
        "latency_ms": {"p50": _percentile(latencies, 0.5), "p95": _percentile(latencies, 0.95)},
        "last_error": account.last_error,
        "config_revision": revision,
    }


def _capabilities(able: Capabilities) -> dict[str, Any]:
    return {
        "max_bytes": able.max_bytes,
        "max_recipients": able.max_recipients,
        "sender_domains": _sorted(able.sender_domains),
        "refused_extensions": _sorted(able.refused_extensions),
        "known_extensions": _sorted(able.known_extensions),
        "ascii_only": able.is_ascii_only,
    }


def _sorted(words: Collection[str] | None) -> list[str] | None:
    return None if words is None else sorted(words)


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    return None if pause is None else {"reason": pause.reason, "since_at": pause.since, "until": pause.until}


def _quotas(account: Account, now: float, wall_ms: int) -> list[dict[str, Any]]:
    limits, used = account.stock.limits, account.stock.used
    frees_at = _wall(account.view.quota_until, now, wall_ms)
    return [
        {
            "messages": quota.messages,
            "per": quota.per,
            "window": "rolling" if quota.is_rolling else "calendar",
            "zone": quota.zone,
            "used": units,
            "frees_at": frees_at if units >= quota.messages else None,
        }
        for quota, units in zip(limits.quotas, used, strict=True)
    ]


def _state(account: Account, obstruction: RouteCode | None) -> str:
    if account.breaker.state is BreakerState.PROBING:
        return "probing"
    if obstruction is not None:
        return _STATES[obstruction]
    return "healthy" if account.view.health >= _DEGRADED_BELOW else "degraded"


def _available_at(account: Account, obstruction: RouteCode | None) -> float | None:
    if obstruction is RouteCode.PAUSED:
        return account.view.paused_until
    if obstruction is RouteCode.THROTTLED:
        return account.view.blocked_until
    if obstruction is RouteCode.QUOTA_SPENT:
        return account.view.quota_until
    if obstruction in {RouteCode.BREAKER_OPEN, RouteCode.MISCONFIGURED} and account.breaker.opening:
        return account.breaker.opening.next_probe_at
    return None


def _wall(instant: float | None, now: float, wall_ms: int) -> int | None:
    if instant is None or not math.isfinite(instant):
        return None
    return wall_ms + round((instant - now) * 1000)


def _percentile(ordered: list[float], share: float) -> int | None:
    if not ordered:
        return None
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))])
