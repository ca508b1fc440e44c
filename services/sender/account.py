"""One provider as this sender knows it: its view for routing, its health, breaker, tokens and limits.

Everything here is plain state with `now` as an argument; the provider's actor owns it.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from shared.domain.outcome import Outcome, Verdict
from shared.policy import limiter
from shared.policy.breaker import Breaker, BreakerState, Change
from shared.policy.capacity import critical_reserve
from shared.policy.health import Health
from shared.policy.routing import is_trickle_due
from shared.policy.views import ProviderView
from shared.providers import registry
from shared.providers.interface import Capabilities
from shared.queue.provider_state import Drawn
from shared.settings.model import ProviderSettings

#: A provider's tokens are drawn for about so long: small enough that senders share fairly, large
#: enough that one round trip serves many messages.
_CHUNK_SECONDS: Final = 0.1
#: Tokens that were not used by then are given up: kept longer, they would add up to a burst.
_STOCK_SECONDS: Final = 1.0
#: Over how long the accepted rate is measured when a provider throttles.
_ACCEPTED_SECONDS: Final = 2.0
_MINUTE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Account:
    """The state of one provider in one sender. Instants are monotonic seconds."""

    settings: ProviderSettings
    critical_percent: float
    draw: Callable[[], float]
    view: ProviderView = field(init=False)
    health: Health = field(default_factory=Health)
    breaker: Breaker = field(default_factory=Breaker)
    limit: limiter.Limit = field(default_factory=limiter.Limit)
    last_error: dict[str, Any] | None = None
    _stock_until: float = -math.inf
    _next_urgent_at: float = -math.inf
    _elsewhere: int = 0
    _last_begin: float = -math.inf
    _recent: deque[tuple[float, Outcome, float]] = field(default_factory=lambda: deque(maxlen=20_000))

    def __post_init__(self) -> None:
        settings = self.settings
        self.view = ProviderView(
            name=settings.name,
            tier=settings.tier,
            weight=settings.weight,
            slots=settings.concurrency,
            free_slots=settings.concurrency,
            reserved_slots=critical_reserve(settings.concurrency, self.critical_percent),
            tokens=None if settings.rate_per_second is None else 0,
            capabilities=_capabilities(settings),
        )

    @property
    def burst(self) -> float:
        """What the bucket may hold."""
        return self.settings.burst or max(1.0, self.settings.rate_per_second or 1.0)

    @property
    def bucket_reserve(self) -> int:
        """How many tokens stay in the shared bucket for critical messages that may come."""
        return critical_reserve(int(self.burst), self.critical_percent)

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
        if view.tokens and now > self._stock_until:
            view.tokens = 0

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

    # Tokens

    def wanted_tokens(self, now: float, most: int, *, urgent: bool = False) -> int:
        """Return how many tokens to draw so that `most` messages could go, 0 where there are enough.

        `urgent` draws may have what is kept in the bucket for critical messages, and do not wait
        for the next token because others must.
        """
        view = self.view
        if view.tokens is None or view.obstruction(now) not in {None, "breaker_open", "misconfigured"}:
            return 0
        if now < (self._next_urgent_at if urgent else view.next_token_at):
            return 0
        chunk = max(1, int((self.settings.rate_per_second or 1.0) * _CHUNK_SECONDS))
        return max(0, min(chunk, most, view.free_slots) - view.tokens)

    def stay_dry(self, until: float) -> None:
        """Draw nothing until an instant: the bucket cannot be asked."""
        self.view.next_token_at = self._next_urgent_at = until

    def take_tokens(self, drawn: Drawn, now: float, *, urgent: bool = False) -> None:
        """Put what was drawn from the shared bucket into stock."""
        self.learn_block(drawn, now)
        if self.view.tokens is None:
            return
        self.view.tokens += drawn.granted
        self._stock_until = now + _STOCK_SECONDS
        self.view.next_token_at = now if drawn.granted else now + max(0, drawn.next_at - drawn.now) / 1000
        if urgent:
            self._next_urgent_at = self.view.next_token_at

    def learn_block(self, drawn: Drawn, now: float) -> None:
        """Learn until when the provider is to be left alone by everybody."""
        if drawn.blocked_until is not None:
            self.view.blocked_until = now + max(0, drawn.blocked_until - drawn.now) / 1000

    def throttle(self, verdict: Verdict, now: float) -> int:
        """Learn from a 429 and return for how many milliseconds the provider is blocked."""
        since = now - _ACCEPTED_SECONDS
        accepted = sum(at >= since and outcome is Outcome.ACCEPTED for at, outcome, _ in self._recent)
        now_ms = int(now * 1000)
        self.limit = limiter.throttle(
            self.limit, self.settings.rate_per_second, accepted / _ACCEPTED_SECONDS, verdict.retry_after_seconds, now_ms
        )
        block_ms = max(0, self.limit.blocked_until - now_ms)
        self.view.blocked_until = now + block_ms / 1000
        return block_ms

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
        self.health.observe(outcome, now - began_at, now, overdue_at=overdue_at)
        if is_probe:
            change = self.breaker.end_probe(outcome, began_at, now, self.draw())
        else:
            change = self.breaker.observe(
                outcome,
                began_at,
                now,
                self.draw(),
                failing=self.health.is_failing(now),
                was_overdue=overdue_at is not None,
            )
        if change is Change.CLOSED:
            self.health.forget()
        return change

    # Telling

    def outcomes(self, now: float) -> tuple[dict[str, int], list[float]]:
        """Return the last minute's outcomes, and the latencies of what was accepted in it."""
        recent = [entry for entry in self._recent if now - entry[0] <= _MINUTE_SECONDS]
        latencies = sorted(seconds for _, outcome, seconds in recent if outcome is Outcome.ACCEPTED)
        return dict(Counter(outcome.value for _, outcome, _ in recent)), latencies


def _capabilities(settings: ProviderSettings) -> Capabilities:
    return registry.adapter(settings.kind).capabilities(settings.options)
