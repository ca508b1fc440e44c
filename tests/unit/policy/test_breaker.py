from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.outcome import Outcome
from shared.policy.breaker import Breaker, BreakerState, Change
from shared.policy.opening import Opening, OpenReason, wait_seconds

A, T, D, M = Outcome.ACCEPTED, Outcome.TEMPORARY, Outcome.PROVIDER_DOWN, Outcome.MISCONFIGURED
R, X, Q = Outcome.REJECTED, Outcome.AMBIGUOUS, Outcome.THROTTLED
MIDDLE = 0.5  # a draw that jitters nothing
NOW = 1_000.0


def feed(breaker: Breaker, *outcomes: Outcome, now: float = NOW, apart: float = 0.0) -> list[Change | None]:
    return [breaker.observe(outcome, now + i * apart, now + i * apart, MIDDLE) for i, outcome in enumerate(outcomes)]


def opened(reason_outcome: Outcome = D, now: float = NOW) -> Breaker:
    breaker = Breaker()
    feed(breaker, *[reason_outcome] * (1 if reason_outcome is M else 3), now=now)
    return breaker


def probe(breaker: Breaker, outcome: Outcome, now: float, *, generic_refusal: bool = False) -> Change | None:
    breaker.begin_probe()
    return breaker.end_probe(outcome, now, now, MIDDLE, generic_refusal=generic_refusal)


def go_elsewhere(breaker: Breaker, times: int = 20) -> Breaker:
    for _ in range(times):
        breaker.count_elsewhere()
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([T, T, X, T, T], OpenReason.FAILURES_IN_A_ROW),
        ([T, T, D], OpenReason.PROVIDER_DOWN),
        ([M], OpenReason.MISCONFIGURED),
        ([R] * 3 + [T, T, R, D], OpenReason.PROVIDER_DOWN),
    ],
)
def test_it_opens_on_a_run_of_failures(outcomes: list[Outcome], reason: OpenReason) -> None:
    breaker = Breaker()

    assert feed(breaker, *outcomes)[-1] is Change.OPENED
    assert breaker.state is BreakerState.OPEN
    assert breaker.opening is not None
    assert breaker.opening.reason is reason


@pytest.mark.parametrize(
    "outcomes",
    [
        [T] * 4,
        [D] * 2,
        [T, T, T, T, A, T, T, T, T],
        [Q] * 50,
        [R] * 50,
        [D, D, A, D, D],
        [T, T, T, T, Outcome.PARTIAL, T],
    ],
)
def test_it_stays_closed_on_less(outcomes: list[Outcome]) -> None:
    breaker = Breaker()

    assert set(feed(breaker, *outcomes)) == {None}
    assert breaker.state is BreakerState.CLOSED


def test_two_failures_ten_seconds_apart_open_where_traffic_is_low() -> None:
    assert feed(Breaker(), T, T, apart=10.0) == [None, Change.OPENED]


def test_two_failures_ten_seconds_apart_with_a_success_between_open_nothing() -> None:
    assert feed(Breaker(), T, A, T, apart=10.0) == [None, None, None]


def test_failing_health_opens_without_a_run() -> None:
    breaker = Breaker()
    feed(breaker, A)

    assert breaker.observe(T, NOW, NOW, MIDDLE, failing=True) is Change.OPENED


def test_the_first_failure_of_a_run_dates_it() -> None:
    breaker = Breaker()
    for i in range(3):
        breaker.observe(D, began_at=NOW + i, now=NOW + 5 + i, draw=MIDDLE)

    assert breaker.opening is not None
    assert breaker.opening.first_failure_at == NOW


def test_five_generic_refusals_without_an_acceptance_are_a_misconfigured_account() -> None:
    breaker = Breaker()
    changes = [breaker.observe(R, NOW, NOW, MIDDLE, generic_refusal=True) for _ in range(5)]

    assert changes == [None] * 4 + [Change.OPENED]
    assert breaker.is_misconfigured


@pytest.mark.parametrize(("between", "generic"), [(A, False), (R, False)])
def test_anything_that_clears_the_account_ends_the_row_of_generic_refusals(between: Outcome, *, generic: bool) -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.observe(R, NOW, NOW, MIDDLE, generic_refusal=True)
    breaker.observe(between, NOW, NOW, MIDDLE, generic_refusal=generic)

    assert breaker.observe(R, NOW, NOW, MIDDLE, generic_refusal=True) is None


def test_an_overdue_attempt_counts_once() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.observe_overdue(NOW, NOW, MIDDLE)
    for _ in range(4):
        assert breaker.observe(X, NOW, NOW + 5, MIDDLE, was_overdue=True) is None
    assert breaker.state is BreakerState.CLOSED

    assert breaker.observe_overdue(NOW, NOW + 5, MIDDLE) is Change.OPENED


def test_silence_opens() -> None:
    breaker = Breaker()
    breaker.observe(A, NOW - 1, NOW + 2, MIDDLE)

    assert breaker.observe_silence(NOW, NOW + 9.9, MIDDLE) is None
    assert breaker.observe_silence(NOW, NOW + 10, MIDDLE) is Change.OPENED


def test_a_success_that_began_later_breaks_the_silence() -> None:
    breaker = Breaker()
    breaker.observe(A, NOW + 1, NOW + 2, MIDDLE)

    assert breaker.observe_silence(NOW, NOW + 60, MIDDLE) is None


def test_attempts_of_before_tell_an_open_breaker_nothing() -> None:
    breaker = opened()
    before = breaker.opening
    feed(breaker, D, D, D, A, M)

    assert breaker.opening == before


@pytest.mark.parametrize(
    ("reason", "level", "expected"),
    [
        (OpenReason.RELAPSE, 0, 2.0),
        (OpenReason.RELAPSE, 1, 4.0),
        (OpenReason.RELAPSE, 3, 10.0),
        (OpenReason.RELAPSE, 10**6, 10.0),
        (OpenReason.MISCONFIGURED, 0, 30.0),
        (OpenReason.MISCONFIGURED, 10**6, 600.0),
    ],
)
def test_the_wait_doubles_up_to_a_limit(reason: OpenReason, level: int, expected: float) -> None:
    assert wait_seconds(reason, level, MIDDLE) == expected
    assert wait_seconds(reason, level, 0.0) == 0.75 * expected


def test_no_probe_is_due_before_the_wait_is_over() -> None:
    breaker = go_elsewhere(opened())

    assert not breaker.is_probe_due(NOW + 1.9)
    assert breaker.is_probe_due(NOW + 2)


def test_a_probe_waits_for_twenty_attempts_elsewhere() -> None:
    breaker = go_elsewhere(opened(), 19)
    assert not breaker.is_probe_due(NOW + 100)

    breaker.count_elsewhere()
    assert breaker.is_probe_due(NOW + 100)


def test_a_probe_is_due_after_a_quarter_of_an_hour_whatever_went_elsewhere() -> None:
    assert opened().is_probe_due(NOW + 900)


def test_with_everything_open_a_probe_is_due_every_second() -> None:
    breaker = opened()
    assert not breaker.is_probe_due(NOW + 0.9, all_open=True)
    assert breaker.is_probe_due(NOW + 1, all_open=True)

    probe(breaker, T, NOW + 1)
    assert not breaker.is_probe_due(NOW + 1.9, all_open=True)
    assert breaker.is_probe_due(NOW + 2, all_open=True)


def test_a_misconfigured_account_is_not_asked_every_second() -> None:
    breaker = opened(M)

    assert not breaker.is_probe_due(NOW + 29, all_open=True)
    assert breaker.is_probe_due(NOW + 30, all_open=True)


def test_one_probe_at_a_time() -> None:
    breaker = go_elsewhere(opened())
    breaker.begin_probe()

    assert breaker.state is BreakerState.PROBING
    assert not breaker.is_probe_due(NOW + 10_000)
    assert not breaker.is_probe_due(NOW + 10_000, all_open=True)


def test_a_probe_that_did_not_take_place_is_due_again_a_moment_later() -> None:
    breaker = go_elsewhere(opened())
    breaker.begin_probe()
    breaker.abandon_probe(NOW + 10)

    assert not breaker.is_probe_due(NOW + 10)
    assert not breaker.is_probe_due(NOW + 10, all_open=True)
    assert breaker.is_probe_due(NOW + 10.05)


def test_it_closes_after_three_successes() -> None:
    breaker = opened()

    assert [probe(breaker, A, NOW + 10 + i) for i in range(3)] == [None, None, Change.CLOSED]
    assert breaker.state is BreakerState.CLOSED
    assert breaker.opening is None


def test_after_a_success_the_next_probe_is_due_at_once() -> None:
    breaker = opened()
    probe(breaker, A, NOW + 10)

    assert not breaker.is_probe_due(NOW + 10.01)
    assert breaker.is_probe_due(NOW + 10.05)


@pytest.mark.parametrize("outcome", [T, D, X, Q, M])
def test_a_failed_probe_waits_twice_as_long_and_forgets_successes(outcome: Outcome) -> None:
    breaker = opened()
    probe(breaker, A, NOW + 10)
    probe(breaker, A, NOW + 11)

    assert probe(breaker, outcome, NOW + 12) is Change.PROBE_FAILED
    assert breaker.opening is not None
    assert breaker.opening.next_probe_at == NOW + 12 + (60 if outcome is M else 4)
    assert [probe(breaker, A, NOW + 50 + i) for i in range(3)] == [None, None, Change.CLOSED]


def test_a_rejected_probe_proves_nothing() -> None:
    breaker = opened()

    assert probe(breaker, R, NOW + 10) is None
    assert breaker.state is BreakerState.OPEN
    assert breaker.is_probe_due(NOW + 10.05)
    assert [probe(breaker, A, NOW + 20 + i) for i in range(3)] == [None, None, Change.CLOSED]


def test_a_misconfigured_account_that_refuses_a_probe_is_still_misconfigured() -> None:
    breaker = opened(M)

    assert probe(breaker, R, NOW + 30, generic_refusal=True) is Change.PROBE_FAILED


def test_a_relapse_opens_after_two_failures() -> None:
    breaker = opened()
    for i in range(3):
        probe(breaker, A, NOW + 10 + i)

    assert feed(breaker, T, T, now=NOW + 13) == [None, Change.OPENED]
    assert breaker.opening is not None
    assert breaker.opening.reason is OpenReason.RELAPSE
    assert breaker.opening.level == 1


def test_a_minute_closed_forgives_every_level() -> None:
    breaker = opened()
    for i in range(3):
        probe(breaker, A, NOW + 10 + i)
    feed(breaker, D, D, D, now=NOW + 72)

    assert breaker.opening is not None
    assert breaker.opening.level == 0


def test_failures_that_began_before_it_closed_do_not_open_it_again() -> None:
    breaker = opened()
    for i in range(3):
        probe(breaker, A, NOW + 10 + i)
    for _ in range(10):
        assert breaker.observe(X, NOW, NOW + 30, MIDDLE) is None


def test_another_senders_opening_is_adopted() -> None:
    theirs, breaker = opened().opening, Breaker()
    assert theirs is not None

    assert breaker.adopt(theirs, NOW + 1)
    assert breaker.opening == theirs
    assert not breaker.adopt(theirs, NOW + 2)


def test_an_own_success_that_began_after_their_first_failure_is_better_evidence() -> None:
    theirs, breaker = opened().opening, Breaker()
    assert theirs is not None
    breaker.observe(A, NOW + 0.1, NOW + 0.2, MIDDLE)

    assert not breaker.adopt(theirs, NOW + 1)
    assert breaker.state is BreakerState.CLOSED


def test_an_own_success_that_began_before_does_not_keep_it_closed() -> None:
    theirs, breaker = opened().opening, Breaker()
    assert theirs is not None
    breaker.observe(A, NOW - 0.1, NOW + 0.2, MIDDLE)

    assert breaker.adopt(theirs, NOW + 1)


def test_another_senders_failed_probe_moves_the_wait() -> None:
    mine, other = go_elsewhere(opened()), opened()
    probe(other, D, NOW + 2)
    assert other.opening is not None

    assert mine.adopt(other.opening, NOW + 2.5)
    assert mine.opening is not None
    assert mine.opening.next_probe_at == NOW + 6
    assert not mine.is_probe_due(NOW + 6)
    assert go_elsewhere(mine).is_probe_due(NOW + 6)


def test_an_old_word_does_not_undo_own_successes() -> None:
    mine, other = opened(), opened()
    probe(other, D, NOW + 2)
    assert other.opening is not None
    mine.adopt(other.opening, NOW + 2)
    probe(mine, A, NOW + 3)
    probe(mine, A, NOW + 4)

    assert not mine.adopt(other.opening, NOW + 4)
    assert probe(mine, A, NOW + 5) is Change.CLOSED


def test_with_every_provider_gone_one_success_closes() -> None:
    breaker = opened()
    breaker.begin_probe(all_open=True)

    assert breaker.end_probe(A, NOW + 1, NOW + 1, MIDDLE) is Change.CLOSED


def test_after_anothers_recovery_one_own_success_closes() -> None:
    breaker = opened()
    breaker.hear_recovery(NOW + 1)

    assert breaker.is_probe_due(NOW + 1)
    assert probe(breaker, A, NOW + 1) is Change.CLOSED


def test_a_recovery_says_nothing_to_a_closed_breaker() -> None:
    breaker = Breaker()
    breaker.hear_recovery(NOW)

    assert breaker.state is BreakerState.CLOSED
    assert not breaker.is_probe_due(NOW)


def test_an_opening_can_be_read_on_another_clock() -> None:
    opening = Opening(OpenReason.SILENCE, opened_at=1, first_failure_at=0, failed_at=2, next_probe_at=3, level=4)

    assert opening.moved(10) == Opening(OpenReason.SILENCE, 11, 10, 12, 13, 4)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Outcome)), st.floats(0, 20), st.floats(0, 1, exclude_max=True)), max_size=200
    )
)
def test_whatever_happens_a_probe_is_due_within_a_bound_and_open_means_an_opening(
    history: list[tuple[Outcome, float, float]],
) -> None:
    breaker, now = Breaker(), 0.0
    for outcome, pause, draw in history:
        now += pause
        if breaker.is_probe_due(now, all_open=True):
            breaker.begin_probe()
            breaker.end_probe(outcome, now, now, draw, generic_refusal=True)
        else:
            breaker.observe(outcome, now, now, draw, generic_refusal=True)

        assert (breaker.state is BreakerState.CLOSED) == (breaker.opening is None)
        if breaker.opening is not None:
            assert breaker.opening.next_probe_at <= now + (750 if breaker.is_misconfigured else 12.5)
            assert breaker.is_probe_due(now + 750, all_open=True)
            assert breaker.is_probe_due(now + 900)
