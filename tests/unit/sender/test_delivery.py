from __future__ import annotations

import pytest

from services.sender.delivery import Delivery, short_hash
from shared.domain.message import Envelope
from shared.policy.abilities import Inside
from tests.unit.sender.leases import delivery_of, lease_of


def test_a_delivery_begins_with_what_its_lease_says() -> None:
    lease = lease_of(recipients=3, pending=(1, 2), attempts=4, refused=frozenset({"abc123"}))

    delivery = Delivery.of(lease, now=100.0, lease_seconds=60.0)

    assert (delivery.until, delivery.pending, delivery.attempts) == (160.0, (1, 2), 4)
    assert delivery.refused == {"abc123"}
    assert (delivery.tried, delivery.closed, delivery.counts_round) == ((), None, False)


def test_routing_sees_whom_a_record_remembers_as_refusing() -> None:
    delivery = delivery_of(refused=frozenset({short_hash("relay")}))

    view = delivery.view(("relay", "ses"), 0.0, nothing_else_waits=True)

    assert view.refused == ["relay"]


def test_routing_sees_only_the_recipients_that_are_left() -> None:
    delivery = delivery_of(recipients=5, pending=(3, 4))

    assert delivery.view((), 0.0, nothing_else_waits=True).recipients == 2


def test_after_a_lost_answer_the_same_provider_is_preferred() -> None:
    delivery = delivery_of(prefer="relay", is_doubtful=True)

    assert delivery.view((), 0.0, nothing_else_waits=True).prefer == "relay"


def test_after_a_try_in_this_lease_nobody_is_preferred() -> None:
    delivery = delivery_of(prefer="relay", is_doubtful=True)
    delivery.tried = ("relay",)

    assert delivery.view((), 0.0, nothing_else_waits=True).prefer is None


def test_routing_sees_inside_a_message_only_where_a_provider_looks() -> None:
    delivery = delivery_of()

    seen, unseen = (delivery.view((), 0.0, nothing_else_waits=True, looked_inside=looked) for looked in (True, False))

    assert (seen.sender_domain, unseen.sender_domain) == ("example.com", "")


def test_what_is_inside_is_looked_at_once_for_the_same_recipients(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[tuple[int, ...]] = []

    def look(_envelope: Envelope, pending: tuple[int, ...]) -> Inside:
        looked_for.append(pending)
        return Inside()

    monkeypatch.setattr(Inside, "of", look)
    delivery = delivery_of(recipients=2)

    for pending in ((0, 1), (0, 1), (1,)):
        delivery.pending = pending
        delivery.view((), 0.0, nothing_else_waits=True, looked_inside=True)

    assert looked_for == [(0, 1), (1,)]


def test_the_same_try_has_the_same_key() -> None:
    assert delivery_of(1).deduplication_key() == delivery_of(1, attempts=3, rounds=2).deduplication_key()


def test_another_try_has_another_key() -> None:
    """After a requeue its owner wants it sent again; after a partial result others are meant."""
    keys = {
        delivery.deduplication_key()
        for delivery in (
            delivery_of(1, recipients=3),
            delivery_of(2, recipients=3),
            delivery_of(1, recipients=3, requeues=1),
            delivery_of(1, recipients=3, pending=(1, 2)),
            delivery_of(1, recipients=3, pending=(2,)),
        )
    }

    assert len(keys) == 5


def test_a_short_hash_is_short_and_differs() -> None:
    hashes = {short_hash(f"provider-{number}") for number in range(100)}

    assert len(hashes) == 100
    assert {len(text) for text in hashes} == {6}
