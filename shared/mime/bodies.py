"""Bodies in 7 bits: text as it is, as quoted-printable or as base64; files as base64.

Every body is ASCII with CRLF line ends of at most 998 octets, so that no relay on the way needs
8BITMIME or has a reason to touch it, and signatures survive.
"""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from struct import Struct
from typing import Final

from shared.mime.encoding import HARD_LINE

#: Every boundary begins so. Neither quoted-printable (`=` is followed by a digit or a line end)
#: nor base64 can hold it, and text that does is not left as it is.
BOUNDARY_START: Final = "=_"

_BASE64_LINE: Final = 76  # RFC 2045, section 6.8
_BASE64_LINE_OCTETS: Final = 57
_BASE64_GROWTH: Final = (_BASE64_LINE + len("\r\n")) / _BASE64_LINE_OCTETS

# Cutting is what takes the time of a large file: a struct cuts 1,024 lines in one call.
_BLOCK: Final = Struct(f"{_BASE64_LINE}s" * 1024)
_BLOCK_OCTETS: Final = 1024 * _BASE64_LINE_OCTETS


def encode_text(text: str) -> tuple[str, bytes]:
    """Return the transfer encoding that suits a text, and the encoded text.

    Line ends become CRLF, and a text that is not empty ends with one. ASCII with lines that SMTP
    can carry stays as it is; the rest takes the shorter of quoted-printable and base64.
    """
    text = _with_crlf(text)
    if _is_7bit(text):
        return "7bit", text.encode("ascii")
    octets = text.encode(errors="replace")  # half surrogates are refused at the door
    quoted = b2a_qp(octets, istext=True)
    if len(quoted) <= len(octets) * _BASE64_GROWTH:
        return "quoted-printable", quoted
    return "base64", encode_file(octets)


def encode_file(content: bytes) -> bytes:
    """Return base64 in lines of 76 characters, each ended by CRLF."""
    whole = len(content) - len(content) % _BLOCK_OCTETS
    blocks = [
        b"\r\n".join(_BLOCK.unpack(b2a_base64(content[start : start + _BLOCK_OCTETS], newline=False)))
        for start in range(0, whole, _BLOCK_OCTETS)
    ]
    rest = b2a_base64(content[whole:], newline=False)
    lines = [rest[start : start + _BASE64_LINE] for start in range(0, len(rest), _BASE64_LINE)]
    return b"\r\n".join([*blocks, *lines, b""])


def _with_crlf(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text and not text.endswith("\n"):
        text += "\n"
    return text.replace("\n", "\r\n")


def _is_7bit(text: str) -> bool:
    """Whether a text with CRLF line ends can travel as `7bit` (RFC 2045, section 2.7) beside our boundaries."""
    if not text.isascii() or "\0" in text or f"--{BOUNDARY_START}" in text:
        return False
    return len(text) <= HARD_LINE or max(map(len, text.split("\r\n"))) <= HARD_LINE
