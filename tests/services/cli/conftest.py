"""A frontend inside the test, and the command as a client of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from reliable_email.cli.app import app
from tests.redis_server import RedisServer
from tests.services.frontend.running import Running, run_frontend, settings_for

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str


#: Runs the command with these arguments; `stdin` is what it reads.
Command = Callable[..., Awaitable[Done]]


async def reliable_email(*arguments: str, stdin: str = "") -> Done:
    """Run the command, in a thread and an event loop of its own: the frontend it speaks to needs this one."""
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def _nothing_but_the_command_prints() -> Iterator[None]:
    """Keep the frontend's log from standard output, which belongs to the command meanwhile."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(Path(tmp_path_factory.mktemp("valkey"))) as running:
        yield running


@pytest.fixture
async def frontend(valkey: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
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
    return reliable_email
