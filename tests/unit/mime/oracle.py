"""The oracle: what the standard library reads in a message is what its envelope says.

The writer is compared with the `email` package, which shares no line with it. `assert_faithful`
is for every test that has a message's bytes and knows what was submitted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_string, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final, cast

from shared.domain.message import Address, Attachment, Envelope
from shared.mime.addresses import wire_address
from shared.mime.headers import find_forbidden

_HARD_LINE: Final = 998

#: What a message's tree should be: a leaf's media type with its content, a branch's with its parts.
Leaf = tuple[str, str | Attachment]
Tree = Leaf | tuple[str, list["Tree"]]


def assert_faithful(
    envelope: Envelope, raw: bytes, *, message_id: str, internet_message_id: str, date: int
) -> EmailMessage:
    """Assert that `raw` is exactly the message that the envelope describes, and return it parsed."""
    assert_carried_by_smtp(raw)
    assert raw.isascii() or _has_unicode_mailbox(envelope)
    message = parse(raw)

    expected = expected_headers(envelope, message_id, internet_message_id)
    assert [name for name, _ in raw_headers(raw)][: len(expected) + 1] == [
        *[name for name, _ in expected],
        "MIME-Version",
    ]
    assert {name.lower() for name in message.keys()[len(expected) + 1 :]} <= {
        "content-type",
        "content-transfer-encoding",
    }
    for (name, value), (_, written) in zip(expected, raw_headers(raw), strict=False):
        if value is not None:
            assert read_header(name, written) == value, name
    assert parsedate_to_datetime(message["Date"]) == datetime.fromtimestamp(date // 1000, UTC)
    assert_same_tree(message, expected_tree(envelope))
    assert_parts_hold_no_control(message)
    return message


def assert_carried_by_smtp(raw: bytes) -> None:
    """Assert that SMTP can carry every line: CRLF alone ends one, and none is longer than 998 octets."""
    assert raw.endswith(b"\r\n")
    assert b"\0" not in raw
    lines = raw.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= _HARD_LINE


def parse(raw: bytes) -> EmailMessage:
    """Parse a message, which may hold UTF-8 in its headers.

    From bytes the standard library would take such a header for one in an unknown charset; from
    text it reads it as RFC 6532 says. All the rest is ASCII and the same either way.
    """
    message = message_from_string(raw.decode(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def raw_headers(raw: bytes) -> list[tuple[str, str]]:
    """Split the header of a message into names and unfolded values, by nothing but RFC 5322, section 2.2."""
    head = raw.partition(b"\r\n\r\n")[0].decode()
    assert not re.search(r"\r\n[ \t]*(\r\n|$)", head), "a folded line holds nothing but white space"
    fields = [field.partition(": ") for field in re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")]
    return [(name, value) for name, _, value in fields]


def read_header(name: str, value: str) -> object:
    """Return what a header says: addresses, or a text with its encoded words decoded once."""
    if name in {"From", "To", "Cc", "Reply-To"}:
        return read_addresses(value)
    return decode_words(value)


def read_addresses(value: str) -> list[tuple[str, str]]:
    """Return the names and addresses of an address header.

    By the older of the standard library's two parsers: the newer one keeps the space between two
    encoded words of a name, which RFC 2047, section 6.2 says to ignore.
    """
    if value == "undisclosed-recipients:;":
        return []
    return [(decode_words(name), email) for name, email in getaddresses([value])]


def decode_words(value: str) -> str:
    """Return a text with its encoded words decoded once."""
    return str(make_header(decode_header(value)))


def expected_headers(envelope: Envelope, message_id: str, internet_message_id: str) -> list[tuple[str, object]]:
    """Return the headers that the envelope asks for, in order, up to MIME-Version; no blind recipient is in them."""
    headers: list[tuple[str, object]] = [("From", _addresses((envelope.sender,)))]
    if envelope.to or not envelope.cc:
        headers.append(("To", _addresses(envelope.to)))
    if envelope.cc:
        headers.append(("Cc", _addresses(envelope.cc)))
    if envelope.reply_to:
        headers.append(("Reply-To", _addresses(envelope.reply_to)))
    headers += [("Subject", envelope.subject), ("Date", None), ("Message-ID", internet_message_id)]
    headers += [("X-Reliable-Email-Id", message_id), *envelope.headers]
    return headers


def expected_tree(envelope: Envelope) -> Tree:
    """Return the tree of parts that shows the bodies, the images of the html, and the files."""
    files = list(envelope.attachments)
    images = [file for file in files if envelope.html is not None and file.content_id and file.disposition == "inline"]
    files = [file for file in files if file not in images]
    bodies: list[Tree] = []
    if envelope.text is not None or (envelope.html is None and not files):
        bodies.append(("text/plain", with_line_ends(envelope.text or "")))
    if envelope.html is not None:
        html: Tree = ("text/html", with_line_ends(envelope.html))
        bodies.append(("multipart/related", [html, *map(_leaf, images)]) if images else html)
    if len(bodies) > 1:
        bodies = [("multipart/alternative", bodies)]
    return ("multipart/mixed", bodies + list(map(_leaf, files))) if files else bodies[0]


def assert_parts_hold_no_control(message: EmailMessage) -> None:
    """Assert that no header of a part says a control character or a line break, however it is decoded."""
    for part in message.walk():
        for name, value in part.items():
            if name.lower().startswith("content-"):
                said = [str(value), *getattr(value, "params", {}).values()]
                assert all(find_forbidden(text) is None for text in said), (name, said)


def with_line_ends(text: str) -> str:
    """Return a body as a message can hold it: every line end is CRLF, and the last line has one."""
    text = re.sub(r"\r\n|\r|\n", "\r\n", text)
    return text if not text or text.endswith("\r\n") else text + "\r\n"


def assert_same_tree(part: EmailMessage, expected: Tree) -> None:
    """Assert that a part and all below it are what is expected."""
    media_type, content = expected
    assert part.get_content_type() == media_type
    if isinstance(content, list):
        parts = [cast(EmailMessage, inner) for inner in part.iter_parts()]
        assert len(parts) == len(content)
        for inner, inner_expected in zip(parts, content, strict=True):
            assert_same_tree(inner, inner_expected)
        return
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    if isinstance(content, Attachment):
        assert octets == content.content
        # Not `get_filename`, which strips white space.
        assert part["Content-Disposition"].params["filename"] == content.filename
        assert part.get_content_disposition() == content.disposition
        assert part["Content-ID"] == (None if content.content_id is None else f"<{content.content_id}>")
    else:
        assert part.get_param("charset") == "utf-8"
        assert octets.decode() == content


def _leaf(file: Attachment) -> Tree:
    main_type = file.content_type.partition(";")[0].strip().lower()
    if main_type.startswith(("message/", "multipart/")):
        main_type = "application/octet-stream"
    return main_type, file


def _addresses(addresses: tuple[Address, ...]) -> list[tuple[str, str]]:
    return [(address.name, wire_address(address.email)[0]) for address in addresses]


def _has_unicode_mailbox(envelope: Envelope) -> bool:
    visible = (envelope.sender, *envelope.to, *envelope.cc, *envelope.reply_to)
    return any(wire_address(address.email)[1] for address in visible)
