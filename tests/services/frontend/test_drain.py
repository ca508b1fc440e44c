"""How a frontend ends: it takes nothing new, answers what it took, and goes."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
import pytest

from tests.redis_server import RedisServer
from tests.services.frontend.running import Running, Start, eventually, message

BODY = orjson.dumps(message())


class SlowRequest:
    """A submission of which the last byte is still to come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def begin(cls, frontend: Running) -> SlowRequest:
        request = cls(*await asyncio.open_connection("127.0.0.1", frontend.port))
        request.writer.write(
            b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY[:-1])
        )
        await request.writer.drain()
        await frontend.get("/healthz")  # by now its head has been read
        return request

    async def finish(self) -> bytes:
        """Send the rest and return the answer; the connection must be closed behind it."""
        self.writer.write(BODY[-1:])
        answer = await self.reader.read()
        self.writer.close()
        return answer


async def is_refused(frontend: Running) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    except ConnectionError:
        return True
    writer.close()
    return False


async def test_what_is_in_flight_is_answered(frontend: Running) -> None:
    request = await SlowRequest.begin(frontend)

    frontend.lifetime.stop()
    await eventually(lambda: is_refused(frontend))
    answer = await request.finish()

    assert answer.startswith(b"HTTP/1.1 202")
    assert b"Connection: close" in answer
    await asyncio.wait_for(frontend.task, 10)


async def test_while_it_drains_it_is_not_ready(frontend: Running) -> None:
    request = await SlowRequest.begin(frontend)
    frontend.lifetime.stop()
    await eventually(lambda: is_refused(frontend))

    async with frontend.client.get(f"http://127.0.0.1:{frontend.ops_port}/readyz") as answer:
        assert (answer.status, (await answer.json())["reason"]) == (503, "draining")
    await request.finish()


async def test_connections_that_are_idle_are_closed(frontend: Running) -> None:
    await frontend.get("/v1")  # its connection is kept

    frontend.lifetime.stop()

    await asyncio.wait_for(frontend.task, 10)


async def test_after_the_grace_period_nobody_is_waited_for(frontend: Running) -> None:
    request = await SlowRequest.begin(frontend)

    frontend.lifetime.stop()
    frontend.lifetime.stop()

    await asyncio.wait_for(frontend.task, 10)
    request.writer.close()


async def test_a_frontend_that_never_saw_redis_ends_too(own_valkey: RedisServer, start: Start) -> None:
    own_valkey.kill()
    frontend = await start(url=own_valkey.url, ready=False)

    frontend.lifetime.stop()

    await asyncio.wait_for(frontend.task, 10)


async def test_a_frontend_that_has_ended_listens_no_more(frontend: Running) -> None:
    frontend.lifetime.stop()
    await asyncio.wait_for(frontend.task, 10)

    with pytest.raises(aiohttp.ClientConnectionError):
        await frontend.get("/healthz")
