"""Requests and answers as they may look; tests read each by the definition that it illustrates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.frontend.problem_types import PROBLEM_TYPES
from services.frontend.problems import Problem
from shared.domain.errors import Fault
from shared.domain.states import RecipientState

ID: Final = "msg_01kas3v7q2f8x4m9d0w5t6y1zc03"
_OTHER_ID: Final = "msg_01kas3v7q2f8x4m9d0w5t6y1zd07"

_MESSAGE: Final = {"from": "shop@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works."}


def _shown(summary: str, value: object) -> Mapping[str, object]:
    return {"summary": summary, "value": value}


# Requests

MESSAGES: Final = {
    "small": _shown("As little as is needed", _MESSAGE),
    "whole": _shown(
        "Nearly everything that there is",
        {
            "from": {"email": "shop@example.com", "name": "Shop"},
            "to": [{"email": "ada@example.org", "name": "Ada Lovelace"}, "Grace Hopper <grace@example.net>"],
            "cc": "linus@example.net",
            "bcc": ["archive@example.com"],
            "reply_to": ["help@example.com"],
            "subject": "Your receipt 1042",
            "text": "Thank you.",
            "html": '<p>Thank you.</p><img src="cid:logo">',
            "headers": {"X-Order": "1042", "In-Reply-To": "<order-1042@shop.example.com>"},
            "attachments": [
                {"filename": "receipt.pdf", "content_type": "application/pdf", "content": "JVBERi0xLjcK"},
                {
                    "filename": "logo.png",
                    "content_type": "image/png",
                    "content": "iVBORw0KGgo=",
                    "content_id": "logo",
                    "disposition": "inline",
                },
            ],
            "tags": ["receipt"],
            "metadata": {"order": "1042"},
            "priority": "high",
            "pool": "default",
            "send_at": "2026-12-01T09:00:00+01:00",
            "ttl_seconds": 86_400,
            "on_ambiguous": "retry",
            "idempotency_key": "order-1042/receipt",
        },
    ),
}
BATCHES: Final = {
    "batch": _shown(
        "Two messages that have most in common",
        {
            "defaults": {"from": "shop@example.com", "subject": "Your parcel is on its way", "tags": ["shipping"]},
            "messages": [
                {"to": "ada@example.org", "text": "Hello Ada", "idempotency_key": "ship-1"},
                {"to": "grace@example.net", "text": "Hello Grace", "idempotency_key": "ship-2"},
            ],
        },
    )
}
CHANGES: Final = {
    "sooner": _shown("Send it now, before others", {"send_at": None, "priority": "critical"}),
    "later": _shown("Send it later", {"send_at": "2026-12-01T09:00:00+01:00", "expires_at": None}),
}
SELECTIONS: Final = {
    "ids": _shown("These messages", {"ids": [ID]}),
    "filter": _shown(
        "What they have in common",
        {
            "filter": {"state": ["failed"], "pool": "default", "finished_before": "2026-11-24T00:00:00Z"},
            "limit": 100,
        },
    ),
}
MOVES: Final = {"move": _shown("What waits in `news` goes to `default`", {"from": "news", "to": "default"})}
PAUSES: Final = {
    "until": _shown("For an hour", {"reason": "The account is being audited.", "until": "2026-12-01T10:00:00Z"})
}
TESTS: Final = {"test": _shown("To yourself", {"to": "you@example.com", "from": "shop@example.com"})}

# Answers

ACCEPTANCE: Final = {
    "id": ID,
    "state": "scheduled",
    "priority": "high",
    "pool": "default",
    "created_at": "2026-11-24T11:02:07.114Z",
    "send_at": "2026-12-01T08:00:00.000Z",
    "expires_at": "2026-12-02T08:00:00.000Z",
    "internet_message_id": f"<{ID}@example.com>",
    "suppressed": [],
}
REHEARSALS: Final = {
    "valid": {"valid": True, "pool": "sandbox", "route": {"index": 0, "pool": "sandbox"}, "errors": []},
    "invalid": {
        "valid": False,
        "pool": None,
        "route": None,
        "errors": [
            {
                "pointer": "#/sendAt",
                "code": "unknown_field",
                "detail": "There is no field 'sendAt'. Did you mean 'send_at'?",
            }
        ],
    },
}

_TAKEN: Final = {
    "status": 202,
    "replayed": False,
    "message": {**ACCEPTANCE, "state": "queued", "priority": "normal", "send_at": None, "expires_at": None},
}
_REFUSED: Final = Problem(
    PROBLEM_TYPES["invalid_message"],
    "1 fault",
    (Fault("#/messages/1/to", "invalid_address", "'grace@' has no domain after the @"),),
)
BATCH_TAKEN: Final = {"accepted": 1, "refused": 0, "results": [_TAKEN]}
BATCH_PARTLY_TAKEN: Final = {
    "accepted": 1,
    "refused": 1,
    "results": [_TAKEN, {"status": 422, "error": _REFUSED.to_dict()}],
}

_SUMMARY: Final[Mapping[str, Any]] = {
    "id": ID,
    "tenant": "default",
    "state": "partly_sent",
    "final": True,
    "priority": "high",
    "pool": "default",
    "from": {"email": "shop@example.com", "name": "Shop"},
    "to": [{"email": "ada@example.org", "name": "Ada Lovelace"}, {"email": "grace@example.net", "name": None}],
    "cc": [],
    "bcc": [],
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
    "expires_at": "2026-12-02T08:00:00.000Z",
    "finished_at": "2026-12-01T08:01:33.902Z",
    "content_available_until": "2026-12-31T08:01:33.902Z",
    "cancel_requested_at": None,
    "requeues": 0,
    "rounds": 1,
    "possible_duplicate": False,
    "waiting": None,
    "reason": {"code": "recipients_rejected", "detail": "1 of 2 recipients was refused for good", "provider": "relay"},
    "attempts_total": 2,
}
_NOTHING_REPORTED: Final = {"status": "unknown", "at": None, "bounce": None}

RECORD: Final[Mapping[str, Any]] = {
    **_SUMMARY,
    "recipients": [
        {
            "email": "ada@example.org",
            "kind": "to",
            "state": "sent",
            "provider": "relay",
            "provider_message_id": "4XyZ1c2n3",
            "sent_at": "2026-12-01T08:01:33.902Z",
            "delivery": _NOTHING_REPORTED,
            "reason": None,
        },
        {
            "email": "grace@example.net",
            "kind": "to",
            "state": "failed",
            "provider": "relay",
            "provider_message_id": None,
            "sent_at": None,
            "delivery": _NOTHING_REPORTED,
            "reason": {
                "code": "recipient_rejected",
                "smtp_code": 550,
                "enhanced_code": "5.1.1",
                "detail": "550 5.1.1 <grace@example.net> User unknown",
            },
        },
    ],
    "attempts": [
        {
            "number": 1,
            "provider": "ses-eu",
            "started_at": "2026-12-01T08:01:33.610Z",
            "duration_ms": 88,
            "outcome": "throttled",
            "detail": "429 TooManyRequestsException: Maximum sending rate exceeded.",
            "retry_after_seconds": 1,
            "recipients": [0, 1],
            "results": [],
            "route": [
                {"provider": "ses-eu", "chosen": True, "code": "best", "detail": "tier 1, weight 3, health 0.97"},
                {"provider": "postmark", "chosen": False, "code": "breaker_open", "detail": "since 07:58:12"},
            ],
        },
        {
            "number": 2,
            "provider": "relay",
            "started_at": "2026-12-01T08:01:33.702Z",
            "duration_ms": 200,
            "outcome": "partial",
            "detail": "1 accepted, 1 rejected",
            "retry_after_seconds": None,
            "recipients": [0, 1],
            "results": [
                {"recipient": 0, "outcome": "accepted", "detail": "250 2.0.0 Ok: queued as 4XyZ1c2n3"},
                {"recipient": 1, "outcome": "rejected", "detail": "550 5.1.1 <grace@example.net> User unknown"},
            ],
            "route": [{"provider": "relay", "chosen": True, "code": "failover", "detail": "tier 2"}],
        },
    ],
    "events": [
        {"id": "evt_1", "type": "message.scheduled", "timestamp": "2026-11-24T11:02:07.114Z", "attempt": None},
        {"id": "evt_2", "type": "message.partly_sent", "timestamp": "2026-12-01T08:01:33.902Z", "attempt": 2},
    ],
}
CANCELLING: Final = {
    **RECORD,
    "state": "sending",
    "final": False,
    "finished_at": None,
    "content_available_until": None,
    "cancel_requested_at": "2026-12-01T08:01:33.640Z",
    "reason": None,
    "attempts_total": 1,
    "recipients": [
        {
            **recipient,
            "state": "pending",
            "provider": None,
            "provider_message_id": None,
            "sent_at": None,
            "reason": None,
        }
        for recipient in RECORD["recipients"]
    ],
    "attempts": [
        {**RECORD["attempts"][0], "duration_ms": None, "outcome": None, "detail": "", "retry_after_seconds": None}
    ],
    "events": RECORD["events"][:1],
}
PAGE: Final = {
    "data": [
        {
            **_SUMMARY,
            "recipients_total": 2,
            "recipients_by_state": {
                **{state.value: 0 for state in RecipientState},
                "sent": 1,
                "failed": 1,
            },
        }
    ],
    "next_cursor": "WyJhMWIyYzNkNCIsMTc5NjExMjA5MzkwMiwibXNnXzAxa2EiXQ",
}

_UNKNOWN: Final = Problem(PROBLEM_TYPES["not_found"], "There is no message with this id, or no longer")
_MISSED: Final = {"id": _OTHER_ID, "status": 404, "error": _UNKNOWN.to_dict()}
REQUEUED: Final = {"done": 1, "results": [{"id": ID, "status": 200, "error": None}, _MISSED]}
DELETED: Final = {"done": 1, "results": [{"id": ID, "status": 204, "error": None}, _MISSED]}
MOVED: Final = {"moved": 1_000, "next_cursor": "0.1000"}

SERVICE: Final = {
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


def _waits(priority: str, queued: int, seconds: float) -> dict[str, object]:
    return {
        "priority": priority,
        "scheduled": 0,
        "queued": queued,
        "sending": 1,
        "retrying": 0,
        "oldest_queued_age_seconds": seconds,
    }


QUEUE: Final[Mapping[str, Any]] = {
    "as_of": "2026-11-24T11:02:07.114Z",
    "paused": None,
    "totals": {"scheduled": 0, "queued": 20_031, "sending": 4, "retrying": 0, "failed": 3, "partly_sent": 1},
    "rates": {"window_seconds": 60, "accepted_per_second": 118.2, "sent_per_second": 49.8},
    "pools": [
        {
            "name": "default",
            "providers": ["ses-eu", "relay"],
            "available": True,
            "paused": None,
            "priorities": [
                _waits("critical", 0, 0.0),
                _waits("high", 31, 0.412),
                _waits("normal", 0, 0.0),
                _waits("bulk", 20_000, 401.7),
            ],
        }
    ],
    "processes": {"frontend": 2, "scheduler": 2, "sender": 3},
}
_PAUSE: Final = {
    "reason": "The account is being audited.",
    "since": "2026-12-01T09:00:00.000Z",
    "until": "2026-12-01T10:00:00.000Z",
}
PROVIDERS: Final[Mapping[str, Any]] = {
    "data": [
        {
            "name": "ses-eu",
            "kind": "ses",
            "pools": ["default"],
            "tier": 1,
            "weight": 3,
            "state": "throttled",
            "available": False,
            "available_at": "2026-11-24T11:02:08.000Z",
            "paused": None,
            "health": 0.97,
            "breaker": {"state": "closed", "opened_at": None, "next_probe_at": None, "reason": None},
            "limits": {
                "rate_per_second": 14,
                "rate_now_per_second": 11.2,
                "burst": 28,
                "concurrency": 20,
                "quotas": [
                    {
                        "messages": 50_000,
                        "per": "day",
                        "window": "rolling",
                        "zone": None,
                        "used": 31_877,
                        "frees_at": None,
                    }
                ],
            },
            "capabilities": {
                "max_bytes": 40_000_000,
                "max_recipients": 50,
                "sender_domains": ["example.com"],
                "refused_extensions": ["exe"],
                "known_extensions": None,
                "ascii_only": True,
            },
            "usage": {"tokens": 0, "in_flight": 9, "accepted_24h": 31_877},
            "outcomes_1m": {"accepted": 640, "throttled": 3},
            "latency_ms": {"p50": 84, "p95": 190},
            "last_error": {
                "at": "2026-11-24T11:02:06.000Z",
                "outcome": "throttled",
                "detail": "Maximum sending rate exceeded.",
            },
            "config_revision": "9f2c1a7e",
            "seen_by": 3,
        }
    ],
    "next_cursor": None,
}
PROVIDER: Final[Mapping[str, Any]] = PROVIDERS["data"][0]
PROVIDER_PAUSED: Final = {
    **PROVIDER,
    "state": "paused",
    "available": False,
    "available_at": _PAUSE["until"],
    "paused": _PAUSE,
}
POOL: Final[Mapping[str, Any]] = QUEUE["pools"][0]
POOL_PAUSED: Final = {**POOL, "available": False, "paused": _PAUSE}
QUEUE_PAUSED: Final = {**QUEUE, "paused": _PAUSE, "pools": [{**POOL, "available": False}]}
