from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.policy.limiter import (
    Bucket,
    Limit,
    burst_now,
    draw,
    ramp_rate,
    rate_now,
    throttle,
)

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("tokens", "wanted", "reserve", "granted", "next_at"),
    [
        (10.0, 3, 0, 3, NOW),
        (3.0, 10, 0, 3, NOW + 100),
        (3.5, 10, 0, 3, NOW + 50),
        (0.0, 1, 0, 0, NOW + 100),
        (3.0, 10, 2, 1, NOW + 100),
        (2.0, 10, 2, 0, NOW + 100),
        (2.0, 1, 0, 1, NOW),
        (5.0, 0, 0, 0, NOW),
    ],
)
def test_a_draw_takes_whole_tokens_down_to_the_reserve(
    tokens: float, wanted: int, reserve: int, granted: int, next_at: int
) -> None:
    drawn = draw(Bucket(tokens, NOW), 10, 20, wanted, reserve, NOW)

    assert (drawn.granted, drawn.next_at) == (granted, next_at)
    assert drawn.bucket == Bucket(tokens - granted, NOW)


def test_a_bucket_fills_with_time_up_to_its_burst() -> None:
    assert draw(Bucket(0, NOW), 10, 20, 0, 0, NOW + 1_500).bucket.tokens == 15
    assert draw(Bucket(0, NOW), 10, 20, 0, 0, NOW + 10_000).bucket.tokens == 20


def test_a_block_grants_nothing_and_says_until_when() -> None:
    drawn = draw(Bucket(20, NOW), 10, 20, 5, 0, NOW, blocked_until=NOW + 700)

    assert (drawn.granted, drawn.next_at) == (0, NOW + 700)
    assert draw(drawn.bucket, 10, 20, 5, 0, NOW + 700, blocked_until=NOW + 700).granted == 5


def test_a_rate_below_one_a_second_sends_all_the_same() -> None:
    drawn = draw(Bucket(0.5, NOW), 0.5, 0.5, 1, 0, NOW)

    assert drawn.next_at == NOW + 1_000
    assert draw(drawn.bucket, 0.5, 0.5, 1, 0, NOW + 1_000).granted == 1


def test_a_reserve_as_large_as_the_bucket_keeps_nobody_out_for_ever() -> None:
    assert draw(Bucket(5, NOW), 10, 5, 1, 50, NOW).granted == 1


def test_a_clock_that_went_backwards_neither_refills_nor_stops_the_bucket() -> None:
    drawn = draw(Bucket(0, NOW), 10, 20, 5, 0, NOW - 3_600_000)

    assert drawn.granted == 0
    assert draw(drawn.bucket, 10, 20, 5, 0, NOW - 3_600_000 + 500).granted == 5


@given(
    rate=st.floats(0.1, 5_000),
    burst=st.floats(1, 5_000),
    steps=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 1_000), st.integers(0, 100)), max_size=60),
)
def test_never_more_than_the_rate_times_the_time_and_one_burst(
    rate: float, burst: float, steps: list[tuple[int, int, int]]
) -> None:
    bucket, now, granted = Bucket(burst, NOW), NOW, 0
    for pause, wanted, reserve in steps:
        now += pause
        drawn = draw(bucket, rate, burst, wanted, reserve, now)
        bucket, granted = drawn.bucket, granted + drawn.granted

        assert 0 <= drawn.granted <= wanted
        assert granted <= rate * (now - NOW) / 1000 + burst + 1e-6


@given(tokens=st.floats(0, 100), rate=st.floats(0.1, 5_000), burst=st.floats(1, 100), reserve=st.integers(0, 100))
def test_at_the_promised_instant_a_token_is_there_and_no_millisecond_earlier(
    tokens: float, rate: float, burst: float, reserve: int
) -> None:
    bucket = draw(Bucket(tokens, NOW), rate, burst, 0, 0, NOW).bucket
    next_at = draw(bucket, rate, burst, 0, reserve, NOW).next_at

    assert draw(bucket, rate, burst, 1, reserve, next_at).granted == 1
    if next_at > NOW + 1:
        assert draw(bucket, rate, burst, 1, reserve, next_at - 2).granted == 0


def test_a_429_cuts_to_what_was_accepted() -> None:
    limit = throttle(Limit(), 100.0, 50.0, 1.0, NOW)

    assert limit.rate == pytest.approx(0.85 * 1.2 * 50)
    assert limit.blocked_until == NOW + 1_000


def test_a_429_never_raises_the_rate() -> None:
    assert throttle(Limit(), 100.0, 1_000.0, 1.0, NOW).rate == pytest.approx(85)


def test_the_rate_is_cut_at_most_once_a_second() -> None:
    first = throttle(Limit(), 100.0, 100.0, 1.0, NOW)
    second = throttle(first, 100.0, 100.0, 2.0, NOW + 999)

    assert second.rate == first.rate
    assert second.blocked_until == NOW + 2_999


def test_a_cut_rate_is_held_three_seconds_and_then_grows_by_three_percent_a_second() -> None:
    limit = Limit(rate=40.0, cut_at=NOW)

    assert [rate_now(limit, 100.0, NOW + ms) for ms in (0, 3_000, 4_000, 13_000, 10**6)] == [40, 40, 43, 70, 100]


def test_a_provider_that_accepted_nothing_is_tried_again() -> None:
    assert throttle(Limit(), 100.0, 0.0, None, NOW).rate == pytest.approx(3)


def test_without_retry_after_the_block_doubles_with_each_cut() -> None:
    limit, blocks, now = Limit(), [], NOW
    for _ in range(8):
        limit = throttle(limit, 100.0, 50.0, None, now)
        blocks.append(limit.blocked_until - now)
        now = limit.blocked_until if limit.blocked_until - now >= 1_000 else now + 1_000

    assert blocks[:5] == [500, 1_000, 2_000, 4_000, 8_000]
    assert max(blocks) == 16_000


def test_ten_quiet_seconds_forget_the_doubling() -> None:
    limit = throttle(throttle(Limit(), 100.0, 50.0, None, NOW), 100.0, 50.0, None, NOW + 2_000)
    assert limit.strikes == 1

    assert throttle(limit, 100.0, 50.0, None, NOW + 12_001).strikes == 0


def test_a_retry_after_of_a_minute_is_a_quota_and_leaves_the_rate() -> None:
    limit = throttle(Limit(), 100.0, 50.0, 60.0, NOW)

    assert rate_now(limit, 100.0, NOW) == 100
    assert limit.blocked_until == NOW + 60_000


def test_an_absurd_retry_after_is_cut_to_a_day() -> None:
    assert throttle(Limit(), 100.0, 50.0, 1e300, NOW).blocked_until == NOW + 86_400_000


def test_a_shorter_block_does_not_end_a_longer_one() -> None:
    assert throttle(Limit(blocked_until=NOW + 5_000), 100.0, 50.0, 1.0, NOW).blocked_until == NOW + 5_000


def test_a_provider_without_a_rate_is_only_blocked() -> None:
    limit = throttle(Limit(), None, 50.0, None, NOW)

    assert limit.rate is None
    assert limit.blocked_until == NOW + 500


def test_a_clock_that_went_backwards_frees_a_cut_rate() -> None:
    assert rate_now(Limit(rate=10.0, cut_at=NOW), 100.0, NOW - 1) == 100


@pytest.mark.parametrize(("rate", "expected"), [(100.0, 200.0), (40.0, 10.0), (2.0, 1.0)])
def test_the_burst_shrinks_while_the_rate_is_cut(rate: float, expected: float) -> None:
    assert burst_now(rate, 100.0, 200.0) == expected


def test_a_provider_that_came_back_is_ramped_up_by_doubling() -> None:
    rates = [ramp_rate(100.0, NOW, NOW + ms) for ms in (0, 499, 500, 1_000, 2_500, 3_000, 10**9)]

    assert rates == [10, 10, 20, 40, 320, None, None]


def test_a_ramp_starts_at_two_a_second_at_least() -> None:
    assert ramp_rate(1.0, NOW, NOW) == 2
    assert ramp_rate(0.0, NOW, NOW + 10_000) is None
