from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.frontend.limits import Limits
from services.frontend.views import acceptance_view, list_view, record_view, row_view, service_view
from shared.domain.message import (
    Acceptance,
    Address,
    Attachment,
    Attempt,
    Envelope,
    HistoryEvent,
    Priority,
    Reason,
    RecipientResult,
    RecipientStatus,
    Record,
    RouteStep,
    Waiting,
)
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.settings.model import RetentionSettings

ID = "msg_01kas3v7q2f8x4m9d0w5t6y1zc03"
CREATED = 1_795_518_127_114
FINISHED = 1_796_112_093_902
RETENTION = RetentionSettings(sent_days=7, content_days=1, failed_days=30)

UNKNOWN_USER = Reason("recipient_rejected", "550 5.1.1 <grace@example.net> User unknown", None, 550, "5.1.1")
RECORD = Record(
    id=ID,
    tenant="default",
    state=State.PARTLY_SENT,
    priority=Priority.HIGH,
    pool="default",
    envelope=Envelope(
        sender=Address("shop@example.com", "Shop"),
        to=(Address("ada@example.org", "Ada Lovelace"), Address("grace@example.net")),
        bcc=(Address("archive@example.com"),),
        reply_to=(Address("help@example.com"),),
        subject="Your receipt 1042",
        attachments=(Attachment("receipt.pdf", "application/pdf", 28_110),),
        tags=("receipt",),
        metadata={"order": "1042"},
        message_id_domain="example.com",
        size_bytes=41_873,
    ),
    created_at=CREATED,
    send_at=1_796_112_000_000,
    finished_at=FINISHED,
    rounds=1,
    reason=Reason("recipients_rejected", "1 of 3 recipients was refused for good", "relay"),
    recipients=(
        RecipientStatus(RecipientState.SENT, "relay", "4XyZ1c2n3", FINISHED),
        RecipientStatus(RecipientState.FAILED, "relay", None, FINISHED, UNKNOWN_USER),
        RecipientStatus(RecipientState.SENT, "relay", "4XyZ1c2n3", FINISHED),
    ),
    attempts_total=1,
    attempts=(
        Attempt(
            number=1,
            provider="relay",
            started_at=FINISHED - 88,
            duration_ms=88,
            outcome=Outcome.PARTIAL,
            detail="2 accepted, 1 rejected",
            recipients=(0, 1, 2),
            results=(RecipientResult(1, Outcome.REJECTED, "550 5.1.1 User unknown", 550, "5.1.1"),),
            route=(RouteStep("relay", chosen=True, code="best", detail="tier 2"),),
        ),
    ),
    events=(HistoryEvent("evt_1", "message.scheduled", CREATED), HistoryEvent("evt_2", "message.sent", FINISHED, 1)),
)


def view(record: Record) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(orjson.dumps(record_view(record, RETENTION)))
    return shown


def waiting(state: State, **fields: Any) -> Record:
    pending = (RecipientStatus(RecipientState.PENDING),) * 3
    return replace(RECORD, state=state, finished_at=None, reason=None, recipients=pending, **fields)


def test_an_acceptance_is_shown_with_every_field() -> None:
    acceptance = Acceptance(
        ID, State.SCHEDULED, Priority.HIGH, "default", CREATED, 1_796_112_000_000, None, "example.com"
    )

    assert orjson.loads(orjson.dumps(acceptance_view(acceptance))) == {
        "id": ID,
        "state": "scheduled",
        "priority": "high",
        "pool": "default",
        "created_at": "2026-11-24T11:02:07.114Z",
        "send_at": "2026-12-01T08:00:00.000Z",
        "expires_at": None,
        "internet_message_id": f"<{ID}@example.com>",
        "suppressed": [],
    }


def test_a_record_is_shown_with_every_field() -> None:
    shown = view(RECORD)
    parts = {name: shown.pop(name) for name in ("recipients", "attempts", "events")}

    assert shown == {
        "id": ID,
        "tenant": "default",
        "state": "partly_sent",
        "final": True,
        "priority": "high",
        "pool": "default",
        "from": {"email": "shop@example.com", "name": "Shop"},
        "to": [{"email": "ada@example.org", "name": "Ada Lovelace"}, {"email": "grace@example.net", "name": None}],
        "cc": [],
        "bcc": [{"email": "archive@example.com", "name": None}],
        "reply_to": [{"email": "help@example.com", "name": None}],
        "subject": "Your receipt 1042",
        "tags": ["receipt"],
        "metadata": {"order": "1042"},
        "size_bytes": 41_873,
        "attachments": [
            {
                "filename": "receipt.pdf",
                "content_type": "application/pdf",
                "size_bytes": 28_110,
                "content_id": None,
                "disposition": "attachment",
            }
        ],
        "on_ambiguous": "retry",
        "internet_message_id": f"<{ID}@example.com>",
        "created_at": "2026-11-24T11:02:07.114Z",
        "send_at": "2026-12-01T08:00:00.000Z",
        "expires_at": None,
        "finished_at": "2026-12-01T08:01:33.902Z",
        "content_available_until": "2026-12-31T08:01:33.902Z",
        "cancel_requested_at": None,
        "requeues": 0,
        "rounds": 1,
        "possible_duplicate": False,
        "waiting": None,
        "reason": {
            "code": "recipients_rejected",
            "detail": "1 of 3 recipients was refused for good",
            "provider": "relay",
        },
        "attempts_total": 1,
    }
    assert [(each["email"], each["kind"], each["state"]) for each in parts["recipients"]] == [
        ("ada@example.org", "to", "sent"),
        ("grace@example.net", "to", "failed"),
        ("archive@example.com", "bcc", "sent"),
    ]


def test_a_recipient_is_shown_with_every_field() -> None:
    sent, failed, _ = view(RECORD)["recipients"]
    delivery = {"status": "unknown", "at": None, "bounce": None}

    assert sent == {
        "email": "ada@example.org",
        "kind": "to",
        "state": "sent",
        "provider": "relay",
        "provider_message_id": "4XyZ1c2n3",
        "sent_at": "2026-12-01T08:01:33.902Z",
        "delivery": delivery,
        "reason": None,
    }
    assert failed["sent_at"] is None
    assert failed["reason"] == {
        "code": "recipient_rejected",
        "smtp_code": 550,
        "enhanced_code": "5.1.1",
        "detail": "550 5.1.1 <grace@example.net> User unknown",
    }


def test_an_attempt_is_shown_with_every_field() -> None:
    assert view(RECORD)["attempts"] == [
        {
            "number": 1,
            "provider": "relay",
            "started_at": "2026-12-01T08:01:33.814Z",
            "duration_ms": 88,
            "outcome": "partial",
            "detail": "2 accepted, 1 rejected",
            "retry_after_seconds": None,
            "recipients": [0, 1, 2],
            "results": [{"recipient": 1, "outcome": "rejected", "detail": "550 5.1.1 User unknown"}],
            "route": [{"provider": "relay", "chosen": True, "code": "best", "detail": "tier 2"}],
        }
    ]


def test_an_event_is_shown_with_its_attempt_or_null() -> None:
    assert view(RECORD)["events"] == [
        {"id": "evt_1", "type": "message.scheduled", "timestamp": "2026-11-24T11:02:07.114Z", "attempt": None},
        {"id": "evt_2", "type": "message.sent", "timestamp": "2026-12-01T08:01:33.902Z", "attempt": 1},
    ]


@pytest.mark.parametrize(
    ("record", "code", "until"),
    [
        (waiting(State.SCHEDULED), "scheduled", "2026-12-01T08:00:00.000Z"),
        (waiting(State.QUEUED), "turn", None),
        (waiting(State.QUEUED, waiting=Waiting("paused")), "paused", None),
        (waiting(State.RETRYING), "backoff", None),
        (
            waiting(State.RETRYING, waiting=Waiting("rate_limited", FINISHED)),
            "rate_limited",
            "2026-12-01T08:01:33.902Z",
        ),
    ],
)
def test_a_message_that_waits_says_why(record: Record, code: str, until: str | None) -> None:
    shown = view(record)["waiting"]

    assert (shown["code"], shown["until"]) == (code, until)
    assert shown["detail"] != code


def test_a_reason_to_wait_that_is_not_known_here_is_shown_all_the_same() -> None:
    record = waiting(State.RETRYING, waiting=Waiting("full_moon"))

    assert view(record)["waiting"] == {"code": "full_moon", "detail": "full_moon", "until": None}


@pytest.mark.parametrize("state", [State.SENDING, State.SENT, State.CANCELLED])
def test_what_does_not_wait_has_no_reason_to(state: State) -> None:
    assert view(waiting(state, waiting=Waiting("backoff")))["waiting"] is None


@pytest.mark.parametrize(
    ("state", "retention", "until"),
    [
        (State.SENT, RETENTION, "2026-12-02T08:01:33.902Z"),
        (State.EXPIRED, RETENTION, "2026-12-02T08:01:33.902Z"),
        (State.FAILED, RETENTION, "2026-12-31T08:01:33.902Z"),
        (State.SENT, RetentionSettings(sent_days=2, content_days=5), "2026-12-03T08:01:33.902Z"),
    ],
)
def test_content_is_kept_as_the_end_of_the_message_asks(state: State, retention: RetentionSettings, until: str) -> None:
    assert record_view(replace(RECORD, state=state), retention)["content_available_until"] == until


@pytest.mark.parametrize("record", [waiting(State.QUEUED), replace(RECORD, content_dropped=True)])
def test_no_end_is_told_of_content_that_stays_or_is_gone(record: Record) -> None:
    assert view(record)["content_available_until"] is None


def test_a_row_counts_recipients_instead_of_listing_them() -> None:
    row = row_view(RECORD, RETENTION)
    whole = record_view(RECORD, RETENTION)

    assert whole.keys() - row.keys() == {"recipients", "attempts", "events"}
    assert row.keys() - whole.keys() == {"recipients_total", "recipients_by_state"}
    assert row["recipients_total"] == 3
    assert row["recipients_by_state"] == {
        "pending": 0,
        "sent": 2,
        "failed": 1,
        "suppressed": 0,
        "cancelled": 0,
        "expired": 0,
    }


def test_a_list_has_data_and_a_cursor() -> None:
    assert list_view([], None) == {"data": [], "next_cursor": None}


def test_the_service_tells_what_a_client_must_know() -> None:
    shown = service_view(
        version="0.1.0", now_ms=CREATED, tenant="default", scopes=("send", "read"), limits=Limits(), pools=("default",)
    )

    assert shown == {
        "service": "reliable-email",
        "version": "0.1.0",
        "api_version": "v1",
        "time": "2026-11-24T11:02:07.114Z",
        "tenant": "default",
        "scopes": ["send", "read"],
        "limits": {
            "request_bytes": 26_214_400,
            "attachments_bytes": 18_874_368,
            "attachments": 20,
            "recipients": 50,
            "batch_messages": 1_000,
            "headers": 64,
            "metadata_bytes": 4_096,
            "schedule_days": 365,
            "idempotency_hours": 24,
        },
        "priorities": ["critical", "high", "normal", "bulk"],
        "pools": ["default"],
    }
