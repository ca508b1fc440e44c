"""Messages that are sent later: never before their time, and not at all once they are cancelled."""

from __future__ import annotations

import pytest

from shared.domain.message import Priority
from shared.domain.states import State
from shared.queue.owners import Done
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal

HOUR = 3_600_000


async def test_nothing_is_sent_before_its_time(cluster: Cluster, smtp: SmtpServer) -> None:
    """Judged by the clock that decides: the attempt begins at or after `send_at`."""
    await cluster.sends_through(smtp)
    send_at = await cluster.redis_now() + 1_000

    ids = await cluster.submit_all([letter()] * 20, send_at=send_at)
    await smtp.received(20)
    arrived_at = await cluster.redis_now()
    await cluster.drained()

    started = [(await cluster.view(message_id)).attempts[0].started_at for message_id in ids]
    assert send_at <= min(started) <= max(started) <= arrived_at


async def test_an_earlier_message_does_not_wait_for_a_later_one(
    cluster: Cluster, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bell of a submission wakes a scheduler that would sleep for an hour."""
    monkeypatch.setattr("services.scheduler.wakeup.LONGEST_SECONDS", 3_600.0)
    await cluster.sends_through(smtp)
    await cluster.is_heard("due")
    await cluster.submit(send_at=await cluster.redis_now() + HOUR)

    soon = await cluster.submit(send_at=await cluster.redis_now() + 300)
    await cluster.came_to(State.SENT, soon)

    assert ids_of(smtp.mails) == [soon]


async def test_a_submission_wakes_a_sender_that_sleeps(
    cluster: Cluster, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sender.dispatcher._SWEEP_SECONDS", 3_600.0)
    await cluster.sender(relay(smtp))
    await cluster.is_heard("wake")

    for _ in range(3):
        await cluster.came_to(State.SENT, await cluster.submit())


async def test_a_message_that_is_cancelled_before_its_time_is_never_sent(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)
    send_at = await cluster.redis_now() + 500
    cancelled = await cluster.submit(send_at=send_at)
    sent = await cluster.submit(send_at=send_at + 1)

    (result,) = await cluster.queue.owners.cancel([cancelled])
    await cluster.came_to(State.SENT, sent)

    assert result.done is Done.DONE
    assert ids_of(smtp.mails) == [sent]
    assert (await cluster.view(cancelled)).state is State.CANCELLED


async def test_a_message_that_expires_before_its_time_is_never_sent(cluster: Cluster, smtp: SmtpServer) -> None:
    now = await cluster.redis_now()
    await cluster.sends_through(smtp)

    record = await cluster.ended(await cluster.submit(send_at=now + HOUR, expires_at=now + 300))

    assert record.state is State.EXPIRED
    assert smtp.mails == []


async def test_a_message_that_waits_for_a_server_ends_when_it_expires(cluster: Cluster, smtp: SmtpServer) -> None:
    await smtp.refuse()
    await cluster.sends_through(smtp)

    record = await cluster.ended(await cluster.submit(ttl_ms=600))

    assert (record.state, record.rounds) == (State.EXPIRED, 0)


async def test_a_crowd_that_is_due_at_one_instant_is_promoted_whole(cluster: Cluster, journal: Journal) -> None:
    await cluster.submit_all([letter()] * 5_000, send_at=await cluster.redis_now() + 1_500)
    waiting = await cluster.count(State.SCHEDULED)  # on a slow machine the first few may be due already

    scheduler = await cluster.scheduler()
    await journal.until(lambda: promoted(journal) >= waiting, "all are promoted")

    assert promoted(journal) == waiting
    assert await scheduler.metric("promoted_total", **{"from": "scheduled"}) == waiting
    assert await scheduler.metric("promotion_lateness_seconds_count") == waiting
    assert await cluster.count(State.QUEUED) == 5_000


async def test_messages_of_a_crowd_keep_the_order_of_their_priorities(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    send_at = await cluster.redis_now() + 500
    for priority in ("bulk", "normal", "high", "critical"):
        await cluster.submit_all([letter()] * 2, send_at=send_at, priority=Priority(priority))
    await cluster.scheduler()
    await journal.until(lambda: promoted(journal) == 8, "all are promoted")

    await cluster.sender(relay(smtp, concurrency=1))
    await cluster.drained()

    order = [(await cluster.view(message_id)).priority.value for message_id in ids_of(smtp.mails)]
    assert order[:2] == ["critical", "critical"]


def promoted(journal: Journal) -> int:
    """Return how many messages were promoted."""
    return sum(line["count"] for line in journal.told("messages_promoted"))
