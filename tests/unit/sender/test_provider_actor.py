"""A provider's actor alone: batches, lost answers, probes, pauses, and attempts that Redis refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.sender.account import Account
from services.sender.delivery import Delivery
from services.sender.judgement import attempt_of
from services.sender.provider_actor import ProviderActor
from shared.domain.errors import ScriptDefect
from shared.domain.message import Attempt
from shared.domain.outcome import Outcome, Verdict
from shared.policy.breaker import BreakerState
from shared.policy.opening import Opening, OpenReason
from shared.providers.interface import Parcel
from shared.queue.leases import Begin, Begun, Leases
from shared.runtime.metrics import SENDER, Metrics
from shared.settings.model import ProviderSettings
from tests.unit.sender.leases import delivery_of

POISON = 2


class Register(Leases):
    """Begins whatever it is asked, but for one message that its script fails on, and what is paused."""

    def __init__(self, status: str = "begun") -> None:
        self.lease_ms = 60_000
        self.status = status

    async def begin(self, shard: int, attempts: Sequence[Begin]) -> list[Begun]:
        if any(attempt.lease.id == delivery_of(POISON).lease.id for attempt in attempts):
            raise ScriptDefect(f"`begin` failed in shard {shard}")
        return [Begun(self.status, 0, 0) for _ in attempts]


class Channel:
    """Takes everything, up to three in one request; `found` is what it finds when it is asked for a lost one."""

    batch_limit = 3
    max_batch_bytes = 3_000

    def __init__(self, found: Verdict | None = None) -> None:
        self.found = found
        self.requests: list[int] = []

    async def deliver(self, parcel: Parcel) -> Verdict:
        self.requests.append(1)
        return Verdict(Outcome.ACCEPTED, provider_message_id=parcel.id)

    async def deliver_batch(self, parcels: Sequence[Parcel]) -> list[Verdict]:
        self.requests.append(len(parcels))
        return [Verdict(Outcome.ACCEPTED, provider_message_id=parcel.id) for parcel in parcels]

    def may_join(self, parcel: Parcel) -> bool:
        return parcel.envelope.subject != "alone"

    async def ask(self, _parcel: Parcel) -> Verdict | None:
        return self.found

    async def close(self) -> None:
        pass


class Commons:
    """A cluster in which one sender has the right to probe, or has not."""

    def __init__(self, *, may_probe: bool = True) -> None:
        self.right = may_probe
        self.probes = 0
        self.hurries = 0

    async def may_probe(self, _account: Account) -> bool:
        self.probes += self.right
        return self.right

    def probed(self, _account: Account, *, failed: bool) -> None:  # noqa: ARG002 - a fake
        self.probes -= 1

    def hurry(self, _account: Account) -> None:
        self.hurries += 1


class Outlet:
    """Remembers what came back, and tells when it is all."""

    def __init__(self, expected: int) -> None:
        self.outcomes: dict[Delivery, str] = {}
        self.complete = asyncio.Event()
        self._expected = expected

    def tried(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
        assert attempt.outcome is verdict.outcome
        self._note(delivery, f"{verdict.outcome} as {verdict.provider_message_id}")

    def unused(self, delivery: Delivery, status: str) -> None:
        self._note(delivery, status)

    def changed(self) -> None:
        pass

    def _note(self, delivery: Delivery, what: str) -> None:
        self.outcomes[delivery] = what
        if len(self.outcomes) == self._expected:
            self.complete.set()


class Stage:
    """One actor and everything around it."""

    def __init__(self, channel: Channel | None = None, commons: Commons | None = None, status: str = "begun") -> None:
        self.channel = channel or Channel()
        self.commons = commons or Commons()
        self.account = Account(ProviderSettings("relay", "sandbox"), 10, lambda: 0.5)
        self.status = status

    async def play(self, *deliveries: Delivery) -> list[str]:
        """Let the actor serve these deliveries and return what came of each."""
        outlet = Outlet(len(deliveries))
        register = Register(self.status)
        actor = ProviderActor(
            self.account, self.channel, register, outlet, self.commons, Metrics(SENDER), 2 * len(deliveries)
        )
        for delivery in deliveries:
            delivery.until = time.monotonic() + 60
            self.account.reserve()
            actor.mailbox.put(delivery)
        acting = asyncio.create_task(actor.act())
        async with asyncio.timeout(10):
            await outlet.complete.wait()
        acting.cancel()
        assert self.account.in_flight == 0
        return [outlet.outcomes[delivery] for delivery in deliveries]


def mail(number: int, **changes: Any) -> Delivery:
    """Return the delivery of a message with a changed envelope."""
    delivery = delivery_of(number)
    delivery.lease.envelope = replace(delivery.lease.envelope, **changes)
    return delivery


def accepted(*numbers: int) -> list[str]:
    return [f"accepted as {delivery_of(number).lease.id}" for number in numbers]


async def test_an_attempt_that_redis_refuses_is_given_up_and_its_neighbours_go_out() -> None:
    outcomes = await Stage().play(*map(delivery_of, range(4)))

    assert outcomes == [*accepted(0, 1), "stale", *accepted(3)]


# What waits together


async def test_what_waits_together_goes_in_one_request_up_to_its_limit() -> None:
    stage = Stage()
    numbers = [number for number in range(8) if number != POISON]
    outcomes = await stage.play(*map(delivery_of, numbers))

    assert outcomes == accepted(*numbers), "each verdict is of its own message"
    assert stage.channel.requests == [3, 3, 1]


async def test_a_request_never_holds_more_bytes_than_the_provider_takes() -> None:
    stage = Stage()
    sizes = [2_000, 1_500, 1_400, 5_000]
    await stage.play(*(mail(10 + number, size_bytes=size) for number, size in enumerate(sizes)))

    assert stage.channel.requests == [1, 2, 1]


async def test_what_may_not_join_goes_alone() -> None:
    stage = Stage()
    await stage.play(mail(10), mail(11, subject="alone"), mail(12))

    assert sorted(stage.channel.requests) == [1, 2]


# Lost answers


@pytest.mark.parametrize(("prefer", "found"), [("relay", True), ("other", False)])
async def test_a_provider_is_asked_for_the_message_whose_answer_it_lost(prefer: str, found: bool) -> None:
    stage = Stage(Channel(Verdict(Outcome.ACCEPTED, provider_message_id="found")))
    delivery = delivery_of(10)
    delivery.lease.is_doubtful, delivery.lease.prefer = True, prefer

    assert await stage.play(delivery) == (["accepted as found"] if found else accepted(10))
    assert stage.channel.requests == ([] if found else [1])


async def test_a_message_that_is_not_found_is_sent_again() -> None:
    stage = Stage(Channel(None))
    delivery = delivery_of(10)
    delivery.lease.is_doubtful, delivery.lease.prefer = True, "relay"

    assert await stage.play(delivery) == accepted(10)


async def test_a_message_that_was_tried_before_goes_alone() -> None:
    """It may be what spoiled its batch."""
    stage = Stage()
    await stage.play(delivery_of(10, attempts=1), delivery_of(11), delivery_of(12))

    assert sorted(stage.channel.requests) == [1, 2]


# Probes and pauses


def probe() -> Delivery:
    delivery = delivery_of(10)
    delivery.is_probe = True
    return delivery


async def test_a_probe_is_made_with_the_right_of_the_whole_cluster_which_is_given_up() -> None:
    stage = Stage()

    assert await stage.play(probe()) == accepted(10)
    assert stage.commons.probes == 0


async def test_what_another_sender_finds_out_is_not_tried_here() -> None:
    stage = Stage(commons=Commons(may_probe=False))
    stage.account.breaker.adopt(Opening(OpenReason.PROVIDER_DOWN, 0, 0, 0, 0), 0)
    stage.account.breaker.begin_probe()

    assert await stage.play(probe()) == ["unprobed"]
    assert stage.channel.requests == []
    assert stage.account.breaker.state is BreakerState.OPEN
    assert not stage.account.breaker.is_probe_due(time.monotonic(), all_open=True)


async def test_what_is_paused_goes_back_and_the_provider_is_left_for_a_moment() -> None:
    stage = Stage(status="paused")

    assert await stage.play(delivery_of(10)) == ["paused"]
    assert stage.account.view.obstruction(time.monotonic()) == "paused"


async def test_a_breaker_that_opens_is_told_the_others_at_once() -> None:
    class Broken(Channel):
        batch_limit = 1

        async def deliver(self, _parcel: Parcel) -> Verdict:
            return Verdict(Outcome.MISCONFIGURED, "the key is wrong")

    stage = Stage(Broken())
    await stage.play(delivery_of(10))

    assert stage.commons.hurries == 1


# Defects


class Odd(Channel):
    """Cannot say whether one message may join, as a plug-in with a defect would."""

    def may_join(self, parcel: Parcel) -> bool:
        if parcel.envelope.subject == "odd":
            raise ZeroDivisionError
        return super().may_join(parcel)


async def test_a_defect_in_one_message_of_a_batch_strands_no_other() -> None:
    stage = Stage(Odd())

    assert await stage.play(mail(10), mail(11, subject="odd"), mail(12)) == accepted(10, 11, 12)
    assert sorted(stage.channel.requests) == [1, 2]


async def test_an_outcome_that_cannot_be_judged_is_not_shared_by_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(verdict: Verdict, **fields: Any) -> Attempt:
        if verdict.provider_message_id == delivery_of(11).lease.id:
            raise ZeroDivisionError
        return attempt_of(verdict, **fields)

    monkeypatch.setattr("services.sender.provider_actor.attempt_of", judged)

    assert await Stage().play(*map(delivery_of, (10, 11, 12))) == [*accepted(10), "stale", *accepted(12)]


async def test_a_probe_whose_outcome_cannot_be_judged_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    stage = Stage()
    stage.account.breaker.adopt(Opening(OpenReason.PROVIDER_DOWN, 0, 0, 0, 0), 0)
    stage.account.breaker.begin_probe()
    monkeypatch.setattr(Account, "observe", defect)

    assert await stage.play(probe()) == ["stale"]
    assert stage.account.breaker.state is BreakerState.OPEN
    assert stage.commons.probes == 0
