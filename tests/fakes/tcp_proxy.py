"""A TCP proxy on loopback that misbehaves on demand: what networks do to the talk with a server."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from types import TracebackType
from typing import Self


class Mode(Enum):
    """What the proxy does with connections, old and new."""

    PASS = auto()
    REFUSE = auto()  # nobody listens
    HANG = auto()  # connections are taken and nothing moves on them
    RESET = auto()  # connections are taken and broken
    TRICKLE = auto()  # replies come one byte every tenth of a second


class TcpProxy:
    """Stands between a client and the server on `target`.

    `drop_replies_to` names bytes of a request: the connection that carried them loses its reply
    and is broken, `drops` times at most; `dropped` counts.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.mode = Mode.PASS
        self.drop_replies_to: bytes | None = None
        self.drops = 0
        self.dropped = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._moving = asyncio.Event()
        self._moving.set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()
        self._break()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def set_mode(self, mode: Mode) -> None:
        """Behave so from now on."""
        self.mode = mode
        if mode is Mode.HANG:
            self._moving.clear()
        else:
            self._moving.set()
        if mode is Mode.REFUSE:
            await self._close()
        elif self._server is None:
            await self._listen()
        if mode in {Mode.REFUSE, Mode.RESET}:
            self._break()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _break(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self.mode is not Mode.RESET:
                await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.add(there_writer)
        loses_reply = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._requests(reader, there_writer, loses_reply)),
            asyncio.ensure_future(self._replies(there_reader, writer, loses_reply)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            there_writer.transport.abort()
            self._writers.discard(there_writer)

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, loses_reply: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            await self._moving.wait()
            if self.drop_replies_to is not None and self.drop_replies_to in data and self.dropped < self.drops:
                loses_reply.set()
            writer.write(data)
            await writer.drain()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, loses_reply: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            await self._moving.wait()
            if loses_reply.is_set():
                self.dropped += 1
                return
            if self.mode is Mode.TRICKLE:
                await self._trickle(data, writer)
            else:
                writer.write(data)
                await writer.drain()

    async def _trickle(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)
