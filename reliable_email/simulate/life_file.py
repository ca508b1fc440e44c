"""From the text of a life's file to a `Life`, with every fault and its place."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping
from typing import Any, Final

from reliable_email.simulate.life import (
    BEHAVIOUR_KEYS,
    PRIORITIES,
    USUAL_DEADLINES_SECONDS,
    Arrivals,
    Behaviour,
    Burst,
    Change,
    Life,
    ProviderLife,
)
from shared.domain.errors import ConfigurationError, Fault

_NAMES: Final = tuple(priority.value for priority in PRIORITIES)
_JUDGED: Final = {"both": (True, True), "leave": (True, False), "return": (False, True), "none": (False, False)}
_WITHOUT_LIMIT: Final = frozenset({"hard_rate", "hard_burst", "retry_after", "quota_left", "latency_factor"})


def parse_life(text: str, file: str) -> Life:
    """Read a life. Raises ConfigurationError with all faults at once; `file` says where they stand."""
    faults: list[Fault] = []
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError((Fault(file, "syntax", f"this is not TOML: {error}"),)) from error
    life = _life(_Table(tree, file, "", faults))
    if faults or life is None:
        raise ConfigurationError(tuple(faults))
    return life


class _Table:
    """One table of the file: gives its values one by one and notes what is wrong with them."""

    def __init__(self, values: Mapping[str, Any], file: str, path: str, faults: list[Fault]) -> None:
        self.values = values
        self._file = file
        self._path = path
        self._faults = faults
        self._asked: set[str] = set()

    def fault(self, key: str, code: str, detail: str) -> None:
        """Note what is wrong with a key, and what to write instead."""
        self._faults.append(Fault(f"{self._file}: {self._path}{key}", code, detail))

    def has(self, key: str) -> bool:
        """Whether a key that may be left out is there."""
        self._asked.add(key)
        return key in self.values

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; without a default it must be there."""
        value = self._take(key, default)
        if isinstance(value, str):
            return value
        if value is not None:
            self.fault(key, "type", f"must be a text in quotes, not {value!r}")
        return ""

    def number(
        self, key: str, default: float | None = None, *, least: float = 0.0, most: float = math.inf, above: bool = False
    ) -> float:
        """Return a number within bounds; `above` excludes the lower one."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            if value is not None:
                self.fault(key, "type", f"must be a number, not {value!r}")
            return least if default is None else default
        if value < least or value > most or (above and value == least):
            upper = f" and at most {most:g}" if most < math.inf else ""
            self.fault(key, "range", f"must be {'above' if above else 'at least'} {least:g}{upper}, not {value:g}")
            return least
        return float(value)

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """Return a whole number."""
        value = self.number(key, default, least=least)
        if not value.is_integer():
            self.fault(key, "type", f"must be a whole number, not {value:g}")
        return int(value)

    def flag(self, key: str) -> bool:
        """Return a flag, false where it is not set."""
        value = self._take(key, default=False)
        if not isinstance(value, bool):
            self.fault(key, "type", f"must be true or false, not {value!r}")
        return bool(value)

    def one_of(self, key: str, choices: Collection[str], default: str | None = None) -> str:
        """Return one of some words."""
        value = self.text(key, default)
        if value and value not in choices:
            self.fault(key, "unknown", f"must be one of {', '.join(choices)}, not {value!r}")
            return next(iter(choices))
        return value

    def items(self, key: str) -> list[Any] | None:
        """Return a list, None where there is none."""
        if not self.has(key):
            return None
        value = self.values[key]
        if not isinstance(value, list):
            self.fault(key, "type", "must be a list in [ ]")
            return None
        return value

    def tables(self, key: str) -> list[_Table]:
        """Return the tables of an array of tables, in their order."""
        values = self._take(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.fault(key, "type", f"must be tables that begin with [[{key}]]")
            return []
        return [self._inner(value, f"{key}[{place}].") for place, value in enumerate(values)]

    def table(self, key: str) -> _Table:
        """Return a table, an empty one where there is none."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.fault(key, "type", f"must be a table: [{key}] or {{ … }}")
            value = {}
        return self._inner(value, f"{key}.")

    def finish(self) -> None:
        """Note every key that nobody asked for."""
        for key in self.values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                cure = (
                    f"did you mean {near[0]}?" if near else f"leave it out; there are {', '.join(sorted(self._asked))}"
                )
                self.fault(key, "unknown", f"there is no such key: {cure}")

    def _take(self, key: str, default: Any) -> Any:  # noqa: ANN401 - what a file holds has no static type
        self._asked.add(key)
        if key not in self.values and default is None:
            self.fault(key, "missing", "is missing: add it")
        return self.values.get(key, default)

    def _inner(self, values: Mapping[str, Any], path: str) -> _Table:
        return _Table(values, self._file, self._path + path, self._faults)


def _life(table: _Table) -> Life | None:
    providers = tuple(_provider(part) for part in table.tables("providers"))
    if not providers:
        table.fault("providers", "missing", "a life needs at least one provider: add [[providers]]")
    names = [provider.name for provider in providers]
    for name in {name for name in names if names.count(name) > 1}:
        table.fault("providers", "duplicate", f"two providers are called {name!r}: give each a name of its own")
    arrivals = sorted((_arrivals(part) for part in table.tables("arrivals")), key=lambda part: part.at)
    bursts = tuple(_burst(part) for part in table.tables("bursts"))
    if not arrivals and not bursts:
        table.fault("arrivals", "missing", "nothing would arrive: add [[arrivals]] or [[bursts]]")
    senders = table.whole("senders", 4)
    life = Life(
        name=table.text("name"),
        description=table.text("description", ""),
        held_out=table.flag("held_out"),
        seconds=table.number("seconds", above=True),
        drain_seconds=table.number("drain_seconds", 600.0),
        senders=senders,
        share_delay_seconds=_share_delay(table),
        deadline_seconds=_deadlines(table.table("deadline_seconds")),
        arrivals=tuple(arrivals),
        bursts=bursts,
        providers=providers,
        changes=tuple(_change(part, names, senders) for part in table.tables("changes")),
    )
    table.finish()
    return life


def _share_delay(table: _Table) -> tuple[float, float]:
    values = table.items("share_delay_seconds")
    if values is None:
        return (0.3, 1.0)
    match values:
        case [int() | float() as least, int() | float() as most] if 0 < least <= most:
            return float(least), float(most)
        case _:
            table.fault("share_delay_seconds", "range", "must be two times above 0, the shorter first: [0.3, 1.0]")
            return (0.3, 1.0)


def _deadlines(table: _Table) -> tuple[float, float, float, float]:
    critical, high, normal, bulk = (
        table.number(name, default, above=True) for name, default in zip(_NAMES, USUAL_DEADLINES_SECONDS, strict=True)
    )
    table.finish()
    return critical, high, normal, bulk


def _arrivals(table: _Table) -> Arrivals:
    mix = table.table("mix")
    shares = [mix.number(name, 0.0) for name in _NAMES]
    mix.finish()
    total = sum(shares)
    if total <= 0:
        table.fault("mix", "missing", "needs the share of at least one priority: mix = {normal = 1}")
        total = 1.0
    critical, high, normal, bulk = (share / total for share in shares)
    arrivals = Arrivals(
        at=table.number("at", 0.0),
        per_second=table.number("per_second"),
        mix=(critical, high, normal, bulk),
    )
    table.finish()
    return arrivals


def _burst(table: _Table) -> Burst:
    priority = table.one_of("priority", _NAMES)
    burst = Burst(
        at=table.number("at"),
        messages=table.whole("messages"),
        priority=_NAMES.index(priority) if priority else 0,
    )
    table.finish()
    return burst


def _provider(table: _Table) -> ProviderLife:
    rate = table.number("rate_per_second", above=True)
    provider = ProviderLife(
        name=table.text("name"),
        tier=table.whole("tier", 1),
        weight=table.number("weight", 1.0, above=True),
        rate_per_second=rate,
        burst=table.number("burst", max(1.0, rate), least=1.0),
        concurrency=table.whole("concurrency", 20),
        median_ms=table.number("median_ms", above=True),
        sigma=table.number("sigma", 0.4),
        tail_share=table.number("tail_share", 0.0, most=1.0),
        tail_factor=table.number("tail_factor", 1.0),
        connect_seconds=table.number("connect_seconds", 5.0),
        answer_seconds=table.number("answer_seconds", 30.0, above=True),
        keyed=table.flag("keyed"),
        nominal=Behaviour(**_behaviour(table)),
    )
    table.finish()
    return provider


def _behaviour(table: _Table) -> dict[str, Any]:
    """Return the behaviour keys that are set here."""
    sets: dict[str, Any] = {}
    for key in BEHAVIOUR_KEYS:
        if not table.has(key):
            continue
        most = math.inf if key in _WITHOUT_LIMIT else 1.0
        value = table.number(key, least=-1.0 if key == "quota_left" else 0.0, most=most, above=key == "hard_rate")
        sets[key] = int(value) if key == "quota_left" else value
    return sets


def _change(table: _Table, providers: list[str], senders: int) -> Change:
    at = table.number("at")
    has_end = table.has("until")
    until = table.number("until", least=at, above=True) if has_end else at
    times = table.whole("times", 1)
    every = table.number("every", 0.0)
    if times > 1 and (not has_end or every < until - at):
        table.fault("every", "range", "must be at least as long as from at to until where times repeats the change")
    leave, returns = _JUDGED[table.one_of("judge", _JUDGED, "both" if has_end else "none")]
    sets = _behaviour(table)
    change = Change(
        provider=table.one_of("provider", providers or [""]),
        at=at,
        until=until if has_end else None,
        every=every,
        times=times,
        senders=_senders(table, senders),
        leave=leave,
        returns=returns and has_end,
        sets=sets,
    )
    table.finish()
    if not sets:
        table.fault("", "missing", f"changes nothing: add one of {', '.join(BEHAVIOUR_KEYS)}")
    return change


def _senders(table: _Table, count: int) -> tuple[int, ...] | None:
    values = table.items("senders")
    if values is None:
        return None
    if any(not isinstance(value, int) or not 0 <= value < count for value in values):
        table.fault("senders", "range", f"must name senders from 0 to {count - 1}: there are {count}")
        return None
    return tuple(values)
