"""A provider behaves as its life says: shares, limits, quotas, and towards whom."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from reliable_email.simulate.dice import dice
from reliable_email.simulate.life import Behaviour, Change, ProviderLife
from reliable_email.simulate.provider import Provider
from shared.domain.outcome import Outcome


def provider(changes: tuple[Change, ...] = (), **sets: Any) -> Provider:
    life = ProviderLife("a", rate_per_second=100, median_ms=100, nominal=Behaviour(**sets))
    return Provider(life, changes, 2, dice(1, "test"))


def outcomes(of: Provider, count: int = 2000, now: float = 0.0) -> Counter[Outcome]:
    return Counter(of.attempt(0, now).outcome for _ in range(count))


@pytest.mark.parametrize(
    ("key", "outcome"),
    [
        ("refuse", Outcome.PROVIDER_DOWN),
        ("connect_timeout", Outcome.PROVIDER_DOWN),
        ("unauthorized", Outcome.MISCONFIGURED),
        ("random_429", Outcome.THROTTLED),
        ("hang", Outcome.AMBIGUOUS),
        ("error", Outcome.TEMPORARY),
        ("lost", Outcome.AMBIGUOUS),
    ],
)
def test_a_share_of_the_attempts_comes_to_what_the_life_says(key: str, outcome: Outcome) -> None:
    changed = provider((Change("a", 0, {key: 0.3}),))
    changed.change(0.0)
    seen = outcomes(changed)

    assert set(seen) == {outcome, Outcome.ACCEPTED}
    assert 0.25 < seen[outcome] / 2000 < 0.35


def test_latency_has_the_median_that_the_life_says() -> None:
    usual = provider()
    seconds = sorted(usual.attempt(0, 0.0).seconds for _ in range(2001))

    assert seconds[1000] == pytest.approx(0.1, rel=0.05)


def test_an_answer_slower_than_the_time_out_is_lost_but_delivered() -> None:
    slow = provider(latency_factor=1000.0).attempt(0, 0.0)

    assert (slow.outcome, slow.seconds) == (Outcome.AMBIGUOUS, 30.0)
    assert slow.delivered_seconds is not None
    assert slow.delivered_seconds > 30


def test_beyond_its_own_limit_it_throttles_with_the_header() -> None:
    limited = provider(hard_rate=10.0, hard_burst=5.0, retry_after=2.0)

    assert outcomes(limited, 8) == {Outcome.ACCEPTED: 5, Outcome.THROTTLED: 3}
    assert limited.attempt(0, 0.0).retry_after == 2
    assert outcomes(limited, 3, now=0.25) == {Outcome.ACCEPTED: 2, Outcome.THROTTLED: 1}


def test_a_spent_quota_throttles_everything() -> None:
    assert outcomes(provider(quota_left=7), 10) == {Outcome.ACCEPTED: 7, Outcome.THROTTLED: 3}


def test_a_change_may_concern_one_sender_alone() -> None:
    cut_off = provider((Change("a", 5, {"refuse": 1.0}, senders=(1,)),))
    cut_off.change(5.0)

    assert cut_off.attempt(0, 5.0).outcome is Outcome.ACCEPTED
    assert cut_off.attempt(1, 5.0).outcome is Outcome.PROVIDER_DOWN


def test_after_a_change_it_is_itself_again() -> None:
    changed = provider((Change("a", 5, {"refuse": 1.0}, until=6),))
    for instant in sorted(changed.instants()):
        changed.change(instant)

    assert changed.attempt(0, 6.0).outcome is Outcome.ACCEPTED


def test_what_is_usual_is_no_less_wrong_than_a_change() -> None:
    assert outcomes(provider(refuse=1.0), 10) == {Outcome.PROVIDER_DOWN: 10}
