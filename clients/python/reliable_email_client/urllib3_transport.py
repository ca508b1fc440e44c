"""Requests over urllib3: the one place that speaks HTTP and blocks."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, SSLError

from reliable_email_client.core.endpoint import Endpoint
from reliable_email_client.core.wire import Failure, Reply, Request


class Urllib3Transport:
    """Keeps connections to one service, for any number of threads; a child made by fork has its own."""

    def __init__(self, endpoint: Endpoint, connections: int, ssl_context: ssl.SSLContext | None) -> None:
        self._endpoint = endpoint
        self._connections = connections
        self._ssl = {} if ssl_context is None else {"ssl_context": ssl_context}
        self._open()

    def _open(self) -> None:
        self._process = os.getpid()
        pool: Any = urllib3.connection_from_url(
            self._endpoint.origin, maxsize=self._connections, block=False, **self._ssl
        )
        # Any: what urllib3 declares here its own connections do not fulfil.
        pool.ConnectionCls = _TlsConnection if pool.scheme == "https" else _Connection
        self._pool: urllib3.HTTPConnectionPool = pool

    def exchange(self, request: Request, timeout_seconds: float, /) -> Reply | Failure:
        """Return the answer, or why there is none."""
        if self._process != os.getpid():
            self._open()  # a child must not speak on its parent's connections
        where = self._endpoint.origin
        try:
            return self._exchange(request, timeout_seconds)
        except SSLError as error:
            if any(isinstance(reason, ssl.SSLCertVerificationError) for reason in error.args):
                return Failure("untrusted", f"{where} cannot prove who it is: {error}", error)
            return Failure("lost", f"The talk with {where} broke off: {error}", error)
        except ConnectTimeoutError as error:  # a name that is unknown and a connection that is refused are such, too
            return Failure("unsent", f"Nothing answers at {where}: {error}", error)
        except (HTTPError, OSError) as error:
            return Failure("lost", f"The answer of {where} was lost: {error}", error)

    def _exchange(self, request: Request, timeout_seconds: float) -> Reply:
        response = self._pool.urlopen(
            request.method,
            self._endpoint.target(request),
            body=request.body,
            headers=self._endpoint.headers(request),
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=timeout_seconds, read=timeout_seconds),
        )
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, headers, response.data)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer that must end within the socket's time-out, head and body together.

    By itself a socket's time-out bounds each silence: an answer that trickles would never meet it.
    """

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - those of its base
        super().__init__(sock, *arguments, **named)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


class _TimedReader(io.RawIOBase):
    """Reads from a socket until an instant."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        timeout = sock.gettimeout()
        self._socket = sock
        self._raw = raw
        self._until = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - whatever memory
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("The answer did not end in time")
            self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _TimedResponse
