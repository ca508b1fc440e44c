"""What the courier decides: where a delivery goes, and how its lease ends."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.sender.account import Account
from services.sender.courier import Courier
from services.sender.delivery import Delivery, short_hash
from services.sender.holdings import Bounds, Holdings
from services.sender.mailbox import Mailbox
from services.sender.works import Works
from shared.domain.message import Attempt, Priority
from shared.domain.outcome import Outcome, Verdict
from shared.queue.leases import Release, Settled, Settlement
from shared.runtime.metrics import SENDER, Metrics
from shared.runtime.wake import Bell
from shared.settings.model import ProviderSettings, RetrySettings
from tests.unit.sender.leases import delivery_of


class Desk:
    """A courier, one provider's mailbox, and what is handed to the settler."""

    def __init__(self) -> None:
        self.works = Works(1)
        self.holdings = Holdings(Bounds(100, 1_000_000, 10), ["default"])
        self.settler = cast("Any", SimpleNamespace(mailbox=Mailbox("settler", 10)))
        queue = cast("Any", SimpleNamespace(core=SimpleNamespace(now_ms=lambda _shard: 0.0)))
        self.courier = Courier(queue, RetrySettings(), self.holdings, self.works, self.settler, Metrics(SENDER), Bell())
        account = Account(ProviderSettings("relay", "sandbox"), 10, lambda: 0.5)
        self.provider = cast("Any", SimpleNamespace(name="relay", account=account, mailbox=Mailbox("relay", 10)))
        self.courier.employ([self.provider], ["default"])

    def take(self, **fields: Any) -> Delivery:
        delivery = delivery_of(**fields)
        self.holdings.take(delivery)
        return delivery

    def fill(self) -> None:
        """Leave the provider no place."""
        self.provider.account.view.free_slots = 0

    def ending(self) -> Release | Settlement:
        """Return the one ending that the settler was given."""
        ((_, wish),) = self.settler.mailbox.empty()
        assert isinstance(wish, Release | Settlement)
        return wish


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_delivery_goes_to_the_provider_that_is_chosen(desk: Desk) -> None:
    delivery = desk.take()
    desk.courier.route(delivery)

    assert desk.provider.mailbox.empty() == [delivery]


def test_what_nobody_takes_now_keeps_its_place_and_its_flow_is_let_alone(desk: Desk) -> None:
    desk.fill()
    desk.courier.route(desk.take())
    wish = desk.ending()

    assert isinstance(wish, Release)
    assert wish.delay_ms is None
    assert desk.works.is_cool("default", Priority.NORMAL, time.monotonic())


def test_a_message_that_only_full_providers_can_carry_lets_others_go_before_it(desk: Desk) -> None:
    desk.fill()
    desk.courier.route(desk.take(refused=frozenset({short_hash("another")})))
    wish = desk.ending()

    assert isinstance(wish, Release)
    assert wish.delay_ms is not None
    assert not desk.works.is_cool("default", Priority.NORMAL, time.monotonic())


def test_what_no_provider_can_carry_fails(desk: Desk) -> None:
    desk.courier.route(desk.take(refused=frozenset({short_hash("relay")})))
    wish = desk.ending()

    assert isinstance(wish, Release)
    assert wish.fail == "no_provider_can_carry"


def test_a_second_message_with_a_strike_waits_for_the_first(desk: Desk) -> None:
    first, second = desk.take(number=1, strikes=1), desk.take(number=2, strikes=1)
    desk.courier.route(first)
    desk.courier.route(second)
    wish = desk.ending()

    assert desk.provider.mailbox.empty() == [first]
    assert isinstance(wish, Release)
    assert wish.delay_ms == 1_000


def test_an_attempt_that_may_stand_as_begun_and_was_never_handed_over_counts_nothing(desk: Desk) -> None:
    """Left alone it would be reaped as ambiguous, with a strike, though nothing left this sender."""
    delivery = desk.take()
    delivery.may_have_begun, delivery.asked_of = True, "relay"

    desk.courier.unused(delivery, "late")
    wish = desk.ending()

    assert isinstance(wish, Settlement)
    assert (wish.attempt.number, wish.attempt.provider) == (1, "relay")
    assert not wish.counts_round
    assert not wish.is_doubtful


def test_where_that_begin_was_never_written_the_lease_goes_back(desk: Desk) -> None:
    delivery = desk.take()
    delivery.may_have_begun = True

    desk.courier.done(delivery, Settled("stale", None))

    assert isinstance(desk.ending(), Release)
    assert desk.holdings.is_held(delivery)


def test_what_the_queue_ended_is_held_no_longer(desk: Desk) -> None:
    delivery = desk.take()

    desk.courier.unused(delivery, "cancelled")

    assert not desk.holdings.is_held(delivery)


def test_a_failure_for_now_waits_where_there_is_no_other_provider(desk: Desk) -> None:
    delivery = desk.take()
    attempt = Attempt(1, "relay", 0, 5, Outcome.TEMPORARY, recipients=(0,))
    delivery.tried = ("relay",)

    desk.courier.tried(delivery, attempt, Verdict(Outcome.TEMPORARY, "451 later"))
    wish = desk.ending()

    assert isinstance(wish, Settlement)
    assert wish.counts_round
    assert wish.waiting == "backoff"
    assert wish.delay_ms > 0


def test_while_it_drains_nothing_goes_out(desk: Desk) -> None:
    desk.courier.is_draining = True
    desk.courier.route(desk.take())

    assert isinstance(desk.ending(), Release)
    assert desk.provider.mailbox.empty() == []


def test_a_message_whose_pool_was_taken_out_meanwhile_waits(desk: Desk) -> None:
    delivery = desk.take()
    desk.courier.employ([], [])
    desk.courier.route(delivery)
    wish = desk.ending()

    assert isinstance(wish, Release)
    assert wish.fail is None


def test_what_failed_at_a_provider_that_was_taken_out_meanwhile_waits_for_others(desk: Desk) -> None:
    delivery = desk.take()
    delivery.tried = ("relay",)
    desk.courier.employ([], [])
    desk.courier.tried(
        delivery, Attempt(1, "relay", 0, 5, Outcome.TEMPORARY, recipients=(0,)), Verdict(Outcome.TEMPORARY)
    )
    wish = desk.ending()

    assert isinstance(wish, Settlement)
    assert wish.fail_rest is None


def test_a_pool_keeps_its_turn_when_its_providers_change(desk: Desk) -> None:
    turn = desk.courier.pools["default"].turn
    desk.courier.employ([], ["default"])

    assert desk.courier.pools["default"].turn is turn


@pytest.mark.parametrize(("pinned_to", "waits"), [("relay", True), ("", False)])
def test_a_message_that_only_one_provider_may_carry_waits_while_another_sender_probes_it(
    desk: Desk, pinned_to: str, waits: bool
) -> None:
    """Handed back at once it would come again at once."""
    delivery = desk.take()
    delivery.lease.envelope = replace(delivery.lease.envelope, pinned_to=pinned_to)
    desk.courier.unused(delivery, "unprobed")
    wish = desk.ending()

    assert isinstance(wish, Release)
    assert (wish.delay_ms is not None) is waits
