"""Several senders and the same providers: limits, quotas, health and pauses are theirs together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.policy import quotas
from shared.queue.pauses import Pause, Scale
from tests.fakes.smtp_server import Act, Say, SmtpServer
from tests.services.sender.cluster import Cluster, letter, relay
from tests.services.sender.journal import Journal


@pytest.fixture
async def third_smtp() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


async def providers_state(cluster: Cluster, name: str) -> set[str]:
    """Return the states in which the senders see a provider."""
    census = await cluster.queue.processes.census()
    return {row["state"] for process in census for row in process.told.get("providers", ()) if row["name"] == name}


async def in_state(cluster: Cluster, name: str, state: str) -> None:
    """Wait until every sender sees a provider so."""
    async with asyncio.timeout(20):
        while await providers_state(cluster, name) != {state}:
            pass


# Health


async def test_a_wrong_account_is_found_by_one_sender_left_by_all_and_named_though_all_mail_flows(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    smtp.plan("mail", *[Say("550 5.7.1 not allowed to send as shop@example.com")] * 50)
    await cluster.scheduler()
    senders = [await cluster.sender(relay(smtp, "first", weight=9), relay(other_smtp, "second")) for _ in range(2)]
    ids = await cluster.submit_all([letter()] * 100)
    await cluster.drained()

    assert await cluster.count(State.SENT) == 100
    assert len(other_smtp.mails) == 100
    await in_state(cluster, "first", "misconfigured")
    assert journal.told("provider_misconfigured", provider="first")
    assert [await sender.metric("provider_misconfigured", provider="first") for sender in senders] == [1, 1]
    records = [await cluster.view(message_id) for message_id in ids]
    tried = [attempt for record in records for attempt in record.attempts if attempt.provider == "first"]
    assert {attempt.outcome for attempt in tried} == {Outcome.MISCONFIGURED}


async def test_a_sender_that_starts_knows_what_the_others_have_learned(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    smtp.plan("mail", *[Say("550 5.7.1 not allowed to send as shop@example.com")] * 50)
    await cluster.scheduler()
    first = await cluster.sender(relay(smtp, "first", weight=99), relay(other_smtp, "second"))
    await cluster.submit_all([letter()] * 20)
    await cluster.drained()
    await first.stop()

    await cluster.sender(relay(smtp, "first", weight=99), relay(other_smtp, "second"))
    await in_state(cluster, "first", "misconfigured")
    records = [await cluster.view(id_) for id_ in await cluster.submit_all([letter()] * 20)]
    await cluster.drained()

    records = [await cluster.view(record.id) for record in records]
    assert {attempt.provider for record in records for attempt in record.attempts} == {"second"}


# Limits


async def test_two_senders_never_pass_a_quota_and_the_next_provider_takes_over(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await cluster.scheduler()
    limited = relay(smtp, "limited", quotas=[{"messages": 30, "per": "day"}])
    for _ in range(2):
        await cluster.sender(limited, relay(other_smtp, "spare", tier=2))
    await cluster.submit_all([letter()] * 100)
    await cluster.drained()

    assert len(smtp.mails) <= 30
    assert len(smtp.mails) + len(other_smtp.mails) == 100
    await cluster.submit_all([letter()] * 20)
    await cluster.drained()
    while len(smtp.mails) < 30:  # what one sender drew and did not use, another one does
        # So many that each sender takes some: one by one, the sender that has no unit left may take them all.
        await cluster.submit_all([letter()] * 40)
        await cluster.drained()
    await in_state(cluster, "limited", "quota_spent")


async def test_a_quota_frees_when_its_window_has_passed(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, smtp: SmtpServer
) -> None:
    """The hour of this test has three seconds."""
    monkeypatch.setitem(quotas._WINDOW_MS, "hour", 3_000)
    await cluster.scheduler()
    await cluster.sender(relay(smtp, quotas=[{"messages": 5, "per": "hour"}]))
    ids = await cluster.submit_all([letter()] * 10)
    await cluster.drained()

    began = sorted([(await cluster.view(message_id)).attempts[0].started_at for message_id in ids])
    assert len(smtp.mails) == 10
    assert all(began[number + 5] - began[number] > 3_000 for number in range(5))


# Pauses


async def test_what_is_paused_goes_to_no_provider_and_what_is_resumed_does(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)
    await cluster.came_to(State.SENT, await cluster.submit())
    await cluster.queue.pauses.pause(Pause(Scale.EVERYTHING, reason="maintenance"))
    ids = await cluster.submit_all([letter()] * 50)
    await in_state(cluster, "relay", "healthy")
    assert len(smtp.mails) == 1

    await cluster.queue.pauses.resume(Scale.EVERYTHING)
    await cluster.drained()
    assert await cluster.count(State.SENT) == 1 + len(ids)


async def test_a_paused_provider_is_passed_over_and_says_so(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await cluster.queue.pauses.pause(Pause(Scale.PROVIDER, "first", "key rotation"))
    sender = await cluster.sender(relay(smtp, "first"), relay(other_smtp, "second", tier=2))
    await in_state(cluster, "first", "paused")
    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [(step.provider, step.code) for step in record.attempts[0].route] == [
        ("first", "paused"),
        ("second", "lower_tier"),
    ]
    assert (smtp.mails, await sender.metric("provider_paused", provider="first")) == ([], 1)


async def test_a_pool_that_is_paused_holds_up_no_other(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await cluster.queue.pauses.pause(Pause(Scale.POOL, "news", "a bad template"))
    await cluster.sender(relay(smtp, "first"), relay(other_smtp, "second", pools=["news"]))
    held = await cluster.submit(pool="news")
    await cluster.came_to(State.SENT, await cluster.submit())

    assert (await cluster.view(held)).state is State.QUEUED
    assert other_smtp.mails == []


async def test_an_attempt_under_way_when_the_pause_comes_is_not_broken_off(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("end", Act.HANG)
    await cluster.sends_through(smtp)
    message_id = await cluster.submit()
    await smtp.at("end")
    await cluster.queue.pauses.pause(Pause(Scale.PROVIDER, "relay"))
    await smtp.drop()

    async def has_ended() -> bool:
        return bool((await cluster.view(message_id)).attempts)

    async with asyncio.timeout(10):
        while not await has_ended():
            pass
    record = await cluster.view(message_id)
    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS]
    await cluster.queue.pauses.resume(Scale.PROVIDER, "relay")
    await cluster.came_to(State.SENT, message_id)
