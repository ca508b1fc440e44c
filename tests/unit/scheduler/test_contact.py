from __future__ import annotations

import pytest

from services.scheduler.contact import Contact

LEASE = 60.0


#: By how much the servers' clocks are ahead of this machine's steady one.
AHEAD = 1_900_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def answer(contact: Contact, clock: Clock, shard: int = 0, primary: str = "a", *, jumped: float = 0.0) -> None:
    """Let a shard's primary answer; its clock has jumped by so many seconds since the start."""
    contact.answered(shard, primary, clock.now + AHEAD + jumped)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contact(clock: Clock) -> Contact:
    return Contact(LEASE, clock)


def test_a_shard_that_never_answered_is_not_steady(contact: Contact) -> None:
    assert not contact.is_steady(0)


@pytest.mark.parametrize(("seconds", "is_steady"), [(0.0, False), (LEASE - 0.1, False), (LEASE, True)])
def test_contact_is_steady_after_a_whole_lease(seconds: float, is_steady: bool, contact: Contact, clock: Clock) -> None:
    answer(contact, clock, 0, "a")
    clock.now += seconds

    assert contact.is_steady(0) is is_steady


def test_answers_in_between_do_not_begin_it_anew(contact: Contact, clock: Clock) -> None:
    for _ in range(4):
        answer(contact, clock, 0, "a")
        clock.now += LEASE / 4

    assert contact.is_steady(0)


def test_a_lost_answer_begins_it_anew(contact: Contact, clock: Clock) -> None:
    answer(contact, clock, 0, "a")
    clock.now += LEASE
    contact.lost(0)
    answer(contact, clock, 0, "a")

    assert not contact.is_steady(0)


def test_another_primary_begins_it_anew(contact: Contact, clock: Clock) -> None:
    """Senders must find it first, before they can renew there."""
    answer(contact, clock, 0, "a")
    clock.now += LEASE
    answer(contact, clock, 0, "b")

    assert not contact.is_steady(0)


def test_each_shard_has_a_contact_of_its_own(contact: Contact, clock: Clock) -> None:
    answer(contact, clock, 0, "a")
    answer(contact, clock, 1, "a")
    clock.now += LEASE
    contact.lost(1)

    assert (contact.is_steady(0), contact.is_steady(1)) == (True, False)


@pytest.mark.parametrize("seconds", [LEASE, -LEASE, 3_600.0])
def test_a_clock_that_jumps_begins_it_anew(seconds: float, contact: Contact, clock: Clock) -> None:
    """Every lease looks overdue then, though its sender lives."""
    answer(contact, clock)
    clock.now += LEASE
    answer(contact, clock, jumped=seconds)

    assert not contact.is_steady(0)


def test_after_a_jump_the_clock_is_believed_as_it_is(contact: Contact, clock: Clock) -> None:
    answer(contact, clock)
    answer(contact, clock, jumped=3_600.0)
    clock.now += LEASE
    answer(contact, clock, jumped=3_600.0)

    assert contact.is_steady(0)


def test_a_clock_that_is_slewed_a_little_does_no_harm(contact: Contact, clock: Clock) -> None:
    answer(contact, clock)
    clock.now += LEASE
    answer(contact, clock, jumped=1.0)

    assert contact.is_steady(0)
