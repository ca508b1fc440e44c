"""Sends mail through reliable-email.

    from reliable_email_client import Client, Message

    client = Client()
    accepted = client.send(Message(to="ada@example.org", subject="Hello", text="It works."))

Once `send` returns, the service owes the delivery. Whatever the network does in between, the message
is accepted once or not at all.
"""

from __future__ import annotations

from reliable_email_client.answers import (
    Acceptance,
    Attempt,
    Delivery,
    Event,
    Fault,
    Limits,
    Mailbox,
    Pause,
    PoolDepth,
    Provider,
    Queue,
    Reason,
    Recipient,
    Record,
    Row,
    Service,
    State,
    Validation,
    Waiting,
)
from reliable_email_client.async_client import AsyncClient
from reliable_email_client.client import Client
from reliable_email_client.core.batch import BatchOutcome
from reliable_email_client.core.calls import UNSET
from reliable_email_client.core.retrying import Retry
from reliable_email_client.errors import (
    AcceptanceUnknown,
    AnswerLost,
    CallerError,
    Conflict,
    Forbidden,
    InvalidMessage,
    InvalidRequest,
    KeyReused,
    NotFound,
    Problem,
    QueueFull,
    QuotaExceeded,
    RateLimited,
    ReliableEmailError,
    ServiceError,
    StillWaiting,
    TemporaryError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Untrusted,
)
from reliable_email_client.message import Address, Attachment, Message, Priority
from reliable_email_client.version import __version__

__all__ = [
    "UNSET",
    "Acceptance",
    "AcceptanceUnknown",
    "Address",
    "AnswerLost",
    "AsyncClient",
    "Attachment",
    "Attempt",
    "BatchOutcome",
    "CallerError",
    "Client",
    "Conflict",
    "Delivery",
    "Event",
    "Fault",
    "Forbidden",
    "InvalidMessage",
    "InvalidRequest",
    "KeyReused",
    "Limits",
    "Mailbox",
    "Message",
    "NotFound",
    "Pause",
    "PoolDepth",
    "Priority",
    "Problem",
    "Provider",
    "Queue",
    "QueueFull",
    "QuotaExceeded",
    "RateLimited",
    "Reason",
    "Recipient",
    "Record",
    "ReliableEmailError",
    "Retry",
    "Row",
    "Service",
    "ServiceError",
    "State",
    "StillWaiting",
    "TemporaryError",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Untrusted",
    "Validation",
    "Waiting",
    "__version__",
]
