"""Traces: what became of a message, step by step, across all processes that had it.

A step is a span of OpenTelemetry. Without the extra `tracing`, or without an endpoint, every span is
`SILENT` and costs nothing; what a client sent as its `traceparent` travels with the message all the same.
No address, subject or body ever stands in a span.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Final

from reliable_email import __version__
from shared.domain.errors import ConfigurationError, Fault
from shared.runtime.logs import get_logger
from shared.settings.model import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import SpanContext, Tracer

#: How long the collector may take; what it does not take in time is dropped, and no message waits for it.
_EXPORT_SECONDS: Final = 2.0

Value = str | int | float | bool


class Kind(Enum):
    """What a span is to the one that it follows from: the names of OpenTelemetry's `SpanKind`."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"
    INTERNAL = "INTERNAL"


class Span:
    """One step; this class itself records nothing.

    `traceparent` is what the steps that follow go on with, None where there is no trace, and `exemplar`
    what a histogram shows beside an observation, None where the span is not recorded.
    """

    __slots__ = ()

    @property
    def traceparent(self) -> str | None:
        """The position in the trace, as W3C Trace Context writes it."""
        return None

    @property
    def exemplar(self) -> dict[str, str] | None:
        """The labels of an exemplar."""
        return None

    def tell(self, **attributes: Value) -> None:
        """Add what has become known; in the names `__` stands for a dot."""

    def end(self, fault: str = "") -> None:
        """End the step now; `fault` says what went wrong, in our words: those of a provider may quote content."""


SILENT: Final = Span()


class _Recorded(Span):
    """A step that is told to a collector, if the trace is sampled."""

    __slots__ = ("_span",)

    def __init__(self, span: RecordedSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        position = self._span.get_span_context()
        if not position.is_valid:  # the environment has switched the library off
            return None
        return f"00-{position.trace_id:032x}-{position.span_id:016x}-{position.trace_flags:02x}"

    @property
    def exemplar(self) -> dict[str, str] | None:
        if not self._span.is_recording():
            return None
        return {"trace_id": f"{self._span.get_span_context().trace_id:032x}"}

    def tell(self, **attributes: Value) -> None:
        self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def end(self, fault: str = "") -> None:
        if fault:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

            self._span.set_status(Status(StatusCode.ERROR, fault))
        self._span.end()


_tracer: Tracer | None = None
_provider: TracerProvider | None = None
_current: ContextVar[tuple[Span, ...]] = ContextVar("spans", default=())

log = get_logger()


def configure(role: str, settings: TracingSettings) -> None:
    """Tell the collector at the configured endpoint what this process does; without an endpoint do nothing.

    The environment of OpenTelemetry counts too (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES`, …).
    Raises ConfigurationError where the extra is not installed.
    """
    if settings.endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ImportError as missing:
        detail = "Tracing needs more packages: pip install 'reliable-email[tracing]', or remove the endpoint"
        raise ConfigurationError((Fault("tracing.endpoint", "not_installed", detail),)) from missing
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=_EXPORT_SECONDS)
    record(role, BatchSpanProcessor(exporter), settings.sample_percent)


def record(role: str, processor: SpanProcessor, sample_percent: float = 100.0) -> None:
    """Give the spans of this process to `processor` from now on."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415 - an extra

    global _tracer, _provider  # noqa: PLW0603 - one for a process, as its log
    _provider = TracerProvider(
        resource=Resource.create({"service.name": f"reliable-email-{role}", "service.version": __version__}),
        sampler=ParentBased(TraceIdRatioBased(sample_percent / 100)),
        shutdown_on_exit=False,
    )
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("reliable_email", __version__)


def close() -> None:
    """Hand over what was not handed over yet, and record nothing afterwards.

    It takes as long as the collector does, two seconds at most: then the last spans are lost.
    """
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is None:
        return
    # A thread that the end of the process does not wait for: the library would wait for half a minute.
    farewell = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
    farewell.start()
    farewell.join(_EXPORT_SECONDS)
    if farewell.is_alive():
        log.warning("spans_lost", detail="the collector did not take the last spans in time")


def is_on() -> bool:
    """Return whether spans are made here: what only they need can be left undone."""
    return _tracer is not None


def start(name: str, kind: Kind, parent: str | None = None, *, seconds_ago: float = 0.0, **attributes: Value) -> Span:
    """Begin a step that follows from `parent`, a `traceparent`; without one begin a trace. In the
    names of `attributes` `__` stands for a dot."""
    return SILENT if _tracer is None else _begun(_tracer, name, kind, parent, attributes, seconds_ago=seconds_ago)


def _begun(
    tracer: Tracer,
    name: str,
    kind: Kind,
    parent: str | None,
    attributes: Mapping[str, Value],
    *,
    seconds_ago: float = 0.0,
    beside: Sequence[str] = (),
) -> Span:
    """Begin a step; those `beside` are steps that it serves as well, each maybe of another trace."""
    from opentelemetry.trace import Link, SpanKind  # noqa: PLC0415 - an extra

    return _Recorded(
        tracer.start_span(
            name,
            _context_of(parent),
            SpanKind[kind.value],
            {name.replace("__", "."): value for name, value in attributes.items()},
            [Link(_position(one)) for one in beside],
            start_time=time.time_ns() - round(seconds_ago * 1e9),
        )
    )


def _context_of(parent: str | None) -> Context:
    from opentelemetry import trace  # noqa: PLC0415 - an extra
    from opentelemetry.context import Context  # noqa: PLC0415 - an extra

    if parent is None:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(_position(parent)), Context())


def _position(traceparent: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415 - an extra

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


@contextlib.contextmanager
def inside(*spans: Span) -> Iterator[None]:
    """Let `start_inner` follow from these spans for as long as the block runs."""
    before = _current.set(spans)
    try:
        yield
    finally:
        _current.reset(before)


def start_inner(name: str, kind: Kind, **attributes: Value) -> Span:
    """Begin a step of the steps that run here: of the first, and beside the others. Without any, record none."""
    positions = [place for span in _current.get() if (place := span.traceparent) is not None]
    if _tracer is None or not positions:
        return SILENT
    return _begun(_tracer, name, kind, positions[0], attributes, beside=positions[1:])
