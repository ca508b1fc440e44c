"""Ears: one on a real connection that knows when it has heard everything, and the queue's own."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from shared.queue.bells import listen
from shared.queue.core import Core
from shared.queue.keys import due_channel, slot, wake_channel

_LAST = b"that was all"


class Ear:
    """Whoever listens with the queue's own client; `heard` waits for the next that it is told."""

    def __init__(self, core: Core, bell: str) -> None:
        self._told: asyncio.Queue[tuple[int | None, str]] = asyncio.Queue()
        self._listening = listen(core, bell, lambda shard, said: self._told.put_nowait((shard, said)))
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def heard(self) -> tuple[int | None, str]:
        """Return the shard and what its bell said, or (None, "") for: look at everything."""
        return await self._told.get()


class Bells:
    """Hears the bells of one shard. `rung` gives what rang since it was last asked, and waits for nothing else."""

    def __init__(self, core: Core, shard: int = 0) -> None:
        self._core = core
        self._tag = core.tag(shard)
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        server = await self._core.servers.primary_of(slot(self._tag))
        self._connection = server.connect()
        await self._connection.connect()
        channels = wake_channel(self._tag), due_channel(self._tag)
        await self._connection.send_command("SSUBSCRIBE", *channels, check_health=False)
        for _ in range(2):
            await self._connection.read_response(disable_decoding=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.disconnect(nowait=True)

    async def rung(self) -> list[str]:
        """Return `wake <flow>` and `due <instant>` for each bell that rang, in order."""
        await self._core.plain(self._tag, [("SPUBLISH", wake_channel(self._tag), _LAST)])
        heard: list[str] = []
        while True:
            _, channel, words = await self._connection.read_response(disable_decoding=True)
            if words == _LAST:
                return heard
            heard.append(f"{channel.decode().rpartition(':')[2]} {words.decode()}")
