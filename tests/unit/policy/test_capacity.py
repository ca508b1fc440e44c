from __future__ import annotations

import pytest

from shared.domain.message import Priority
from shared.policy.capacity import critical_reserve, usable


@pytest.mark.parametrize(
    ("amount", "percent", "expected"),
    [(20, 10, 2), (5, 10, 1), (2, 10, 1), (1, 10, 0), (0, 10, 0), (20, 0, 0), (20, 100, 19), (28, 10, 2)],
)
def test_the_reserve_is_at_least_one_and_never_all(amount: int, percent: float, expected: int) -> None:
    assert critical_reserve(amount, percent) == expected


def test_only_critical_messages_use_the_reserve() -> None:
    assert usable(Priority.CRITICAL, 2, 2) == 2
    assert usable(Priority.HIGH, 2, 2) == 0
    assert usable(Priority.BULK, 5, 2) == 3
