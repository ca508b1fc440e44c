"""The transport of mail transactions: a pool of connections to one server."""

from __future__ import annotations

import asyncio
from typing import Final

from services.sender.transport.smtp_connection import SmtpConnection
from services.sender.transport.smtp_session import NotOpened, open_session, tls_context
from shared.providers.interface import Reply, SmtpTransaction
from shared.providers.smtp import SmtpOptions

#: Many servers end a connection after 100 messages, and after some time without any; leaving
#: before they do is cheaper than finding out.
_MESSAGES_PER_CONNECTION: Final = 100
_IDLE_SECONDS: Final = 30.0


class SmtpTransport:
    """Keeps up to `concurrency` connections, the busiest first, and opens them when they are needed.

    TLS and the log-in cost several round trips, so reuse pays more than anything else.
    """

    def __init__(
        self, options: SmtpOptions, *, concurrency: int, connect_seconds: float, answer_seconds: float
    ) -> None:
        self._options = options
        self._tls = tls_context(options)
        self._slots = asyncio.Semaphore(concurrency)
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._idle: list[SmtpConnection] = []  # used as a stack: the oldest at its bottom go unused, and retire
        self._retirement: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def exchange(self, request: SmtpTransaction) -> Reply:
        """Carry one message over a connection of the pool, and return how far it came.

        A connection that the server gave up while it lay idle is replaced once by a new one: that
        is no fault of the server, and nothing of the message was taken.
        """
        async with self._slots:
            connection = self._take()
            if connection is not None:
                reply = await connection.transact(request)
                if not connection.broke_at_once:
                    self._give_back(connection)
                    return reply
            try:
                connection = await self._open()
            except NotOpened as failure:
                return failure.reply
            reply = await connection.transact(request)
            self._give_back(connection)
            return reply

    async def close(self) -> None:
        """Take leave of the server on every idle connection; those in use are closed by their own transactions."""
        self._is_closed = True
        if self._retirement is not None:
            self._retirement.cancel()
        while self._idle:
            self._retire(self._idle.pop())
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def _open(self) -> SmtpConnection:
        smtp = await open_session(self._options, self._tls, step_seconds=self._connect_seconds)
        return SmtpConnection(smtp, answer_seconds=self._answer_seconds)

    def _take(self) -> SmtpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    def _give_back(self, connection: SmtpConnection) -> None:
        if not connection.is_open:
            return
        if self._is_closed or connection.messages >= _MESSAGES_PER_CONNECTION:
            self._retire(connection)
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._retirement is None:
            self._retirement = loop.call_later(_IDLE_SECONDS, self._retire_idle)

    def _retire_idle(self) -> None:
        """Retire what has lain idle for long; the bottom of the stack has lain longest."""
        self._retirement = None
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0].idle_since + _IDLE_SECONDS <= loop.time():
            self._retire(self._idle.pop(0))
        if self._idle:
            self._retirement = loop.call_at(self._idle[0].idle_since + _IDLE_SECONDS, self._retire_idle)

    def _retire(self, connection: SmtpConnection) -> None:
        farewell = asyncio.create_task(connection.quit(), name="smtp-quit")
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)
