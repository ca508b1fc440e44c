"""Talking to Redis: connections per server, whole exchanges, errors that are ours.

An exchange writes some commands on one connection and reads all their replies from it, so that a
WAIT among them counts for the writes before it. Nothing is ever repeated here on its own: the
client library's retries are off, for it applied a script eleven times when one reply was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.domain.errors import AnswerLost, QueueError, Unavailable
from shared.queue.topology import Address, Topology

#: One command, its name first.
Command = tuple[Any, ...]

#: A connection that broke shows itself as any of these. TypeError and AttributeError come from
#: asyncio's transports on some Python versions when a reset connection is written to.
BROKEN: Final = (RedisConnectionError, RedisTimeoutError, OSError, TypeError, AttributeError)

CONNECT_SECONDS: Final = 1.0
CONNECTIONS: Final = 16
#: A lease brings up to half a megabyte at once.
_READ_BYTES: Final = 256 * 1024


class Server:
    """One server: its connections, and the difference between its clock and ours."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self.address = address
        self._options = options
        self._idle: deque[Any] = deque()
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._ahead_ms: float | None = None

    @property
    def knows_clock(self) -> bool:
        """Whether the server has told its time since it was met."""
        return self._ahead_ms is not None

    def now_ms(self) -> float:
        """Return what the server's clock shows, as far as it was learned."""
        return time.monotonic() * 1000 + (self._ahead_ms or 0)

    def learn_clock(self, server_ms: float) -> None:
        """Take an instant that the server has just told."""
        self._ahead_ms = server_ms - time.monotonic() * 1000

    def connect(self) -> Any:
        """Return a new connection, not yet open."""
        options = dict(self._options)
        kind = SSLConnection if options.pop("tls", False) else Connection
        return kind(
            host=self.address.host,
            port=self.address.port,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=None,  # whole exchanges have a deadline; a second timer for each read costs and says nothing
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            socket_read_size=_READ_BYTES,
            **options,
        )

    async def exchange(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        """Write commands and return their replies, errors that Redis answered among them.

        Raises Unavailable where nothing was written, AnswerLost where something may have been.
        """
        written = False
        try:
            async with asyncio.timeout(seconds), self._connection() as connection:
                packed = connection.pack_commands(commands)
                written = True
                await connection.send_packed_command(packed, check_health=False)
                return [await _reply(connection) for _ in commands]
        except TimeoutError as error:
            raise self._lost(f"no answer within {seconds:.1f} s", written=written) from error
        except BusyLoadingError as error:
            raise Unavailable(f"Redis at {self.address} is still reading its data") from error
        except (RedisError, *BROKEN) as error:
            raise self._lost(str(error) or type(error).__name__, written=written) from error

    def _lost(self, why: str, *, written: bool) -> QueueError:
        kind = AnswerLost if written else Unavailable
        return kind(f"Redis at {self.address}: {why}")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        async with self._places:
            connection = self._idle.pop() if self._idle else self.connect()
            try:
                if connection.is_connected and await connection.can_read():
                    await connection.disconnect(nowait=True)
                if not connection.is_connected:
                    await connection.connect()
                yield connection
            except BaseException:
                await connection.disconnect(nowait=True)
                raise
            self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


class Servers:
    """Every server of the queue, met when first needed."""

    def __init__(self, topology: Topology, options: dict[str, Any]) -> None:
        self.topology = topology
        self._options = options
        self._servers: dict[Address, Server] = {}

    def at(self, address: Address) -> Server:
        """Return the server that listens there."""
        if address not in self._servers:
            self._servers[address] = Server(address, self.topology.options_of(address, self._options))
        return self._servers[address]

    async def primary_of(self, slot: int) -> Server:
        """Return the slot's primary. Raises Unavailable while nobody knows it."""
        address = self.topology.primary_of(slot)
        if address is None:
            await self.learn()
            address = self.topology.primary_of(slot)
        if address is None:
            raise Unavailable(f"no server of the cluster holds slot {slot}")
        return self.at(address)

    async def primaries(self) -> list[Server]:
        """Return every primary."""
        if not self.topology.primaries():
            await self.learn()
        return [self.at(address) for address in self.topology.primaries()]

    async def learn(self) -> None:
        """Ask anew who holds what."""
        await self.topology.learn(self._ask)

    async def _ask(self, address: Address, command: Command) -> Any:
        try:
            (reply,) = await self.at(address).exchange([command], CONNECT_SECONDS)
        except AnswerLost as error:
            raise Unavailable(str(error)) from error
        if isinstance(reply, RedisError):
            raise Unavailable(f"Redis at {address}: {reply}")
        return reply

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.close()
