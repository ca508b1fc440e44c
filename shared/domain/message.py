"""The message as data: what a client submits, what the queue keeps, what an attempt leaves behind.

Instants are integer milliseconds since the epoch, as Redis's own clock gives them; the edge of
the service turns them into RFC 3339 text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.domain.outcome import Outcome
from shared.domain.states import FINAL, RecipientState, State


class Priority(StrEnum):
    """How urgent a message is. A closed set, most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


class OnAmbiguous(StrEnum):
    """What to do when an attempt may or may not have reached the provider."""

    RETRY = "retry"
    FAIL = "fail"


class RecipientKind(StrEnum):
    """Which header names a recipient; `bcc` is in none."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


DEFAULT_POOL: Final = "default"
DEFAULT_TENANT: Final = "default"


@dataclass(frozen=True, slots=True)
class Address:
    """An email address as its sender wrote it, with the name shown beside it ("" for none)."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a message. `content` is decoded, and empty once it was dropped."""

    filename: str
    content_type: str
    size_bytes: int
    content: bytes = b""
    content_id: str | None = None
    disposition: str = "attachment"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One email as submitted; never changed afterwards.

    Recipients are numbered through `to`, then `cc`, then `bcc`, from 0; the number stands for a
    recipient everywhere (verdicts, attempts, the queue). `pinned_to` names the one provider that may
    carry it, "" for any: it tests that provider.
    """

    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    on_ambiguous: OnAmbiguous = OnAmbiguous.RETRY
    message_id_domain: str = ""
    size_bytes: int = 0
    pinned_to: str = ""

    @property
    def recipients(self) -> tuple[Address, ...]:
        """All recipients in the order of their numbers."""
        return self.to + self.cc + self.bcc

    def kind_of(self, index: int) -> RecipientKind:
        """Return the header that recipient `index` stands in."""
        if index < len(self.to):
            return RecipientKind.TO
        return RecipientKind.CC if index < len(self.to) + len(self.cc) else RecipientKind.BCC


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request to send: an envelope and how to treat it.

    At most one of `send_at` and `delay_ms`, and of `expires_at` and `ttl_ms`, is set. A
    `fingerprint` goes with an `idempotency_key`; `derived` marks a key that was made from a
    batch's key and an item's number, a kind of its own that never equals a client's. `trace` is the
    `traceparent` that whoever works on the message goes on with.
    """

    envelope: Envelope
    priority: Priority = Priority.NORMAL
    pool: str = DEFAULT_POOL
    tenant: str = DEFAULT_TENANT
    send_at: int | None = None
    delay_ms: int | None = None
    expires_at: int | None = None
    ttl_ms: int | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    derived: int | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a client is told of a message that is safely stored."""

    id: str
    state: State
    priority: Priority
    pool: str
    created_at: int
    send_at: int | None
    expires_at: int | None
    message_id_domain: str
    replayed: bool = False

    @property
    def internet_message_id(self) -> str:
        """The Message-ID header that every attempt carries."""
        return f"<{self.id}@{self.message_id_domain}>"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message or a recipient ended as it did. `code` is of an open set."""

    code: str
    detail: str = ""
    provider: str | None = None
    smtp_code: int | None = None
    enhanced_code: str | None = None


@dataclass(frozen=True, slots=True)
class RouteStep:
    """One provider's part in a routing decision: chosen or passed over, and why."""

    provider: str
    chosen: bool
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecipientResult:
    """One recipient's share of a closed attempt."""

    recipient: int
    outcome: Outcome
    detail: str = ""
    smtp_code: int | None = None
    enhanced_code: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one message at one provider, closed."""

    number: int
    provider: str
    started_at: int
    duration_ms: int
    outcome: Outcome
    detail: str = ""
    retry_after_seconds: float | None = None
    provider_message_id: str | None = None
    recipients: tuple[int, ...] = ()
    results: tuple[RecipientResult, ...] = ()
    route: tuple[RouteStep, ...] = ()
    smtp_code: int | None = None
    enhanced_code: str | None = None


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """Where one recipient stands; `at` is the instant at which it was decided."""

    state: RecipientState
    provider: str | None = None
    provider_message_id: str | None = None
    at: int | None = None
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """A change of a message's state."""

    id: str
    type: str
    at: int
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a message is not sent yet, and until when that holds where it is known."""

    code: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Everything the queue knows of one message, read in one piece."""

    id: str
    tenant: str
    state: State
    priority: Priority
    pool: str
    envelope: Envelope  # without bodies, headers and attachments' contents
    created_at: int
    send_at: int | None = None
    expires_at: int | None = None
    finished_at: int | None = None
    cancel_requested_at: int | None = None
    content_dropped: bool = False
    requeues: int = 0
    rounds: int = 0
    possible_duplicate: bool = False
    waiting: Waiting | None = None
    reason: Reason | None = None
    recipients: tuple[RecipientStatus, ...] = ()
    attempts_total: int = 0
    attempts: tuple[Attempt, ...] = ()
    events: tuple[HistoryEvent, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the state can still change without a requeue."""
        return self.state in FINAL

    @property
    def internet_message_id(self) -> str:
        """The Message-ID header that every attempt carries."""
        return f"<{self.id}@{self.envelope.message_id_domain}>"
