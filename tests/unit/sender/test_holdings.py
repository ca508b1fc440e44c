"""What a sender holds, and what each pool may still take."""

from __future__ import annotations

import pytest

from services.sender.holdings import Bounds, Holdings
from tests.unit.sender.leases import delivery_of


@pytest.fixture
def holdings() -> Holdings:
    return Holdings(Bounds(messages=100, size_bytes=100_000, critical_percent=10), ["default", "other"])


def test_what_is_taken_is_held_until_it_is_dropped(holdings: Holdings) -> None:
    delivery = delivery_of()
    holdings.take(delivery)

    assert holdings.is_held(delivery)
    holdings.drop(delivery)
    assert not holdings.is_held(delivery)
    assert len(holdings) == 0


def test_a_message_that_comes_again_is_held_anew_and_its_old_lease_is_lost(holdings: Holdings) -> None:
    """Its lease was reaped while the old attempt still hangs."""
    old, new = delivery_of(), delivery_of()
    holdings.take(old)
    holdings.take(new)

    assert old.is_lost
    assert not new.is_lost
    assert holdings.is_held(new)


def test_the_end_of_an_old_delivery_leaves_the_new_one_held(holdings: Holdings) -> None:
    old, new = delivery_of(), delivery_of()
    holdings.take(old)
    holdings.take(new)

    holdings.drop(old)

    assert holdings.is_held(new)


def test_room_is_given_back_once_however_often_a_message_came(holdings: Holdings) -> None:
    before = holdings.budget("default")
    old, new = delivery_of(), delivery_of()
    for delivery in (old, new):
        holdings.take(delivery)
    for delivery in (old, new, new):
        holdings.drop(delivery)

    assert holdings.budget("default") == before


def test_a_pool_takes_all_but_what_another_can_count_on(holdings: Holdings) -> None:
    budget = holdings.budget("default")

    assert (budget.critical, budget.critical_bytes) == (75, 75_000)


def test_others_leave_a_share_to_critical_messages(holdings: Holdings) -> None:
    budget = holdings.budget("default")

    assert (budget.others, budget.other_bytes) == (65, 65_000)


def test_a_pool_that_hangs_leaves_the_other_its_share(holdings: Holdings) -> None:
    for number in range(75):
        holdings.take(delivery_of(number))

    assert holdings.budget("default").critical == 0
    assert holdings.budget("other").critical == 25


def test_a_drain_ends_when_nothing_is_held(holdings: Holdings) -> None:
    delivery = delivery_of()
    holdings.take(delivery)
    holdings.drain()
    assert not holdings.emptied.is_set()

    holdings.drop(delivery)

    assert holdings.emptied.is_set()


def test_without_a_drain_nothing_is_told_of_emptiness(holdings: Holdings) -> None:
    delivery = delivery_of()
    holdings.take(delivery)
    holdings.drop(delivery)

    assert not holdings.emptied.is_set()


def test_a_pool_that_was_taken_out_counts_on_nothing_more(holdings: Holdings) -> None:
    holdings.share_among(["default"])

    assert holdings.budget("default").critical == 100


def test_what_is_taken_during_a_drain_must_be_handed_back_too(holdings: Holdings) -> None:
    """An answer that was owed brings leases after everything else has ended."""
    holdings.drain()
    delivery = delivery_of()
    holdings.take(delivery)
    before = holdings.emptied.is_set()
    holdings.drop(delivery)

    assert (before, holdings.emptied.is_set()) == (False, True)
