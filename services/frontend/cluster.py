"""What all processes together tell of themselves: the senders' providers, one row a name. No I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.frontend.instants import instant
from services.frontend.pausing import Pauses, untold_row, with_pause
from services.frontend.views import View
from shared.domain.message import Record, Waiting
from shared.domain.states import State
from shared.queue.pauses import Pause
from shared.queue.processes import Process
from shared.runtime.metrics import ROLES, SENDER
from shared.settings.model import ProviderSettings

#: What stands in the configuration, and so may differ between senders that run with different files.
_CONFIGURED: Final = ("kind", "pools", "tier", "weight", "limits", "capabilities", "config_revision")

#: Why nothing of a pool may be sent, where all its providers are in the same state.
_WAITING: Final = {"throttled": "rate_limited", "quota_spent": "quota_spent"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The census as clients see it: processes by role, providers by name, each pool's providers, all pauses."""

    processes: Mapping[str, int]
    providers: tuple[View, ...] = ()
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=Pauses)
    _available_at: Mapping[str, int | None] = field(default_factory=dict)
    _configured: tuple[ProviderSettings, ...] = ()

    def is_available(self, pool: str) -> bool:
        """Whether at least one provider of a pool takes messages of it now."""
        return self.paused(pool) is None and any(row.get("available") for row in self._rows(pool))

    def paused(self, pool: str) -> Waiting | None:
        """Return until when nothing of a pool may begin, whatever its providers can do; None where it may."""
        return self.pauses.waiting(pool, self.pools.get(pool, ()))

    def waiting(self, pool: str) -> Waiting | None:
        """Return why nothing of a pool is sent now, or None where a provider takes messages."""
        paused = self.paused(pool)
        if paused is not None or self.is_available(pool):
            return paused
        rows = self._rows(pool)
        states = {row.get("state") for row in rows}
        code = _WAITING.get(str(states.pop())) if len(states) == 1 else None
        instants = [at for row in rows if (at := self._available_at.get(row["name"])) is not None]
        return Waiting(code or "no_provider_available", min(instants, default=None))

    def explain(self, record: Record) -> Waiting | None:
        """Return why a message that is queued or to be retried waits.

        A pause comes first, unless the message waits longer than it lasts; then what the message was
        told itself; then, of one that no sender has seen, what its pool's providers tell.
        """
        waiting, paused = record.waiting, self.paused(record.pool)
        if paused is not None:
            told_until = waiting.until if waiting is not None else None
            outlasts = paused.until is not None and told_until is not None and told_until > paused.until
            return waiting if outlasts else paused
        return self.waiting(record.pool) if waiting is None and record.state is State.QUEUED else waiting

    def row(self, provider: str) -> View | None:
        """Return the row of one provider; also of one that is configured, and of which no sender tells."""
        for row in self.providers:
            if row["name"] == provider:
                return row
        return next((_untold(one, None) for one in self._configured if one.name == provider), None)

    def _rows(self, pool: str) -> list[View]:
        members = self.pools.get(pool, ())
        return [row for row in self.providers if row["name"] in members]


@dataclass(frozen=True, slots=True)
class _Told:
    """What one sender says of one provider, when it said so, and since when it runs."""

    row: Mapping[str, Any]
    at: int
    started_at: int


def cluster_of(
    processes: Sequence[Process],
    pauses: Iterable[Pause] = (),
    configured: Iterable[ProviderSettings] = (),
) -> Cluster:
    """Return what a census comes to. The latest word in it is taken for the present.

    A provider that is paused has its row also where no sender tells of it; `configured` then says what it is.
    """
    configured = tuple(configured)
    holds = Pauses.of(pauses)
    now = max((process.at for process in processes), default=0)
    told: dict[str, list[_Told]] = {}
    pools: dict[str, dict[str, None]] = {}
    for process in processes:
        if process.role != SENDER:
            continue
        for row in process.told.get("providers", ()):
            current = with_pause(_current(row, now), holds.providers.get(row["name"]))
            one = _Told(current, process.at, process.told.get("started_at", 0))
            told.setdefault(row["name"], []).append(one)
        for pool, names in process.told.get("pools", {}).items():
            pools.setdefault(pool, {}).update(dict.fromkeys(names))
    rows = {name: _merged(one) for name, one in told.items()}
    for name in holds.providers.keys() - rows.keys():
        nameless = ProviderSettings(name=name, kind="", pools=())
        rows[name] = _untold(next((one for one in configured if one.name == name), nameless), holds.providers[name])
    counts = Counter(process.role for process in processes)
    return Cluster(
        processes={role: counts[role] for role in ROLES},
        providers=tuple(rows[name] for name in sorted(rows)),
        pools={pool: tuple(names) for pool, names in pools.items()},
        pauses=holds,
        _available_at={name: max(rows, key=lambda one: one.at).row.get("available_at") for name, rows in told.items()},
        _configured=configured,
    )


def _untold(settings: ProviderSettings, pause: Pause | None) -> View:
    """Return the row of a provider of which no sender tells."""
    return {name: _shown(name, value) for name, value in with_pause(untold_row(settings), pause).items()}


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
