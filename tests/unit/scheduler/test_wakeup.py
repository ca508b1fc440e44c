from __future__ import annotations

import pytest

from services.scheduler.wakeup import LONGEST_SECONDS, next_look


@pytest.mark.parametrize(
    ("wishes", "seconds"),
    [
        ([0.25, 0.5, None], 0.25),
        ([None, 0.0], 0.0),
        ([3_600.0], LONGEST_SECONDS),
        ([None, None], LONGEST_SECONDS),
        ([], LONGEST_SECONDS),
    ],
)
def test_the_soonest_wish_decides_and_none_is_trusted_for_long(wishes: list[float | None], seconds: float) -> None:
    assert next_look(100.0, wishes) == 100.0 + seconds
