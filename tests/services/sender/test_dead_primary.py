"""One primary of a Redis Cluster that does not answer holds up no message of the others."""

from __future__ import annotations

from pathlib import Path

from shared.domain.ids import shard_of
from shared.domain.message import Acceptance, Submission
from shared.queue.keys import slot
from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import IN_MEMORY, RedisCluster, RedisServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal

SHARDS = 6


def shards_on(cluster: Cluster, server: RedisServer) -> set[int]:
    core = cluster.queue.core
    return {
        shard
        for shard in range(SHARDS)
        if (primary := core.servers.topology.primary_of(slot(core.tag(shard)))) and primary.port == server.port
    }


async def submit_to(cluster: Cluster, shards: list[int]) -> list[str]:
    submissions = cluster.queue.submissions
    batch = [submissions.prepare(Submission(letter()), shard) for shard in shards for _ in range(10)]
    results = await submissions.submit(batch)
    assert all(isinstance(result, Acceptance) for result in results), results
    return [prepared.id for prepared in batch]


async def test_messages_of_living_shards_are_sent_while_a_primary_is_frozen_and_its_own_afterwards(
    tmp_path: Path, smtp: SmtpServer, journal: Journal
) -> None:
    """The cluster itself is told to have patience, or it would give the frozen one up."""
    with RedisCluster(tmp_path / "redis", 3, 0, *IN_MEMORY, "--cluster-node-timeout", "60000") as redis:
        cluster = Cluster(redis.url, "dead", tmp_path, journal)
        await cluster.open(shards=SHARDS)
        # The bucket of the provider lies on one of the primaries too: the frozen one must not be it.
        bucket = await cluster.queue.core.servers.primary_of(slot(cluster.queue.core.provider_tag("relay")))
        frozen = next(server for server in redis.primaries if server.port != bucket.address.port)
        dead = shards_on(cluster, frozen)
        ids = await cluster.submit_all([letter()] * 60, at_once=5)
        living = {message_id for message_id in ids if shard_of(message_id) not in dead}
        assert dead
        assert 0 < len(living) < len(ids)
        await cluster.sender(relay(smtp), redis={"shards": SHARDS})
        await smtp.received(len(ids))

        frozen.freeze()
        try:
            # Only who has run into the frozen one can be held up by it.
            await journal.until(lambda: journal.told("chore_failed", chore="lease"), "a look at a frozen shard")
            later = await submit_to(cluster, sorted(set(range(SHARDS)) - dead))
            await smtp.received(len(ids) + len(later))
        finally:
            frozen.thaw()
        await cluster.drained()
        await cluster.close()

    assert not journal.told("actor_crashed")
    assert sorted(ids_of(smtp.mails)) == sorted([*ids, *later])
