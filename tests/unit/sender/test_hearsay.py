"""What senders tell one another of a provider, and how it is believed."""

from __future__ import annotations

from typing import Any

import pytest

from services.sender.account import Account
from services.sender.hearsay import Hearsay
from shared.domain.outcome import Outcome, Verdict
from shared.policy.breaker import BreakerState
from shared.policy.health import OTHERS_WEIGHT
from shared.providers.sandbox import SandboxOptions
from shared.queue.provider_state import Told
from shared.settings.model import ProviderSettings

NOW = 1_000.0
#: By how much Redis's clock is ahead of each sender's own.
AHEAD = 50_000.0
AHEAD_OF_OTHER = 9_000.0


class Desk:
    """One sender: its account of a provider, and what it hears."""

    def __init__(self, ahead: float = AHEAD) -> None:
        provider = ProviderSettings(name="relay", kind="sandbox", options=SandboxOptions())
        self.account = Account(provider, 10.0, lambda: 0.5)
        self.hearsay = Hearsay(self.account)
        self.ahead = ahead

    def now(self, now: float) -> float:
        """Return an instant, given by Redis's clock less AHEAD, on this sender's own clock."""
        return now + AHEAD - self.ahead

    def end(self, outcome: Outcome, now: float, *, times: int = 1, **flags: Any) -> None:
        at = self.now(now)
        for _ in range(times):
            self.account.observe(Verdict(outcome), at - 0.1, at, **{"is_probe": False, "overdue_at": None, **flags})

    def told(self, now: float, sender: str = "other") -> Told:
        return Told(sender, round((now + AHEAD) * 1000), self.hearsay.word(self.now(now), self.ahead))

    def hear(self, *told: Told, now: float) -> None:
        self.hearsay.hear(told, self.now(now), self.ahead)

    def health(self, now: float) -> float:
        return self.account.health.score(self.now(now))

    @property
    def state(self) -> BreakerState:
        return self.account.breaker.state


@pytest.fixture
def other() -> Desk:
    return Desk(AHEAD_OF_OTHER)


@pytest.fixture
def desk(other: Desk) -> Desk:
    """A sender that has heard of the other before anything happened."""
    desk = Desk()
    desk.hear(other.told(NOW), now=NOW)
    return desk


def test_what_others_saw_counts_for_a_part_and_once(desk: Desk, other: Desk) -> None:
    other.end(Outcome.TEMPORARY, NOW, times=4)
    desk.hear(other.told(NOW), now=NOW)
    once = desk.health(NOW)
    desk.hear(other.told(NOW), now=NOW)

    assert once == pytest.approx(2 / (2 + OTHERS_WEIGHT * 4))
    assert desk.health(NOW) == once


def test_a_provider_that_another_sender_left_is_left_here_too(desk: Desk, other: Desk) -> None:
    other.end(Outcome.PROVIDER_DOWN, NOW + 10, times=3)
    desk.hear(other.told(NOW + 10.2), now=NOW + 10.2)

    opening, theirs = desk.account.breaker.opening, other.account.breaker.opening
    assert opening is not None
    assert theirs is not None
    assert desk.state is BreakerState.OPEN
    assert opening.first_failure_at == pytest.approx(NOW + 9.9), "on this sender's own clock"
    assert opening.next_probe_at - NOW == pytest.approx(theirs.next_probe_at - other.now(NOW))


def test_an_opening_that_is_told_again_moves_nothing_though_clocks_drift(desk: Desk, other: Desk) -> None:
    """Else each hearing would put the next probe off."""
    other.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    desk.hear(other.told(NOW), now=NOW)
    before = desk.account.breaker.opening
    other.ahead += 0.004
    desk.hear(other.told(NOW + 0.5), now=NOW + 0.5)

    assert desk.account.breaker.opening is before
    assert desk.account.breaker.is_probe_due(NOW + 1.01, all_open=True)


def test_who_has_succeeded_since_does_not_follow(desk: Desk, other: Desk) -> None:
    other.end(Outcome.PROVIDER_DOWN, NOW + 10, times=3)
    desk.end(Outcome.ACCEPTED, NOW + 10.2)
    desk.hear(other.told(NOW + 10.3), now=NOW + 10.3)

    assert desk.state is BreakerState.CLOSED


def test_who_hears_of_a_recovery_probes_at_once(desk: Desk, other: Desk) -> None:
    for one in (desk, other):
        one.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    desk.hear(other.told(NOW), now=NOW)
    before = desk.account.breaker.is_probe_due(NOW + 0.5)
    for _ in range(3):
        other.account.breaker.begin_probe()
        other.end(Outcome.ACCEPTED, NOW + 0.4, is_probe=True)
    desk.hear(other.told(NOW + 0.5), now=NOW + 0.5)

    assert not before
    assert other.state is BreakerState.CLOSED
    assert desk.account.breaker.is_probe_due(NOW + 0.5)


def test_an_old_recovery_says_nothing_of_a_new_outage(desk: Desk, other: Desk) -> None:
    other.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    for _ in range(3):
        other.account.breaker.begin_probe()
        other.end(Outcome.ACCEPTED, NOW + 1, is_probe=True)
    desk.end(Outcome.PROVIDER_DOWN, NOW + 2, times=3)
    desk.hear(other.told(NOW + 2), now=NOW + 2)

    assert not desk.account.breaker.is_probe_due(NOW + 2.1)


def test_the_word_of_a_sender_that_is_gone_moves_nobody_who_runs(desk: Desk, other: Desk) -> None:
    other.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    desk.hear(other.told(NOW), now=NOW + 5.1)

    assert desk.state is BreakerState.CLOSED
    assert desk.health(NOW + 5.1) == 1.0


def test_a_sender_that_starts_alone_believes_the_last_word_of_one_that_is_gone(other: Desk) -> None:
    other.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    fresh = Desk()
    fresh.hear(other.told(NOW), now=NOW + 60)

    assert fresh.state is BreakerState.OPEN


def test_a_sender_that_starts_among_the_living_does_not_believe_the_dead(other: Desk) -> None:
    living = Desk(AHEAD_OF_OTHER)
    other.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    fresh = Desk()
    fresh.hear(other.told(NOW), living.told(NOW + 60, "living"), now=NOW + 60)

    assert fresh.state is BreakerState.CLOSED


def test_a_sender_starts_with_the_usual_latency_that_others_know(other: Desk) -> None:
    other.end(Outcome.ACCEPTED, NOW, times=50)
    fresh = Desk()
    fresh.hear(other.told(NOW), now=NOW + 300)

    assert fresh.account.health.latency.usual_seconds() == pytest.approx(0.1)


def test_a_sender_starts_with_the_health_that_others_see(other: Desk) -> None:
    other.end(Outcome.TEMPORARY, NOW, times=4)
    fresh = Desk()
    fresh.hear(other.told(NOW), now=NOW)

    assert fresh.health(NOW) == pytest.approx(2 / (2 + OTHERS_WEIGHT * 4))


def test_whoever_is_no_longer_told_of_is_forgotten(desk: Desk, other: Desk) -> None:
    """A name comes again only with another sender, whose totals begin anew."""
    other.end(Outcome.TEMPORARY, NOW, times=4)
    desk.hear(other.told(NOW), now=NOW)
    desk.hear(now=NOW)
    desk.hear(Desk(AHEAD_OF_OTHER).told(NOW), now=NOW)

    assert desk.health(NOW) == pytest.approx(2 / (2 + OTHERS_WEIGHT * 4))


def test_a_provider_that_another_sender_uses_is_down_for_nobody_else(desk: Desk, other: Desk) -> None:
    desk.hear(other.told(NOW), now=NOW)
    used = desk.hearsay.is_used_by_others
    other.end(Outcome.PROVIDER_DOWN, NOW, times=3)
    desk.hear(other.told(NOW), now=NOW)

    assert (used, desk.hearsay.is_used_by_others) == (True, False)
