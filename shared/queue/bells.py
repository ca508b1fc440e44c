"""Bells: what wakes those who sleep, sooner than their own sweep would.

A bell may be lost (a connection broke, a server failed over); whoever listens also looks by
itself at start, after a reconnect, and every second.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from shared.domain.errors import Unavailable
from shared.queue.connection import BROKEN, Server
from shared.queue.core import Core
from shared.queue.keys import slot
from shared.queue.topology import Address

#: A subscription that was silent for this long is made anew: a dead peer says nothing.
_SILENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5
#: How soon a listener follows a shard that has moved. Calls follow at once, and learn where it went.
_TOPOLOGY_SECONDS: Final = 2.0

#: Told the shard and what the bell said; None after (re)connecting: look at everything.
Ear = Callable[[int | None, str], None]


async def listen(core: Core, bell: str, ear: Ear) -> None:
    """Listen for the bell `wake` or `due` of every shard, until cancelled; each server has a listener of its own."""
    listeners: dict[tuple[Address, tuple[int, ...]], asyncio.Task[None]] = {}
    try:
        while True:
            wanted = await _shards_by_server(core)
            for key in [key for key, listener in listeners.items() if key not in wanted or listener.done()]:
                listeners.pop(key).cancel()
            for address, shards in wanted - listeners.keys():
                channels = {f"{core.tag(shard)}:{bell}": shard for shard in shards}
                work = _listen_again(core.servers.at(address), channels, ear)
                listeners[address, shards] = asyncio.create_task(work, name=f"bell {bell} at {address}")
            await asyncio.sleep(_TOPOLOGY_SECONDS if wanted else _PAUSE_SECONDS)
    finally:
        for listener in listeners.values():
            listener.cancel()


async def _shards_by_server(core: Core) -> set[tuple[Address, tuple[int, ...]]]:
    by_server: dict[Address, list[int]] = {}
    try:
        for shard in range(core.shards):
            server = await core.servers.primary_of(slot(core.tag(shard)))
            by_server.setdefault(server.address, []).append(shard)
    except Unavailable:
        return set()
    return {(address, tuple(shards)) for address, shards in by_server.items()}


async def _listen_again(server: Server, channels: dict[str, int], ear: Ear) -> None:
    while True:
        try:
            await _listen_to(server, channels, ear)
        except (RedisError, *BROKEN):
            pass  # every command to Redis reports the same trouble, with its cure; here is only to try again
        await asyncio.sleep(_PAUSE_SECONDS)


async def _listen_to(server: Server, channels: dict[str, int], ear: Ear) -> None:
    connection: Any = server.connect()
    try:
        await connection.connect()
        # One command for each channel: a cluster refuses several slots in one, also where one server holds them.
        packed = connection.pack_commands([("SSUBSCRIBE", channel) for channel in channels])
        await connection.send_packed_command(packed, check_health=False)
        unheard = set(channels)
        while True:
            async with asyncio.timeout(_SILENCE_SECONDS):
                message = await connection.read_response(timeout=math.inf, disable_decoding=True)
            if message[0] == b"smessage":
                ear(channels[message[1].decode()], message[2].decode())
            elif message[0] == b"ssubscribe":
                unheard.discard(message[1].decode())
                if not unheard:
                    ear(None, "")
            elif message[0] == b"sunsubscribe":
                raise ResponseError("the slot moved to another server")
    finally:
        await connection.disconnect(nowait=True)
