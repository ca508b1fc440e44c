"""What clients see: values of the domain as JSON-ready objects.

Every field is always there, null or empty where it is unknown. No I/O and no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from services.frontend.instants import instant
from services.frontend.limits import Limits
from services.frontend.problems import error_views
from services.frontend.schema import Rehearsal
from shared.domain.message import (
    Acceptance,
    Address,
    Attachment,
    Attempt,
    HistoryEvent,
    Priority,
    Reason,
    RecipientStatus,
    Record,
)
from shared.domain.states import DEAD, RecipientState, State
from shared.settings.model import RetentionSettings

View = dict[str, Any]

_DAY_MS: Final = 86_400_000

#: Why a message is not sent yet, in words. The codes are an open set; an unknown one speaks for itself.
WAITING: Final = {
    "scheduled": "It is to be sent later",
    "turn": "Its turn has not come: others of its pool and priority are before it, or no sender has room",
    "rate_limited": "The providers that may carry it have used up their rate for the moment",
    "quota_spent": "The providers that may carry it have used up their quota",
    "no_provider_available": "No provider of its pool can be reached",
    "paused": "Sending is paused for its pool, its providers or everything",
    "backoff": "The last round of attempts failed for now; the next one comes after a pause",
    "ambiguous_delay": "Nobody knows whether the last attempt arrived; the next one waits until that can be known",
}


def acceptance_view(acceptance: Acceptance) -> View:
    """Return the answer to a submission that was taken."""
    return {
        "id": acceptance.id,
        "state": acceptance.state,
        "priority": acceptance.priority,
        "pool": acceptance.pool,
        "created_at": instant(acceptance.created_at),
        "send_at": _instant(acceptance.send_at),
        "expires_at": _instant(acceptance.expires_at),
        "internet_message_id": acceptance.internet_message_id,
        "suppressed": [],
    }


def rehearsal_view(rehearsal: Rehearsal) -> View:
    """Return the answer to a submission that was only looked at."""
    route = None if rehearsal.route is None else {"index": rehearsal.route, "pool": rehearsal.pool}
    return {
        "valid": not rehearsal.faults,
        "pool": rehearsal.pool,
        "route": route,
        "errors": error_views(rehearsal.faults),
    }


def record_view(record: Record, retention: RetentionSettings) -> View:
    """Return everything that is known of a message."""
    envelope = record.envelope
    return {
        **_summary(record, retention),
        "recipients": [
            _recipient_view(address, str(envelope.kind_of(index)), status)
            for index, (address, status) in enumerate(zip(envelope.recipients, record.recipients, strict=True))
        ],
        "attempts": [_attempt_view(attempt) for attempt in record.attempts],
        "events": [_event_view(event) for event in record.events],
    }


def row_view(record: Record, retention: RetentionSettings) -> View:
    """Return a message as it stands in a list: how many recipients, and in which states, instead of each."""
    states = Counter(status.state for status in record.recipients)
    return {
        **_summary(record, retention),
        "recipients_total": len(record.recipients),
        "recipients_by_state": {state.value: states[state] for state in RecipientState},
    }


def list_view(data: Sequence[View], next_cursor: str | None) -> View:
    """Return one page of a list."""
    return {"data": data, "next_cursor": next_cursor}


def service_view(
    *,
    version: str,
    now_ms: int,
    tenant: str,
    scopes: Iterable[str],
    limits: Limits,
    pools: Iterable[str],
) -> View:
    """Return what a client must know of the service to size its calls."""
    return {
        "service": "reliable-email",
        "version": version,
        "api_version": "v1",
        "time": instant(now_ms),
        "tenant": tenant,
        "scopes": list(scopes),
        "limits": {
            "request_bytes": limits.request_bytes,
            "attachments_bytes": limits.attachments_bytes,
            "attachments": limits.attachments,
            "recipients": limits.recipients,
            "batch_messages": limits.batch_messages,
            "headers": limits.headers,
            "metadata_bytes": limits.metadata_bytes,
            "schedule_days": limits.schedule_days,
            "idempotency_hours": limits.idempotency_hours,
        },
        "priorities": [priority.value for priority in Priority],
        "pools": list(pools),
    }


def content_available_until(record: Record, retention: RetentionSettings) -> int | None:
    """Return until when the bodies of an ended message are kept; None while it lives, and once they are gone."""
    if record.finished_at is None or not record.is_final or record.content_dropped:
        return None
    # A dead letter keeps its content as long as itself; elsewhere it ends with the record at the latest.
    days = retention.failed_days if record.state in DEAD else min(retention.content_days, retention.sent_days)
    return record.finished_at + int(days * _DAY_MS)


def _summary(record: Record, retention: RetentionSettings) -> View:
    envelope = record.envelope
    return {
        "id": record.id,
        "tenant": record.tenant,
        "state": record.state,
        "final": record.is_final,
        "priority": record.priority,
        "pool": record.pool,
        "from": _address_view(envelope.sender),
        "to": [_address_view(address) for address in envelope.to],
        "cc": [_address_view(address) for address in envelope.cc],
        "bcc": [_address_view(address) for address in envelope.bcc],
        "reply_to": [_address_view(address) for address in envelope.reply_to],
        "subject": envelope.subject,
        "tags": envelope.tags,
        "metadata": dict(envelope.metadata),
        "size_bytes": envelope.size_bytes,
        "attachments": [_attachment_view(attachment) for attachment in envelope.attachments],
        "on_ambiguous": envelope.on_ambiguous,
        "internet_message_id": record.internet_message_id,
        "created_at": instant(record.created_at),
        "send_at": _instant(record.send_at),
        "expires_at": _instant(record.expires_at),
        "finished_at": _instant(record.finished_at),
        "content_available_until": _instant(content_available_until(record, retention)),
        "cancel_requested_at": _instant(record.cancel_requested_at),
        "requeues": record.requeues,
        "rounds": record.rounds,
        "possible_duplicate": record.possible_duplicate,
        "waiting": _waiting_view(record),
        "reason": _reason_view(record.reason),
        "attempts_total": record.attempts_total,
    }


def _waiting_view(record: Record) -> View | None:
    if record.state not in {State.SCHEDULED, State.QUEUED, State.RETRYING}:
        return None
    if record.state is State.SCHEDULED:
        code, until = "scheduled", record.send_at
    elif record.waiting is not None:
        code, until = record.waiting.code, record.waiting.until
    else:
        code, until = "turn" if record.state is State.QUEUED else "backoff", None
    return {"code": code, "detail": WAITING.get(code, code), "until": _instant(until)}


def _recipient_view(address: Address, kind: str, status: RecipientStatus) -> View:
    return {
        "email": address.email,
        "kind": kind,
        "state": status.state,
        "provider": status.provider,
        "provider_message_id": status.provider_message_id,
        "sent_at": _instant(status.at) if status.state is RecipientState.SENT else None,
        "delivery": {"status": "unknown", "at": None, "bounce": None},
        "reason": _recipient_reason_view(status.reason),
    }


def _attempt_view(attempt: Attempt) -> View:
    return {
        "number": attempt.number,
        "provider": attempt.provider,
        "started_at": instant(attempt.started_at),
        "duration_ms": attempt.duration_ms,
        "outcome": attempt.outcome,
        "detail": attempt.detail,
        "retry_after_seconds": attempt.retry_after_seconds,
        "recipients": attempt.recipients,
        "results": [
            {"recipient": result.recipient, "outcome": result.outcome, "detail": result.detail}
            for result in attempt.results
        ],
        "route": [
            {"provider": step.provider, "chosen": step.chosen, "code": step.code, "detail": step.detail}
            for step in attempt.route
        ],
    }


def _event_view(event: HistoryEvent) -> View:
    return {"id": event.id, "type": event.type, "timestamp": instant(event.at), "attempt": event.attempt}


def _reason_view(reason: Reason | None) -> View | None:
    if reason is None:
        return None
    return {"code": reason.code, "detail": reason.detail, "provider": reason.provider}


def _recipient_reason_view(reason: Reason | None) -> View | None:
    if reason is None:
        return None
    return {
        "code": reason.code,
        "smtp_code": reason.smtp_code,
        "enhanced_code": reason.enhanced_code,
        "detail": reason.detail,
    }


def _address_view(address: Address) -> View:
    return {"email": address.email, "name": address.name or None}


def _attachment_view(attachment: Attachment) -> View:
    return {
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "size_bytes": attachment.size_bytes,
        "content_id": attachment.content_id,
        "disposition": attachment.disposition,
    }


def _instant(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else instant(milliseconds)
