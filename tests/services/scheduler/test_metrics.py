"""What a scheduler shows of the queue, the processes and Redis, on real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.queue.pauses import Pause, Scale
from shared.settings.model import config_revision
from tests.redis_server import RedisServer
from tests.services.sender.cluster import Cluster, letter
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


async def test_a_scheduler_shows_which_configuration_it_has_taken_over(cluster: Cluster) -> None:
    scheduler = await cluster.scheduler()
    before = cluster.settings({"name": "none", "kind": "sandbox"})
    assert await scheduler.metric("config_info", revision=config_revision(before)) == 1
    await cluster.reload(scheduler, {"name": "other", "kind": "sandbox"})
    after = cluster.settings({"name": "other", "kind": "sandbox"})

    assert await scheduler.metric("config_info", revision=config_revision(after)) == 1
    assert await scheduler.metric("config_info") == 1, "no other is shown"
