from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.outcome import Outcome
from shared.policy.health import FADE_SECONDS, MOST_EVIDENCE, Health

A, T, D = Outcome.ACCEPTED, Outcome.TEMPORARY, Outcome.PROVIDER_DOWN


def after(*outcomes: Outcome, now: float = 50.0) -> Health:
    health = Health()
    for outcome in outcomes:
        health.observe(outcome, 0.1, now)
    return health


def test_a_provider_of_which_nothing_is_known_is_healthy() -> None:
    assert Health().score(-1e6) == 1.0


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([A, A, A], 1.0),
        ([T], 2 / 3),
        ([D], 2 / 3),
        ([Outcome.AMBIGUOUS], 2 / 6),
        ([A, A, T], 4 / 5),
        ([Outcome.REJECTED, Outcome.PARTIAL, T], 4 / 5),
        ([Outcome.THROTTLED, Outcome.MISCONFIGURED], 1.0),
    ],
)
def test_each_outcome_weighs_what_was_measured(outcomes: list[Outcome], expected: float) -> None:
    assert after(*outcomes).score(50.0) == pytest.approx(expected)


def test_evidence_fades() -> None:
    kept = math.exp(-1)

    assert after(T).score(50.0 + FADE_SECONDS) == pytest.approx(2 / (2 + kept))


def test_without_traffic_every_provider_is_healthy_again() -> None:
    assert after(*[T] * 50).score(1_000.0) == pytest.approx(1.0)


def test_a_long_good_past_does_not_outweigh_a_bad_present() -> None:
    health = after(*[A] * 10_000)
    for _ in range(int(MOST_EVIDENCE)):
        health.observe(T, 0.1, 50.0)

    assert health.score(50.0) < 0.45


def test_others_weigh_less_than_an_own_observation() -> None:
    health = Health()
    health.observe_others(good=0, bad=10, now=50.0)

    assert health.score(50.0) == pytest.approx(2 / (2 + 5))


def test_others_never_make_a_provider_failing() -> None:
    health = Health()
    health.observe_others(good=0, bad=1_000, now=50.0)

    assert not health.is_failing(50.0)


def test_half_of_ten_own_outcomes_bad_is_failing() -> None:
    assert after(*[A, T] * 5).is_failing(50.0)


def test_nine_own_outcomes_are_not_enough_to_be_failing() -> None:
    assert not after(*[T] * 9).is_failing(50.0)


def test_an_overdue_attempt_that_ends_accepted_is_taken_back() -> None:
    health = Health()
    health.observe_overdue(50.0)
    health.observe(A, 3.0, 55.0, overdue_at=50.0)

    assert health.score(55.0) == pytest.approx(1.0)
    assert health.bad_total == 0.0


def test_an_overdue_attempt_that_ends_ambiguous_weighs_no_more_than_any_other() -> None:
    health = Health()
    health.observe_overdue(50.0)
    health.observe(Outcome.AMBIGUOUS, 30.0, 50.0, overdue_at=50.0)

    assert health.score(50.0) == pytest.approx(2 / 6)
    assert health.bad_total == 4.0


def test_totals_are_what_other_senders_are_told() -> None:
    health = after(A, A, T, Outcome.AMBIGUOUS)
    health.observe_others(5, 5, 50.0)

    assert (health.good_total, health.bad_total) == (2.0, 5.0)


def test_after_a_breaker_closed_evidence_starts_empty_and_latency_stays() -> None:
    health = after(*[A] * 20, *[T] * 20)
    health.forget()

    assert health.score(50.0) == 1.0
    assert health.latency.usual_seconds() == pytest.approx(0.1)


@given(st.lists(st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 100), st.floats(0, 30)), max_size=80))
def test_health_stays_between_0_and_1(observations: list[tuple[Outcome, float, float]]) -> None:
    health, now = Health(), 0.0
    for outcome, latency_seconds, pause in observations:
        now += pause
        health.observe(outcome, latency_seconds, now, overdue_at=now - 1 if pause > 15 else None)

        assert 0.0 <= health.score(now) <= 1.0
