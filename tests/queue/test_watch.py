"""Whoever watches the calls is told of each that failed for good, and how."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.domain.errors import QueueError, Unsafe
from shared.queue.calls import KINDS, Replication, Watch, kind_of
from shared.queue.core import Core
from shared.runtime import joining
from shared.runtime.metrics import Metrics
from shared.settings.model import RedisSettings, Settings
from tests.redis_server import IN_MEMORY, RedisServer, free_port


class Kept(Watch):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, str]] = []
        self.exchanges: list[str] = []

    def exchanged(self, script: str, seconds: float) -> None:
        assert seconds > 0
        self.exchanges.append(script)

    def failed(self, script: str, kind: str) -> None:
        self.failures.append((script, kind))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, *IN_MEMORY) as running:
        yield running


@pytest.fixture
def watch() -> Kept:
    return Kept()


@pytest.fixture
async def core(server: RedisServer, watch: Kept) -> AsyncIterator[Core]:
    core = Core.connect(server.url, watch=watch)
    await core.learn_shards(1)
    yield core
    await core.close()


async def census(core: Core, seconds: float = 2.0) -> None:
    await core.run("census", core.service_tag, {"seconds": 10}, seconds=seconds)


async def test_a_call_that_is_answered_is_no_failure(core: Core, watch: Kept) -> None:
    await census(core)

    assert (watch.exchanges[-1], watch.failures) == ("census", [])


async def test_a_server_that_cannot_be_reached_is_unavailable(core: Core, watch: Kept, server: RedisServer) -> None:
    await core.close()  # on a connection that was open something may have been written
    server.kill()
    with pytest.raises(QueueError):
        await census(core, 0.1)

    assert watch.failures == [("census", "unavailable")]


async def test_a_server_that_says_nothing_has_lost_the_answer(core: Core, watch: Kept, server: RedisServer) -> None:
    server.freeze()
    with pytest.raises(QueueError):
        await census(core, 0.1)
    server.thaw()

    assert watch.failures == [("census", "answer_lost")]


async def test_a_write_without_its_replicas_is_not_replicated(core: Core, watch: Kept) -> None:
    call = core.call("withdraw", core.service_tag, {"role": "sender", "name": "s"})
    with pytest.raises(QueueError):
        await core.caller.run(call, replication=Replication(1, 0.01))

    assert watch.failures == [("withdraw", "not_replicated")]


async def test_a_memory_without_room_is_full(core: Core, watch: Kept, server: RedisServer) -> None:
    server.command("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(QueueError):
        await core.learn_shards(1)

    assert watch.failures == [("meta", "full")]


async def test_a_script_that_fails_is_a_defect(core: Core, watch: Kept, server: RedisServer) -> None:
    server.command("SET", f"{core.service_tag}:processes", "no set")
    with pytest.raises(QueueError):
        await census(core)

    assert watch.failures == [("census", "defect")]


async def test_each_call_of_those_written_together_counts(core: Core, watch: Kept, server: RedisServer) -> None:
    await core.close()
    server.kill()
    calls = [core.call("depths", core.tag(shard), {}) for shard in range(2)]
    await core.caller.run_all(calls, seconds=0.1)

    assert watch.failures == [("depths", "unavailable")] * 2


async def test_a_call_that_succeeds_when_it_is_repeated_is_no_failure(
    core: Core, watch: Kept, server: RedisServer
) -> None:
    server.command("SCRIPT", "FLUSH")
    await census(core)

    assert watch.failures == []


def test_every_error_has_a_kind_of_those_that_are_named() -> None:
    assert {kind_of(error("so")) for error in _errors(QueueError) - {Unsafe}} == set(KINDS)


def _errors(error: type[QueueError]) -> set[type[QueueError]]:
    return {error}.union(*map(_errors, error.__subclasses__())) - {QueueError}


async def test_a_first_failure_shows_the_other_kinds_at_0() -> None:
    metrics = Metrics()
    queue = joining.connect(Settings(redis=RedisSettings(url=f"redis://127.0.0.1:{free_port()}/0")), "test", metrics)
    with pytest.raises(QueueError):
        await queue.processes.census()
    await queue.close()

    shown = {labels[1]: series._value.get() for labels, series in metrics.redis_errors.items()}
    assert shown == {kind: float(kind == "unavailable") for kind in KINDS}
