"""A sender that is asked to stop: nothing new begins, what has begun is finished, the rest is handed back."""

from __future__ import annotations

from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.script import Scripts
from tests.fakes.lossy import LossyProxy
from tests.fakes.smtp_server import Act, SmtpServer
from tests.redis_server import RedisServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal

BEGIN = Scripts()["begin"].sha.encode()
LEASE = Scripts()["lease"].sha.encode()


async def test_a_sender_under_load_leaves_no_lease_and_loses_nothing(cluster: Cluster, smtp: SmtpServer) -> None:
    ids = await cluster.submit_all([letter()] * 1_000)
    sender = await cluster.sender(relay(smtp))
    await smtp.received(100)

    await sender.stop()
    left = await cluster.leased()
    sent = await cluster.count(State.SENT)
    assert (left, sent, await cluster.count(State.QUEUED)) == ([], len(smtp.mails), 1_000 - sent)

    await cluster.sender(relay(smtp))
    await cluster.drained()
    assert sorted(ids_of(smtp.mails)) == sorted(ids)


async def test_what_has_not_begun_is_handed_back_as_it_was(
    cluster: Cluster, smtp: SmtpServer, server: RedisServer, journal: Journal
) -> None:
    async with LossyProxy(server.port) as proxy:
        cluster.url = proxy.url
        sender = await cluster.sender(relay(smtp))
        await cluster.came_to(State.SENT, await cluster.submit())
        proxy.hold(BEGIN)
        first = await cluster.submit()
        await proxy.met(BEGIN)
        second = await cluster.submit()
        await journal.saw("messages_leased", times=3)
        before = await cluster.view(second)

        sender.lifetime.stop()
        await cluster.came_to(State.QUEUED, second)
        await proxy.let_go()
        await sender.stop()
        after = await cluster.view(second)

    assert before.state is State.SENDING
    assert (after.rounds, after.attempts_total, after.waiting) == (0, 0, None)
    assert (await cluster.view(first)).state is State.SENT


async def test_what_is_leased_while_a_drain_begins_is_handed_back(
    cluster: Cluster, smtp: SmtpServer, server: RedisServer
) -> None:
    """The sender holds nothing at that moment, and still waits for the answer to its lease call."""
    async with LossyProxy(server.port) as proxy:
        cluster.url = proxy.url
        sender = await cluster.sender(relay(smtp))
        await cluster.came_to(State.SENT, await cluster.submit())
        proxy.hold(LEASE)
        message_id = await cluster.submit()
        await proxy.met(LEASE)

        sender.lifetime.stop()
        await proxy.let_go()
        await sender.stop()

    assert await cluster.leased() == []
    assert (await cluster.view(message_id)).state is State.QUEUED
    assert len(smtp.mails) == 1


async def test_what_outlasts_the_grace_period_is_settled_as_ambiguous(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    smtp.plan("end", Act.HANG)
    sender = await cluster.sender(relay(smtp), sender={"grace_seconds": 1})
    message_id = await cluster.submit()
    await smtp.at("end")

    await sender.stop()

    record = await cluster.view(message_id)
    assert record.state is State.RETRYING
    assert [(attempt.outcome, attempt.detail) for attempt in record.attempts] == [
        (Outcome.AMBIGUOUS, "the sender was stopped while it waited for the answer")
    ]
    assert not journal.told("drain_overran")


async def test_a_failover_does_not_begin_during_a_drain(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    """It could last as long again as the attempt that has just ended."""
    smtp.plan("mail", Act.HANG)
    sender = await cluster.sender(relay(smtp, "first"), relay(other_smtp, "second", tier=2))
    message_id = await cluster.submit()
    await smtp.at("mail")

    sender.lifetime.stop()
    await smtp.drop()
    await sender.stop()

    record = await cluster.view(message_id)
    assert (record.state, len(record.attempts)) == (State.RETRYING, 1)
    assert other_smtp.mails == []


async def test_a_sender_without_work_stops_at_once(cluster: Cluster, smtp: SmtpServer, journal: Journal) -> None:
    sender = await cluster.sender(relay(smtp))

    await sender.stop()

    assert journal.told("member_ended", role="sender", error="None")
    await smtp.all_gone()
