"""A desk's own socket: it takes connections, acts out its life, and carries requests to the desk."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.fakes.internet.acts import Act, Kind
from tests.fakes.internet.desk import PAGE, Answer, Call, Desk

_MOST_CONNECTIONS: Final = 1024
_SO_LINGER_NOW: Final = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN


class _Ended(asyncio.CancelledError):
    """The connection ends here; the one exception that aiohttp neither answers nor logs."""


class _Connection(web.RequestHandler):
    __slots__ = ("_listener", "answered", "gone")

    def __init__(self, manager: web.Server, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(manager, loop=loop, access_log=None, lingering_time=0.0)  # type: ignore[arg-type]  # None is no log
        self._listener = listener
        self.answered = 0
        self.gone: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._listener.is_deaf:
            # Not at once: the event loop begins to read after this.
            asyncio.get_running_loop().call_soon(_pause, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        super().connection_lost(exc)


class Listener:
    """The door of one desk. Its port stays its own while it is shut: nobody else can take it."""

    def __init__(self, desk: Desk, host: str = "127.0.0.1", port: int = 0) -> None:
        self.desk = desk
        self.host = host
        self.is_deaf = False
        self.connections_made = 0
        self._reservation = reserved(host, port)
        self.port: int = self._reservation.getsockname()[1]
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._manager: web.Server | None = None
        self._number = 0

    async def start(self) -> None:
        """Take connections."""
        self._manager = web.Server(self._serve)
        self.open()
        assert self._opening is not None
        await self._opening

    async def stop(self) -> None:
        """Break every connection and listen no more."""
        self.shut()
        if self._manager is not None:
            await self._manager.shutdown(0.0)
        self._reservation.close()

    def open(self) -> None:
        """Take connections; from this moment on they wait in the system's queue until they are met."""
        if self._socket is None:
            self._socket = listening(self.host, self.port)
            self._opening = asyncio.get_running_loop().create_task(self._open(self._socket))

    async def _open(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._connected, sock=sock, backlog=_MOST_CONNECTIONS)
        if self._socket is sock:
            self._server = server
        else:
            server.close()

    def shut(self) -> None:
        """Refuse connections and break those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.drop()

    def drop(self) -> None:
        """Break the connections there are."""
        for connection in self._connections():
            if connection.transport is not None:
                _reset(connection.transport)

    def deafen(self, *, deaf: bool) -> None:
        """Read nothing more from any connection, or read again."""
        if deaf == self.is_deaf:
            return
        self.is_deaf = deaf
        for connection in self._connections():
            if connection.transport is not None:
                (_pause if deaf else _resume)(connection.transport)

    def _connections(self) -> list[web.RequestHandler]:
        return self._manager.connections if self._manager is not None else []

    def _connected(self) -> _Connection:
        assert self._manager is not None
        self.connections_made += 1
        return _Connection(self._manager, self, asyncio.get_running_loop())

    # -- one request ------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        desk = self.desk
        found = desk.route(request.method, request.rel_url.raw_path)
        asks = found is not None and found[0].asks
        at = time.monotonic()
        act = desk.life.meet(asks=asks)
        if act.kind is Kind.EARLY:
            desk.ledger.answer("lost")
            raise self._broken(request)
        body = await _body(request)
        if asks:
            desk.ledger.lookups += 1
            desk.ledger.wake()
        else:
            desk.ledger.arrive(at)
        await desk.life.held()
        if act.seconds and act.kind is not Kind.DRIP:
            await asyncio.sleep(act.seconds)
        self._number += 1
        call = Call(
            request.method,
            request.rel_url.raw_path,
            request.query,
            request.headers,
            body,
            time.time(),
            time.monotonic(),
            self._number,
        )
        return await self._perform(act, call, request)

    async def _perform(self, act: Act, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        desk = self.desk
        answer = desk.failed(act) if act.kind is Kind.FAIL else None
        if answer is None and (act.taken or act.kind is Kind.PASS):
            answer = desk.respond(call)
        if act.kind is Kind.PAGE:
            answer = Answer(act.status, PAGE, {"Content-Type": "text/html"})
        if act.kind is Kind.ANSWER:
            answer = Answer(act.status, act.body.encode(), dict(act.headers))
        if delay := desk.life.delay():
            await asyncio.sleep(delay)
        if answer is None or act.kind in {Kind.HANG, Kind.RESET, Kind.CLOSE}:
            desk.ledger.answer("lost")
            return await self._fall_silent(act, request)
        match act.kind:
            case Kind.CUT:
                desk.ledger.answer("cut")
                return await self._cut(answer, request)
            case Kind.DRIP:
                return await self._drip(answer, act.seconds, request)
            case Kind.GARBAGE:
                desk.ledger.answer("cut")
                _transport(request).write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
                _transport(request).close()
                raise _Ended
        desk.ledger.answer(answer.status)
        return self._answered(answer, request)

    def _answered(self, answer: Answer, request: web.BaseRequest) -> web.Response:
        response = web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.answered += 1
        if connection.answered >= self.desk.life.answers_a_connection:
            # Without a word: whoever comes next on this connection finds it closed.
            asyncio.get_running_loop().call_soon(_close_after_answer, connection)
        return response

    async def _fall_silent(self, act: Act, request: web.BaseRequest) -> web.StreamResponse:
        if act.kind is Kind.RESET:
            raise self._broken(request)
        if act.kind is Kind.CLOSE:
            _transport(request).close()
            raise _Ended
        connection = request.protocol
        assert isinstance(connection, _Connection)
        await connection.gone
        raise _Ended

    async def _cut(self, answer: Answer, request: web.BaseRequest) -> web.StreamResponse:
        body = answer.body or b" " * 64
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(body) + 64
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        raise self._broken(request)

    async def _drip(self, answer: Answer, seconds: float, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        for byte in answer.body:
            await asyncio.sleep(seconds)
            await response.write(bytes([byte]))
        await response.write_eof()
        self.desk.ledger.answer(answer.status)
        return response

    def _broken(self, request: web.BaseRequest) -> _Ended:
        _reset(_transport(request))
        return _Ended()


async def _body(request: web.BaseRequest) -> bytes:
    if not request.can_read_body:
        return b""
    try:
        return await request.content.read()
    except (OSError, aiohttp.ClientError, web.RequestPayloadError) as error:
        raise _Ended from error  # the client left in the middle


def reserved(host: str, port: int) -> socket.socket:
    """Return a socket that holds a port and does not listen: connections to it are refused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    return sock


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a reserved port."""
    sock = reserved(host, port)
    sock.listen(_MOST_CONNECTIONS)
    sock.setblocking(False)
    return sock


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    transport = request.transport
    if transport is None:
        raise _Ended  # the client left
    assert isinstance(transport, asyncio.Transport)
    return transport


def _reset(transport: asyncio.BaseTransport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SO_LINGER_NOW)
    transport.abort()  # type: ignore[attr-defined]  # a transport that writes


def _pause(transport: Any) -> None:
    if transport.is_reading():
        transport.pause_reading()


def _resume(transport: Any) -> None:
    if not transport.is_reading() and not transport.is_closing():
        transport.resume_reading()


def _close_after_answer(connection: _Connection) -> None:
    if connection.transport is not None:
        connection.transport.close()  # what is written still goes out
