"""Actors that crash are started again, and mail flows on: a defect costs at most the messages that met it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.sender.courier import Courier
from services.sender.dispatcher import Dispatcher
from services.sender.provider_actor import ProviderActor
from services.sender.settler import Settler
from services.sender.transport.channel import open_channel
from services.sender.transport.http import HttpConnections
from shared.domain.errors import Unavailable
from shared.domain.message import Envelope
from shared.domain.outcome import Outcome, Verdict
from shared.domain.states import State
from shared.providers.interface import Parcel
from shared.queue import leases
from shared.queue.leases import Lease, Leases, Settlement
from shared.settings.model import ProviderSettings
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal


class Defect(Exception):
    """A defect."""


def crash_once(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, when: int = 1) -> None:
    """Let a method raise at its n-th call, and be itself before and after."""
    original: Callable[..., Any] = getattr(owner, method)
    calls = 0

    def crashing(self: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == when:
            raise Defect(f"{owner.__name__}.{method}")
        return original(self, *arguments, **more)

    monkeypatch.setattr(owner, method, crashing)


@pytest.mark.parametrize(
    ("owner", "method", "actor"),
    [
        (Dispatcher, "_turn", "dispatcher"),
        (Courier, "route", "dispatcher"),
        (Courier, "_send", "dispatcher"),
        (ProviderActor, "_begin", "provider relay"),
        (ProviderActor, "_launch", "provider relay"),
        (ProviderActor, "_wish", "provider relay"),
        (Settler, "_write_shard", "settler"),
        (Settler, "_report", "settler"),
    ],
)
async def test_a_crashed_actor_is_started_again_and_every_message_arrives(
    owner: type,
    method: str,
    actor: str,
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    smtp: SmtpServer,
    journal: Journal,
) -> None:
    crash_once(monkeypatch, owner, method, when=2)
    await cluster.scheduler()
    sender = await cluster.sender(relay(smtp, concurrency=3))

    ids = await cluster.submit_all([letter()] * 30)
    await cluster.drained()

    assert set(ids_of(smtp.mails)) == set(ids)
    assert await cluster.count(State.SENT) == 30
    assert await sender.metric("actor_restarts_total", actor=actor) == 1
    assert journal.told("actor_crashed", actor=actor, level="error")


async def test_a_crash_leaves_every_slot_as_it_was(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    """With one slot, one that is lost would stop all mail, and one too many would send two at once."""
    crash_once(monkeypatch, ProviderActor, "_launch", when=2)
    await cluster.scheduler()
    await cluster.sender(relay(smtp, concurrency=1))

    ids = await cluster.submit_all([letter()] * 10)
    await cluster.drained()

    flying, most = 0, 0
    for line in journal.lines:
        flying += {"attempt_begun": 1, "attempt_finished": -1}.get(line["event"], 0)
        most = max(most, flying)
    assert set(ids_of(smtp.mails)) == set(ids)
    assert most == 1


async def test_a_defect_after_an_attempt_costs_that_message_alone(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    """Its lease runs out, and it is taken for what it is: begun, and its end unknown."""
    crash_once(monkeypatch, Courier, "tried", when=2)
    await cluster.scheduler()
    await cluster.sender(relay(smtp, concurrency=3))

    await cluster.submit_all([letter()] * 5)
    await cluster.drained()

    assert await cluster.count(State.SENT) == 5
    assert len(journal.told("lease_reclaimed", begun=True)) == 1
    assert len(smtp.mails) == 6


class _Odd:
    """A channel with an oddity for some subjects."""

    batch_limit = 1
    max_batch_bytes = 0

    def __init__(self, provider: ProviderSettings, http: HttpConnections) -> None:
        self._channel = open_channel(provider, http)

    async def deliver(self, parcel: Parcel) -> Verdict:
        if parcel.envelope.subject == "odd":
            return Verdict(Outcome.TEMPORARY, "\udcff odd", provider_message_id="\udcff")
        if parcel.envelope.subject == "defect":
            raise Defect
        return await self._channel.deliver(parcel)

    async def close(self) -> None:
        await self._channel.close()


async def test_an_outcome_that_cannot_be_written_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    original = leases._settlement_arguments

    def arguments(settlement: Settlement) -> dict[str, Any]:
        if "odd" in settlement.attempt.detail:
            raise Defect(settlement.lease.id)
        return original(settlement)

    monkeypatch.setattr(leases, "_settlement_arguments", arguments)
    monkeypatch.setattr("services.sender.app.open_channel", _Odd)
    odd = await cluster.submit(letter(subject="odd"))
    ids = await cluster.submit_all([letter()] * 50)

    await cluster.sender(relay(smtp))
    await journal.saw("task_crashed", task=f"settle/{odd}")
    for message_id in ids:
        await cluster.came_to(State.SENT, message_id)

    assert not journal.told("actor_crashed")


async def test_words_that_are_no_unicode_are_written_as_far_as_they_are(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer
) -> None:
    monkeypatch.setattr("services.sender.app.open_channel", _Odd)
    await cluster.sender(relay(smtp))

    record = await cluster.came_to(State.RETRYING, await cluster.submit(letter(subject="odd")))

    assert record.attempts[0].detail == "? odd"


async def test_a_channel_that_raises_is_an_ambiguous_attempt(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    monkeypatch.setattr("services.sender.app.open_channel", _Odd)
    await cluster.sender(relay(smtp))

    record = await cluster.came_to(State.RETRYING, await cluster.submit(letter(subject="defect")))

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS]
    assert "Defect" in record.attempts[0].detail
    assert journal.told("task_crashed", level="error")


async def test_what_goes_wrong_on_our_side_is_not_laid_at_the_provider_s_door(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    """Each would open a breaker: ten lost answers, and ten contents that Redis did not give."""
    original = Leases.whole

    async def whole(self: Leases, lease: Lease) -> Envelope:
        if lease.envelope.subject == "unreadable":
            raise Unavailable("Redis is away")
        return await original(self, lease)

    monkeypatch.setattr(Leases, "whole", whole)
    monkeypatch.setattr("services.sender.app.open_channel", _Odd)
    await cluster.sender(relay(smtp))
    broken = [letter(subject=subject) for subject in ("defect", "unreadable")] * 10
    await cluster.submit_all(broken)
    await journal.saw("message_settled", times=20)

    await cluster.came_to(State.SENT, await cluster.submit())

    assert not journal.told("breaker_opened")
