"""A real server for the queue's tests, a queue of its own for each test, and the invariant after each."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shared.queue import Queue
from shared.queue.core import Core
from shared.queue.script import Scripts, source_of
from shared.queue.submissions import Bounds
from tests.queue.bells import Bells
from tests.queue.invariant import Keyspace, faults_in, read_keyspace
from tests.queue.scenario import Scenario
from tests.redis_server import IN_MEMORY, RedisServer

#: The tests' clock stands still where one key says so, and runs ahead by what stands in the other.
TEST_CLOCK = """
local function clock()
  local frozen, ahead = unpack(redis.call('MGET', KEYS[1] .. ':frozen-clock', KEYS[1] .. ':test-clock'))
  if frozen then
    return tonumber(frozen)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000) + (ahead or 0)
end
"""

#: A server that runs already, and a folder with changed scripts: how `mutate.py` calls these tests.
SERVER_PORT = "RELIABLE_EMAIL_TEST_QUEUE_PORT"
CHANGED_SCRIPTS = "RELIABLE_EMAIL_TEST_QUEUE_SCRIPTS"

_numbers = itertools.count()


def changed_texts() -> dict[str, str]:
    """Return the scripts that stand in for ours, by name."""
    folder = os.environ.get(CHANGED_SCRIPTS)
    return {file.stem: file.read_text() for file in Path(folder).glob("*.lua")} if folder else {}


def shifted_scripts() -> Scripts:
    """Return the scripts with a clock that tests can shift."""
    assert "local function clock()" in source_of("_clock")
    return Scripts({**changed_texts(), "_clock": TEST_CLOCK})


@pytest.fixture(scope="session")
def scripts() -> Scripts:
    return shifted_scripts()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = Path(tmp_path_factory.mktemp("valkey"))
    if port := os.environ.get(SERVER_PORT):
        yield RedisServer(folder, port=int(port))
        return
    with RedisServer(folder, *IN_MEMORY) as running:
        yield running


#: Opens a queue with so many shards and such bounds, to be judged and cleared away after the test.
OpenQueue = Callable[..., Awaitable[Queue]]


@pytest.fixture
async def open_queue(server: RedisServer, scripts: Scripts) -> AsyncIterator[OpenQueue]:
    opened: list[Queue] = []

    async def open_one(shards: int = 1, bounds: Bounds | None = None, url: str = server.url) -> Queue:
        core = Core.connect(url, prefix=f"t{next(_numbers)}", scripts=scripts)
        await core.learn_shards(shards)
        opened.append(Queue.join(core, bounds=bounds or Bounds(), wall_ms=lambda: int(time.time() * 1000)))
        return opened[-1]

    yield open_one
    faults = []
    for queue in opened:
        keyspace = await read_keyspace(queue.core)
        faults += faults_in(keyspace, queue.core.prefix, queue.core.shards)
        await clear_away(queue.core, keyspace)
        await queue.close()
    assert not faults, "\n".join(faults)


async def clear_away(core: Core, keyspace: Keyspace) -> None:
    """Drop everything that a queue of the tests keeps."""
    by_tag: dict[str, list[str]] = {}
    for key in keyspace:
        by_tag.setdefault(key.partition("}")[0] + "}", []).append(key)
    for tag, keys in by_tag.items():
        await core.plain(tag, [("UNLINK", f"{tag}:frozen-clock", *keys)])


@pytest.fixture
async def queue(open_queue: OpenQueue) -> Queue:
    return await open_queue()


@pytest.fixture
async def scenario(queue: Queue) -> Scenario:
    return await Scenario.of(queue)


@pytest.fixture
async def bells(queue: Queue) -> AsyncIterator[Bells]:
    async with Bells(queue.core) as listening:
        yield listening
