"""What a scheduler shows of the queue, the processes and Redis, on real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain.message import Priority
from shared.queue.pauses import Pause, Scale
from shared.settings.model import config_revision
from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import RedisServer, free_port
from tests.services.sender.cluster import Cluster, Member, letter, relay
from tests.services.sender.conftest import OpenCluster
from tests.services.sender.journal import Journal


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may kill, with its file on."""
    with RedisServer(tmp_path / "valkey") as running:
        yield running


async def test_each_shard_shows_its_unfinished_messages(open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(shards=3)
    await cluster.submit_all([letter()] * 9, at_once=3)
    scheduler = await cluster.scheduler(redis={"shards": 3})

    for shard in "012":
        await scheduler.shows(3, "shard_depth", shard=shard)


async def test_every_process_is_counted(cluster: Cluster) -> None:
    first = await cluster.scheduler()
    await cluster.scheduler()
    await cluster.sender({"name": "none", "kind": "sandbox"})

    await first.shows(2, "processes", role="scheduler")
    await first.shows(1, "processes", role="sender")
    assert await first.series("processes", role="frontend") == [0]


async def test_a_process_that_ends_is_counted_no_longer(cluster: Cluster) -> None:
    scheduler = await cluster.scheduler()
    sender = await cluster.sender({"name": "none", "kind": "sandbox"})
    await scheduler.shows(1, "processes", role="sender")
    await sender.stop()
    cluster.members.remove(sender)

    await scheduler.shows(0, "processes", role="sender")


async def test_what_is_paused_is_counted_until_it_is_resumed(cluster: Cluster) -> None:
    scheduler = await cluster.scheduler()
    for name in ("news", "default"):
        await cluster.queue.pauses.pause(Pause(Scale.POOL, name, "a bad template"))

    await scheduler.shows(2, "pauses", scale="pool")
    assert await scheduler.series("pauses", scale="everything") == [0]
    await cluster.queue.pauses.resume(Scale.POOL, "news")
    await scheduler.shows(1, "pauses", scale="pool")


async def test_a_pause_that_has_ended_is_counted_no_longer(cluster: Cluster) -> None:
    scheduler = await cluster.scheduler()
    await cluster.queue.pauses.pause(Pause(Scale.EVERYTHING))
    await scheduler.shows(1, "pauses", scale="everything")
    await cluster.queue.pauses.pause(Pause(Scale.EVERYTHING, until=await cluster.redis_now() + 1))

    await scheduler.shows(0, "pauses", scale="everything")


async def test_the_primary_is_shown_as_it_is(own_server: RedisServer, open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(url=own_server.url)
    scheduler = await cluster.scheduler(durability={"replicas": 2})
    server = f"127.0.0.1:{own_server.port}"
    await scheduler.shows(1, "redis_up", server=server)

    assert await scheduler.metric("redis_aof_ok", server=server) == 1
    assert await scheduler.metric("redis_memory_used_bytes", server=server) > 100_000
    assert await scheduler.metric("redis_replicas_wanted") == 2


async def test_a_primary_that_fell_shows_that_and_nothing_else(
    tmp_path: Path, journal: Journal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with RedisServer(tmp_path / "valkey") as redis:
        cluster = Cluster(redis.url, "m", tmp_path_factory.mktemp("config"), journal)
        await cluster.open()
        scheduler = await cluster.scheduler()
        server = f"127.0.0.1:{redis.port}"
        await scheduler.shows(1, "redis_up", server=server)
        redis.kill()
        await scheduler.shows(0, "redis_up", server=server)

        assert await scheduler.series("redis_memory_used_bytes", server=server) == []
        redis.start()
        await cluster.close()


async def test_a_scheduler_that_lost_redis_shows_no_reading_of_before_until_there_is_another(
    tmp_path: Path, journal: Journal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    readings = ("queue_depth", "oldest_ready_age_seconds", "shard_depth", "processes", "pauses", "stranded_messages")
    with RedisServer(tmp_path / "valkey") as redis:
        cluster = Cluster(redis.url, "m", tmp_path_factory.mktemp("config"), journal)
        await cluster.open()
        await cluster.submit()
        scheduler = await cluster.scheduler()
        for name in readings:
            await shows_any(scheduler, name)
        redis.kill()
        for name in readings:
            await shows_none(scheduler, name)

        redis.start()
        for name in readings:
            await shows_any(scheduler, name)
        await cluster.close()


async def shows_any(member: Member, name: str) -> None:
    """Wait until a metric shows something."""
    async with asyncio.timeout(30):
        while not await member.series(name):  # noqa: ASYNC110 - a gauge is withdrawn and set in silence
            await asyncio.sleep(0.02)


async def shows_none(member: Member, name: str) -> None:
    """Wait until a metric shows nothing."""
    async with asyncio.timeout(30):
        while await member.series(name):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_mail_whose_only_provider_is_dead_is_shown_as_stranded_and_no_other(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    scheduler = await cluster.scheduler()
    dead = {"name": "dead", "kind": "smtp", "host": "127.0.0.1", "port": free_port(), "tls": "none"}
    sender = await cluster.sender({**dead, "pools": ["partner"]}, relay(smtp, pools=["default"]))
    stranded = await cluster.submit_all([letter()] * 2, pool="partner", priority=Priority.CRITICAL)
    served = await cluster.submit()
    await cluster.ended(served)
    await journal.saw("breaker_opened", provider="dead")

    await scheduler.shows(2, "stranded_messages", pool="partner", priority="critical")
    await scheduler.shows(0, "stranded_messages", pool="default")
    await cluster.reload(sender, relay(smtp, pools=["default", "partner"]))
    for one in stranded:
        await cluster.ended(one)
    await scheduler.shows(0, "stranded_messages", pool="partner")


async def test_mail_of_a_pool_that_is_paused_is_not_shown_as_stranded(cluster: Cluster) -> None:
    scheduler = await cluster.scheduler()
    await cluster.submit(pool="partner")
    await scheduler.shows(1, "stranded_messages", pool="partner")
    await cluster.queue.pauses.pause(Pause(Scale.POOL, "partner"))

    await scheduler.shows(0, "stranded_messages", pool="partner")


async def test_a_scheduler_shows_which_configuration_it_has_taken_over(cluster: Cluster) -> None:
    scheduler = await cluster.scheduler()
    before = cluster.settings({"name": "none", "kind": "sandbox"})
    assert await scheduler.metric("config_info", revision=config_revision(before)) == 1
    await cluster.reload(scheduler, {"name": "other", "kind": "sandbox"})
    after = cluster.settings({"name": "other", "kind": "sandbox"})

    assert await scheduler.metric("config_info", revision=config_revision(after)) == 1
    assert await scheduler.metric("config_info") == 1, "no other is shown"
