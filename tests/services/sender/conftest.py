"""A real Valkey, a real SMTP server, and a cluster of the test's own on them; the invariant after each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import IN_MEMORY, RedisServer
from tests.services.sender.cluster import Cluster
from tests.services.sender.journal import Journal, kept_journal

_numbers = itertools.count()

OpenCluster = Callable[..., Awaitable[Cluster]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(Path(tmp_path_factory.mktemp("valkey")), *IN_MEMORY) as running:
        yield running


@pytest.fixture
async def journal() -> AsyncIterator[Journal]:
    with kept_journal() as journal:
        yield journal


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
async def other_smtp() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


@pytest.fixture
async def open_cluster(server: RedisServer, journal: Journal, tmp_path: Path) -> AsyncIterator[OpenCluster]:
    opened: list[Cluster] = []

    async def open_one(shards: int = 1, url: str = server.url) -> Cluster:
        cluster = Cluster(url, f"s{next(_numbers)}", tmp_path, journal)
        await cluster.open(shards)
        opened.append(cluster)
        return cluster

    yield open_one
    for cluster in opened:
        await cluster.close()


# The servers come first, so that they outlive whoever uses them.
@pytest.fixture
async def cluster(smtp: SmtpServer, other_smtp: SmtpServer, open_cluster: OpenCluster) -> Cluster:  # noqa: ARG001 - it has to run, too
    return await open_cluster()
