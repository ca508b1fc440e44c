"""What holds for every request, whatever it asks for: who may ask, how it is answered when all goes wrong."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from services.frontend.answers import REQUEST_ID, SPAN, TRACE, Declined, problem_answer, problem_of, unavailable
from services.frontend.auth import Door
from services.frontend.bodies import Room
from services.frontend.guard import Guard
from services.frontend.problem_types import PROBLEM_TYPES
from services.frontend.problems import Problem, problem, refused_query
from services.frontend.query import refuse_parameters
from shared.domain.errors import QueueError, ScriptDefect
from shared.domain.trace import continued
from shared.runtime import tracing
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.tracing import SILENT, Kind, Span

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROBES: Final = frozenset({"/healthz", "/readyz"})
#: The first parts of the paths that describe the interface: they need neither a key nor Redis.
_OPEN: Final = frozenset({"docs", "openapi.json", "problems"})
#: The one path that takes parameters, when it is read.
_LIST: Final = "/v1/messages"
_READS: Final = frozenset({"GET", "HEAD"})
#: From this status on an answer says that we, not the client, are at fault.
_FAILED: Final = 500

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Together they tell the requests of all frontends apart, which a log of many processes needs.
_PROCESS: Final = secrets.token_hex(4)
_numbers = itertools.count(1)

log = get_logger()


class Edge:
    """The one layer around all routes."""

    def __init__(self, door: Door, guard: Guard, metrics: Metrics, draining: asyncio.Event) -> None:
        self._door = door
        self._guard = guard
        self._answers = metrics.http_requests.counts
        self._names: dict[web.AbstractRoute, str] = {}
        self._draining = draining
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._room = Room()

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, count the answer, and keep count of those that are not answered yet."""
        self._in_flight += 1
        try:
            with self._room.shared_by(request):
                response = await self._answer(request, handler)
            self._count(request.match_info.route, response.status)
            return response
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def idle(self) -> None:
        """Return when no request is in flight."""
        while self._in_flight:
            self._idle.clear()
            await self._idle.wait()

    def _count(self, route: web.AbstractRoute, status: int) -> None:
        name = self._names.get(route)
        if name is None:
            if route.resource is None:  # the router makes another for each request that it cannot place
                self.count_other(status)
                return
            name = self._names[route] = f"{route.method} {route.resource.canonical}"
        self._answers[name, status] += 1

    def count_other(self, status: int) -> None:
        """Count an answer to what belongs to no route."""
        self._answers["other", status] += 1

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Return what its route makes of a request, or a problem, never neither."""
        request[REQUEST_ID] = request_id = id_of(request)
        request[TRACE] = trace = _trace_of(request)
        request[SPAN] = span = _step_of(request, trace)
        response: web.StreamResponse
        try:
            self._admit(request)
            response = await handler(request)
        except Declined as declined:
            response = problem_answer(declined.problem, request.path, request_id)
            if declined.close:
                response.force_close()
        except web.HTTPException as unrouted:
            response = problem_answer(_of_router(unrouted), request.path, request_id)
        except QueueError as error:
            if isinstance(error, ScriptDefect):
                _log_defect(request, error)
            reason = problem_of(error, reads=request.method in _READS)
            response = problem_answer(reason, request.path, request_id)
        except Exception as defect:  # noqa: BLE001 - the outermost layer: whatever went wrong, the client is told
            _log_defect(request, defect)
            response = problem_answer(problem("internal"), request.path, request_id)
        except asyncio.CancelledError:
            span.end("broken off")
            raise
        if self._draining.is_set():
            response.force_close()
        response.headers["X-Request-Id"] = request_id
        response.headers["Cache-Control"] = "no-store"
        if span is not SILENT:
            span.tell(http__response__status_code=response.status)
            span.end("the service failed" if response.status >= _FAILED else "")
        return response

    def _admit(self, request: web.Request) -> None:
        if request.path in PROBES:
            return
        if request.path[1:].partition("/")[0] not in _OPEN:
            self._door.admit(request)
            if not self._guard.joined:
                raise unavailable()
        if request.query_string and not (request.path == _LIST and request.method in _READS):
            faults = refuse_parameters(request.query.items())
            if faults and request.match_info.http_exception is None:
                raise Declined(refused_query(faults))


async def without_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Take out the header that names the software; it helps nobody but those who look for holes."""
    response.headers.pop("Server", None)


def id_of(request: web.BaseRequest) -> str:
    """Return the client's own id of a request where it is sane, else a new one."""
    given = request.headers.get("X-Request-Id")
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return f"req_{_PROCESS}{next(_numbers):06x}"


def _trace_of(request: web.Request) -> str:
    """Return where a client's trace stands, "" where it has none. Two of them are none (W3C Trace Context, 3.2.1)."""
    given = request.headers.getall("traceparent", ())
    return (continued(given[0]) or "") if len(given) == 1 else ""


def _step_of(request: web.Request, trace: str) -> Span:
    if not tracing.is_on() or request.path in PROBES:
        return SILENT
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else "other"
    return tracing.start(
        f"{request.method} {path}",
        Kind.SERVER,
        trace or None,
        http__request__method=request.method,
        http__route=path,
        reliable_email__request_id=request[REQUEST_ID],
    )


def _of_router(unrouted: web.HTTPException) -> Problem:
    if isinstance(unrouted, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(unrouted.allowed_methods))
        kind = PROBLEM_TYPES["method_not_allowed"]
        return Problem(kind, f"This path takes {allowed}, not {unrouted.method}", extra_headers={"Allow": allowed})
    return problem("not_found", "There is no such path")


def _log_defect(request: web.Request, defect: Exception) -> None:
    log.error(
        "request_failed",
        method=request.method,
        path=request.path,
        request_id=request[REQUEST_ID],
        error=repr(defect),
        exc_info=defect,
    )
