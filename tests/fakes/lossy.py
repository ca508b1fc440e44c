"""A way to a server that loses answers, or holds a request until it is told to go on.

It reads nothing of what passes but the words that a test names, and treats each connection by
itself: a client that sends one request at a time is met exactly at that request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16


class LossyProxy:
    """Carries connections from its own port on loopback to another."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._losses: dict[bytes, int] = {}
        self._holds: set[bytes] = set()
        self._counted: Counter[bytes] = Counter()
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where a client of Redis connects to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def lose_answers(self, *words: bytes, times: int = 1) -> None:
        """Drop the answer to the next requests that hold one of these words, and their connections with it."""
        self._losses.update(dict.fromkeys(words, times))

    def hold(self, *words: bytes) -> None:
        """Keep back requests that hold one of these words, until `let_go`."""
        self._holds.update(words)

    async def let_go(self) -> None:
        """Lose nothing more, and let what was held go on its way."""
        self._losses.clear()
        async with self._changed:
            self._holds.clear()
            self._changed.notify_all()

    async def met(self, *words: bytes, times: int = 1) -> None:
        """Wait until requests with one of these words were met so many times."""
        async with self._changed:
            await self._changed.wait_for(lambda: sum(self._counted[word] for word in words) >= times)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # transports close their sockets a turn of the loop later

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        is_lost = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._ask(reader, their_writer, is_lost)),
            asyncio.ensure_future(self._answer(their_reader, writer, is_lost)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            their_writer.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                async with self._changed:
                    found = {word for word in (*self._losses, *self._holds) if word in data}
                    self._counted.update(found)
                    self._changed.notify_all()
                    for word in found & self._losses.keys():
                        is_lost.set()
                        self._losses[word] -= 1
                        if not self._losses[word]:
                            del self._losses[word]
                    await self._changed.wait_for(lambda found=found: not found & self._holds)  # type: ignore[misc]  # a lambda's default has no type
                writer.write(data)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_lost: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if is_lost.is_set():
                    return
                writer.write(data)
                await writer.drain()
