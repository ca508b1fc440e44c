"""Asking real servers how they are: alone, with a replica, without rights, and while another takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.queue.condition import Condition, conditions
from shared.queue.core import Core
from shared.queue.topology import Passwords
from tests.redis_server import RedisCluster, RedisServer, free_port


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "primary") as running:
        running.command("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        yield running


async def condition(url: str) -> Condition:
    """Return how the one server behind a URL is."""
    core = Core.connect(url)
    (found,) = await conditions(core)
    await core.close()
    return found


async def until(core: Core, holds: Callable[[list[Condition]], bool]) -> list[Condition]:
    """Ask until the primaries are so, and return how they are."""
    async with asyncio.timeout(30):
        while True:
            found = await conditions(core)
            if holds(found):
                return found


def servers(found: list[Condition]) -> set[str]:
    return {one.server for one in found}


async def test_a_server_as_we_ask_for_it_keeps_its_file(primary: RedisServer) -> None:
    found = await condition(primary.url)

    assert (found.server, found.is_up, found.is_aof_on, found.is_aof_written) == (
        f"127.0.0.1:{primary.port}",
        True,
        True,
        True,
    )
    assert (found.replicas, found.memory_limit_bytes) == (0, 0)
    assert (found.memory_used_bytes or 0) > 100_000


async def test_a_file_that_is_switched_off_is_noticed(primary: RedisServer) -> None:
    primary.command("CONFIG", "SET", "appendonly", "no")

    assert (await condition(primary.url)).is_aof_on is False


async def test_a_limit_of_memory_is_noticed(primary: RedisServer) -> None:
    primary.command("CONFIG", "SET", "maxmemory", 512 * 1024 * 1024)

    assert (await condition(primary.url)).memory_limit_bytes == 512 * 1024 * 1024


async def test_a_replica_counts_once_it_is_online(primary: RedisServer, tmp_path: Path) -> None:
    core = Core.connect(primary.url)
    with RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(primary.port)):
        await until(core, lambda found: found[0].replicas == 1)
    await core.close()


async def test_a_server_that_is_away_is_not_up() -> None:
    port = free_port()

    assert await condition(f"redis://127.0.0.1:{port}/0") == Condition(f"127.0.0.1:{port}", is_up=False)


async def test_a_server_that_was_made_a_replica_is_not_up(primary: RedisServer) -> None:
    primary.command("REPLICAOF", "127.0.0.1", free_port())

    assert not (await condition(primary.url)).is_up


async def test_a_server_that_tells_us_nothing_is_up_all_the_same(primary: RedisServer) -> None:
    primary.command("ACL", "SETUSER", "scheduler", "on", ">secret", "~*", "+@all", "-info")
    core = Core.connect(f"redis://scheduler@127.0.0.1:{primary.port}/0", passwords=Passwords("secret"))
    found = await conditions(core)
    await core.close()

    assert found == [Condition(f"127.0.0.1:{primary.port}", is_up=True)]


async def test_the_rights_that_the_operations_page_gives_a_scheduler_are_enough(primary: RedisServer) -> None:
    page = Path(__file__).parents[2] / "docs" / "operations.md"
    (line,) = [line for line in page.read_text().splitlines() if line.startswith("user scheduler ")]
    primary.command("ACL", "SETUSER", *line.replace(">…", ">secret").split()[1:])
    core = Core.connect(f"redis://scheduler@127.0.0.1:{primary.port}/0", passwords=Passwords("secret"))
    (found,) = await conditions(core)
    await core.close()

    assert (found.is_aof_on, found.replicas) == (True, 0)


async def test_another_that_took_the_place_of_one_that_fell_is_shown_instead(tmp_path: Path) -> None:
    with RedisCluster(tmp_path, 3, 1) as cluster:
        core = Core.connect(cluster.url)
        before = servers(await conditions(core))
        cluster.primaries[0].kill()
        found = await until(core, lambda found: all(one.is_up for one in found))
        await core.close()

    fallen, successor = cluster.primaries[0].port, cluster.replicas[0].port
    assert servers(found) == before - {f"127.0.0.1:{fallen}"} | {f"127.0.0.1:{successor}"}


async def test_a_primary_that_stepped_down_is_shown_no_longer(tmp_path: Path) -> None:
    """It answers, so that only what it says of itself tells it from a primary."""
    with RedisCluster(tmp_path, 3, 1) as cluster:
        core = Core.connect(cluster.url)
        before = servers(await conditions(core))
        old, new = cluster.primaries[0], cluster.replicas[0]
        new.command("CLUSTER", "FAILOVER", "FORCE")
        found = await until(core, lambda found: f"127.0.0.1:{new.port}" in servers(found))
        await core.close()

    assert servers(found) == before - {f"127.0.0.1:{old.port}"} | {f"127.0.0.1:{new.port}"}
