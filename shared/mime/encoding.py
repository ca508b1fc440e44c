"""Header texts in ASCII: encoded words, phrases, parameters, folding.

Every function returns ASCII without a control character other than the CRLF before a folded
line's space, whatever text it is given: nothing a client wrote can begin a header of its own.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Final

#: RFC 5322, section 2.1.1: lines should have no more octets than this…
LINE: Final = 78
#: … and must have no more than this.
HARD_LINE: Final = 998

_CRLF_SPACE: Final = "\r\n "

# RFC 2047, section 2: a word has at most 75 characters, a line that holds one at most 76.
_WORD: Final = 75
_WORD_LINE: Final = 76
_WORD_FRAME: Final = len("=?utf-8?q??=")
_SHORTEST_WORD: Final = 32

# RFC 2047, section 5 (3): what may stand for itself in a word that is part of a phrase; the
# stricter of the two sets, so that one table serves texts and names.
_WORD_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_QUOTED: Final = tuple(
    "_" if octet == ord(" ") else chr(octet) if octet in _WORD_SAFE else f"={octet:02X}" for octet in range(256)
)

# RFC 2231, section 7: attribute-char.
_PARAMETER_SAFE: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"*'%()<>@,;:\\\"/[]?=")
_PERCENT: Final = tuple(chr(octet) if octet in _PARAMETER_SAFE else f"%{octet:02X}" for octet in range(256))
# Characters of one section (RFC 2231, section 3); with its number the line has no more than 78.
_SECTION: Final = 56

# RFC 3629, section 3: the octets that continue a character.
_CONTINUATION: Final = range(0x80, 0xC0)

# Characters of a fallback name; its line then has no more than 78.
_FALLBACK: Final = 64

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ATOMS: Final = re.compile(rf"{_ATOM}(?: {_ATOM})*")
# A longer name becomes encoded words, which can be folded anywhere.
_LONGEST_PHRASE: Final = 64
_SPECIAL_IN_QUOTES: Final = re.compile(r'(["\\])')
_NOT_IN_FALLBACK: Final = re.compile(r"[^ !#-\[\]-~]|=(?=\?)")


def unstructured(name: str, text: str) -> str:
    """Return a header line, folded where it is long, that is read back as exactly this text."""
    line = f"{name}: {text}"
    if is_plain(text):
        if len(line) <= LINE:
            return line
        folded = _fold(line)
        if folded is not None:
            return folded
    room = min(_WORD, _WORD_LINE - len(name) - 2)
    # A name that leaves no room for a word has its line to itself.
    start = f"{name}: " if room >= _SHORTEST_WORD else f"{name}:{_CRLF_SPACE}"
    return start + _CRLF_SPACE.join(encoded_words(text, room if room >= _SHORTEST_WORD else _WORD))


def phrase(name: str) -> str:
    """Return a display name as atoms, as a quoted string, or as encoded words, folded."""
    if is_plain(name) and len(name) <= _LONGEST_PHRASE and "  " not in name:
        if _ATOMS.fullmatch(name):
            return name
        return '"' + _SPECIAL_IN_QUOTES.sub(r"\\\1", name) + '"'
    return _CRLF_SPACE.join(encoded_words(name, _LONGEST_PHRASE))


def parameter(attribute: str, value: str) -> str:
    """Return a parameter of a Content- header: a quoted string, else RFC 2231, in sections where it is long."""
    if is_plain(value) and '"' not in value and "\\" not in value:
        return f'{attribute}="{value}"'
    encoded = "".join(map(_PERCENT.__getitem__, _octets(value)))
    if len(encoded) <= _SECTION:
        return f"{attribute}*=utf-8''{encoded}"
    sections = [f"{attribute}*{n}*={piece}" for n, piece in enumerate(_pieces("utf-8''" + encoded, _SECTION, "%"))]
    return f";{_CRLF_SPACE}".join(sections)


def ascii_fallback(text: str) -> str:
    """Return a name's nearest ASCII, for readers that know no RFC 2231: letters without accents, else `_`.

    A long name keeps its end, for the sake of its extension.
    """
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _NOT_IN_FALLBACK.sub("_", bare)[-_FALLBACK:].strip(" ") or "_"


def is_plain(text: str) -> bool:
    """Whether a text may stand in a header as it is: visible ASCII and inner spaces, nothing like an encoded word."""
    return text.isascii() and text.isprintable() and "=?" not in text and text == text.strip(" ")


def encoded_words(text: str, room: int) -> list[str]:
    """Return a text as encoded words of at most `room` characters, of the encoding that is shorter.

    A word holds whole characters (RFC 2047, section 5); the white space between words is not text.
    """
    octets = _octets(text)
    quoted = "".join(map(_QUOTED.__getitem__, octets))
    payload = room - _WORD_FRAME
    if len(quoted) <= (len(octets) + 2) // 3 * 4:
        return [f"=?utf-8?q?{piece}?=" for piece in _pieces(quoted, payload, "=")]
    return [f"=?utf-8?b?{b2a_base64(piece, newline=False).decode()}?=" for piece in _whole(octets, payload // 4 * 3)]


def _octets(text: str) -> bytes:
    # Half surrogates are refused at the door; should one come, it must not hold up the message.
    return text.encode(errors="replace")


def _whole(octets: bytes, room: int) -> Iterator[bytes]:
    """Cut UTF-8 into pieces of at most `room` octets between characters."""
    start = 0
    while len(octets) - start > room:
        end = start + room
        while octets[end] in _CONTINUATION:
            end -= 1
        yield octets[start:end]
        start = end
    yield octets[start:]


def _pieces(escaped: str, room: int, mark: str) -> Iterator[str]:
    """Cut UTF-8 whose special octets are written `=C3` or `%C3` into pieces between characters."""
    start = 0
    while len(escaped) - start > room:
        end = start + room
        if mark in escaped[end - 2 : end]:
            end = escaped.rindex(mark, 0, end)
        # An octet that continues a character (80 to BF) is written with one of these digits first.
        while escaped[end] == mark and escaped[end + 1] in "89AB":
            end -= 3
        yield escaped[start:end]
        start = end
    yield escaped[start:]


def _fold(line: str) -> str | None:
    """Break a plain header line before spaces; None where a line stays too long or spaces would end a line."""
    first, second, *words = line.split(" ")
    lines = [f"{first} {second}"]
    for word in words:
        if not word:
            return None
        if len(lines[-1]) + 1 + len(word) <= LINE - 1:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    folded = _CRLF_SPACE.join(lines)
    return folded if max(map(len, folded.split("\r\n"))) <= HARD_LINE else None
