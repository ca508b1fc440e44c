"""What is answered about messages: acceptances, records, rows of a list, what was done to many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.frontend.openapi.shapes import (
    an_object,
    closed,
    counts,
    instant,
    listed,
    named,
    nullable,
    open_set,
    text,
    truth,
    whole,
)
from services.frontend.schema.attachments import Disposition
from services.frontend.schema.kinds import JsonSchema
from services.frontend.views import WAITING
from shared.domain.message import OnAmbiguous, Priority, RecipientKind
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.policy.views import RouteCode

#: Why a message, or one of its recipients, ended as it did.
REASONS: Final = (
    "recipient_rejected",
    "recipients_rejected",
    "message_rejected",
    "no_provider_can_carry",
    "attempts_exhausted",
    "ambiguous",
    "sender_lost_three_times",
    "expired",
    "suppressed",
    "cancelled",
)
_DELIVERY: Final = ("unknown", "deferred", "delivered", "bounced", "complained")
_EVENTS: Final = tuple(f"message.{state}" for state in State if state is not State.SENDING)

_STATE: Final = closed(State, "Where the message stands.")
_OUTCOME: Final = open_set(Outcome, "What it came to.")
_REASON_CODE: Final = open_set(REASONS, "Why it ended so.")
_ID: Final = text("The message. Opaque, at most 64 characters of `[A-Za-z0-9_-]`.")
_PRIORITY: Final = closed(Priority, "How urgent it is.")
_POOL: Final = text("The set of providers that may send it.")
_MESSAGE_ID: Final = text("The header Message-ID of the mail, which `id` is not.")
_SEND_AT: Final = nullable(instant("When it is to be sent; null: at once."))
_EXPIRES_AT: Final = nullable(instant("When what is not sent is given up; null: never."))

_SUMMARY: Final[Mapping[str, JsonSchema]] = {
    "id": _ID,
    "tenant": text("Whose it is."),
    "state": _STATE,
    "final": truth("Whether its state can no longer change, but by a requeue."),
    "priority": _PRIORITY,
    "pool": _POOL,
    "from": named("Address"),
    "to": listed(named("Address")),
    "cc": listed(named("Address")),
    "bcc": listed(named("Address")),
    "reply_to": listed(named("Address")),
    "subject": text(),
    "tags": listed(text()),
    "metadata": {"type": "object", "additionalProperties": {"type": "string"}, "description": "The client's notes."},
    "size_bytes": whole("About how large the mail is on its way."),
    "attachments": listed(named("AttachmentSummary")),
    "on_ambiguous": closed(OnAmbiguous, "What is done when nobody can know whether an attempt arrived."),
    "internet_message_id": _MESSAGE_ID,
    "created_at": instant("When it was accepted."),
    "send_at": _SEND_AT,
    "expires_at": _EXPIRES_AT,
    "finished_at": nullable(instant("When it ended.")),
    "content_available_until": nullable(instant("Until when the bodies of an ended message are kept.")),
    "cancel_requested_at": nullable(instant("When its cancel was asked for.")),
    "requeues": whole("How often it was requeued."),
    "rounds": whole("How many rounds of attempts counted, since it was last requeued."),
    "possible_duplicate": truth("Whether a try has begun after one of which nobody knows whether it arrived."),
    "waiting": nullable(named("Waiting", "Why it is not sent yet; null where it does not wait.")),
    "reason": nullable(named("Reason", "Why it ended as it did.")),
    "attempts_total": whole("How many attempts began."),
}

SCHEMAS: Final[Mapping[str, JsonSchema]] = {
    "Acceptance": an_object(
        "A message that lies on disk.",
        {
            "id": _ID,
            "state": _STATE,
            "priority": _PRIORITY,
            "pool": _POOL,
            "created_at": instant("When it was accepted."),
            "send_at": _SEND_AT,
            "expires_at": _EXPIRES_AT,
            "internet_message_id": _MESSAGE_ID,
            "suppressed": listed({}, "Recipients that are not sent to."),
        },
    ),
    "Address": an_object(
        "An address as it was submitted.",
        {"email": text("The address."), "name": nullable(text("The name shown beside it."))},
    ),
    "AttachmentSummary": an_object(
        "An attachment without its bytes.",
        {
            "filename": text(),
            "content_type": text(),
            "size_bytes": whole("Its bytes, decoded."),
            "content_id": nullable(text("The name by which the HTML refers to it.")),
            "disposition": closed(Disposition, "Whether it is shown inside the text."),
        },
    ),
    "Waiting": an_object(
        "Why a message is not sent yet.",
        {
            "code": open_set(WAITING, "The reason."),
            "detail": text("The same in words."),
            "until": nullable(instant("Until when, where that is known.")),
        },
    ),
    "Reason": an_object(
        "Why a message ended as it did.",
        {"code": _REASON_CODE, "detail": text(), "provider": nullable(text("The provider that said so."))},
    ),
    "RecipientReason": an_object(
        "Why a recipient ended so.",
        {
            "code": _REASON_CODE,
            "smtp_code": nullable(whole("The reply code of SMTP (RFC 5321).")),
            "enhanced_code": nullable(text("The enhanced status code (RFC 3463).")),
            "detail": text("The provider's own words."),
        },
    ),
    "Delivery": an_object(
        "What the provider reported after it had taken the message.",
        {
            "status": open_set(_DELIVERY, "How far it came; it only moves to the right."),
            "at": nullable(instant()),
            "bounce": {"type": ["object", "null"], "description": "What bounced, and why."},
        },
    ),
    "Recipient": an_object(
        "One recipient of a message.",
        {
            "email": text("The address."),
            "kind": closed(RecipientKind, "The field in which it was submitted."),
            "state": closed(RecipientState, "Where this recipient stands."),
            "provider": nullable(text("The provider of the attempt that decided.")),
            "provider_message_id": nullable(text("The provider's own id of the message.")),
            "sent_at": nullable(instant("When the provider took it.")),
            "delivery": named("Delivery"),
            "reason": nullable(named("RecipientReason")),
        },
    ),
    "RouteStep": an_object(
        "Why one provider was chosen for an attempt, or was not.",
        {
            "provider": text(),
            "chosen": truth("Whether it was."),
            "code": open_set(RouteCode, "The reason."),
            "detail": text("The numbers behind it."),
        },
    ),
    "AttemptResult": an_object(
        "What came of one recipient in an attempt that took some and not others.",
        {"recipient": whole("Its position in `recipients` of the record."), "outcome": _OUTCOME, "detail": text()},
    ),
    "Attempt": an_object(
        "One attempt to hand the message to a provider. The first 5 and the last 45 are kept.",
        {
            "number": whole("Counted from 1.", 1),
            "provider": text(),
            "started_at": instant(),
            "duration_ms": nullable(whole("How long it took; null while it is under way.")),
            "outcome": nullable(_OUTCOME),
            "detail": text("The provider's own words."),
            "retry_after_seconds": nullable({"type": "number", "description": "How long the provider asked to wait."}),
            "recipients": listed({"type": "integer", "minimum": 0}, "Positions in `recipients` of the record."),
            "results": listed(named("AttemptResult")),
            "route": listed(named("RouteStep"), "Kept for the first and the last three attempts."),
        },
    ),
    "HistoryEvent": an_object(
        "Something that happened to the message. The last 100 are kept.",
        {
            "id": text(),
            "type": open_set(_EVENTS, "What happened."),
            "timestamp": instant(),
            "attempt": nullable(whole("The attempt that it belongs to.", 1)),
        },
    ),
    "Record": an_object(
        "Everything that is known of a message.",
        {
            **_SUMMARY,
            "recipients": listed(named("Recipient"), "In the order of `to`, `cc`, `bcc`."),
            "attempts": listed(named("Attempt")),
            "events": listed(named("HistoryEvent")),
        },
    ),
    "MessageRow": an_object(
        "A message as it stands in a list.",
        {
            **_SUMMARY,
            "recipients_total": whole("How many recipients it has."),
            "recipients_by_state": counts(RecipientState, "How many of them are in which state."),
        },
    ),
    "MessageList": an_object(
        "One page of messages, those that ended last first.",
        {
            "data": listed(named("MessageRow")),
            "next_cursor": nullable(text("The cursor of the next page; null: there is none.")),
        },
    ),
    "Rehearsal": an_object(
        "What would become of a message.",
        {
            "valid": truth("Whether it would be accepted."),
            "pool": nullable(text("The pool that it would go to.")),
            "route": nullable(
                an_object(
                    "The route that leads there; null where the message names its pool, or meets no route.",
                    {"index": whole("Its position in `[[routes]]`, counted from 0."), "pool": text()},
                )
            ),
            "errors": listed(named("Fault"), "Everything that is wrong with it."),
        },
    ),
    "BatchAnswer": an_object(
        "What became of each message of a batch, in their order.",
        {
            "accepted": whole("How many were taken.", 1),
            "refused": whole("How many were not."),
            "results": listed({"oneOf": [named("BatchAccepted"), named("BatchRefused")]}),
        },
    ),
    "BatchAccepted": an_object(
        "A message of a batch that was taken.",
        {
            "status": {"type": "integer", "const": 202},
            "replayed": truth("Whether it was taken by an earlier request under the same key."),
            "message": named("Acceptance"),
        },
    ),
    "BatchRefused": an_object(
        "A message of a batch that was not taken.",
        {"status": {"type": "integer", "minimum": 400}, "error": named("InnerProblem")},
    ),
    "Repaired": an_object(
        "What was done to many messages.",
        {
            "done": whole("To how many it was done."),
            "results": listed(
                an_object(
                    "What came of one message.",
                    {
                        "id": text(),
                        "status": whole("What the request for this message alone would have answered.", 200),
                        "error": nullable(named("InnerProblem")),
                    },
                )
            ),
        },
    ),
    "Moved": an_object(
        "One step of a move.",
        {
            "moved": whole("How many messages went over."),
            "next_cursor": nullable(text("The `cursor` of the next step; null: all that waited has gone over.")),
        },
    ),
}
