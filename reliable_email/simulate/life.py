"""A life: what providers are and do, what arrives when, and what is on time. Instants are seconds from its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from shared.domain.message import Priority

#: Priorities are counted by their place here while a life is played: 0 is the most urgent.
PRIORITIES: Final = tuple(Priority)

_RATES: Final = ("hard_rate", "hard_burst")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a provider does to the attempts that begin now; most are shares of the attempts, in [0, 1].

    The shares are drawn independently and in the order of the fields; the first that hits decides.
    """

    refuse: float = 0.0
    """Refuses the connection within 15 ms."""
    connect_timeout: float = 0.0
    """Does not answer the connection at all."""
    unauthorized: float = 0.0
    """Refuses the account."""
    hard_rate: float | None = None
    """Messages a second that it takes; what comes beyond is throttled. None: any."""
    hard_burst: float = 1.0
    """How many it takes at once under `hard_rate`."""
    retry_after: float = 0.0
    """Seconds that it asks for when it throttles; 0 sends no header."""
    quota_left: int = -1
    """How many it still accepts before it throttles everything; -1: any number."""
    random_429: float = 0.0
    """Throttles without a reason."""
    hang: float = 0.0
    """Takes the request and never answers."""
    hang_accepts: float = 0.0
    """The share of those without an answer that are delivered all the same."""
    error: float = 0.0
    """Answers with an error of its own."""
    lost: float = 0.0
    """Delivers, and its answer is lost."""
    latency_factor: float = 1.0
    """What every latency is multiplied with."""

    @property
    def only_errs(self) -> bool:
        """Whether nothing but errors can go wrong: so it is nearly always."""
        usual = Behaviour(error=self.error, latency_factor=self.latency_factor, hang_accepts=self.hang_accepts)
        return self == replace(usual, retry_after=self.retry_after, hard_burst=self.hard_burst)

    @property
    def success(self) -> float:
        """The share of attempts that are accepted, limits aside."""
        share = 1.0
        for hit in (self.refuse, self.connect_timeout, self.unauthorized, self.random_429, self.hang, self.error):
            share *= 1.0 - hit
        return share * (1.0 - self.lost)


BEHAVIOUR_KEYS: Final = tuple(key.name for key in fields(Behaviour))


@dataclass(frozen=True, slots=True)
class ProviderLife:
    """One provider: what the configuration says of it, and how it behaves when nothing is wrong.

    Latency is log-normal about `median_ms`, and `tail_factor` times as long for a share `tail_share` of the requests.
    `concurrency` is each sender's.
    """

    name: str
    rate_per_second: float
    median_ms: float
    tier: int = 1
    weight: float = 1.0
    burst: float = 1.0
    concurrency: int = 20
    sigma: float = 0.4
    tail_share: float = 0.0
    tail_factor: float = 1.0
    connect_seconds: float = 5.0
    answer_seconds: float = 30.0
    keyed: bool = False
    nominal: Behaviour = field(default=Behaviour())


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` to `until` a provider behaves as `sets` says; without `until`, to the end.

    `every` and `times` repeat it. `senders` limits it to the attempts of some, counted from 0. `leave` and `returns`
    say which times are scored.
    """

    provider: str
    at: float
    sets: Mapping[str, Any]
    until: float | None = None
    every: float = 0.0
    times: int = 1
    senders: tuple[int, ...] | None = None
    leave: bool = False
    returns: bool = False

    def spells(self) -> tuple[tuple[float, float | None], ...]:
        """Return the beginning and end of each repetition."""
        starts = [self.at + self.every * i for i in range(self.times)]
        return tuple((start, None if self.until is None else start + self.until - self.at) for start in starts)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """From `at` on so many messages arrive a second, by chance, in this `mix` of priorities."""

    at: float
    per_second: float
    mix: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Burst:
    """So many messages arrive at one instant."""

    at: float
    messages: int
    priority: int


#: From arrival to the provider's acceptance, by priority.
USUAL_DEADLINES_SECONDS: Final = (5.0, 30.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Life:
    """What is played.

    Messages arrive for `seconds`, and what is delivered within `drain_seconds` more is seen. Each sender learns what
    the others saw at moments that lie a time between the two `share_delay_seconds` apart.
    """

    name: str
    seconds: float
    arrivals: tuple[Arrivals, ...]
    providers: tuple[ProviderLife, ...]
    description: str = ""
    held_out: bool = False
    drain_seconds: float = 600.0
    senders: int = 4
    share_delay_seconds: tuple[float, float] = (0.3, 1.0)
    deadline_seconds: tuple[float, float, float, float] = USUAL_DEADLINES_SECONDS
    bursts: tuple[Burst, ...] = ()
    changes: tuple[Change, ...] = ()

    def stretched(self, factor: float) -> Self:
        """Return the same life with every time and rate of nature multiplied: what happens lasts longer, and there is
        more of it. What the configuration and the users ask for (time-outs, deadlines, slots) stays."""
        return replace(
            self,
            seconds=self.seconds * factor,
            arrivals=tuple(
                replace(part, at=part.at * factor, per_second=part.per_second * factor) for part in self.arrivals
            ),
            bursts=tuple(
                replace(burst, at=burst.at * factor, messages=round(burst.messages * factor)) for burst in self.bursts
            ),
            providers=tuple(_stretched(provider, factor) for provider in self.providers),
            changes=tuple(
                replace(
                    change,
                    at=change.at * factor,
                    until=None if change.until is None else change.until * factor,
                    every=change.every * factor,
                    sets={key: value * factor if key in _RATES else value for key, value in change.sets.items()},
                )
                for change in self.changes
            ),
        )


def _stretched(provider: ProviderLife, factor: float) -> ProviderLife:
    nominal = provider.nominal
    if nominal.hard_rate is not None:
        hard_rate, hard_burst = nominal.hard_rate * factor, nominal.hard_burst * factor
        nominal = replace(nominal, hard_rate=hard_rate, hard_burst=hard_burst)
    return replace(
        provider,
        rate_per_second=provider.rate_per_second * factor,
        burst=provider.burst * factor,
        median_ms=provider.median_ms * factor,
        nominal=nominal,
    )
