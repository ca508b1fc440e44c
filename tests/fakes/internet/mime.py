"""A message that came as MIME: strict looks at its bytes at once, and all that it says when asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from typing import Final

from shared.domain.message import Address
from tests.fakes.internet.shapes import Fault, Wrong
from tests.fakes.internet.taken import File, Taken

_FIELD: Final = re.compile(rb"([!-9;-~]+):[ \t]*((?:[^\r\n]|\r\n[ \t])*)\r\n")
_ONCE: Final = frozenset({b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"mime-version"})
_LONGEST_LINE: Final = 998
_SHOWN_ELSEWHERE: Final = frozenset(
    {"from", "to", "cc", "subject", "reply-to", "mime-version", "content-type", "content-transfer-encoding"}
    | {"content-disposition", "content-id"}
)


def header_fields(data: bytes, field: str = "message", *, is_7bit: bool = False) -> dict[str, str]:
    """Return the first header of each name, in lower case, as it is written; raises Wrong for what is no message.

    Lines must end with CRLF and have at most 998 octets (RFC 5322, 2.1.1), headers that may stand
    once stand once, there is a From and a Date, and no Bcc.
    """
    _check_octets(data, field, is_7bit=is_7bit)
    head, blank, _ = data.partition(b"\r\n\r\n")
    head += b"\r\n"
    found: dict[str, str] = {}
    at = 0
    for match in _FIELD.finditer(head):
        if match.start() != at:
            break
        at = match.end()
        name = match[1].lower()
        if name.decode() in found and name in _ONCE:
            raise Wrong(Fault.SYNTAX, field, f"two headers {name!r}")
        found.setdefault(name.decode(), match[2].replace(b"\r\n", b"").decode("utf-8", "replace"))
    if at != len(head) or not blank:
        raise Wrong(Fault.SYNTAX, field, f"no header: {head[at : at + 60]!r}")
    for name in ("from", "date"):
        if name not in found:
            raise Wrong(Fault.MISSING, f"{field}.{name}")
    if "bcc" in found:
        raise Wrong(Fault.HEADER, f"{field}.bcc", "blind recipients would be shown")
    return found


def _check_octets(data: bytes, field: str, *, is_7bit: bool) -> None:
    if is_7bit and not data.isascii():
        raise Wrong(Fault.VALUE, field, "8-bit octets")
    if data.count(b"\r\n") != data.count(b"\n") or data.count(b"\r") != data.count(b"\n") or b"\0" in data:
        raise Wrong(Fault.SYNTAX, field, "a line end that is not CRLF, or a NUL")
    if any(len(line) > _LONGEST_LINE for line in data.split(b"\r\n")):
        raise Wrong(Fault.SYNTAX, field, "a line longer than 998 octets")


def opened(taken: Taken) -> Taken:
    """Return what a message that came as MIME says; one that came in fields says it already."""
    if taken.mime is None:
        return taken
    policy = SMTP if taken.mime.isascii() else SMTPUTF8
    message = message_from_bytes(taken.mime, policy=policy)
    assert isinstance(message, EmailMessage)
    to, cc = _addresses(message, "to"), _addresses(message, "cc")
    shown = {address.email for address in (*to, *cc)}
    sender = _addresses(message, "from")[0]
    text, html, files = _content(message)
    return replace(
        taken,
        sender=sender.email,
        sender_name=sender.name,
        to=to,
        cc=cc,
        bcc=tuple(Address(email) for email in taken.recipients if email not in shown),
        reply_to=_addresses(message, "reply-to"),
        subject=str(message["subject"] or ""),
        text=text,
        html=html,
        attachments=files,
        headers=tuple((name, str(value)) for name, value in message.items() if name.lower() not in _SHOWN_ELSEWHERE),
    )


def _addresses(message: EmailMessage, name: str) -> tuple[Address, ...]:
    header = message[name]
    return tuple(Address(found.addr_spec, found.display_name) for found in header.addresses) if header else ()


def _content(message: EmailMessage) -> tuple[str, str, tuple[File, ...]]:
    text = html = ""
    files = []
    for part in _leaves(message):
        kind, name = part.get_content_type(), part.get_filename()
        if name is None and not part["content-id"] and kind == "text/plain" and not text:
            text = part.get_content().replace("\r\n", "\n")
        elif name is None and not part["content-id"] and kind == "text/html" and not html:
            html = part.get_content().replace("\r\n", "\n")
        else:
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            content_id = str(part["content-id"] or "").strip("<>")
            is_inline = part.get_content_disposition() == "inline"
            files.append(File(name or "", kind, payload, content_id, is_inline))
    return text, html, tuple(files)


def _leaves(message: EmailMessage) -> Iterable[EmailMessage]:
    for part in message.walk():
        if not part.is_multipart():
            assert isinstance(part, EmailMessage)
            yield part
