"""What a kind of provider must bring: options, capabilities, a request, and a reading of the reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Protocol, runtime_checkable

from shared.domain.errors import ReliableEmailError
from shared.domain.message import Envelope
from shared.domain.outcome import Scope, Verdict
from shared.domain.secret import Secret


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
class AwsSignature:
    """What an AWS Signature V4 is made with; the transport signs at the last moment, for it names the time."""

    service: str
    region: str
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, ready to be written. Redirects are not followed: credentials would travel along."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    signature: AwsSignature | None = None


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
    holds the reply to each recipient in order, as far as the dialogue came. For HTTP the names of
    `headers` are in lower case, and `at` is the instant of the answer in milliseconds since the epoch.
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
    at: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can carry, as far as it is known before a try. None means no limit.

    `max_bytes` is of the message as its envelope counts it, bodies and decoded attachments; the
    ends of file names in `refused_extensions` and `known_extensions` are in lower case, without
    the dot. A provider that `is_ascii_only` takes no address with a local part beyond ASCII.
    """

    max_bytes: int | None = None
    max_recipients: int | None = None
    refused_extensions: frozenset[str] = frozenset()
    known_extensions: frozenset[str] | None = None
    sender_domains: frozenset[str] | None = None
    is_ascii_only: bool = False


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


@runtime_checkable
class BatchAdapter(Adapter, Protocol):
    """An adapter whose service takes unrelated messages in one request, with an answer for each."""

    max_batch: ClassVar[int]  # messages in one request
    max_batch_bytes: ClassVar[int]  # of their envelopes together

    def may_join(self, parcel: Parcel, options: Any) -> bool:
        """Return whether the parcel may go with others; the one that may not goes alone."""
        ...

    def build_batch(self, parcels: Sequence[Parcel], options: Any) -> HttpRequest:
        """Return one request for all parcels. Raises Unsendable where `build` would for one of them."""
        ...

    def classify_batch(self, request: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:
        """Return what the reply means for each of `count` parcels, in their order. Never raises."""
        ...


@runtime_checkable
class KeyedAdapter(Adapter, Protocol):
    """An adapter whose service knows a repeated request by its key, and makes no second copy of it.

    The same parcel always builds the same request, so a lost answer is asked for by sending it again.
    """

    is_keyed: ClassVar[bool]

    def remembers_seconds(self, options: Any) -> float:
        """Return for how long after the first request a repetition is safe."""
        ...


@runtime_checkable
class LookupAdapter(Adapter, Protocol):
    """An adapter whose service can be asked whether a lost request arrived."""

    def build_lookup(self, parcel: Parcel, options: Any) -> HttpRequest:
        """Return the request that asks for the parcel."""
        ...

    def classify_lookup(self, request: HttpRequest, reply: Reply) -> Verdict | None:
        """Return the verdict where the message is found there, None where it is not, or nobody can tell."""
        ...
