"""The same queue on a real cluster of three primaries: shards on all of them, and slots that move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain.message import Acceptance, Priority, Submission
from shared.domain.states import State
from shared.queue.keys import slot, wake_channel
from shared.queue.leases import Begin, FlowRequest, Lease, Settlement
from shared.queue.owners import Done
from shared.queue.provider_state import Limits
from tests.queue.bells import Bells, Ear
from tests.queue.conftest import OpenQueue
from tests.queue.scenario import HOUR, LEASE_MS, MINUTE, START, Scenario, attempt, envelope, large_envelope
from tests.redis_server import IN_MEMORY, RedisCluster, RedisServer

SHARDS = 12


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(Path(tmp_path_factory.mktemp("cluster")), 3, 0, *IN_MEMORY) as running:
        yield running


@pytest.fixture
async def scenario(open_queue: OpenQueue, cluster: RedisCluster) -> Scenario:
    return await Scenario.of(await open_queue(shards=SHARDS, url=cluster.url))


def holder_of(server: RedisServer, moved: int) -> int:
    """Return the port of the primary that holds a slot, in the eyes of one server."""
    ranges = server.command("CLUSTER", "SLOTS")
    return next(int(primary[1]) for first, last, primary, *_ in ranges if first <= moved <= last)


def move_slot(cluster: RedisCluster, moved: int) -> None:
    """Move a slot to the next primary, as an operator would, and wait until every node knows."""
    held_by = holder_of(cluster.primaries[0], moved)
    ports = [server.port for server in cluster.primaries]
    source, target = (cluster.primaries[(ports.index(held_by) + step) % len(ports)] for step in (0, 1))
    node = target.command("CLUSTER", "MYID").decode()
    source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", moved, moved, "NODE", node)
    deadline = time.monotonic() + 10
    while not all(holder_of(server, moved) == target.port for server in cluster.primaries):
        assert time.monotonic() < deadline, source.command("CLUSTER", "GETSLOTMIGRATIONS")
        time.sleep(0.01)


async def accept(scenario: Scenario, number: int = 120) -> list[str]:
    """Submit keyed messages, which lie in all shards; return their ids."""
    batch = [scenario.prepare(idempotency_key=f"k{index}", fingerprint="f", ttl_ms=HOUR) for index in range(number)]
    assert len({prepared.shard for prepared in batch}) == SHARDS
    results = await scenario.queue.submissions.submit(batch)
    assert all(isinstance(result, Acceptance) for result in results), results
    return [prepared.id for prepared in batch]


async def lease_all(scenario: Scenario) -> list[Lease]:
    """Lease what waits in every shard."""
    request = FlowRequest("default", Priority.NORMAL, 250)
    leased = await asyncio.gather(*(scenario.queue.leases.lease(shard, [request]) for shard in range(SHARDS)))
    return [lease for one in leased for lease in one.leases]


async def test_shards_lie_on_all_primaries(scenario: Scenario) -> None:
    core = scenario.queue.core
    holders = [await core.servers.primary_of(slot(core.tag(shard))) for shard in range(SHARDS)]
    shares = sorted(holders.count(holder) for holder in set(holders))
    assert len(shares) == 3
    assert shares[-1] - shares[0] <= 2


async def test_a_message_goes_its_whole_way_in_every_shard(scenario: Scenario) -> None:
    ids = await accept(scenario)
    leases = await lease_all(scenario)
    assert {lease.id for lease in leases} == set(ids)
    for lease in leases:
        (begun,) = await scenario.queue.leases.begin(lease.shard, [Begin(lease, 1, "relay", lease.pending)])
        assert begun.status == "begun"
        fails = None if lease.shard % 2 else "no_provider_can_carry"
        settlement = Settlement(lease, attempt(), fail_rest=fails, delay_ms=MINUTE)
        await scenario.queue.leases.settle(lease.shard, [settlement])
    await scenario.advance(MINUTE)
    for shard in range(SHARDS):
        await scenario.queue.chores.promote(shard)
    depths = await scenario.queue.views.depths()
    assert depths.total(State.QUEUED) + depths.total(State.FAILED) == len(ids)
    assert len((await scenario.queue.views.page([State.FAILED], 100)).records) == depths.total(State.FAILED)


async def test_owners_reach_messages_wherever_they_lie(scenario: Scenario) -> None:
    ids = await accept(scenario)
    assert {result.done for result in await scenario.queue.owners.cancel(ids)} == {Done.DONE}
    assert {result.done for result in await scenario.queue.owners.delete(ids)} == {Done.DONE}


async def test_the_scheduler_does_its_work_in_every_shard(scenario: Scenario) -> None:
    await accept(scenario)
    await lease_all(scenario)
    await scenario.advance(LEASE_MS)
    bounds = {"ambiguous_delay_ms": 1, "max_rounds": 1, "max_age_ms": 1}
    reaped = [one for shard in range(SHARDS) for one in await scenario.queue.chores.reap(shard, **bounds)]
    await scenario.advance(HOUR)
    expired = [state for shard in range(SHARDS) for state in (await scenario.queue.chores.expire(shard)).states]
    dropped = [await scenario.queue.chores.drop_content(shard, keep_ms=0) for shard in range(SHARDS)]
    trimmed = [await scenario.queue.chores.trim(shard, finished_ms=0, failed_ms=0) for shard in range(SHARDS)]
    assert len(reaped) == len(expired) == sum(dropped) == sum(trimmed) == 120


async def test_a_large_content_lies_with_its_message(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(large_envelope())
    assert await scenario.queue.leases.whole(lease) == large_envelope()


async def test_bells_ring_through_the_node_of_their_shard(scenario: Scenario) -> None:
    for shard in range(SHARDS):
        async with Bells(scenario.queue.core, shard) as bells:
            prepared = scenario.queue.submissions.prepare(Submission(envelope()), shard)
            await scenario.send(prepared)
            assert await bells.rung() == ["wake default:normal"]


async def test_what_belongs_to_no_shard_has_a_node_too(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a", {})
    assert [process.at for process in await scenario.queue.processes.census()] == [START]
    assert (await scenario.queue.providers.draw("relay", Limits(1, 2), 5)).granted == 2


async def test_nodes_that_forgot_the_scripts_are_told_them_again(scenario: Scenario, cluster: RedisCluster) -> None:
    for server in cluster.primaries:
        server.command("SCRIPT", "FLUSH")
    assert len(await accept(scenario)) == 120


async def test_a_slot_that_moved_is_followed(scenario: Scenario, cluster: RedisCluster) -> None:
    ids = await accept(scenario)
    move_slot(cluster, slot(scenario.tag))
    assert len(await lease_all(scenario)) == len(ids)
    assert {result.done for result in await scenario.queue.owners.cancel(ids)} == {Done.DONE}


async def test_a_topology_that_is_out_of_date_is_learned_from_the_answer(
    scenario: Scenario, cluster: RedisCluster
) -> None:
    moved = slot(scenario.tag)
    before = await scenario.queue.core.servers.primary_of(moved)
    move_slot(cluster, moved)
    await scenario.submit()
    assert await scenario.queue.core.servers.primary_of(moved) is not before


async def test_a_bell_whose_slot_moves_away_is_heard_again(scenario: Scenario, cluster: RedisCluster) -> None:
    core, channel = scenario.queue.core, wake_channel(scenario.tag)
    async with Ear(core, "wake") as ear:
        assert await ear.heard() == (None, "")
        await asyncio.to_thread(move_slot, cluster, slot(scenario.tag))
        async with asyncio.timeout(20):
            while await core.plain(scenario.tag, [("PUBSUB", "SHARDNUMSUB", channel)]) != [[channel.encode(), 1]]:
                await core.servers.learn()
        await scenario.submit()
        while (rung := await ear.heard()) == (None, ""):
            pass
        assert rung == (0, "default:normal")
