"""What each process shows is what Prometheus takes, and named as its makers ask."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from services.frontend import app as frontend
from services.scheduler import app as scheduler
from services.sender import app as sender
from shared.providers.sandbox import SandboxOptions
from shared.runtime.metrics import ROLES
from shared.runtime.process import Lifetime
from shared.settings.model import (
    FrontendSettings,
    OpsSettings,
    ProviderSettings,
    QuotaSettings,
    RedisSettings,
    Settings,
)
from tests.redis_server import RedisServer, free_port

RUN = {"frontend": frontend.run, "scheduler": scheduler.run, "sender": sender.run}
PROVIDER = ProviderSettings(
    "relay", "sandbox", options=SandboxOptions(), rate_per_second=5, quotas=(QuotaSettings(messages=100),)
)
#: What each role shows once its gauges have been set.
LAST = {"frontend": "durability_ok 1", "scheduler": "redis_up{", "sender": "provider_info{"}
EACH_ROLE = pytest.mark.parametrize("role", ROLES)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that runs in this one."""

    role: str
    ops_port: int

    async def shown(self) -> str:
        """Return what it shows."""
        url = f"http://127.0.0.1:{self.ops_port}/metrics"
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            return await answer.text()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(Path(tmp_path_factory.mktemp("valkey"))) as running:
        yield running


@pytest.fixture
async def process(valkey: RedisServer, role: str) -> AsyncIterator[Process]:
    """A process of a role that has joined its queue and set its gauges."""
    settings = Settings(
        frontend=FrontendSettings(port=0),
        redis=RedisSettings(url=valkey.url),
        ops=OpsSettings(port=free_port()),
        providers=(PROVIDER,),
    )
    lifetime = Lifetime(role, 5)
    task = asyncio.ensure_future(RUN[role](settings, lifetime))
    running = Process(role, settings.ops.port)
    async with asyncio.timeout(20), aiohttp.ClientSession() as client:
        while not await _is_ready(client, running.ops_port):
            assert not task.done(), task
        while f"\nreliable_email_{LAST[role]}" not in await running.shown():
            assert not task.done(), task
    yield running
    lifetime.stop()
    await task
    lifetime.close()


async def _is_ready(client: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


def promtool() -> str:
    """Return the program, or skip the test that asks for it."""
    found = shutil.which("promtool")
    if found is None:
        # `.ci/run` installs it: what is skipped there would never be tested.
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("the promtool command judges what is shown")
    return found


@EACH_ROLE
async def test_promtool_finds_nothing_to_say_of_what_is_shown(process: Process) -> None:
    judged = subprocess.run(  # noqa: ASYNC221 - nothing else has to run meanwhile
        [promtool(), "check", "metrics"], input=await process.shown(), capture_output=True, text=True, check=False
    )

    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_promtool_would_find_a_bad_name() -> None:
    """Else the test above says nothing."""
    bad = "# HELP bad_total Bad.\n# TYPE bad_total gauge\nbad_total 1\n"
    judged = subprocess.run([promtool(), "check", "metrics"], input=bad, capture_output=True, text=True, check=False)

    assert judged.returncode == 3


@pytest.mark.parametrize("role", ["sender"])
@pytest.mark.parametrize("counter", ["attempts_total{outcome=", "breaker_openings_total{provider="])
async def test_what_is_counted_of_a_provider_is_shown_before_it_is_used(process: Process, counter: str) -> None:
    """A counter that comes with its first increment hides it from `rate()`."""
    assert f'\nreliable_email_{counter}"' in await process.shown()


@EACH_ROLE
async def test_each_process_says_what_it_is_and_by_what_it_works(process: Process) -> None:
    shown = await process.shown()

    assert f'reliable_email_build_info{{role="{process.role}",version="' in shown
    assert 'version=""' not in shown
    assert shown.count("\nreliable_email_config_info{") == 1
