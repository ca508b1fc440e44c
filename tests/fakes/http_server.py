"""A raw HTTP server with a scripted life, on loopback: it breaks off where a test wants it, and tells how far it came.

    async with HttpServer() as server:
        server.plan("answer", PASS, RESET)      # the second request is read whole, and never answered
        ...
        await server.at("answer", 2)            # waits for the event, not for time

It knows nothing of any service. Its usual answer is 200 with `{"id": "<number of the request>"}`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Final, Self


class Act(Enum):
    """What the server does at a stage, other than to answer."""

    PASS = "do what is usual"
    HANG = "never go on"
    DEAF = "never read again"
    DRIP = "write a byte every hundredth of a second, for ever"
    CLOSE = "close in an orderly way"
    RESET = "reset"


PASS: Final = Act.PASS
HANG: Final = Act.HANG
DEAF: Final = Act.DEAF
DRIP: Final = Act.DRIP
CLOSE: Final = Act.CLOSE
RESET: Final = Act.RESET


@dataclass(frozen=True)
class Say:
    """Write these bytes, and then do something; PASS keeps the connection for the next request."""

    data: bytes
    then: Act = Act.PASS


Action = Act | Say

STAGES: Final = frozenset({"accept", "head", "body", "answer"})
"""`accept` is a new connection, `head` the first bytes of a request, `body` the end of its headers where a body
follows, `answer` its last byte."""


def answer(status: str, body: bytes = b"", *headers: str, then: Act = Act.PASS) -> Say:
    """Return an answer: `answer("429 Too Many Requests", b"{}", "Retry-After: 7")`."""
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return Say("\r\n".join(lines).encode() + body, then)


@dataclass(frozen=True)
class Request:
    """A request that was read whole; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class HttpServer:
    """The server. `requests` are those that came whole, `reached` counts the stages, `connections` the clients."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.reached: Counter[str] = Counter()
        self.connections = 0
        self._tls = tls
        self._plans: dict[str, deque[Action]] = {stage: deque() for stage in STAGES}
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._changed = asyncio.Condition()

    def plan(self, stage: str, *actions: Action) -> None:
        """Do these at the next times the server comes to the stage, one each, then again what is usual."""
        self._plans[stage].extend(actions)

    async def at(self, stage: str, count: int = 1) -> None:
        """Wait until the server came to the stage so many times."""
        await self.until(lambda: self.reached[stage] >= count)

    async def all_gone(self) -> None:
        """Wait until no client is connected."""
        await self.until(lambda: not self._sessions)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to be true of the server."""
        async with self._changed:
            await self._changed.wait_for(holds)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    async def refuse(self) -> None:
        """Stop listening and drop every client."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task, writer in list(self._sessions.items()):
            writer.transport.abort()
            task.cancel()
        await self.all_gone()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def _note(self, change: Callable[[], object]) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        await self._note(lambda: self._sessions.update({task: writer}))
        try:
            await self._reach("accept", reader, writer)
            while True:
                await self._request(reader, writer, self.connections)
        except (OSError, EOFError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            await self._note(lambda: self._sessions.pop(task, None))

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        first = await reader.readexactly(1)
        await self._reach("head", reader, writer)
        head = first + await reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode().rstrip().split("\r\n")
        method, target, _ = line.split()
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
        length = int(headers.get("content-length", 0))
        if length and await self._reach("body", reader, writer):
            return
        body = await reader.readexactly(length)
        request = Request(method, target, headers, body, connection)
        await self._note(lambda: self.requests.append(request))
        if not await self._reach("answer", reader, writer):
            usual = f'{{"id": "{len(self.requests)}"}}'
            await self._perform(answer("200 OK", usual.encode()), reader, writer)

    async def _reach(self, stage: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do what is planned for the stage; return whether something was."""
        await self._note(lambda: self.reached.update([stage]))
        plan = self._plans[stage]
        action = plan.popleft() if plan else Act.PASS
        await self._perform(action, reader, writer)
        return action is not Act.PASS

    async def _perform(self, action: Action, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(action, Say):
            writer.write(action.data)
            await writer.drain()
            action = action.then
        match action:
            case Act.PASS:
                return
            case Act.HANG:
                await reader.read()  # until the client leaves
            case Act.DEAF:
                writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads, too
                await asyncio.Event().wait()
            case Act.DRIP:
                while not reader.at_eof():
                    writer.write(b"x")
                    await asyncio.sleep(0.01)
            case Act.RESET:
                _reset(writer)
        raise EOFError


def _reset(writer: asyncio.StreamWriter) -> None:
    # Lingering for no time: closing sends RST instead of FIN.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
