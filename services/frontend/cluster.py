"""What all processes together tell of themselves: the senders' providers, one row a name. No I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.frontend.instants import instant
from services.frontend.views import View
from shared.domain.message import Waiting
from shared.queue.processes import Process
from shared.runtime.metrics import ROLES, SENDER

#: What stands in the configuration, and so may differ between senders that run with different files.
_CONFIGURED: Final = ("kind", "pools", "tier", "weight", "limits", "config_revision")

#: Why nothing of a pool may be sent, where all its providers are in the same state.
_WAITING: Final = {"paused": "paused", "throttled": "rate_limited", "quota_spent": "quota_spent"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The census as clients see it: processes by role, providers by name, each pool's providers."""

    processes: Mapping[str, int]
    providers: tuple[View, ...] = ()
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _available_at: Mapping[str, int | None] = field(default_factory=dict)

    def is_available(self, pool: str) -> bool:
        """Whether at least one provider of a pool takes messages now."""
        return any(row.get("available") for row in self._rows(pool))

    def waiting(self, pool: str) -> Waiting | None:
        """Return why nothing of a pool is sent now, or None where a provider takes messages."""
        if self.is_available(pool):
            return None
        rows = self._rows(pool)
        states = {row.get("state") for row in rows}
        code = _WAITING.get(str(states.pop())) if len(states) == 1 else None
        instants = [at for row in rows if (at := self._available_at.get(row["name"])) is not None]
        return Waiting(code or "no_provider_available", min(instants, default=None))

    def _rows(self, pool: str) -> list[View]:
        members = self.pools.get(pool, ())
        return [row for row in self.providers if row["name"] in members]


@dataclass(frozen=True, slots=True)
class _Told:
    """What one sender says of one provider, when it said so, and since when it runs."""

    row: Mapping[str, Any]
    at: int
    started_at: int


def cluster_of(processes: Sequence[Process]) -> Cluster:
    """Return what a census comes to. The latest word in it is taken for the present."""
    now = max((process.at for process in processes), default=0)
    told: dict[str, list[_Told]] = {}
    pools: dict[str, dict[str, None]] = {}
    for process in processes:
        if process.role != SENDER:
            continue
        for row in process.told.get("providers", ()):
            one = _Told(_current(row, now), process.at, process.told.get("started_at", 0))
            told.setdefault(row["name"], []).append(one)
        for pool, names in process.told.get("pools", {}).items():
            pools.setdefault(pool, {}).update(dict.fromkeys(names))
    counts = Counter(process.role for process in processes)
    return Cluster(
        processes={role: counts[role] for role in ROLES},
        providers=tuple(_merged(told[name]) for name in sorted(told)),
        pools={pool: tuple(names) for pool, names in pools.items()},
        _available_at={name: max(rows, key=lambda one: one.at).row.get("available_at") for name, rows in told.items()},
    )


def _current(row: Mapping[str, Any], now: int) -> Mapping[str, Any]:
    """Return a row without an `available_at` that is over: when the next probe succeeds, nobody knows."""
    available_at = row.get("available_at")
    return row if available_at is None or available_at > now else {**row, "available_at": None}


def _merged(rows: Sequence[_Told]) -> View:
    """Return one row: configured as most senders have it (a tie goes to the newest start), in the state last told."""
    newest = max(rows, key=lambda told: told.at).row
    votes = Counter(told.row.get("config_revision") for told in rows)
    elected = max(rows, key=lambda told: (votes[told.row.get("config_revision")], told.started_at, told.at)).row
    merged = {**newest, **{name: elected.get(name) for name in _CONFIGURED}}
    # Each sender counts what it does itself.
    merged["usage"] = {**newest.get("usage", {}), "in_flight": _in_flight(rows)}
    merged["outcomes_1m"] = _sum(told.row.get("outcomes_1m", {}) for told in rows)
    merged["seen_by"] = len(rows)
    return {name: _shown(name, value) for name, value in merged.items()}


def _in_flight(rows: Iterable[_Told]) -> int:
    return sum(told.row.get("usage", {}).get("in_flight", 0) for told in rows)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _shown(name: str, value: object) -> object:
    """Return a value with its instants, which processes tell each other in milliseconds, as clients read them."""
    if isinstance(value, dict):
        return {inner: _shown(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_shown("", item) for item in value]
    if type(value) is int and (name in {"at", "until"} or name.endswith("_at")):
        return instant(value)
    return value
