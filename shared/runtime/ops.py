"""The operations port of a process: /healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from shared.runtime.listening import listen
from shared.runtime.logs import current_sink, get_logger
from shared.runtime.metrics import Metrics

_PROBE_SECONDS: Final = 0.25
#: As long as the usual pause between two scrapes, so that none misses a stall.
_LAG_WINDOW_SECONDS: Final = 15.0
#: A scrape takes milliseconds; nobody is worth waiting for longer when the process ends.
_SHUTDOWN_SECONDS: Final = 1.0

#: OpenMetrics ends with this line, which may stand there only once.
_OPENMETRICS_END: Final = b"# EOF\n"

log = get_logger()


class Ops:
    """Tells the outside how a process is.

    Alive means that the event loop turns, and nothing else: a process that is restarted because
    Redis is away is a process that cannot drain. Ready means started, not draining, and has had
    Redis once; later trouble with Redis is for metrics and for answers with 503.
    """

    def __init__(
        self, role: str, host: str, port: int, metrics: Metrics, draining: asyncio.Event | None = None
    ) -> None:
        self.role = role
        self.host = host
        self.port = port
        self._metrics = metrics
        self._draining = draining
        self._reason: str | None = "starting"
        self._runner: web.AppRunner | None = None
        self._lag: asyncio.Task[None] | None = None

    def ready(self, reason: str | None = None) -> None:
        """Say that the process is ready, or the reason why it is not."""
        self._reason = reason

    async def start(self) -> None:
        """Listen; afterwards `port` is the port in use. Raises ConfigurationError where it is taken."""
        app = web.Application()
        app.add_routes([*self.probes(), web.get("/metrics", self._scrape)])
        app.on_response_prepare.append(_without_server)
        # A client that leaves must not cancel a handler: never on any port of this service.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=False, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await self._runner.setup()
        try:
            self.port = await listen(self._runner, self.host, self.port, "ops")
        except BaseException:
            await self._runner.cleanup()
            raise
        sink = current_sink()
        if sink is not None:
            sink.on_drop = self._metrics.log_lines_dropped.inc
        self._lag = asyncio.create_task(watch_lag(self._metrics), name="event loop lag")
        log.info("ops_listening", host=self.host, port=self.port)

    async def stop(self) -> None:
        """Close the port; the last thing that a process does, so that its drain can be watched."""
        if self._lag is not None:
            self._lag.cancel()
            await asyncio.wait([self._lag])
        if self._runner is not None:
            await self._runner.cleanup()

    def probes(self) -> list[web.RouteDef]:
        """Return the routes of /healthz and /readyz, for a public port that serves them too."""
        return [web.get("/healthz", self._healthy), web.get("/readyz", self._ready)]

    async def _healthy(self, _request: web.Request) -> web.Response:
        return _json(200, {"healthy": True, "role": self.role})

    async def _ready(self, _request: web.Request) -> web.Response:
        reason = "draining" if self._draining is not None and self._draining.is_set() else self._reason
        return _json(200 if reason is None else 503, {"ready": reason is None, "role": self.role, "reason": reason})

    async def _scrape(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = await _exposition(self._metrics.registry, encode)
        return web.Response(body=body, headers={"Content-Type": content_type})


class _Single(Collector):
    """One family of metrics, for an encoder that takes a whole registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return [self._family]


async def _exposition(registry: CollectorRegistry, encode: Callable[[Collector], bytes]) -> bytes:
    """Encode family by family: all at once would stop the event loop for 20 ms at each scrape."""
    parts: list[bytes] = []
    end = b""
    for family in registry.collect():
        text = encode(_Single(family))
        part = text.removesuffix(_OPENMETRICS_END)
        end = text[len(part) :]
        parts.append(part)
        await asyncio.sleep(0)
    return b"".join([*parts, end])


def _json(status: int, body: object) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


async def _without_server(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)


async def watch_lag(metrics: Metrics) -> None:
    """Keep `event_loop_lag_seconds` at the longest delay of the last 15 s, until cancelled."""
    loop = asyncio.get_running_loop()
    lags: deque[float] = deque(maxlen=int(_LAG_WINDOW_SECONDS / _PROBE_SECONDS))
    while True:
        due = loop.time() + _PROBE_SECONDS
        await asyncio.sleep(_PROBE_SECONDS)
        lags.append(max(0.0, loop.time() - due))
        metrics.event_loop_lag_seconds.set(max(lags))
