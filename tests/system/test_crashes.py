"""Senders and schedulers as processes of their own, killed and stopped in the middle of their work.

Redis keeps everything on disk, as in production. What a killed sender had begun may be sent
twice; what it had not begun, and what it had settled, may not.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from shared.domain.states import State
from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import RedisServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.conftest import journal, other_smtp, smtp
from tests.services.sender.journal import Journal

__all__ = ["journal", "other_smtp", "smtp"]

ROOT = Path(__file__).parents[2]
_numbers = itertools.count()
FAST = {"sender": {"lease_seconds": 2, "grace_seconds": 10}}

#: A kind of provider that kills its sender for a marked subject, and sends the others as `smtp` does.
KILLER = """
import os
from shared.providers.smtp import Smtp

class Killer(Smtp):
    kind = "killer"

    def build(self, parcel, options):
        if parcel.envelope.subject == "poison":
            os._exit(9)
        return super().build(parcel, options)
"""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
async def cluster(
    redis: RedisServer,
    smtp: SmtpServer,  # noqa: ARG001 - it outlives whoever sends through it
    journal: Journal,
    tmp_path: Path,
) -> AsyncIterator[Cluster]:
    cluster = Cluster(redis.url, f"c{next(_numbers)}", tmp_path, journal)
    await cluster.open()
    yield cluster
    await cluster.close()


class Process:
    """A process of the service; it is killed at the latest when the block ends."""

    def __init__(self, role: str, config: Path, **environ: str) -> None:
        self.role = role
        self._command = (sys.executable, "-m", "reliable_email", role, "--config", str(config))
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        self._folder = config.parent
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._heard = asyncio.Condition()
        self.log = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._folder,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running.returncode is None:
            await self.kill()
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        assert self._running.stderr is not None
        async for line in self._running.stderr:
            async with self._heard:
                self.log += line.decode()
                self._heard.notify_all()

    async def says(self, event: str) -> None:
        """Wait until it has logged an event."""
        async with asyncio.timeout(30), self._heard:
            await self._heard.wait_for(lambda: f'"{event}"' in self.log)

    def told(self, event: str) -> dict[str, Any]:
        """Return the latest line that it has logged of an event."""
        lines = [json.loads(line) for line in self.log.splitlines() if f'"{event}"' in line]
        return dict(lines[-1])

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running.send_signal(number)

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def kill(self) -> None:
        """End it as a power cut does."""
        self._running.kill()
        await self._running.wait()

    async def terminate(self) -> int:
        """Ask it to end, and return its exit code."""
        self.send(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended by itself, and return its exit code."""
        async with asyncio.timeout(30):
            return await self._running.wait()


async def test_a_killed_sender_loses_nothing_and_repeats_only_what_had_begun(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    ids = await cluster.submit_all([letter()] * 200)
    async with Process("sender", cluster.config(relay(smtp, concurrency=10), **FAST)) as sender:
        await smtp.received(50)
        await sender.kill()
    left = await cluster.leased()

    await cluster.scheduler(**FAST)
    survivor = await cluster.sender(relay(smtp, concurrency=10), **FAST)
    await cluster.drained()

    copies = Counter(ids_of(smtp.mails))
    twice = {message_id for message_id, count in copies.items() if count > 1}
    begun = {line["message_id"] for line in journal.told("lease_reclaimed", begun=True)}
    shown = {message_id for message_id in ids if (await cluster.view(message_id)).possible_duplicate}
    assert set(copies) == set(ids)
    assert max(copies.values()) <= 2
    assert twice <= shown == begun <= set(left)
    assert await cluster.count(State.SENT) == 200
    assert await survivor.metric("possible_duplicates_total") == len(shown)


async def test_a_message_that_kills_its_sender_fails_after_three_and_no_other_does(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    config = cluster.config(relay(smtp, "killer", concurrency=5) | {"kind": "killer"}, **FAST)
    path = os.pathsep.join((str(ROOT), str(_install(cluster.folder / "plug-ins"))))
    poison, *others = await cluster.submit_all([letter(subject="poison"), *[letter()] * 10])
    await cluster.scheduler(**FAST)

    deaths = 0
    while deaths < 3:
        async with Process("sender", config, PYTHONPATH=path) as sender:
            assert await sender.ended() == 9
        deaths += 1
        await journal.saw("lease_reclaimed", message_id=poison, times=deaths)
    async with Process("sender", config, PYTHONPATH=path) as sender:
        await sender.says("ops_listening")
        await smtp.until(lambda: set(others) <= set(ids_of(smtp.mails)))
        assert await sender.terminate() == 0

    record = await cluster.view(poison)
    assert (record.state, record.attempts_total) == (State.FAILED, 3)
    assert record.reason is not None
    assert record.reason.code == "sender_lost_three_times"
    assert {(await cluster.view(message_id)).state for message_id in others} == {State.SENT}


async def test_a_sender_under_load_ends_in_peace_on_sigterm(cluster: Cluster, smtp: SmtpServer) -> None:
    ids = await cluster.submit_all([letter()] * 500)
    async with Process("sender", cluster.config(relay(smtp), **FAST)) as sender:
        await smtp.received(100)
        code = await sender.terminate()

    sent = await cluster.count(State.SENT)
    assert (code, await cluster.leased()) == (0, [])
    assert sent == len(smtp.mails) == len(set(ids_of(smtp.mails)))
    assert sent + await cluster.count(State.QUEUED) == len(ids)
    assert "drain_overran" not in sender.log


async def test_a_scheduler_under_load_ends_in_peace_on_sigterm(cluster: Cluster, smtp: SmtpServer) -> None:
    send_at = await cluster.redis_now() + 2_000
    ids = await cluster.submit_all([letter()] * 600, send_at=send_at)
    await cluster.sender(relay(smtp))
    async with Process("scheduler", cluster.config(relay(smtp), **FAST)) as scheduler:
        await scheduler.says("messages_promoted")
        code = await scheduler.terminate()

    async with Process("scheduler", cluster.config(relay(smtp), **FAST)):
        await cluster.drained()

    assert code == 0
    assert sorted(ids_of(smtp.mails)) == sorted(ids)


async def test_a_killed_scheduler_is_replaced_by_any_other(cluster: Cluster, smtp: SmtpServer) -> None:
    """It holds nothing: whatever it was about to do is still due."""
    send_at = await cluster.redis_now() + 2_000
    ids = await cluster.submit_all([letter()] * 600, send_at=send_at)
    await cluster.sender(relay(smtp))
    async with Process("scheduler", cluster.config(relay(smtp), **FAST)) as scheduler:
        await scheduler.says("messages_promoted")
        await scheduler.kill()

    await cluster.scheduler()
    await cluster.drained()

    assert sorted(ids_of(smtp.mails)) == sorted(ids)


def _install(folder: Path) -> Path:
    """Make a distribution that brings the kind `killer`, and return where it lies."""
    info = folder / "killer-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "killer_plugin.py").write_text(KILLER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[reliable_email.providers]\nkiller = killer_plugin:Killer\n")
    return folder
