from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.policy.backoff import FLOOR_SHARE, ambiguous_delay_ms, retry_delay_ms

ALMOST_ONE = 1 - 2**-53


@pytest.mark.parametrize(
    ("rounds", "draw", "expected"),
    [
        (1, 0.0, 500),
        (1, ALMOST_ONE, 5_000),
        (2, ALMOST_ONE, 10_000),
        (3, 0.5, 10_250),
        (11, ALMOST_ONE, 3_600_000),
        (10_000, ALMOST_ONE, 3_600_000),
    ],
)
def test_the_wait_is_even_between_a_floor_and_a_doubling_ceiling(rounds: int, draw: float, expected: int) -> None:
    assert retry_delay_ms(rounds, 5, 3_600, draw) == expected


@given(
    rounds=st.integers(-5, 10**9),
    base=st.floats(0, 1e6),
    longest=st.floats(0, 1e9),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_leaves_its_bounds(rounds: int, base: float, longest: float, draw: float) -> None:
    delay = retry_delay_ms(rounds, base, longest, draw)

    assert delay >= 1
    assert delay >= 1000 * min(FLOOR_SHARE * base, longest)
    assert delay <= max(1, 1000 * longest + 1)


def test_a_wait_after_a_lost_answer_is_spread_by_a_tenth() -> None:
    assert [ambiguous_delay_ms(60, draw) for draw in (0.0, 0.5, ALMOST_ONE)] == [54_000, 60_000, 66_000]
