"""Requests over aiohttp: the one place that speaks HTTP and does not block."""

from __future__ import annotations

import asyncio
import io
import ssl

import aiohttp
from yarl import URL

from reliable_email_client.core.endpoint import Endpoint
from reliable_email_client.core.wire import Failure, Reply, Request


class AiohttpTransport:
    """Keeps connections to one service, for the event loop that first uses it."""

    def __init__(self, endpoint: Endpoint, connections: int, ssl_context: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._ssl = ssl_context
        self._session: aiohttp.ClientSession | None = None
        # Waiting here costs no attempt its time; in aiohttp's own queue it would.
        self._room = asyncio.Semaphore(connections)

    async def exchange(self, request: Request, timeout_seconds: float, /) -> Reply | Failure:
        """Return the answer, or why there is none."""
        async with self._room:
            try:
                return await self._exchange(request, timeout_seconds)
            except aiohttp.ClientConnectorCertificateError as error:
                return Failure("untrusted", f"{self._endpoint.origin} cannot prove who it is: {error}", error)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                return Failure("unsent", f"Nothing answers at {self._endpoint.origin}: {error}", error)
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                words = str(error) or type(error).__name__
                return Failure("lost", f"The answer of {self._endpoint.origin} was lost: {words}", error)

    async def _exchange(self, request: Request, timeout_seconds: float) -> Reply:
        async with self._opened().request(
            request.method,
            URL(self._endpoint.origin + self._endpoint.target(request), encoded=True),
            # Bytes as they are would be written in one piece, and hold up the loop.
            data=None if request.body is None else io.BytesIO(request.body),
            headers=self._endpoint.headers(request),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=timeout_seconds),
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await response.read())

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=True if self._ssl is None else self._ssl),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
