"""What the service answers, as values that do not change.

Fields that a newer service adds are ignored here and stand in `raw`; fields that an older one lacks
have their defaults. `State` and `Priority` are closed sets; every `code`, `outcome`, `type` and
`status` is open and may bring a value that no version of this package has seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from reliable_email_client.message import Priority

State: TypeAlias = Literal[
    "scheduled", "queued", "sending", "retrying", "sent", "partly_sent", "failed", "cancelled", "expired", "suppressed"
]
RecipientState: TypeAlias = Literal["pending", "sent", "failed", "suppressed", "cancelled", "expired"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What all answers have in common: `raw` is the JSON that was read."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Fault(Answer):
    """One thing that is wrong, and its place: a JSON pointer, a query parameter or a header."""

    code: str
    detail: str = ""
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    @property
    def place(self) -> str:
        """The place, of whatever kind."""
        return self.pointer or self.parameter or self.header or ""


@dataclass(frozen=True, kw_only=True)
class Validation(Answer):
    """What would become of a message: the pool and the route it would take, or everything that is wrong with it."""

    valid: bool
    pool: str | None = None
    route: Mapping[str, object] | None = None
    errors: tuple[Fault, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Acceptance(Answer):
    """The service owes this message's delivery. `replayed`: it was accepted before, under the same key."""

    id: str
    state: State
    priority: Priority = "normal"
    pool: str = "default"
    created_at: datetime | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    internet_message_id: str = ""
    suppressed: tuple[object, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Mailbox(Answer):
    """An address as the service shows it."""

    email: str
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reason(Answer):
    """Why a message or a recipient ended as it did."""

    code: str
    detail: str = ""
    provider: str | None = None
    smtp_code: int | None = None
    enhanced_code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Waiting(Answer):
    """Why a message is not sent yet."""

    code: str
    detail: str = ""
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery(Answer):
    """What a provider reported after it had taken the mail."""

    status: str = "unknown"
    at: datetime | None = None
    bounce: object = None


@dataclass(frozen=True, kw_only=True)
class Recipient(Answer):
    """What became of one recipient."""

    email: str
    kind: str
    state: RecipientState
    provider: str | None = None
    provider_message_id: str | None = None
    sent_at: datetime | None = None
    delivery: Delivery | None = None
    reason: Reason | None = None


@dataclass(frozen=True, kw_only=True)
class RecipientResult(Answer):
    """What one attempt brought one recipient; `recipient` is its place in the record."""

    recipient: int
    outcome: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class RouteStep(Answer):
    """Why a provider was chosen or not."""

    provider: str
    chosen: bool = False
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempt(Answer):
    """One try to give the message to a provider."""

    number: int
    provider: str
    started_at: datetime | None = None
    duration_ms: float | None = None
    outcome: str | None = None
    detail: str | None = None
    retry_after_seconds: float | None = None
    recipients: tuple[int, ...] = ()
    results: tuple[RecipientResult, ...] = ()
    route: tuple[RouteStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Event(Answer):
    """Something that happened to a message."""

    id: str
    type: str
    timestamp: datetime
    attempt: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoredAttachment(Answer):
    """What is told of an attachment."""

    filename: str
    content_type: str = ""
    size_bytes: int = 0
    content_id: str | None = None
    disposition: str = "attachment"


@dataclass(frozen=True, kw_only=True)
class Summary(Answer):
    """What a record and a row of a list have in common. `final`: the state cannot change any more, unless requeued."""

    id: str
    state: State
    final: bool
    tenant: str = "default"
    priority: Priority = "normal"
    pool: str = "default"
    from_: Mailbox | None = field(default=None, metadata={"json": "from"})
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0
    attachments: tuple[StoredAttachment, ...] = ()
    on_ambiguous: str = "retry"
    internet_message_id: str = ""
    created_at: datetime | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    finished_at: datetime | None = None
    content_available_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    requeues: int = 0
    rounds: int = 0
    possible_duplicate: bool = False
    waiting: Waiting | None = None
    reason: Reason | None = None
    attempts_total: int = 0


@dataclass(frozen=True, kw_only=True)
class Record(Summary):
    """Everything that is known of a message."""

    recipients: tuple[Recipient, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row(Summary):
    """A message as it stands in a list."""

    recipients_total: int = 0
    recipients_by_state: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Page(Answer):
    """One page of a list of messages."""

    data: tuple[Row, ...] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, kw_only=True)
class Limits(Answer):
    """What one request may hold."""

    request_bytes: int = 25 * 1024 * 1024
    attachments_bytes: int = 18 * 1024 * 1024
    attachments: int = 20
    recipients: int = 50
    batch_messages: int = 1_000
    headers: int = 64
    metadata_bytes: int = 4_096
    schedule_days: int = 365
    idempotency_hours: int = 24


@dataclass(frozen=True, kw_only=True)
class Service(Answer):
    """The service, and what the key may do there."""

    service: str = ""
    version: str = ""
    api_version: str = ""
    time: datetime | None = None
    tenant: str = "default"
    scopes: tuple[str, ...] = ()
    limits: Limits = Limits()
    priorities: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rates(Answer):
    """How fast mail comes and goes."""

    window_seconds: float = 60
    accepted_per_second: float = 0
    sent_per_second: float = 0


@dataclass(frozen=True, kw_only=True)
class Pause(Answer):
    """Nothing is begun until somebody resumes it, or until an instant."""

    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PriorityDepth(Answer):
    """How much of one priority of one pool lies where."""

    priority: str
    scheduled: int = 0
    queued: int = 0
    sending: int = 0
    retrying: int = 0
    oldest_queued_age_seconds: float = 0


@dataclass(frozen=True, kw_only=True)
class PoolDepth(Answer):
    """One pool: its providers, and what waits for them."""

    name: str
    providers: tuple[str, ...] = ()
    available: bool = False
    paused: Pause | None = None
    priorities: tuple[PriorityDepth, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Queue(Answer):
    """How much lies where, as of one instant."""

    as_of: datetime | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    paused: Pause | None = None
    rates: Rates = Rates()
    pools: tuple[PoolDepth, ...] = ()
    processes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Breaker(Answer):
    """Whether a provider is left alone for a while."""

    state: str = "closed"
    opened_at: datetime | None = None
    next_probe_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class LastError(Answer):
    """The last thing that went wrong with a provider."""

    at: datetime | None = None
    outcome: str | None = None
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Provider(Answer):
    """A provider as the senders see it."""

    name: str
    kind: str = ""
    pools: tuple[str, ...] = ()
    tier: int = 1
    weight: float = 1
    state: str = ""
    available: bool = False
    available_at: datetime | None = None
    paused: Pause | None = None
    health: float | None = None
    breaker: Breaker | None = None
    limits: Mapping[str, object] = field(default_factory=dict)
    usage: Mapping[str, object] = field(default_factory=dict)
    outcomes_1m: Mapping[str, int] = field(default_factory=dict)
    latency_ms: Mapping[str, float | None] = field(default_factory=dict)
    last_error: LastError | None = None
    capabilities: Mapping[str, object] = field(default_factory=dict)
    config_revision: str | None = None
    seen_by: int = 0


@dataclass(frozen=True, kw_only=True)
class Providers(Answer):
    """All providers."""

    data: tuple[Provider, ...] = ()
    next_cursor: str | None = None
