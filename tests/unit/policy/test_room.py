from __future__ import annotations

import math

import pytest

from shared.policy.breaker import BreakerState
from shared.policy.room import Room, room_of
from shared.policy.views import ProviderView

NOW = 100.0
OPEN = BreakerState.OPEN


@pytest.mark.parametrize(
    ("providers", "expected"),
    [
        ([], Room(0, 0)),
        ([ProviderView("a")], Room(20, 0)),
        ([ProviderView("a", free_slots=7, reserved_slots=2)], Room(7, 2)),
        ([ProviderView("a", free_slots=1, reserved_slots=2)], Room(1, 1)),
        ([ProviderView("a", tokens=3, reserved_tokens=1)], Room(3, 1)),
        ([ProviderView("a"), ProviderView("b", tier=2, tokens=5)], Room(25, 0)),
        ([ProviderView("a", slots=900, free_slots=900, reserved_slots=90)], Room(200, 0)),
        ([ProviderView("a", paused_until=math.inf)], Room(0, 0)),
        ([ProviderView("a", blocked_until=NOW + 1)], Room(0, 0)),
        ([ProviderView("a", breaker=OPEN)], Room(0, 0)),
        ([ProviderView("a", breaker=OPEN, probe_due_if_all_open=True)], Room(1, 0)),
        ([ProviderView("a", breaker=OPEN, probe_due_if_all_open=True, tokens=0)], Room(0, 0)),
        ([ProviderView("a", breaker=OPEN, probe_due_if_all_open=True), ProviderView("b", free_slots=4)], Room(4, 0)),
        ([ProviderView("a", breaker=OPEN, probe_due=True), ProviderView("b", free_slots=4)], Room(5, 0)),
        (
            [ProviderView("a", breaker=BreakerState.PROBING, probe_due=True), ProviderView("b", free_slots=0)],
            Room(0, 0),
        ),
    ],
)
def test_the_room_of_a_pool_is_what_its_providers_take_now(providers: list[ProviderView], expected: Room) -> None:
    assert room_of(providers, NOW, most=200) == expected
