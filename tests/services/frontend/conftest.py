"""A durable server for all tests here, a frontend with a queue of its own for each, and the invariant after each."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.queue.invariant import faults_of
from tests.redis_server import RedisServer
from tests.services.frontend.running import Running, Start, run_frontend, settings_for

_numbers = itertools.count()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(Path(tmp_path_factory.mktemp("valkey"))) as running:
        yield running


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may freeze, kill or misconfigure."""
    with RedisServer(tmp_path / "valkey") as running:
        yield running


@pytest.fixture
async def start(valkey: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    running: list[Running] = []
    async with contextlib.AsyncExitStack() as stack:

        async def start_one(*, url: str = valkey.url, ready: bool = True, **changes: Any) -> Running:
            prefix = changes.pop("prefix", f"f{next(_numbers)}")
            settings = settings_for(url, prefix, **changes)
            running.append(await stack.enter_async_context(run_frontend(settings, tmp_path, monkeypatch, ready=ready)))
            if url == valkey.url:
                await running[-1].queue.core.learn_shards(1)
            return running[-1]

        yield start_one
        faults = [fault for one in running for fault in await _faults(one, valkey)]
    assert not faults, "\n".join(faults)


async def _faults(one: Running, valkey: RedisServer) -> list[str]:
    """Judge the queues of the shared server; what happens to a test's own is that test's business."""
    (address,) = one.queue.core.servers.topology.primaries()
    return await faults_of(one.queue.core) if address.port == valkey.port else []


@pytest.fixture
async def frontend(start: Start) -> Running:
    return await start()
