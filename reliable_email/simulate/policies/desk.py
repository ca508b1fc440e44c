"""What one sender keeps of one provider: its view for routing, health, breaker, and the attempts under way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from reliable_email.simulate.life import ProviderLife
from reliable_email.simulate.world import Flight
from shared.domain.outcome import Outcome
from shared.policy.breaker import Breaker, BreakerState, Change
from shared.policy.health import Health
from shared.policy.latency import OVERDUE_AT_MOST_SECONDS
from shared.policy.routing import is_trickle_due
from shared.policy.views import ProviderView

#: A view is brought up to date for a decision where something was learned, or where it is older than this.
_FRESH_SECONDS: Final = 0.02


class Desk:
    """The state of one provider in one sender. `flights` are in the order in which they began."""

    def __init__(self, life: ProviderLife, slots: int, reserved_slots: int, draw: Callable[[], float]) -> None:
        self.view = ProviderView(
            life.name,
            tier=life.tier,
            weight=life.weight,
            slots=slots,
            free_slots=slots,
            reserved_slots=reserved_slots,
            tokens=0,
        )
        self.health = Health()
        self.breaker = Breaker()
        self.flights: dict[Flight, None] = {}
        self.stale_at = -math.inf
        self._overdue: dict[Flight, None] = {}
        self._elsewhere = 0
        self._last_begin = -math.inf
        self._draw = draw

    def refresh(self, now: float) -> None:
        """Bring the view up to date."""
        view, breaker = self.view, self.breaker
        view.health = self.health.score(now)
        view.breaker = breaker.state
        if breaker.opening is not None:
            view.is_misconfigured = breaker.is_misconfigured
            view.next_probe_at = breaker.opening.next_probe_at
            view.probe_due = breaker.is_probe_due(now)
            view.probe_due_if_all_open = breaker.is_probe_due(now, all_open=True)
        in_flight = view.slots - view.free_slots
        view.trickle_due = is_trickle_due(self._elsewhere, now - self._last_begin, in_flight)
        self.stale_at = now + _FRESH_SECONDS

    # Attempts

    def begin(self, flight: Flight, now: float) -> None:
        """Note that an attempt begins here; at an open breaker it is a probe."""
        flight.is_probe = self.breaker.state is BreakerState.PROBING
        self.flights[flight] = None
        self.view.free_slots -= 1
        self._elsewhere = 0
        self._last_begin = now
        self.stale_at = now

    def begin_elsewhere(self) -> None:
        """Note that an attempt begins at another provider."""
        self._elsewhere += 1
        if self.breaker.opening is not None:
            self.breaker.count_elsewhere()

    def end(self, flight: Flight, now: float) -> Change | None:
        """Learn from the end of an attempt; returns what it did to the breaker."""
        outcome, began_at, overdue_at = flight.fate.outcome, flight.began_at, flight.overdue_at
        del self.flights[flight]
        if overdue_at is not None:
            del self._overdue[flight]
        self.view.free_slots += 1
        self.stale_at = now
        self.health.observe(outcome, now - began_at, now, overdue_at=overdue_at)
        if flight.is_probe:
            change = self.breaker.end_probe(outcome, began_at, now, self._draw())
        else:
            change = self.breaker.observe(
                outcome,
                began_at,
                now,
                self._draw(),
                failing=self.health.is_failing(now),
                was_overdue=overdue_at is not None,
            )
        if change is Change.CLOSED:
            self.health.forget()
        return change

    def scan(self, now: float) -> Iterator[tuple[Change | None, bool]]:
        """Notice what is overdue; yield what it did to the breaker, and whether the attempt was the probe."""
        patience = min(OVERDUE_AT_MOST_SECONDS, self.health.latency.overdue_after_seconds())
        late = []
        for flight in self.flights:
            if now - flight.began_at <= patience:
                break
            if flight.overdue_at is None:
                late.append(flight)
        for flight in late:
            flight.overdue_at = now
            self._overdue[flight] = None
            yield self._note_overdue(flight, now)
        oldest = next(iter(self.flights))
        change = self.breaker.observe_silence(oldest.began_at, now, self._draw())
        if change is not None:
            self.stale_at = now
            yield change, False

    def _note_overdue(self, flight: Flight, now: float) -> tuple[Change | None, bool]:
        self.stale_at = now
        self.health.observe_overdue(now)
        if flight.is_probe:
            flight.is_probe = False  # it has failed as a probe, whatever it comes to
            return self.breaker.end_probe(Outcome.TEMPORARY, flight.began_at, now, self._draw()), True
        failing = self.health.is_failing(now)
        return self.breaker.observe_overdue(flight.began_at, now, self._draw(), failing=failing), False
