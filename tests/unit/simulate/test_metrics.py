"""The numbers are what their definitions say, on lives small enough to count by hand."""

from __future__ import annotations

import pytest

from reliable_email.simulate.metrics import Seen, percentile, score, seen, summary
from reliable_email.simulate.tally import Tally
from tests.unit.simulate.lives import OUTAGE, life


def tally(*shares: tuple[float, float, int, int]) -> Tally:
    """Return a tally in which from one second to another so many attempts a step went to each provider."""
    counted = Tally(life(OUTAGE))
    for since, until, to_a, to_b in shares:
        for step in range(int(since * 2), int(until * 2)):
            counted.steps[0][step], counted.steps[1][step] = to_a, to_b
    return counted


def one(*, on_time: tuple[int, ...] = (10, 10, 10, 10), wasted: int = 0, throttled: int = 0) -> Seen:
    return Seen((10, 10, 10, 10), on_time, wasted, throttled, 0, 0, (30, 10), (), ())


def test_a_provider_is_left_at_the_first_moment_of_two_quiet_seconds() -> None:
    counted = tally((0, 11.5, 5, 5), (11.5, 40, 0, 10))

    assert seen(life(OUTAGE), counted).leaves == (1.5,)


def test_a_trickle_of_less_than_a_twentieth_is_no_use() -> None:
    counted = tally((0, 10, 5, 5), (10, 40, 1, 30))

    assert seen(life(OUTAGE), counted).leaves == (0.0,)


def test_who_is_never_left_scores_the_whole_length() -> None:
    assert seen(life(OUTAGE), tally((0, 40, 5, 5))).leaves == (10.0,)


def test_a_provider_is_back_with_seven_tenths_of_its_share() -> None:
    counted = tally((0, 10, 5, 5), (10, 23, 0, 10), (23, 40, 4, 6))

    assert seen(life(OUTAGE), counted).returns == (5.0,)


def test_a_provider_without_a_share_before_is_not_scored() -> None:
    assert seen(life(OUTAGE), tally((0, 40, 0, 10))).returns == ()


def test_on_time_is_measured_against_the_clairvoyant() -> None:
    scored = score("x", [one(on_time=(9, 10, 10, 5))], [one(on_time=(10, 10, 10, 10))])

    assert (scored.on_time, scored.critical, scored.high) == (85, 90, 100)


def test_waste_counts_attempts_for_a_thousand_messages() -> None:
    scored = score("x", [one(wasted=3, throttled=1), one(wasted=5)], [one()])

    assert (scored.wasted, scored.throttled, scored.shares) == (100, 12.5, (0.75, 0.25))


def test_a_summary_names_the_worst_life_and_takes_off_the_clairvoyant_s_waste() -> None:
    yardstick = score("clairvoyant", [one(wasted=1)], [one()])
    scores = [
        score("x", [one(wasted=5)], [one()]),
        score("x", [one(on_time=(8, 10, 10, 10), wasted=7)], [one()]),
    ]

    total = summary(scores, [yardstick, yardstick])

    assert (total.critical, total.critical_worst, total.on_time_worst) == (90, 80, 95)
    assert (total.wasted, total.excess) == (150, 125)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.95, 4), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], share) == value


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile([], 0.5) is None
