from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Priority
from shared.policy.priorities import Turn, newest_first, plan

C, H, N, B = Priority
MANY = 10**6


def served(capacity: int, waiting: Mapping[Priority, int], times: int, *, reserved: int = 0) -> Counter[Priority]:
    turn, total = Turn(), Counter[Priority]()
    for _ in range(times):
        planned = plan(capacity, waiting, turn, reserved=reserved)
        turn = planned.turn
        total.update(dict(planned.quotas))
    return total


def test_critical_comes_first_and_takes_all_it_needs() -> None:
    assert plan(10, {B: MANY, C: 10}, Turn()).quotas == ((C, 10),)
    assert plan(10, {B: MANY, C: 3}, Turn()).quotas == ((C, 3), (B, 7))


def test_bulk_moves_while_critical_ones_keep_coming() -> None:
    assert served(1, {C: MANY, B: MANY}, 1_000) == {C: 950, B: 50}


def test_a_critical_message_waits_for_no_debt_of_before() -> None:
    turn = Turn()
    for _ in range(7):
        turn = plan(1, {H: MANY, N: MANY, B: MANY}, turn).turn

    assert plan(1, {C: 1, H: MANY, N: MANY, B: MANY}, turn).quotas == ((C, 1),)


@pytest.mark.parametrize("capacity", [1, 2, 13, 50])
def test_the_others_share_eight_to_four_to_one_at_any_step(capacity: int) -> None:
    total = served(capacity, {H: MANY, N: MANY, B: MANY}, 130)

    assert total == {H: 80 * capacity, N: 40 * capacity, B: 10 * capacity}


def test_shares_hold_also_in_what_critical_leaves() -> None:
    total = served(1, {C: MANY, H: MANY, N: MANY, B: MANY}, 20 * 130)

    assert (total[H], total[N], total[B]) == (80, 40, 10)


def test_what_one_leaves_the_others_take() -> None:
    assert plan(10, {H: 1, N: 2, B: MANY}, Turn()).quotas == ((H, 1), (N, 2), (B, 7))


def test_the_reserve_is_for_critical_alone() -> None:
    assert plan(10, {B: MANY}, Turn(), reserved=2).quotas == ((B, 8),)
    assert plan(10, {C: MANY}, Turn(), reserved=2).quotas == ((C, 10),)


def test_the_reserve_does_not_starve_bulk_beside_critical() -> None:
    assert served(1, {C: MANY, B: MANY}, 100, reserved=5)[B] == 5


@pytest.mark.parametrize(("capacity", "waiting"), [(0, {B: MANY}), (-3, {C: 1}), (5, {}), (5, {B: 0})])
def test_nothing_comes_of_nothing(capacity: int, waiting: Mapping[Priority, int]) -> None:
    assert plan(capacity, waiting, Turn()).quotas == ()


counts = st.dictionaries(st.sampled_from(Priority), st.integers(0, 200))


@given(st.lists(st.tuples(st.integers(-1, 100), counts, st.integers(0, 5)), max_size=50))
def test_no_plan_exceeds_capacity_or_what_waits_nor_leaves_usable_capacity(
    steps: list[tuple[int, dict[Priority, int], int]],
) -> None:
    turn = Turn()
    for capacity, waiting, reserved in steps:
        planned = plan(capacity, waiting, turn, reserved=reserved)
        turn = planned.turn
        quotas = dict(planned.quotas)

        assert all(0 < quota <= waiting[priority] for priority, quota in quotas.items())
        total, wanted = sum(quotas.values()), sum(waiting.values())
        assert min(wanted, capacity - reserved) <= max(0, total) <= max(0, capacity)
        assert all(-1 <= credit <= 1 for credit in turn.credits)
        assert 0 <= turn.owed <= 1


@given(
    st.lists(
        st.tuples(
            st.integers(1, 7),
            st.fixed_dictionaries({C: st.integers(0, 50), H: st.integers(0, 50), N: st.integers(0, 50)}),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_bulk_is_never_starved_whatever_pattern_the_others_keep(pattern: list[tuple[int, dict[Priority, int]]]) -> None:
    turn, others_since = Turn(), 0
    for capacity, waiting in pattern * (800 // len(pattern)):
        planned = plan(capacity, {**waiting, B: MANY}, turn)
        turn = planned.turn
        others_since = 0 if B in dict(planned.quotas) else others_since + capacity

        assert others_since <= 20 * 13 * 1.5 + 7


@pytest.mark.parametrize(
    ("priority", "age_ms", "expected"),
    [(C, 5_000, False), (C, 5_001, True), (H, 30_000, False), (H, 30_001, True), (N, 10**9, False), (B, 10**9, False)],
)
def test_stale_urgent_flows_are_served_newest_first(priority: Priority, age_ms: int, *, expected: bool) -> None:
    assert newest_first(priority, age_ms) is expected
