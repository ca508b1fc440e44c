from __future__ import annotations

import math

import pytest

from shared.policy.latency import ENOUGH_SAMPLES, Latency


def learned(seconds: float, count: int = 100, until: float = 100.0) -> Latency:
    latency = Latency()
    for i in range(count):
        latency.observe(seconds, until - count + i + 1)
    return latency


def test_too_few_samples_judge_nobody() -> None:
    latency = learned(0.1, ENOUGH_SAMPLES - 2)
    latency.observe(60.0, 100.0)

    assert latency.factor(100.0) == 1.0
    assert latency.usual_seconds() is None
    assert latency.overdue_after_seconds() == 10.0


def test_the_usual_latency_is_what_is_accepted() -> None:
    assert learned(0.1).usual_seconds() == pytest.approx(0.1)


@pytest.mark.parametrize("slowdown", [1.0, 2.9])
def test_up_to_three_times_the_usual_latency_costs_nothing(slowdown: float) -> None:
    latency = learned(0.1)
    for _ in range(100):
        latency.observe(0.1 * slowdown, 100.0)

    assert latency.factor(100.0) == 1.0


def test_a_provider_ten_times_slower_than_usual_loses_most_of_its_health() -> None:
    latency = learned(0.1, 1000)
    for _ in range(60):
        latency.observe(1.0, 100.0)

    assert 0.2 < latency.factor(100.0) < 0.5


def test_a_slow_spell_is_forgotten_without_traffic() -> None:
    latency = learned(0.1, 1000)
    for _ in range(60):
        latency.observe(1.0, 100.0)

    assert latency.factor(400.0) == 1.0


def test_an_outlier_hardly_moves_what_is_usual() -> None:
    latency = learned(0.1)
    latency.observe(30.0, 100.0)

    usual = latency.usual_seconds()
    assert usual is not None
    assert math.log(usual / 0.1) < 0.01


@pytest.mark.parametrize(("seconds", "expected"), [(0.01, 1.0), (2.0, 2.0 * math.exp(0.4)), (8.0, 10.0)])
def test_overdue_is_four_sigmas_above_the_usual_within_one_and_ten_seconds(seconds: float, expected: float) -> None:
    assert learned(seconds).overdue_after_seconds() == pytest.approx(expected)


def test_an_answer_in_no_time_is_an_answer() -> None:
    assert learned(0.0).factor(100.0) == 1.0
