"""What is sent: a message, its addresses and its attachments. No I/O but reading the files that are attached."""

from __future__ import annotations

import math
import mimetypes
import os
import uuid
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, TypeAlias

Priority: TypeAlias = Literal["critical", "high", "normal", "bulk"]
OnAmbiguous: TypeAlias = Literal["retry", "fail"]
Disposition: TypeAlias = Literal["attachment", "inline"]
#: Seconds, or a timedelta.
Seconds: TypeAlias = "float | timedelta"

_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Address:
    """An email address and the name that is shown beside it."""

    email: str
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the address as the interface takes it."""
        return {"email": self.email} if self.name is None else {"email": self.email, "name": self.name}


AddressLike: TypeAlias = "str | Address"
#: `ada@example.org`, `Ada Lovelace <ada@example.org>`, an Address, or several of them.
Addresses: TypeAlias = "AddressLike | Iterable[AddressLike]"


@dataclass(frozen=True)
class Attachment:
    """A file that travels with a message.

    With a `content_id` it is shown where the HTML refers to it: `logo` in `<img src="cid:logo">`.
    Without a `content_type` the file's name tells it.
    """

    filename: str
    content: bytes = field(repr=False)
    content_type: str | None = None
    content_id: str | None = None
    disposition: Disposition | None = None

    @classmethod
    def from_path(
        cls,
        path: str | os.PathLike[str],
        *,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> Attachment:
        """Read a file. Raises OSError."""
        file = Path(path)
        return cls(filename or file.name, file.read_bytes(), content_type)

    @classmethod
    def inline(
        cls,
        path: str | os.PathLike[str],
        content_id: str,
        *,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> Attachment:
        """Read a file that the HTML shows as `cid:` and the content id. Raises OSError."""
        file = Path(path)
        return cls(filename or file.name, file.read_bytes(), content_type, content_id, "inline")

    def to_json(self) -> dict[str, Any]:
        """Return the attachment as the interface takes it."""
        return _present(
            filename=self.filename,
            content_type=self.content_type or guessed_type(self.filename),
            content=b64encode(self.content).decode(),
            content_id=self.content_id,
            disposition=self.disposition,
        )


@dataclass(frozen=True, kw_only=True)
class Message:
    """One email. The service judges what stands in it, and names every fault at once.

    `to`, `cc`, `bcc` and `reply_to` take one address or several; `from_` may be left out where the
    service has a default. `send_at` or `delay`, `expires_at` or `ttl`, never both of a pair;
    datetimes need a time zone, durations are seconds or timedeltas.

    Its idempotency key is made with it, if none is given: sending the same object again does not
    send the mail again but gives the first answer. `dataclasses.replace` makes another message.
    Raises ValueError for a datetime without a time zone and a duration that is not finite.
    """

    subject: str
    to: Addresses = ()
    from_: AddressLike | None = None
    cc: Addresses = ()
    bcc: Addresses = ()
    reply_to: Addresses = ()
    text: str | None = None
    html: str | None = None
    attachments: Iterable[Attachment] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Iterable[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    priority: Priority | None = None
    pool: str | None = None
    send_at: datetime | None = None
    delay: Seconds | None = None
    expires_at: datetime | None = None
    ttl: Seconds | None = None
    on_ambiguous: OnAmbiguous | None = None
    idempotency_key: str | None = None
    _own_key: str = field(default_factory=lambda: uuid.uuid4().hex, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # An iterator would be empty at the second look, and a message is written once for each attempt to send it.
        for name in ("to", "cc", "bcc", "reply_to"):
            object.__setattr__(self, name, _several(getattr(self, name)))
        object.__setattr__(self, "attachments", tuple(self.attachments))
        object.__setattr__(self, "tags", tuple(self.tags))
        for instant in (self.send_at, self.expires_at):
            if instant is not None:
                instant_text(instant)
        for duration in (self.delay, self.ttl):
            if duration is not None:
                whole_seconds(duration)

    @property
    def key(self) -> str:
        """The idempotency key it is sent under, its own or the one that was made for it."""
        return self._own_key if self.idempotency_key is None else self.idempotency_key

    def to_json(self) -> dict[str, Any]:
        """Return the message as the interface takes it, with its key."""
        return _present(
            **{"from": None if self.from_ is None else _address_json(self.from_)},
            to=_addresses_json(self.to),
            cc=_addresses_json(self.cc),
            bcc=_addresses_json(self.bcc),
            reply_to=_addresses_json(self.reply_to),
            subject=self.subject,
            text=self.text,
            html=self.html,
            headers=dict(self.headers) or None,
            attachments=[attachment.to_json() for attachment in self.attachments] or None,
            tags=list(self.tags) or None,
            metadata=dict(self.metadata) or None,
            priority=self.priority,
            pool=self.pool,
            send_at=None if self.send_at is None else instant_text(self.send_at),
            delay_seconds=None if self.delay is None else whole_seconds(self.delay),
            expires_at=None if self.expires_at is None else instant_text(self.expires_at),
            ttl_seconds=None if self.ttl is None else whole_seconds(self.ttl),
            on_ambiguous=self.on_ambiguous,
            idempotency_key=self.key,
        )


def guessed_type(filename: str) -> str:
    """Return the media type that a file's name tells, as far as a file can have it."""
    guessed, compression = mimetypes.guess_type(filename)
    if compression is not None:
        return "application/gzip" if compression == "gzip" else _UNKNOWN_TYPE
    # RFC 2045, section 6.4: parts of these types travel unencoded, which a file of any bytes cannot.
    if guessed is None or guessed.startswith(("message/", "multipart/")):
        return _UNKNOWN_TYPE
    return guessed


def instant_text(instant: datetime) -> str:
    """Return an instant as RFC 3339 text in UTC. Raises ValueError where it has no time zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} has no time zone, so it names no instant; use datetime.now(timezone.utc)")
    return instant.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def whole_seconds(duration: Seconds) -> int:
    """Return a duration in whole seconds, rounded up. Raises ValueError where it is not finite."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not math.isfinite(seconds):
        raise ValueError(f"{duration!r} is no duration")
    return math.ceil(seconds)


def _several(addresses: Addresses) -> tuple[AddressLike, ...]:
    return (addresses,) if isinstance(addresses, (str, Address)) else tuple(addresses)


def _address_json(address: AddressLike) -> str | dict[str, Any]:
    return address.to_json() if isinstance(address, Address) else address


def _addresses_json(addresses: Addresses) -> list[str | dict[str, Any]] | None:
    return [_address_json(address) for address in _several(addresses)] or None


def _present(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
