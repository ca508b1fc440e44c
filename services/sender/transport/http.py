"""The transport of HTTP requests: one pool of connections for all services, and how far each exchange came.

aiohttp connects, verifies, frames and parses. It does not tell whether a request that failed had
been written completely, which is the difference between a safe retry and a possible duplicate: so
the body writes itself, and notes its last byte.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.payload import Payload
from yarl import URL

from reliable_email import __version__
from services.sender.transport import failures
from services.sender.transport.aws import signed
from shared.providers.interface import HttpRequest, Phase, Reply

#: Leaving before the server does spares the request that crosses its farewell on the way, of which nobody
#: could say whether it arrived. Node, uvicorn and Apache leave after 5 seconds, load balancers after 60 or more;
#: under load no connection lies idle for so long, and without it a new one is cheap.
_IDLE_SECONDS: Final = 4.0

#: A service that takes less than a block in this time has stopped reading.
_BLOCK_SECONDS: Final = 30.0
_BLOCK_BYTES: Final = 64 << 10

#: An answer names a few ids. What is longer is none of the service's.
_ANSWER_BYTES: Final = 1 << 20

#: From here on hashing takes longer than the event loop should wait.
_LARGE_BYTES: Final = 256 << 10

#: Each phase has its own limit, which aiohttp does not know.
_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

_OVERDUE: Final = {
    Phase.CONNECT: "no connection in time",
    Phase.SENDING: "the service does not take the request",
    Phase.SENT: "no answer in time",
}

#: Everything by which an exchange can end early. A ValueError is a header that cannot be written, or an
#: address that is none: then nothing was.
_FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)

_KINDS: Final[failures.Kinds] = (
    *failures.NETWORK,
    ("reset", (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)),
)


class HttpConnections:
    """The connections of one process to all services over HTTP; made inside the running loop, and closed at its end.

    The concurrencies of the providers bound how many there are. Nothing of the environment bends
    their way: no proxy, no .netrc, no cookie that a service sets. `authorities` judge the services'
    certificates instead of the system's.
    """

    def __init__(self, authorities: ssl.SSLContext | None = None) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_connected)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS, ssl=authorities or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Services that compress all the same are understood, and their answer is bounded as it unfolds.
            headers={"User-Agent": f"reliable-email/{__version__}", "Accept-Encoding": "identity"},
            timeout=_NO_LIMIT,
            trace_configs=[trace],
        )

    async def close(self) -> None:
        """Let every connection go; exchanges under way end without an answer."""
        await self.session.close()


class HttpTransport:
    """Carries the requests of one provider.

    `connect_seconds` bound name, connection and TLS together, `answer_seconds` what comes between
    the last byte of the request and the last one of the answer.
    """

    def __init__(self, connections: HttpConnections, *, connect_seconds: float, answer_seconds: float) -> None:
        self._session = connections.session
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds

    async def exchange(self, request: HttpRequest) -> Reply:
        """Carry one request and return how far it came; broken off or cancelled, its connection is gone at once.

        Nothing is repeated here: a request that was written to a connection which the server gave up
        at the same moment may have arrived.
        """
        headers = await _headers_of(request)
        progress = _Progress(asyncio.timeout(self._connect_seconds), self._answer_seconds, bool(request.body))
        is_sound = False
        try:
            async with progress.limit:
                reply = await self._talk(request, headers, progress)
            is_sound = True
        except _FAILURES as failure:
            return progress.broken_off(failure)
        finally:
            if not is_sound:
                progress.abort()
        return reply

    async def close(self) -> None:
        """Do nothing: the connections are everybody's, and idle ones end by themselves."""

    async def _talk(self, request: HttpRequest, headers: Mapping[str, str], progress: _Progress) -> Reply:
        response = await self._session.request(
            request.method,
            URL(request.url, encoded=True),  # as the adapter wrote it, and as it was signed
            headers=headers,
            data=_Body(request.body, progress) if request.body else None,
            allow_redirects=False,
            trace_request_ctx=progress,
        )
        try:
            body = await _body_of(response)
        finally:
            # After a complete answer to a complete request the connection is back in the pool already.
            response.close()
        return Reply(
            Phase.ANSWERED,
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=body,
            at=int(time.time() * 1000),
        )


@dataclass(slots=True)
class _Progress:
    """How far an exchange came. Whatever goes one step further notes it here, and for how long to wait from now."""

    limit: asyncio.Timeout
    answer_seconds: float
    has_body: bool
    phase: Phase = Phase.CONNECT
    transport: asyncio.Transport | None = None

    def connected(self) -> None:
        if self.has_body:
            self._wait(Phase.SENDING, _BLOCK_SECONDS)
        else:
            self.written()

    def moved(self) -> None:
        self._wait(Phase.SENDING, _BLOCK_SECONDS)

    def written(self) -> None:
        self._wait(Phase.SENT, self.answer_seconds)

    def broken_off(self, failure: BaseException) -> Reply:
        return Reply(self.phase, self._describe(failure), failures.kind_of(failure, _KINDS))

    def abort(self) -> None:
        """Close at once, and drop what was not yet written: a request that counts as lost must not complete later."""
        if self.transport is not None:
            self.transport.abort()

    def _wait(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        if not self.limit.expired():
            self.limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def _describe(self, failure: BaseException) -> str:
        if self.limit.expired():
            return _OVERDUE[self.phase]
        return " ".join(str(failure).split()) or type(failure).__name__


class _Body(Payload):
    """A request's body that notes how far it was written.

    It is written in blocks, each once the one before has left. Only the last completes the request,
    and counts as taken as soon as the transport has it: what becomes of it then, nobody here can tell.
    """

    _autoclose = True  # there is nothing to close

    def __init__(self, data: bytes, progress: _Progress) -> None:
        super().__init__(data)
        self._size = len(data)
        self._progress = progress

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        data: bytes = self._value
        return data.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 - it is that of the body
        stream = cast(StreamWriter, writer)
        self._progress.transport = stream.transport
        rest = memoryview(self._value)
        while len(rest) > _BLOCK_BYTES:
            await stream.write(rest[:_BLOCK_BYTES], drain=False)
            await stream.drain()
            rest = rest[_BLOCK_BYTES:]
            self._progress.moved()
        # This raises where the connection is known to be gone, and waits for nothing.
        await stream.write(rest, drain=False)
        self._progress.written()


async def _connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:  # noqa: ANN401 - not looked at
    progress: _Progress = context.trace_request_ctx
    progress.connected()


async def _headers_of(request: HttpRequest) -> Mapping[str, str]:
    if request.signature is None:
        return request.headers
    if len(request.body) > _LARGE_BYTES:
        return await asyncio.to_thread(signed, request, request.signature)
    return signed(request, request.signature)


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    blocks = []
    room = _ANSWER_BYTES
    while block := await response.content.read(_BLOCK_BYTES):
        blocks.append(block)
        room -= len(block)
        if room < 0:
            raise _Oversized(f"an answer (HTTP {response.status}) of more than {_ANSWER_BYTES} bytes")
    return b"".join(blocks)


class _Oversized(aiohttp.ClientError):
    """The answer is longer than any of a service's."""
