"""An ear on a real connection that knows when it has heard everything."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from shared.queue.core import Core
from shared.queue.keys import due_channel, slot, wake_channel

_LAST = b"that was all"


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
        await self._connection.send_command("SSUBSCRIBE", wake_channel(self._tag), due_channel(self._tag), check_health=False)
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
        heard = []
        while True:
            _, channel, words = await self._connection.read_response(disable_decoding=True)
            if words == _LAST:
                return heard
            heard.append(f"{channel.decode().rpartition(':')[2]} {words.decode()}")
