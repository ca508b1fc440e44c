"""A collector of OpenTelemetry on loopback: takes spans over OTLP/HTTP and keeps them."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Told:
    """A span as it came: of which service, its name, and its ids in hexadecimal digits ("" for no parent)."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


@dataclass
class Collector:
    """Listens for spans; `answers_with` is the status of its answers."""

    answers_with: int = 200
    spans: list[Told] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1/traces"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def until(self, *services: str) -> None:
        """Wait until each of these services has told of a span."""
        async with asyncio.timeout(30), self._heard:
            await self._heard.wait_for(lambda: {span.service for span in self.spans}.issuperset(services))

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        told = ExportTraceServiceRequest.FromString(body)
        async with self._heard:
            self.headers.append(dict(request.headers))
            for resource in told.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                self.spans += [
                    Told(
                        names["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                    )
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
            self._heard.notify_all()
        return web.Response(status=self.answers_with, content_type="application/x-protobuf")
