"""The scheduler as it runs: woken by bells, beside others, and through outages of Redis."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.scheduler.app import Scheduler
from services.scheduler.chores import Means
from services.scheduler.contact import Contact
from shared.domain.errors import Unavailable
from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.chores import Promoted
from shared.queue.owners import Change
from shared.runtime.metrics import SCHEDULER, Metrics
from shared.settings.model import Settings
from tests.fakes.smtp_server import Act, SmtpServer
from tests.redis_server import RedisServer, free_port
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.conftest import OpenCluster
from tests.services.sender.journal import Journal

HOUR = 3_600_000


def promoted(journal: Journal) -> int:
    """Return how many messages were promoted."""
    return sum(line["count"] for line in journal.told("messages_promoted"))


def waiting(journal: Journal) -> int:
    """Return how many processes have said that they wait for Redis."""
    return len(journal.told("redis_awaited")) + len(journal.told("redis_lost"))


async def test_two_schedulers_promote_each_message_once(cluster: Cluster, journal: Journal) -> None:
    for _ in range(2):
        await cluster.scheduler()
    ids = await cluster.submit_all([letter()] * 2_000, send_at=await cluster.redis_now() + 500)
    await journal.until(lambda: promoted(journal) >= 2_000, "2,000 are promoted")

    events = [[event.type for event in (await cluster.view(message_id)).events] for message_id in ids[::100]]
    assert promoted(journal) == 2_000
    assert events == [["message.scheduled", "message.queued"]] * 20


async def test_every_shard_is_looked_after(open_cluster: OpenCluster, journal: Journal) -> None:
    cluster = await open_cluster(shards=4)
    await cluster.scheduler(redis={"shards": 4})

    await cluster.submit_all([letter()] * 8, at_once=1, send_at=await cluster.redis_now() + 300)
    await journal.until(lambda: promoted(journal) == 8, "8 are promoted")

    assert {line["shard"] for line in journal.told("messages_promoted")} == {0, 1, 2, 3}


async def test_a_message_that_is_due_before_the_others_wakes_the_scheduler(cluster: Cluster) -> None:
    await cluster.submit(send_at=await cluster.redis_now() + HOUR)
    scheduler = await cluster.scheduler()

    send_at = await cluster.redis_now() + 100
    message_id = await cluster.submit(send_at=send_at)
    await cluster.came_to(State.QUEUED, message_id)

    assert await scheduler.metric("promoted_total", **{"from": "scheduled"}) == 1


async def test_a_change_of_the_send_time_to_now_wakes_nobody_and_needs_nobody(cluster: Cluster) -> None:
    message_id = await cluster.submit(send_at=await cluster.redis_now() + HOUR)

    await cluster.queue.owners.change(message_id, Change(send_at=None))

    assert (await cluster.view(message_id)).state is State.QUEUED


async def test_a_look_that_failed_begins_the_contact_anew(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, journal: Journal
) -> None:
    """What happened meanwhile is not known, and every lease may look overdue."""
    contact = Contact(lease_seconds=0, clock=time.monotonic)
    scheduler = Scheduler(Means(cluster.queue, Settings(), Metrics(SCHEDULER), contact))
    contact.answered(0, "primary", time.monotonic())

    async def promote(shard: int) -> Promoted:
        raise Unavailable(f"shard {shard} is away")

    monkeypatch.setattr(cluster.queue.chores, "promote", promote)
    watching = asyncio.ensure_future(scheduler.watch(0))
    await journal.saw("chore_failed", chore="look")
    watching.cancel()

    assert not contact.is_steady(0)


async def test_living_senders_keep_their_leases_over_an_outage(
    tmp_path_factory: pytest.TempPathFactory, smtp: SmtpServer, journal: Journal
) -> None:
    """When Redis is back every lease is overdue; the scheduler gives their senders the time to renew."""
    smtp.plan("end", Act.HANG)
    with RedisServer(tmp_path_factory.mktemp("frozen")) as redis:
        cluster = Cluster(redis.url, "f", tmp_path_factory.mktemp("config"), journal)
        await cluster.open()
        await cluster.scheduler()
        await cluster.sender(relay(smtp, answer_seconds=8))
        message_id = await cluster.submit()
        await smtp.at("end")

        redis.freeze()
        await journal.saw("chore_failed", chore="look", times=2)  # longer than the lease of 2 s
        redis.thaw()
        record = await cluster.came_to(State.SENT, message_id)
        await cluster.close()

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS, Outcome.ACCEPTED]
    assert "sender was lost" not in record.attempts[0].detail
    assert not journal.told("lease_reclaimed")


async def test_processes_that_start_before_redis_join_when_it_comes(
    tmp_path_factory: pytest.TempPathFactory, smtp: SmtpServer, journal: Journal
) -> None:
    port = free_port()
    redis = RedisServer(tmp_path_factory.mktemp("late"), port=port)
    cluster = Cluster(redis.url, "l", tmp_path_factory.mktemp("config"), journal)
    await cluster.scheduler()
    await cluster.sender(relay(smtp))
    await journal.until(lambda: waiting(journal) == 2, "both wait for Redis")

    with redis:
        await cluster.open()
        message_id = await cluster.submit(send_at=await cluster.redis_now() + 200)
        await cluster.came_to(State.SENT, message_id)
        await cluster.close()

    assert ids_of(smtp.mails) == [message_id]


async def test_mail_flows_again_after_redis_was_killed_and_started_anew(
    tmp_path_factory: pytest.TempPathFactory, smtp: SmtpServer, journal: Journal
) -> None:
    """Scripts are forgotten, connections and subscriptions broken, clocks and bells new."""
    with RedisServer(tmp_path_factory.mktemp("killed")) as redis:
        cluster = Cluster(redis.url, "k", tmp_path_factory.mktemp("config"), journal)
        await cluster.open()
        await cluster.scheduler()
        await cluster.sender(relay(smtp))
        send_at = await cluster.redis_now() + 1_000
        before = await cluster.submit_all([letter()] * 20, send_at=send_at)

        redis.kill()
        redis.start()
        after = await cluster.submit_all([letter()] * 20)
        await cluster.drained()
        await cluster.close()

    assert sorted(ids_of(smtp.mails)) == sorted([*before, *after])


async def test_a_scheduler_without_work_stops_at_once(cluster: Cluster, journal: Journal) -> None:
    scheduler = await cluster.scheduler()

    await scheduler.stop()

    assert journal.told("member_ended", role="scheduler", error="None")


async def test_a_scheduler_that_waits_for_redis_can_be_stopped(
    tmp_path_factory: pytest.TempPathFactory, journal: Journal
) -> None:
    cluster = Cluster(f"redis://127.0.0.1:{free_port()}/0", "n", tmp_path_factory.mktemp("config"), journal)
    scheduler = await cluster.scheduler()
    await journal.until(lambda: waiting(journal), "it waits for Redis")

    await scheduler.stop()

    assert journal.told("member_ended", role="scheduler", error="None")
