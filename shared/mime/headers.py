"""What may stand in a header: names, texts, media types, content ids.

A text that holds an encoded word (`=?utf-8?q?…?=`) is not refused: the writer encodes it once
more, so that it is shown as it was written and never decoded into a line break. Media types and
content ids have no such encoding and are refused with it, for some readers decode it there too.
"""

from __future__ import annotations

import re
from typing import Final

from shared.domain.errors import Fault

#: Octets (UTF-8) that the value of a custom header may have: one line of RFC 5322, section 2.1.1.
MAX_VALUE_OCTETS: Final = 998

#: The header that carries our id through providers that replace the Message-ID.
ID_HEADER: Final = "X-Reliable-Email-Id"

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,76}")

#: Written by the service itself, by the transport on the way, or by whoever signs.
_RESERVED: Final = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "reply-to",
        "sender",
        "date",
        "message-id",
        "mime-version",
        "received",
        "return-path",
        "dkim-signature",
        ID_HEADER.lower(),
    }
)

# C0 and C1 controls with DEL (U+0085 is a line end to some), the two Unicode line ends, and half
# surrogates, which no encoding can carry.
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LINE_BREAKS: Final = frozenset({0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029})
_SURROGATES: Final = range(0xD800, 0xE000)

# RFC 2045, section 5.1, with the names of RFC 6838, section 4.2; no comments, no folding.
_RESTRICTED_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_VALUE: Final = r"""(?:[A-Za-z0-9!#$%&'*+.^_`{|}~-]+|"[ !#-\[\]-~]*")"""
_MEDIA_TYPE: Final = re.compile(rf"{_RESTRICTED_NAME}/{_RESTRICTED_NAME}(?: ?; ?[A-Za-z0-9!#$&^_.+-]+={_VALUE})*")
_MAX_MEDIA_TYPE: Final = 255

_CONTENT_ID: Final = re.compile(r"[!#-'*+\--;=?-Z^-~]{1,128}")

# RFC 2047, section 5, forbids an encoded word in a quoted string and in an id. The standard library
# decodes it there all the same, into a line break where one is hidden in it.
_ENCODED_WORD: Final = "=?"


def is_header_name(name: str) -> bool:
    """Whether a client may name a header so; `is_reserved` is asked beside it."""
    return _NAME.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Whether the service writes this header itself, whatever the case of its name."""
    lowered = name.lower()
    return lowered in _RESERVED or lowered.startswith("content-")


def find_forbidden(text: str) -> tuple[int, int] | None:
    """Return index and code point of the first character that no header may hold, or None."""
    match = _FORBIDDEN.search(text)
    return None if match is None else (match.start(), ord(match.group()))


def describe_forbidden(text: str) -> str | None:
    """Return a sentence about the first character that no header may hold, or None; it counts from 1."""
    found = find_forbidden(text)
    if found is None:
        return None
    index, codepoint = found
    kind = "line break" if codepoint in _LINE_BREAKS else "control character"
    if codepoint in _SURROGATES:
        kind = "half surrogate"
    return f"A {kind} (U+{codepoint:04X}) cannot stand in a header; found at character {index + 1}"


def header_fault(name: str, value: str) -> Fault | None:
    """Return the first thing that is wrong with a client's own header, or None.

    Codes: `invalid_header_name`, `reserved_header`, `forbidden_character`, `header_too_long`.
    """
    if not is_header_name(name):
        detail = f"{name[:80]!r} is no header name: 1 to 76 letters, digits and hyphens"
        return Fault(name, "invalid_header_name", detail)
    if is_reserved(name):
        return Fault(name, "reserved_header", f"The service writes {name} itself")
    forbidden = describe_forbidden(value)
    if forbidden is not None:
        return Fault(name, "forbidden_character", forbidden)
    octets = len(value.encode())
    if octets > MAX_VALUE_OCTETS:
        detail = f"The value has {octets} octets, a header holds at most {MAX_VALUE_OCTETS}"
        return Fault(name, "header_too_long", detail)
    return None


def is_media_type(text: str) -> bool:
    """Whether a text is a media type as `text/calendar; method=REQUEST`, at most 255 characters."""
    return len(text) <= _MAX_MEDIA_TYPE and _ENCODED_WORD not in text and _MEDIA_TYPE.fullmatch(text) is not None


def is_content_id(text: str) -> bool:
    """Whether a text can be the id that `cid:` refers to: 1 to 128 visible ASCII characters without specials.

    Angle brackets are added by the writer. An `@` may be there (RFC 2392) and need not.
    """
    return _ENCODED_WORD not in text and _CONTENT_ID.fullmatch(text) is not None
