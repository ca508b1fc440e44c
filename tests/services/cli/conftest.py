"""A frontend inside the test, and the command as a client of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reliable_email.cli.app import app
from tests.redis_server import RedisServer
from tests.services.frontend.running import Running, run_frontend, settings_for

_numbers = itertools.count()

#: Runs the command with these arguments; `stdin` is what it reads.
Command = Callable[..., Awaitable[Result]]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(Path(tmp_path_factory.mktemp("valkey"))) as running:
        yield running


@pytest.fixture
async def frontend(
    valkey: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    settings = settings_for(valkey.url, f"cli{next(_numbers)}", keys=("a-key-of-16-chars",))
    async with run_frontend(settings, tmp_path, monkeypatch) as running:
        await running.queue.core.learn_shards(1)
        running.headers["Authorization"] = "Bearer a-key-of-16-chars"
        yield running


@pytest.fixture
def command(frontend: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELIABLE_EMAIL_URL", f"http://127.0.0.1:{frontend.port}")
    monkeypatch.setenv("RELIABLE_EMAIL_API_KEY", "a-key-of-16-chars")

    async def run(*arguments: str, stdin: str = "") -> Result:
        # The command has an event loop of its own, beside that of the frontend.
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), input=stdin)

    return run
