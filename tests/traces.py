"""The spans of the test's own process, kept in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.runtime import tracing

#: A client's trace, sampled.
TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID: Final = "b7ad6b7169203331"
TRACEPARENT: Final = f"00-{TRACE_ID}-{SPAN_ID}-01"


@dataclass(slots=True)
class Traces:
    """What was recorded."""

    exporter: InMemorySpanExporter

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in that order."""
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span of a name."""
        (span,) = self.named(name)
        return span


@contextlib.asynccontextmanager
async def kept_traces(sample_percent: float = 100.0) -> AsyncIterator[Traces]:
    """Record spans for as long as the block runs."""
    exporter = InMemorySpanExporter()
    tracing.record("test", SimpleSpanProcessor(exporter), sample_percent)
    try:
        yield Traces(exporter)
    finally:
        tracing.close()


def id_of(span: ReadableSpan) -> str:
    """Return the id of a span as a `traceparent` writes it."""
    return f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    """Return the id of the span that it follows from."""
    return f"{span.parent.span_id:016x}" if span.parent is not None else None


def trace_of(span: ReadableSpan) -> str:
    """Return the id of its trace."""
    return f"{span.context.trace_id:032x}"
