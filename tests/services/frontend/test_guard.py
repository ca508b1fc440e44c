"""When a frontend trusts its Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.frontend.guard import Guard
from shared.domain.errors import Unavailable
from shared.queue import Queue
from shared.queue.topology import Address, Single
from shared.runtime import joining
from shared.runtime.metrics import FRONTEND, Metrics
from shared.runtime.process import Lifetime
from tests.redis_server import RedisServer, free_port
from tests.services.frontend.running import settings_for


@pytest.fixture
async def queue(own_valkey: RedisServer) -> AsyncIterator[Queue]:
    queue = joining.connect(settings_for(own_valkey.url, "guard"), FRONTEND)
    yield queue
    await queue.close()


@pytest.fixture
async def guard(own_valkey: RedisServer, queue: Queue) -> Guard:
    guard = Guard(queue, settings_for(own_valkey.url, "guard"), Metrics())
    assert await guard.join(Lifetime(FRONTEND, 1.0))
    return guard


async def test_a_redis_that_was_judged_may_be_away(own_valkey: RedisServer, guard: Guard) -> None:
    own_valkey.kill()

    with pytest.raises(Unavailable):
        await guard.look()

    assert guard.safe


async def test_a_primary_that_nobody_judged_is_not_trusted(queue: Queue, guard: Guard) -> None:
    queue.core.servers.topology = Single(Address("127.0.0.1", free_port()))

    with pytest.raises(Unavailable):
        await guard.look()

    assert not guard.safe


async def test_a_new_primary_is_trusted_once_it_was_judged(own_valkey: RedisServer, queue: Queue, guard: Guard) -> None:
    queue.core.servers.topology = Single(Address("127.0.0.1", free_port()))
    with pytest.raises(Unavailable):
        await guard.look()
    queue.core.servers.topology = Single(Address("127.0.0.1", own_valkey.port))

    await guard.look()

    assert guard.safe


async def test_a_primary_that_is_set_otherwise_is_not_trusted(own_valkey: RedisServer, guard: Guard) -> None:
    own_valkey.command("CONFIG", "SET", "appendfsync", "no")

    await guard.look()

    assert not guard.safe
