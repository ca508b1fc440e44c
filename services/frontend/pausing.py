"""Pauses as clients see them: what holds up a pool, and how a paused provider is shown. No I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.frontend.instants import instant
from services.frontend.views import View
from shared.domain.message import Waiting
from shared.policy.breaker import BreakerState
from shared.queue.pauses import Pause, Scale
from shared.settings.model import ProviderSettings

PAUSED: Final = "paused"
#: The state of a provider of which no sender tells.
UNKNOWN: Final = "unknown"

#: What its breaker says of a provider whose pause is over before its senders have told so.
_STATES: Final = {BreakerState.CLOSED: "healthy", BreakerState.OPEN: "open", BreakerState.PROBING: "probing"}


@dataclass(frozen=True, slots=True)
class Pauses:
    """All pauses there are now, by what they hold up."""

    everything: Pause | None = None
    pools: Mapping[str, Pause] = field(default_factory=dict)
    providers: Mapping[str, Pause] = field(default_factory=dict)

    @classmethod
    def of(cls, pauses: Iterable[Pause]) -> Pauses:
        """Return them in order."""
        found: dict[Scale, dict[str, Pause]] = {scale: {} for scale in Scale}
        for pause in pauses:
            found[pause.scale][pause.name] = pause
        return cls(found[Scale.EVERYTHING].get(""), found[Scale.POOL], found[Scale.PROVIDER])

    def find(self, scale: Scale, name: str = "") -> Pause | None:
        """Return the pause of one thing."""
        match scale:
            case Scale.EVERYTHING:
                return self.everything
            case Scale.POOL:
                return self.pools.get(name)
            case Scale.PROVIDER:
                return self.providers.get(name)

    def waiting(self, pool: str, members: Collection[str]) -> Waiting | None:
        """Return that a pool with these providers is paused, and until when; None where something may begin."""
        ends = [_end(pause) for pause in (self.everything, self.pools.get(pool)) if pause is not None]
        if members and all(name in self.providers for name in members):
            ends.append(min(_end(self.providers[name]) for name in members))
        if not ends:
            return None
        last = max(ends)
        return Waiting(PAUSED, int(last) if last < math.inf else None)


def pause_view(pause: Pause | None) -> View | None:
    """Return a pause as it is shown."""
    if pause is None:
        return None
    return {
        "reason": pause.reason,
        "since": instant(pause.since),
        "until": None if pause.until is None else instant(pause.until),
    }


def with_pause(row: Mapping[str, Any], pause: Pause | None) -> Mapping[str, Any]:
    """Return what a sender tells of a provider with the pause that it may not know of yet, or any more."""
    if pause is not None:
        return {
            **row,
            "state": PAUSED,
            "available": False,
            "available_at": pause.until,
            "paused": pause_view(pause),
        }
    if row.get("state") != PAUSED:
        return {**row, "paused": None}
    state = _STATES[BreakerState(row.get("breaker", {}).get("state", BreakerState.CLOSED))]
    return {**row, "state": state, "available": state == "healthy", "available_at": None, "paused": None}


def untold_row(settings: ProviderSettings) -> View:
    """Return the row of a provider of which no sender tells: what is configured, and nothing known."""
    return {
        "name": settings.name,
        "kind": settings.kind,
        "pools": list(settings.pools),
        "tier": settings.tier,
        "weight": settings.weight,
        "state": UNKNOWN,
        "available": False,
        "available_at": None,
        "paused": None,
        "health": 1.0,
        "breaker": {"state": BreakerState.CLOSED.value, "opened_at": None, "next_probe_at": None, "reason": None},
        "limits": {
            "rate_per_second": settings.rate_per_second,
            "rate_now_per_second": None,
            "burst": settings.burst,
            "concurrency": settings.concurrency,
            "quotas": [],
        },
        "capabilities": {
            "max_bytes": None,
            "max_recipients": None,
            "sender_domains": None,
            "refused_extensions": [],
            "known_extensions": None,
            "ascii_only": False,
        },
        "usage": {"tokens": None, "in_flight": 0, "accepted_24h": None},
        "outcomes_1m": {},
        "latency_ms": {"p50": None, "p95": None},
        "last_error": None,
        "config_revision": "",
        "seen_by": 0,
    }


def forgotten(row: Mapping[str, Any]) -> View:
    """Return the row of a provider that was known for its pause alone, once it is resumed."""
    return {**row, "state": UNKNOWN, "available_at": None, "paused": None}


def _end(pause: Pause) -> float:
    return math.inf if pause.until is None else pause.until
