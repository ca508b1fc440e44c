"""The writer: one envelope becomes one complete message, in ASCII wherever the standards have a way.

The standard library's writer takes ten to sixty times longer and, in Python versions still in use,
lets an encoded word become a header of its own; it is the oracle of this writer's tests instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from shared.domain.errors import ReliableEmailError
from shared.domain.message import Address, Attachment, Envelope
from shared.mime.addresses import wire_address
from shared.mime.bodies import BOUNDARY_START, encode_file, encode_text
from shared.mime.encoding import LINE, ascii_fallback, parameter, phrase, unstructured
from shared.mime.headers import ID_HEADER, is_content_id, is_header_name, is_media_type, is_reserved

# What no address may hold, in case one came around `check_email`.
_ADDRESS: Final = re.compile(r"[^\x00- \x7f-\xa0\u2028\u2029\ud800-\udfff<>()\[\],;:\\\"@]+@[A-Za-z0-9.-]+")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]{1,900}>")

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# A name and the address behind it share a line up to here; the longest header name of ours fits before it.
_MAILBOX: Final = LINE - len("Reply-To: ,")


class Unwritable(ReliableEmailError):
    """An envelope holds what validation refuses, and nothing was written.

    It came around the validation of addresses and headers: mend that path, not the message.
    """


#: A part: its content headers, then its body, in pieces that are joined once.
_Part = list[bytes]


def render(envelope: Envelope, *, message_id: str, internet_message_id: str, date: int) -> bytes:
    """Return the complete message with CRLF line ends and without dot-stuffing.

    `message_id` is our id, `internet_message_id` the Message-ID with its angle brackets, `date`
    the instant of the first attempt in milliseconds since the epoch; the same arguments give the
    same bytes. Blind recipients are in no header. The bytes are ASCII unless a visible address has
    a local part that is not; such a message needs SMTPUTF8. Raises Unwritable, and InvalidAddress
    for a domain without A-labels.
    """
    if not _ID.fullmatch(message_id) or not _MESSAGE_ID.fullmatch(internet_message_id):
        raise Unwritable(f"{message_id!r} or {internet_message_id!r} is no message id")
    lines = [
        _address_line("From", (envelope.sender,)),
        *_recipient_lines(envelope),
        unstructured("Subject", envelope.subject),
        f"Date: {_date(date)}",
        f"Message-ID: {internet_message_id}",
        f"{ID_HEADER}: {message_id}",
        *(_custom_line(name, value) for name, value in envelope.headers),
        "MIME-Version: 1.0\r\n",
    ]
    return b"".join(("\r\n".join(lines).encode(), *_content(envelope, message_id)))


def _recipient_lines(envelope: Envelope) -> Iterable[str]:
    if envelope.to:
        yield _address_line("To", envelope.to)
    elif not envelope.cc:
        # RFC 5322 asks for no destination, but filters hold its absence against a message.
        yield "To: undisclosed-recipients:;"
    if envelope.cc:
        yield _address_line("Cc", envelope.cc)
    if envelope.reply_to:
        yield _address_line("Reply-To", envelope.reply_to)


def _address_line(name: str, addresses: Sequence[Address]) -> str:
    mailboxes = [_mailbox(address) for address in addresses]
    line = f"{name}: {', '.join(mailboxes)}"
    return line if len(line) <= LINE else f"{name}: " + ",\r\n ".join(mailboxes)


def _mailbox(address: Address) -> str:
    email, _ = wire_address(address.email)
    if not _ADDRESS.fullmatch(email) or "=?" in email:
        raise Unwritable(f"{address.email!r} is no address")
    if not address.name:
        return email
    name = phrase(address.name)
    space = " " if len(name) + len(email) + 3 <= _MAILBOX else "\r\n "
    return f"{name}{space}<{email}>"


def _custom_line(name: str, value: str) -> str:
    if not is_header_name(name) or is_reserved(name):
        raise Unwritable(f"{name!r} cannot be a client's header")
    return unstructured(name, value)


def _date(milliseconds: int) -> str:
    """Return an instant as RFC 5322, section 3.3 writes it, in UTC, whole seconds rounded down."""
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} "
        f"{at.hour:02}:{at.minute:02}:{at.second:02} +0000"
    )


def _content(envelope: Envelope, message_id: str) -> _Part:
    """Return the body with its content headers: mixed(alternative(text, related(html, images)), files).

    Each level is there only where it has something to join; an image belongs to the html, and
    stands beside the files where there is none.
    """
    if not envelope.attachments:
        return _bodies(envelope, (), message_id)
    images = [file for file in envelope.attachments if _is_image_of(envelope, file)]
    files = [file for file in envelope.attachments if not _is_image_of(envelope, file)]
    if not files:
        return _bodies(envelope, images, message_id)
    parts = [_file(file) for file in files]
    if envelope.text is not None or envelope.html is not None:
        parts.insert(0, _bodies(envelope, images, message_id))
    return _multipart("mixed", f"m_{message_id}", parts)


def _is_image_of(envelope: Envelope, file: Attachment) -> bool:
    return envelope.html is not None and file.content_id is not None and file.disposition == "inline"


def _bodies(envelope: Envelope, images: Sequence[Attachment], message_id: str) -> _Part:
    if envelope.html is None:
        return _text("plain", envelope.text or "")
    html = _text("html", envelope.html)
    if images:
        html = _multipart("related", f"r_{message_id}", [html, *map(_file, images)], '; type="text/html"')
    if envelope.text is None:
        return html
    return _multipart("alternative", f"a_{message_id}", [_text("plain", envelope.text), html])


def _multipart(subtype: str, name: str, parts: Iterable[_Part], more: str = "") -> _Part:
    boundary = BOUNDARY_START + name
    pieces = [f'Content-Type: multipart/{subtype}{more};\r\n boundary="{boundary}"\r\n'.encode()]
    for part in parts:
        pieces.append(f"\r\n--{boundary}\r\n".encode())
        pieces.extend(part)
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    return pieces


def _text(subtype: str, text: str) -> _Part:
    encoding, body = encode_text(text)
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return [head.encode(), body]


def _file(file: Attachment) -> _Part:
    media_type = file.content_type if is_media_type(file.content_type) else "application/octet-stream"
    if media_type.lower().startswith(("message/", "multipart/")):
        # RFC 2045, section 6.4 forbids base64 for these, and without it relays may change the
        # bytes. A file keeps its bytes, and its name tells its reader what it is.
        media_type = "application/octet-stream"
    disposition = "inline" if file.disposition == "inline" else "attachment"
    lines = [f"Content-Type: {media_type}", "Content-Transfer-Encoding: base64", f"Content-Disposition: {disposition}"]
    if file.filename:
        lines[2] += f";\r\n {parameter('filename', file.filename)}"
        if ";" not in media_type:
            # Some readers look for the name only here, and know no RFC 2231.
            lines[0] += f";\r\n {parameter('name', ascii_fallback(file.filename))}"
    if file.content_id is not None and is_content_id(file.content_id):
        lines.append(f"Content-ID: <{file.content_id}>")
    return ["\r\n".join([*lines, "\r\n"]).encode(), encode_file(file.content)]
