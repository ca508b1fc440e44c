"""The steps of a delivery in its trace: the lease, each attempt, and each exchange with a provider."""

from __future__ import annotations

import time
from typing import Final

from services.sender.delivery import Delivery
from shared.domain.message import Attempt
from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.runtime import tracing
from shared.runtime.tracing import SILENT, Kind

#: What came to any other end is shown as a fault.
_GOOD: Final = frozenset({Outcome.ACCEPTED, Outcome.PARTIAL})


def begin(delivery: Delivery) -> None:
    """Begin the step of a lease, once a provider is found: what finds none is leased again and again."""
    if not tracing.is_on() or delivery.span is not SILENT:
        return
    lease = delivery.lease
    delivery.span = tracing.start(
        "deliver",
        Kind.CONSUMER,
        lease.trace,
        seconds_ago=time.monotonic() - delivery.leased_at,
        messaging__system="reliable_email",
        messaging__message__id=lease.id,
        messaging__destination__name=lease.pool,
        reliable_email__tenant=lease.tenant,
        reliable_email__priority=lease.priority.value,
        reliable_email__recipients=len(delivery.pending),
    )


def begin_attempt(delivery: Delivery, provider: str) -> None:
    """Begin the step of an attempt that was written down and goes out now."""
    if tracing.is_on():
        delivery.attempt_span = tracing.start(
            f"attempt {provider}",
            Kind.CLIENT,
            delivery.span.traceparent,
            messaging__message__id=delivery.lease.id,
            reliable_email__provider=provider,
            reliable_email__attempt=delivery.attempts,
        )


def end_attempt(delivery: Delivery, attempt: Attempt) -> None:
    """End it with what the attempt came to; the provider's words stand in the record alone."""
    span, delivery.attempt_span = delivery.attempt_span, SILENT
    if span is not SILENT:
        span.tell(reliable_email__outcome=attempt.outcome.value)
        if attempt.smtp_code is not None:
            span.tell(reliable_email__smtp_code=attempt.smtp_code)
        if attempt.enhanced_code is not None:
            span.tell(reliable_email__enhanced_code=attempt.enhanced_code)
        span.end("" if attempt.outcome in _GOOD else attempt.outcome.value)


def tell_state(delivery: Delivery, state: State | None) -> None:
    """Say in which state the lease left its message."""
    if delivery.span is not SILENT and state is not None:
        delivery.span.tell(reliable_email__state=state.value)


def end(delivery: Delivery) -> None:
    """End what is still open of a delivery that is held no longer."""
    delivery.attempt_span.end("its end is unknown")
    delivery.span.end()
    delivery.span = delivery.attempt_span = SILENT
