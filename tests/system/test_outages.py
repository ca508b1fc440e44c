"""Redis and the frontend killed under load: whatever got its 202 is there afterwards, and is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from shared.domain.states import State
from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import RedisServer, free_port
from tests.services.sender.cluster import Cluster, ids_of, relay
from tests.services.sender.conftest import journal, other_smtp, smtp
from tests.services.sender.journal import Journal
from tests.system.test_crashes import FAST, Process

__all__ = ["journal", "other_smtp", "smtp"]

LETTER = {"from": "shop@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works."}
CLIENTS = 8


class Clients:
    """Clients that submit without a pause, whatever they are answered, and remember what was promised."""

    def __init__(self, port: int) -> None:
        self.promised: list[str] = []
        self._url = f"http://127.0.0.1:{port}/v1/messages"
        self._heard = asyncio.Condition()

    async def submit(self) -> None:
        """Submit until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                try:
                    async with session.post(self._url, json=LETTER) as answer:
                        body = await answer.json()
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0)  # nobody listens at this moment
                    continue
                assert answer.status in {202, 503}, body
                if answer.status == 202:
                    async with self._heard:
                        self.promised.append(body["id"])
                        self._heard.notify_all()

    async def have_more(self, count: int) -> None:
        """Wait until so many more were promised."""
        wanted = len(self.promised) + count
        async with asyncio.timeout(60), self._heard:
            await self._heard.wait_for(lambda: len(self.promised) >= wanted)


async def test_nothing_that_was_promised_is_lost_when_redis_and_the_frontend_are_killed(
    tmp_path: Path, smtp: SmtpServer, journal: Journal
) -> None:
    port = free_port()
    with RedisServer(tmp_path / "valkey") as redis:
        cluster = Cluster(redis.url, "o", tmp_path, journal)
        await cluster.open()
        config = cluster.config(relay(smtp, concurrency=20), frontend={"port": port}, **FAST)
        clients = Clients(port)
        await cluster.scheduler(**FAST)
        await cluster.sender(relay(smtp, concurrency=20), **FAST)
        async with Process("frontend", config) as frontend:
            await frontend.says("api_listening")
            load = [asyncio.create_task(clients.submit()) for _ in range(CLIENTS)]
            await clients.have_more(100)
            redis.kill()
            redis.start()
            await clients.have_more(100)
            await frontend.kill()
        async with Process("frontend", config):
            await clients.have_more(100)
            for client in load:
                client.cancel()
            await asyncio.wait(load)
        await cluster.drained()

        states = [record.state for record in [await cluster.view(message_id) for message_id in clients.promised]]
        await cluster.close()

    assert set(states) == {State.SENT}
    assert set(clients.promised) <= set(ids_of(smtp.mails))
