from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from scripted import record

from reliable_email_client.answers import Providers, Queue, Record, Service
from reliable_email_client.core.reading import Unreadable, read
from reliable_email_client.errors import Problem

#: A record with everything in it, as the interface shows it by example.
WHOLE: dict[str, Any] = {"from": {"email": "shop@example.com", "name": "Shop"}} | record(
    "partly_sent",
    priority="high",
    pool="default",
    to=[{"email": "ada@example.org", "name": None}],
    cc=[],
    tags=["receipt"],
    metadata={"order": "1042"},
    size_bytes=41_873,
    attachments=[{"filename": "a.pdf", "content_type": "application/pdf", "size_bytes": 3, "content_id": None}],
    created_at="2026-12-01T08:01:33.902Z",
    waiting=None,
    reason={"code": "recipients_rejected", "detail": "1 of 2", "provider": "relay"},
    recipients=[
        {
            "email": "ada@example.org",
            "kind": "to",
            "state": "sent",
            "provider": "relay",
            "provider_message_id": "4XyZ",
            "sent_at": "2026-12-01T08:01:33.902Z",
            "delivery": {"status": "unknown", "at": None, "bounce": None},
            "reason": None,
        }
    ],
    attempts=[
        {
            "number": 1,
            "provider": "relay",
            "started_at": "2026-12-01T08:01:33.000Z",
            "duration_ms": 88,
            "outcome": "partial",
            "detail": "2 accepted",
            "retry_after_seconds": None,
            "recipients": [0, 1],
            "results": [{"recipient": 0, "outcome": "accepted", "detail": "250"}],
            "route": [{"provider": "relay", "chosen": True, "code": "best", "detail": ""}],
        }
    ],
    events=[{"id": "evt_1", "type": "message.scheduled", "timestamp": "2026-12-01T08:00:00.000Z", "attempt": None}],
)


def test_a_record_is_read_to_its_last_leaf() -> None:
    read_back = read(Record, WHOLE)

    assert read_back.from_ is not None
    assert read_back.from_.name == "Shop"
    assert read_back.recipients[0].delivery is not None
    assert read_back.recipients[0].delivery.status == "unknown"
    assert read_back.attempts[0].route[0].code == "best"
    assert read_back.attempts[0].duration_ms == 88.0
    assert read_back.created_at == datetime(2026, 12, 1, 8, 1, 33, 902_000, tzinfo=timezone.utc)


def test_fields_that_a_newer_service_adds_stand_in_raw() -> None:
    read_back = read(Record, {**WHOLE, "moon_phase": "full"})

    assert read_back.raw["moon_phase"] == "full"


def test_fields_that_an_older_service_lacks_have_their_defaults() -> None:
    assert read(Record, record()).attempts == ()


def test_a_value_that_a_newer_service_adds_to_a_set_is_read() -> None:
    assert str(read(Record, record("resting")).state) == "resting"


def test_values_do_not_change() -> None:
    with pytest.raises(AttributeError):
        read(Record, WHOLE).state = "sent"  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 7},
        {"id": None},
        {"final": "yes"},
        {"to": "ada@example.org"},
        {"metadata": []},
        {"created_at": "yesterday"},
        {"created_at": 1},
        {"recipients": [1]},
        {"requeues": True},
    ],
)
def test_what_has_another_form_is_not_read(wrong: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        read(Record, {**WHOLE, **wrong})


def test_what_must_be_there_is_missed() -> None:
    with pytest.raises(Unreadable, match="has no id"):
        read(Record, {"state": "sent", "final": True})


def test_views_are_read() -> None:
    queue = read(Queue, {"totals": {"queued": 3}, "pools": [{"name": "default", "priorities": [{"priority": "bulk"}]}]})
    providers = read(Providers, {"data": [{"name": "relay", "breaker": {"state": "open"}}], "next_cursor": None})
    service = read(Service, {"limits": {"batch_messages": 7}})

    assert queue.totals["queued"] == 3
    assert providers.data[0].breaker is not None
    assert service.limits.batch_messages == 7


def test_a_problem_says_everything_in_words() -> None:
    problem = read(
        Problem,
        {
            "code": "invalid_message",
            "title": "The message is not valid",
            "detail": "1 fault; nothing was accepted.",
            "errors": [{"pointer": "#/to", "code": "invalid_address", "detail": "'grace@' has no domain"}],
        },
    )

    assert problem.words() == (
        "The message is not valid: 1 fault; nothing was accepted.\n  #/to: 'grace@' has no domain"
    )
