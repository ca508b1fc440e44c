from __future__ import annotations

import pytest

from services.sender.works import Works
from shared.domain.message import Priority
from shared.queue.leases import Work

BULK = Work("default", Priority.BULK, 1_000)
CRITICAL = Work("alerts", Priority.CRITICAL, 2_000)


def test_at_first_nothing_is_known() -> None:
    works = Works(2)

    assert (works.in_shard(0), works.in_shard(1)) == (None, None)


def test_what_a_call_saw_is_known() -> None:
    works = Works(1)
    works.learned(0, [BULK, CRITICAL])

    assert works.in_shard(0) == {"default": {Priority.BULK: 1_000}, "alerts": {Priority.CRITICAL: 2_000}}


def test_what_a_call_saw_replaces_what_was_known() -> None:
    works = Works(1)
    works.learned(0, [BULK])
    works.learned(0, [])

    assert works.in_shard(0) == {}


def test_a_bell_adds_its_flow() -> None:
    works = Works(1)
    works.learned(0, [BULK])
    works.rang(0, "default:high", 5_000.7)

    assert works.in_shard(0) == {"default": {Priority.BULK: 1_000, Priority.HIGH: 5_000}}


def test_a_bell_for_a_known_flow_keeps_the_older_head() -> None:
    works = Works(1)
    works.learned(0, [BULK])
    works.rang(0, "default:bulk", 5_000)

    assert works.in_shard(0) == {"default": {Priority.BULK: 1_000}}


def test_a_bell_in_an_unknown_shard_leaves_it_to_be_looked_at() -> None:
    works = Works(1)
    works.rang(0, "default:bulk", 5_000)

    assert works.in_shard(0) is None


def test_suspicion_forgets_every_shard() -> None:
    works = Works(2)
    works.learned(0, [BULK])
    works.learned(1, [])
    works.suspect_all()

    assert (works.in_shard(0), works.in_shard(1)) == (None, None)


@pytest.mark.parametrize(
    ("waiting", "has_humbler"),
    [
        ([Work("default", Priority.BULK, 1)], True),
        ([Work("default", Priority.NORMAL, 1)], True),
        ([Work("default", Priority.HIGH, 1)], False),
        ([Work("default", Priority.CRITICAL, 1)], False),
        ([Work("alerts", Priority.BULK, 1)], False),
        ([], False),
    ],
)
def test_a_humbler_message_of_the_same_pool_could_be_the_probe(waiting: list[Work], has_humbler: bool) -> None:
    works = Works(2)
    works.learned(1, waiting)

    assert works.has_humbler("default", Priority.HIGH) is has_humbler


def test_what_was_read_does_not_change_when_a_bell_rings() -> None:
    works = Works(1)
    works.learned(0, [Work("default", Priority.BULK, 1_000)])
    read = works.in_shard(0)
    works.rang(0, "default:critical", 2_000)
    works.rang(0, "alerts:high", 2_000)
    assert read == {"default": {Priority.BULK: 1_000}}
