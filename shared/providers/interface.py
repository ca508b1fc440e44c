"""What a kind of provider must bring: options, capabilities, a request, and a reading of the reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Protocol

from shared.domain.errors import ReliableEmailError
from shared.domain.message import Envelope
from shared.domain.outcome import Scope, Verdict


class Unsendable(ReliableEmailError):
    """`build` cannot write the parcel as a request of its kind: the message is `rejected` with this `scope`."""

    def __init__(self, detail: str, scope: Scope = Scope.PROVIDER) -> None:
        self.scope = scope
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message on its way to one provider.

    `recipients` are the numbers of the recipients this attempt is for; `date` is the instant of
    the message's first attempt in milliseconds, the same at every attempt, and so is
    `internet_message_id`. `deduplication_key` is the same for the same try and another after a
    partial result or a requeue. `return_path` is the envelope's sender, to which bounces go, where
    the provider lets us choose; "" is the message's `from`.
    """

    id: str
    envelope: Envelope
    recipients: tuple[int, ...]
    internet_message_id: str
    date: int
    deduplication_key: str = ""
    return_path: str = ""


@dataclass(frozen=True, slots=True)
class SmtpTransaction:
    """One mail transaction. `data` has CRLF line ends and no dot-stuffing; `recipients` are in
    the order of the parcel's. `needs_smtputf8` is true where an address is not ASCII even with
    its domain as A-labels."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    needs_smtputf8: bool = False
    needs_8bitmime: bool = False


@dataclass(frozen=True, slots=True)
class FileWrite:
    """One file to be written durably: complete under its name, or not there at all."""

    directory: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, ready to be written."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """No request at all: the verdict is already known, after `delay_seconds` (None: never)."""

    verdict: Verdict
    delay_seconds: float | None = 0.0


Request = SmtpTransaction | FileWrite | HttpRequest | Rehearsal


class Phase(Enum):
    """How far an exchange came before it ended. Nothing has been taken before `SENT`."""

    CONNECT = "connect"  # no connection, or none that is logged in
    SENDING = "sending"  # the request was not yet written completely
    SENT = "sent"  # written completely, and no complete answer came
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class SmtpLine:
    """One reply of an SMTP server: the code and its text without the code."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Exactly the fields of the transport in use are filled in.

    `error` is the failure that ended the exchange early, in words, and `error_kind` one of
    `refused`, `timeout`, `reset`, `tls`, `certificate` (it did not prove whom we called), `dns`,
    `io`, `unsupported` (the other side lacks what the request needs, so nothing was tried). For
    SMTP `stage` is the command that got `final` or was cut off ("greeting", "ehlo", "starttls",
    "auth", "mail", "rcpt", "data", "end", the final dot), and `rcpt`
    holds the reply to each recipient in order, as far as the dialogue came.
    """

    phase: Phase
    error: str = ""
    error_kind: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stage: str = ""
    final: SmtpLine | None = None
    rcpt: tuple[SmtpLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can carry, as far as it is known before a try. None means no limit."""

    max_bytes: int | None = None
    max_recipients: int | None = None


class Adapter(Protocol):
    """One kind of provider. Stateless: what it needs to know of the account stands in `options`."""

    kind: ClassVar[str]
    Options: ClassVar[type[Any]]  # a frozen dataclass; its fields are the kind's own configuration keys

    def capabilities(self, options: Any) -> Capabilities:
        """Return what the account can carry."""
        ...

    def build(self, parcel: Parcel, options: Any) -> Request:
        """Return the request that hands the parcel over. Raises Unsendable where there is none."""
        ...

    def classify(self, request: Any, reply: Reply) -> Verdict:
        """Return what the reply means. Never raises: what cannot be understood is `ambiguous`.

        `request` is what this adapter built, hence of its own kind of request.
        In a `partial` verdict `index` is the recipient's position in the parcel's `recipients`;
        the channel, which knows the parcel, puts their numbers there.
        """
        ...
