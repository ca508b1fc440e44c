"""The public port: aiohttp, told to be strict, patient for so long and no longer, and silent about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, cast

from aiohttp import http_exceptions as http
from aiohttp import web

from services.frontend.answers import problem_answer
from services.frontend.edge import Edge, id_of, without_server
from services.frontend.problems import problem
from shared.domain.errors import ConfigurationError, Fault
from shared.runtime.listening import listen
from shared.runtime.logs import get_logger
from shared.runtime.process import Lifetime
from shared.settings.checks import is_loopback
from shared.settings.model import FrontendSettings

_OPTIONS: Final[dict[str, Any]] = {
    # A client that leaves must not cancel a submission that is half done.
    "handler_cancellation": False,
    "access_log": None,
    # Longer than the minute for which balancers keep a connection; it bounds the wait for headers, too.
    "keepalive_timeout": 75.0,
    # Compressed bodies are refused: aiohttp would undo them unasked, and a few bytes may become many.
    "auto_decompress": False,
    # What a refused body still sends is read for so long, for else its sender would not see the refusal.
    "lingering_time": 3.0,
}

#: What is wrong with bytes that are no request, by the library's errors, the narrower ones first.
_SENTENCES: Final = (
    (http.LineTooLong, "The first line or a header is too long: each may have 8,190 bytes"),
    (http.InvalidHeader, "A header is malformed"),
    (http.BadStatusLine, "The first line is not that of an HTTP request; this port speaks HTTP without TLS"),
    (http.InvalidURLError, "The path is malformed"),
    (http.TransferEncodingError, "The chunks of the body are malformed"),
    (http.ContentLengthError, "The body is shorter than its Content-Length"),
)

#: Connections that are open at once, idle ones too. Each may hold a head and a piece of a body, some 100 KiB.
_CONNECTIONS: Final = 5_000

log = get_logger()


def _sentence(error: BaseException | None) -> str:
    return next((said for kind, said in _SENTENCES if isinstance(error, kind)), "The head of the request is malformed")


class _Protocol(web.RequestHandler):
    """A connection that answers with a problem even where no request could be read from it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests, or close where there are too many connections.

        That happens without a word: an answer would cost what is short, and whoever is not
        answered tries again.
        """
        if isinstance(self._manager, _Server) and self._manager.is_full:
            cast("asyncio.Transport", transport).abort()
            return
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the library's own words, with its bytes in them
    ) -> web.StreamResponse:
        """Return the answer to bytes that are no request (400), or to a defect outside of every route."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        request_id = id_of(request)
        if status == web.HTTPBadRequest.status_code:
            answer = problem_answer(problem("bad_request", _sentence(exc)), request.path, request_id)
        else:
            log.error("request_failed", method="", path="", request_id=request_id, error=repr(exc), exc_info=exc)
            answer = problem_answer(problem("internal"), request.path, request_id)
        answer = _Unrouted(body=answer.body, status=answer.status, headers=answer.headers)
        answer.headers["X-Request-Id"] = request_id
        answer.headers["Cache-Control"] = "no-store"
        answer.force_close()
        if isinstance(self._manager, _Server):
            self._manager.edge.count_other(answer.status)
        return answer


class _Unrouted(web.Response):
    """An answer to what belongs to no application, so that no signal of one takes out its header `Server`."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class _Server(web.Server):
    def __init__(self, usual: web.Server, edge: Edge) -> None:
        super().__init__(usual.request_handler, request_factory=usual.request_factory, **_OPTIONS)
        self.edge = edge

    @property
    def is_full(self) -> bool:
        return len(self._connections) >= _CONNECTIONS

    def __call__(self) -> web.RequestHandler:
        options = {name: value for name, value in _OPTIONS.items() if name != "handler_cancellation"}
        return _Protocol(self, loop=asyncio.get_running_loop(), **options)


class _Runner(web.AppRunner):
    def __init__(self, app: web.Application, edge: Edge, shutdown_timeout: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._edge = edge

    async def _make_server(self) -> web.Server:
        # An application's own server cannot be told which protocol to speak.
        return _Server(await super()._make_server(), self._edge)


class Api:
    """The port that clients speak to, from opening to the last answer."""

    def __init__(self, settings: FrontendSettings, edge: Edge, routes: Iterable[web.RouteDef]) -> None:
        self.host = settings.host
        self.port = settings.port
        self._edge = edge
        self._has_keys = bool(settings.keys)
        app = web.Application(middlewares=[edge.handle])
        app.on_response_prepare.append(without_server)
        for route in routes:
            options = {**route.kwargs, "expect_handler": _expect_nothing}
            web.RouteDef(route.method, route.path, route.handler, options).register(app.router)
        self._runner = _Runner(app, edge, shutdown_timeout=settings.grace_seconds)

    async def open(self) -> None:
        """Listen; afterwards `port` is the port in use. Raises ConfigurationError."""
        if not self._has_keys and not is_loopback(self.host):
            detail = f"'{self.host}' is reachable from elsewhere: add [[frontend.keys]], or listen on 127.0.0.1"
            raise ConfigurationError((Fault("frontend.host", "conflict", detail),))
        await self._runner.setup()
        self.port = await listen(self._runner, self.host, self.port, "frontend")
        log.info("api_listening", host=self.host, port=self.port)

    async def close(self, lifetime: Lifetime) -> None:
        """Take no new connection, answer what is in flight within the grace period, close."""
        closing = asyncio.ensure_future(self._close())
        over = asyncio.ensure_future(lifetime.grace_over.wait())
        try:
            await asyncio.wait((closing, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            closing.cancel()
        await asyncio.wait((closing,))

    async def _close(self) -> None:
        for site in self._runner.sites:
            await site.stop()
        # The runner stops reading at once, which would cut the bodies that are still coming in.
        await self._edge.idle()
        await self._runner.cleanup()


async def _expect_nothing(_request: web.Request) -> None:
    """Leave `Expect: 100-continue` to whoever reads the body, once it is known that it is wanted."""
