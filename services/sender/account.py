"""One provider as this sender knows it: its view for routing, its health, breaker, tokens and limits.

Everything here is plain state with `now` as an argument; the provider's actor owns it.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.sender.stock import Stock
from shared.domain.outcome import Outcome, Verdict
from shared.policy.breaker import Breaker, BreakerState, Change
from shared.policy.capacity import critical_reserve
from shared.policy.health import Health
from shared.policy.limiter import QUOTA_RETRY_AFTER_SECONDS
from shared.policy.routing import is_trickle_due
from shared.policy.views import ProviderView
from shared.providers import registry
from shared.providers.interface import Capabilities
from shared.queue.pauses import Pause
from shared.queue.provider_state import Throttled
from shared.settings.model import ProviderSettings

#: For so long a 429 that names no time stops this sender, until the cluster's own word is heard.
_FIRST_BLOCK_SECONDS: Final = 0.5
_MINUTE_SECONDS: Final = 60.0

_TAKEN: Final = frozenset({Outcome.ACCEPTED, Outcome.PARTIAL})


@dataclass(slots=True)
class Account:
    """The state of one provider in one sender. Instants are monotonic seconds.

    `accepted` and `throttled` are what the cluster has not been told yet, `returns` says that it is to
    hear that the provider comes back, from an outage or a pause; `closed_at` is when the breaker last closed.
    """

    settings: ProviderSettings
    critical_percent: float
    draw: Callable[[], float]
    view: ProviderView = field(init=False)
    stock: Stock = field(init=False)
    health: Health = field(default_factory=Health)
    breaker: Breaker = field(default_factory=Breaker)
    rate_now: float | None = None
    pause: Pause | None = None
    accepted: int = 0
    throttled: Throttled | None = None
    returns: bool = False
    returns_for_all: bool = False
    closed_at: float = -math.inf
    last_error: dict[str, Any] | None = None
    _elsewhere: int = 0
    _last_begin: float = -math.inf
    _recent: deque[tuple[float, Outcome, float]] = field(default_factory=lambda: deque(maxlen=20_000))

    def __post_init__(self) -> None:
        self.view = ProviderView(name=self.settings.name, slots=0, free_slots=0)
        self._show(self.settings)
        self.stock = Stock(self.view, self.settings, self.critical_percent)
        self.rate_now = self.settings.rate_per_second

    def change(self, settings: ProviderSettings) -> None:
        """Go on under other settings of the same account: what was learned of it and what is in flight stay."""
        if settings.rate_per_second != self.settings.rate_per_second:
            self.rate_now = settings.rate_per_second
        self.settings = settings
        self._show(settings)
        self.stock.change(settings)

    def _show(self, settings: ProviderSettings) -> None:
        view, in_flight = self.view, self.in_flight
        view.tier, view.weight = settings.tier, settings.weight
        view.slots = settings.concurrency
        view.free_slots = settings.concurrency - in_flight  # below 0 while more is in flight than is still allowed
        view.reserved_slots = critical_reserve(settings.concurrency, self.critical_percent)
        view.capabilities = _capabilities(settings)

    @property
    def in_flight(self) -> int:
        """How many slots are taken."""
        return self.view.slots - self.view.free_slots

    # Routing's view

    def refresh(self, now: float) -> None:
        """Bring the view up to date before a round of decisions."""
        view, breaker = self.view, self.breaker
        view.health = self.health.score(now)
        view.breaker = breaker.state
        view.is_misconfigured = breaker.is_misconfigured
        view.next_probe_at = breaker.opening.next_probe_at if breaker.opening else math.inf
        view.probe_due = breaker.is_probe_due(now)
        view.probe_due_if_all_open = breaker.is_probe_due(now, all_open=True)
        view.trickle_due = is_trickle_due(self._elsewhere, now - self._last_begin, self.in_flight)
        self.stock.expire(now)

    def reserve(self) -> None:
        """Take the slot and the token that a chosen message uses."""
        self.view.free_slots -= 1
        if self.view.tokens is not None:
            self.view.tokens -= 1

    def restore(self, *, token: bool) -> None:
        """Give a slot back, and the token too where nothing went to the provider."""
        self.view.free_slots += 1
        if token and self.view.tokens is not None:
            self.view.tokens += 1

    # What holds for everybody

    def block(self, until: float) -> None:
        """Leave the provider alone until an instant, which the whole cluster does; one that is over ends it."""
        self.view.blocked_until = until

    def throttle(self, verdict: Verdict, now: float) -> float:
        """Learn from a 429 and return for how many seconds this sender leaves the provider alone at least."""
        seconds = verdict.retry_after_seconds
        self.throttled = Throttled(seconds, seconds is not None and seconds >= QUOTA_RETRY_AFTER_SECONDS)
        pause = _FIRST_BLOCK_SECONDS if seconds is None else seconds
        self.view.blocked_until = max(self.view.blocked_until, now + pause)
        return pause

    def come_back(self, *, for_all: bool = False) -> None:
        """Begin slowly, here and in the whole cluster: the provider may have come back cold.

        `for_all` says that nobody used it, as in a pause; else others may never have left it.
        """
        self.returns = True
        self.returns_for_all |= for_all
        self.stock.ramp(is_ramping=True)

    # Learning

    def begin(self, now: float) -> None:
        """Note that an attempt begins here."""
        self._elsewhere = 0
        self._last_begin = now

    def begin_elsewhere(self) -> None:
        """Note that an attempt begins at another provider."""
        self._elsewhere += 1
        if self.breaker.state is not BreakerState.CLOSED:
            self.breaker.count_elsewhere()

    def overdue(self, began_at: float, now: float, *, is_probe: bool) -> Change | None:
        """Learn that an attempt in flight is older than any healthy one would be; as a probe it has failed."""
        self.health.observe_overdue(now)
        if is_probe:
            return self.breaker.end_probe(Outcome.TEMPORARY, began_at, now, self.draw())
        return self.breaker.observe_overdue(began_at, now, self.draw(), failing=self.health.is_failing(now))

    def observe(
        self, verdict: Verdict, began_at: float, now: float, *, is_probe: bool, overdue_at: float | None
    ) -> Change | None:
        """Learn from the end of an attempt; returns what it did to the breaker."""
        outcome = verdict.outcome
        self._recent.append((now, outcome, now - began_at))
        self.accepted += outcome in _TAKEN
        self.health.observe(outcome, now - began_at, now, overdue_at=overdue_at)
        if is_probe:
            change = self.breaker.end_probe(outcome, began_at, now, self.draw(), generic_refusal=verdict.is_generic)
        else:
            change = self.breaker.observe(
                outcome,
                began_at,
                now,
                self.draw(),
                failing=self.health.is_failing(now),
                was_overdue=overdue_at is not None,
                generic_refusal=verdict.is_generic,
            )
        if verdict.account_fault:
            # The message was taken, and others would not be.
            change = self.breaker.observe(Outcome.MISCONFIGURED, began_at, now, self.draw()) or change
        if change is Change.CLOSED:
            self.health.forget()
            self.closed_at = now
            self.come_back()
        return change

    # Telling

    def outcomes(self, now: float) -> tuple[dict[str, int], list[float]]:
        """Return the last minute's outcomes, and the latencies of what was accepted in it."""
        recent = [entry for entry in self._recent if now - entry[0] <= _MINUTE_SECONDS]
        latencies = sorted(seconds for _, outcome, seconds in recent if outcome is Outcome.ACCEPTED)
        return dict(Counter(outcome.value for _, outcome, _ in recent)), latencies


def _capabilities(settings: ProviderSettings) -> Capabilities:
    """Return what the account can carry: what its kind can, from the domains that it may send from."""
    able = registry.adapter(settings.kind).capabilities(settings.options)
    if not settings.sender_domains:
        return able
    own = frozenset(domain.lower() for domain in settings.sender_domains)
    return replace(able, sender_domains=own if able.sender_domains is None else own & able.sender_domains)
