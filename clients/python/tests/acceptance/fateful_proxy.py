"""An HTTP proxy on loopback that does to requests what networks and balancers do, one fate drawn for each."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from types import TracebackType
from typing import Self


class Fate(Enum):
    """What becomes of one request."""

    PASS = "it is answered"
    DROPPED_BEFORE = "the connection breaks before the service has it"
    DROPPED_AFTER = "the service has it, and the connection breaks before the answer"
    CUT = "the service has it, and the connection breaks in the middle of the answer"
    DELAYED = "the service has it, and its answer comes after the client has lost patience"
    LATE = "the connection breaks, and the service gets the request a while later"
    TWICE = "the service has it twice, at the same time"
    BAD_GATEWAY = "the service has it, and the balancer answers 502"
    NO_BACKEND = "the balancer answers 503, and the service does not have it"


#: About half of all requests go wrong.
ROUGH: Mapping[Fate, float] = {
    Fate.PASS: 50,
    Fate.DROPPED_BEFORE: 7,
    Fate.DROPPED_AFTER: 10,
    Fate.CUT: 7,
    Fate.DELAYED: 2,
    Fate.LATE: 6,
    Fate.TWICE: 10,
    Fate.BAD_GATEWAY: 4,
    Fate.NO_BACKEND: 4,
}

_HTML = b"<html><body>Not today.</body></html>"


class FatefulProxy:
    """Stands before the service on `target`. `fates` counts what it did, `delay_seconds` is longer than patience."""

    def __init__(self, target: int, weights: Mapping[Fate, float] = ROUGH, *, seed: int, delay_seconds: float) -> None:
        self.port = 0
        self.fates: Counter[Fate] = Counter()
        self._target = target
        self._weights = weights
        self._random = random.Random(seed)
        self._delay_seconds = delay_seconds
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1_024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is under way any more: late requests have arrived, and connections have ended."""
        for task in self._tasks:
            if task.get_name() == "connection":
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("connection")
        self._tasks.add(task)
        try:
            while (request := await _message(reader)) is not None and await self._serve(request, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Let a request meet its fate; tell whether the connection goes on."""
        (fate,) = self._random.choices(list(self._weights), list(self._weights.values()))
        self.fates[fate] += 1
        if fate is Fate.DROPPED_BEFORE:
            return False
        if fate is Fate.LATE:
            self._later(request)
            return False
        if fate is Fate.NO_BACKEND:
            writer.write(_answer(503))
            return True
        answer = await self._asked(request, times=2 if fate is Fate.TWICE else 1)
        if fate is Fate.DROPPED_AFTER:
            return False
        if fate is Fate.BAD_GATEWAY:
            writer.write(_answer(502))
            return True
        if fate is Fate.DELAYED:
            await asyncio.sleep(self._delay_seconds)
        writer.write(answer[: len(answer) // 2] if fate is Fate.CUT else answer)
        await writer.drain()
        return fate is not Fate.CUT

    def _later(self, request: bytes) -> None:
        async def later() -> None:
            await asyncio.sleep(self._random.random() * self._delay_seconds)
            await self._asked(request)

        task = asyncio.ensure_future(later())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _asked(self, request: bytes, *, times: int = 1) -> bytes:
        """Return what the service answers; of several answers any."""
        answers = await asyncio.gather(*(self._forwarded(request) for _ in range(times)))
        return self._random.choice(answers)

    async def _forwarded(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            writer.write(request)
            answer = await _message(reader)
            assert answer is not None
            return answer
        finally:
            writer.transport.abort()


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """Return one request or answer with its body, None where the connection has ended before."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return head + await reader.readexactly(int(value))
        if name.lower() == b"transfer-encoding":
            return head + await _chunks(reader)
    return head


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        chunk = await reader.readexactly(int(line, 16) + 2)
        body += line + chunk
        if chunk == b"\r\n":
            return body


def _answer(status: int) -> bytes:
    head = f"HTTP/1.1 {status} Not Today\r\nContent-Type: text/html\r\nContent-Length: {len(_HTML)}\r\n\r\n"
    return head.encode() + _HTML
