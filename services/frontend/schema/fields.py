"""The fields of every request body: one table for the reader and for the API's description."""

from __future__ import annotations

import re
from typing import Final

from services.frontend.limits import (
    BODY_BYTES,
    BULK,
    DURATION_SECONDS,
    REASON_LENGTH,
    REPLY_TO,
    SUBJECT_LENGTH,
    TAG_LENGTH,
    TAGS,
    Limits,
)
from services.frontend.schema.attachments import Files
from services.frontend.schema.keys import FIELD, IdempotencyKey
from services.frontend.schema.kinds import Body, Choice, Instant, Kind, Known, ListOf, OneOrMany, Token, Whole
from services.frontend.schema.mail import Headers, Line, Mailbox, Metadata
from services.frontend.schema.objects import Field
from shared.domain.message import OnAmbiguous, Priority
from shared.domain.states import DEAD, State

_DAY: Final = 86_400

_TAG: Final = Token(
    re.compile(rf"[A-Za-z0-9_.:-]{{1,{TAG_LENGTH}}}"),
    "invalid_tag",
    f"a tag: 1 to {TAG_LENGTH} of A-Z, a-z, 0-9, _, ., : and -",
)
_ID: Final = Token(re.compile(r"[A-Za-z0-9_-]{1,64}"), "invalid_id", "an id: 1 to 64 of A-Z, a-z, 0-9, _ and -")
_CURSOR: Final = Token(re.compile(r"[A-Za-z0-9_.-]{1,512}"), "bad_cursor", "a cursor of this service")
#: A pool that an earlier configuration may have named.
POOL_NAME: Final = Token(
    re.compile(r"[a-z0-9-]{1,32}"), "invalid_pool", "the name of a pool: 1 to 32 of a-z, 0-9 and -"
)

_SEND_AT: Final = "When to send it; a time past means now."
_EXPIRES_AT: Final = "When to give up what is not sent by then."
_POOL: Final = "The set of providers that may send it."
_PRIORITY: Final = "How urgent it is."


def message_fields(limits: Limits, pools: frozenset[str]) -> tuple[Field, ...]:
    """Return the fields of a submission. Those that depend on each other are judged by `submission.py`."""
    recipients = OneOrMany(ListOf(Mailbox(), "recipient", limits.recipients))
    return (
        Field(
            "from",
            Mailbox(),
            "The sender. Required where the service has no `default_from`.",
            examples=("shop@example.com",),
        ),
        Field("to", recipients, "Recipients, one or a list.", examples=("Ada Lovelace <ada@example.org>",)),
        Field("cc", recipients, "Recipients of a copy.", examples=("linus@example.net",)),
        Field("bcc", recipients, "Recipients that no header names.", examples=(["archive@example.com"],)),
        Field(
            "reply_to",
            OneOrMany(ListOf(Mailbox(), "address", REPLY_TO)),
            "Where answers go.",
            examples=(["help@example.com"],),
        ),
        Field(
            "subject", Line(SUBJECT_LENGTH), 'The subject; may be "".', required=True, examples=("Your receipt 1042",)
        ),
        Field("text", Body(BODY_BYTES), "The body as plain text.", examples=("Thank you.",)),
        Field("html", Body(BODY_BYTES), "The body as HTML.", examples=("<p>Thank you.</p>",)),
        Field("headers", Headers(limits.headers), "Headers of your own.", examples=({"X-Order": "1042"},)),
        Field("attachments", Files(limits.attachments, limits.attachments_bytes), "Files that travel with it."),
        Field("tags", ListOf(_TAG, "tag", TAGS), "Words to find and count messages by.", examples=(["receipt"],)),
        Field(
            "metadata",
            Metadata(limits.metadata_bytes),
            "Your own notes; no recipient sees them.",
            examples=({"order": "1042"},),
        ),
        Field("priority", Choice(Priority), _PRIORITY, examples=("high",), default=Priority.NORMAL),
        Field("pool", Known("pool", pools), f"{_POOL} Left out: as the routes say.", examples=("default",)),
        Field("send_at", Instant(), _SEND_AT, examples=("2026-12-01T09:00:00+01:00",)),
        Field(
            "delay_seconds",
            Whole(0, limits.schedule_days * _DAY),
            "The same, counted from acceptance.",
            examples=(3_600,),
        ),
        Field("expires_at", Instant(), _EXPIRES_AT, examples=("2026-12-02T09:00:00+01:00",)),
        Field(
            "ttl_seconds",
            Whole(1, DURATION_SECONDS),
            "The same, counted from acceptance or from the time to send it, whichever is later.",
            examples=(86_400,),
        ),
        Field(
            "on_ambiguous",
            Choice(OnAmbiguous),
            "What to do when nobody can know whether an attempt arrived.",
            examples=("fail",),
            default=OnAmbiguous.RETRY,
        ),
        Field(
            FIELD,
            IdempotencyKey(),
            "The same key is the same message, never a second one.",
            examples=("order-1042/receipt",),
        ),
    )


def change_fields(pools: frozenset[str]) -> tuple[Field, ...]:
    """Return the fields of a change. Unlike elsewhere, null is a value of the two times."""
    return (
        Field("send_at", Instant(), f"{_SEND_AT} Null means now.", examples=("2026-12-01T09:00:00+01:00",)),
        Field("expires_at", Instant(), f"{_EXPIRES_AT} Null means never.", examples=("2026-12-02T09:00:00+01:00",)),
        Field("priority", Choice(Priority), _PRIORITY, examples=("critical",), null=False),
        Field("pool", Known("pool", pools), _POOL, examples=("default",), null=False),
    )


def filter_fields() -> tuple[Field, ...]:
    """Return the conditions by which dead letters are chosen."""
    return (
        Field(
            "state",
            OneOrMany(ListOf(Choice(State, DEAD), "state", len(DEAD), 1)),
            "One state, or several.",
            examples=("failed",),
        ),
        Field("pool", POOL_NAME, "The pool they lie in, known to this service or not.", examples=("default",)),
        Field("finished_before", Instant(), "Only what ended before.", examples=("2026-12-01T09:00:00Z",)),
    )


def selection_fields(conditions: Kind[object]) -> tuple[Field, ...]:
    """Return the fields by which messages are chosen, by their ids or by a filter."""
    return (
        Field("ids", ListOf(_ID, "id", BULK, 1), "The messages.", examples=(["msg_01kas3v7q2f8x4m9d0w5t6y1zc03"],)),
        Field("filter", conditions, "Instead: what they have in common, at least one condition."),
        Field("limit", Whole(1, BULK), "How many at most, beside a filter.", examples=(100,), default=BULK),
    )


def move_fields(pools: frozenset[str]) -> tuple[Field, ...]:
    """Return the fields of a move from one pool to another."""
    return (
        Field("from", POOL_NAME, "The pool to empty, known to this service or not.", required=True, examples=("old",)),
        Field("to", Known("pool", pools), "The pool to fill.", required=True, examples=("default",)),
        Field("cursor", _CURSOR, "The `next_cursor` of the call before; left out, the beginning."),
    )


def pause_fields() -> tuple[Field, ...]:
    """Return the fields of a pause."""
    return (
        Field("reason", Line(REASON_LENGTH), "Why, for whoever sees it.", examples=("The account is being audited.",)),
        Field(
            "until",
            Instant(),
            "When it ends by itself. Left out: when somebody resumes it.",
            examples=("2026-12-01T10:00:00Z",),
        ),
    )


def test_fields() -> tuple[Field, ...]:
    """Return the fields of a provider's test."""
    return (
        Field("to", Mailbox(), "Who receives the test message.", required=True, examples=("you@example.com",)),
        Field(
            "from",
            Mailbox(),
            "Who sends it. Required where the service has no `default_from`.",
            examples=("shop@example.com",),
        ),
    )
