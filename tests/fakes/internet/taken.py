"""What a desk understood of a message, in the words of mail and not of its provider."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shared.domain.message import Address

_OURS: Final = re.compile(r"msg_[0-9a-hjkmnp-tv-z]{28}")


@dataclass(frozen=True, slots=True)
class File:
    """A file that travelled with a message; `content_id` has no brackets and no `cid:`."""

    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    is_inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One message that a provider took.

    `id` is the provider's; `message_id` is ours where it travels, "" where it does not. `at` is
    the monotonic clock's, in seconds, which all processes of a machine share. `recipients` are
    those of the SMTP envelope that the provider would make. A message handed over as MIME has it
    in `mime`, and what it says in the other fields only once it is `opened`.
    """

    desk: str
    id: str
    at: float
    sender: str
    recipients: tuple[str, ...]
    sender_name: str = ""
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    attachments: tuple[File, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    message_id: str = ""
    internet_message_id: str = ""
    return_path: str = ""
    key: str = ""
    mime: bytes | None = None
    is_test: bool = False
    call: int = 0

    def header(self, name: str) -> str:
        """Return a header's value, "" without it."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def as_json(self) -> dict[str, Any]:
        """Return what another process is told: who, whom, which and when, and the MIME if there is one."""
        return {
            "desk": self.desk,
            "id": self.id,
            "at": self.at,
            "call": self.call,
            "message_id": self.message_id,
            "internet_message_id": self.internet_message_id,
            "sender": self.sender,
            "recipients": self.recipients,
            "subject": self.subject,
            "tags": self.tags,
            "metadata": dict(self.metadata),
            "key": self.key,
            "mime": None if self.mime is None else base64.b64encode(self.mime).decode(),
        }

    def without_content(self) -> Taken:
        """Return the message without its bodies and files, for ledgers of many."""
        return replace(self, text="", html="", attachments=(), mime=None)


def our_id(*places: str | Iterable[str]) -> str:
    """Return the first id of ours in these texts, "" where there is none."""
    for place in places:
        for text in (place,) if isinstance(place, str) else place:
            found = _OURS.search(text)
            if found:
                return found[0]
    return ""
