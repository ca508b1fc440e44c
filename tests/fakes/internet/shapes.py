"""Strict reading of what a client sent: what is missing, unknown, of a wrong type or too large is wrong."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from email.errors import MessageError
from email.header import decode_header, make_header
from email.policy import SMTP
from enum import StrEnum
from typing import Any, Final

import orjson

from shared.domain.message import Address

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_BODY_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_LOCAL: Final = r"[^\s@<>\",;:\\()\[\]\x00-\x20\x7f]{1,64}"
_DOMAIN: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL: Final = re.compile(f"{_LOCAL}@{_DOMAIN}")
_BRACKETED: Final = re.compile(rf"(?:([A-Za-z0-9][A-Za-z0-9 ]*) )?<({_LOCAL}@{_DOMAIN})>")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]{1,126}")

#: Headers that every service wants as fields, or makes itself.
OF_THE_SERVICE: Final = frozenset(
    {"from", "to", "cc", "bcc", "subject", "reply-to", "content-type", "mime-version", "content-transfer-encoding"}
    | {"dkim-signature", "received", "return-path", "date"}
)


class Fault(StrEnum):
    """In what way something is wrong."""

    SYNTAX = "syntax"  # the body is not what its type says
    MISSING = "missing"
    UNKNOWN = "unknown"
    TYPE = "type"
    VALUE = "value"
    EMAIL = "email"
    SIZE = "size"  # too long, too many, too large
    HEADER = "header"  # one that is not to be set


class Wrong(Exception):
    """A request that the provider refuses: the field, and in what way."""

    def __init__(self, fault: Fault, field: str, detail: str = "") -> None:
        self.fault = fault
        self.field = field
        self.detail = f"{field}: {detail or fault}"
        super().__init__(f"{fault} {field}: {detail}" if detail else f"{fault} {field}")


class Fields:
    """The members of a JSON object, each to be asked for; `done` finds those that nobody asked for."""

    __slots__ = ("_left", "path")

    def __init__(self, document: Any, path: str = "") -> None:
        if not isinstance(document, dict):
            raise Wrong(Fault.TYPE, path or "body", "no object")
        self._left = dict(document)
        self.path = path

    def at(self, name: str) -> str:
        """Return the whole path of a member."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether there is such a member that nobody asked for yet."""
        return name in self._left

    def any(self, name: str) -> Any:
        """Return a member whatever it is, None without it."""
        return self._left.pop(name, None)

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        filled: bool = False,
        longest: int | None = None,
        pattern: re.Pattern[str] | None = None,
        is_body: bool = False,
    ) -> str:
        """Return a string, "" where it is not there; `filled` refuses an empty one."""
        if name not in self._left:
            if required:
                raise Wrong(Fault.MISSING, self.at(name))
            return ""
        value = self._left.pop(name)
        return checked(
            value, self.at(name), filled=filled or required, longest=longest, pattern=pattern, is_body=is_body
        )

    def email(self, name: str = "email", *, required: bool = True) -> str:
        """Return an address without a name."""
        value = self.text(name, required=required)
        return checked_email(value, self.at(name)) if value else ""

    def flag(self, name: str) -> bool | None:
        """Return a boolean, None where it is not there."""
        value = self._left.pop(name, None)
        if value is not None and not isinstance(value, bool):
            raise Wrong(Fault.TYPE, self.at(name), "no boolean")
        return value

    def number(self, name: str) -> int | None:
        """Return an integer, None where it is not there."""
        value = self._left.pop(name, None)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise Wrong(Fault.TYPE, self.at(name), "no integer")
        return value

    def array(self, name: str, *, required: bool = False, most: int | None = None) -> list[Any]:
        """Return an array, empty where it is not there; a present one must not be empty."""
        if name not in self._left:
            if required:
                raise Wrong(Fault.MISSING, self.at(name))
            return []
        value = self._left.pop(name)
        if not isinstance(value, list):
            raise Wrong(Fault.TYPE, self.at(name), "no array")
        if not value:
            raise Wrong(Fault.VALUE, self.at(name), "an empty array")
        if most is not None and len(value) > most:
            raise Wrong(Fault.SIZE, self.at(name), f"{len(value)} are more than {most}")
        return value

    def texts(
        self, name: str, *, required: bool = False, most: int | None = None, longest: int | None = None
    ) -> list[str]:
        """Return an array of strings that are not empty."""
        values = self.array(name, required=required, most=most)
        return [checked(value, f"{self.at(name)}[{n}]", filled=True, longest=longest) for n, value in enumerate(values)]

    def each(self, name: str, *, required: bool = False, most: int | None = None) -> Iterator[Fields]:
        """Return an array of objects."""
        for n, value in enumerate(self.array(name, required=required, most=most)):
            yield Fields(value, f"{self.at(name)}[{n}]")

    def fields(self, name: str, *, required: bool = False) -> Fields | None:
        """Return an object, None where it is not there."""
        if name not in self._left:
            if required:
                raise Wrong(Fault.MISSING, self.at(name))
            return None
        return Fields(self._left.pop(name), self.at(name))

    def strings(self, name: str) -> dict[str, str]:
        """Return an object whose members are strings, empty where it is not there."""
        if name not in self._left:
            return {}
        value = self._left.pop(name)
        if not isinstance(value, dict):
            raise Wrong(Fault.TYPE, self.at(name), "no object")
        for key, member in value.items():
            checked(key, f"{self.at(name)}.{key!r}", filled=True)
            checked(member, f"{self.at(name)}.{key}")
        return value

    def file(self, name: str) -> bytes:
        """Return a file's content from base64 without line breaks."""
        return unbase64(self.text(name, required=True), self.at(name))

    def skip(self, *names: str) -> None:
        """Let members be whatever they are."""
        for name in names:
            self._left.pop(name, None)

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for name in self._left:
            raise Wrong(Fault.UNKNOWN, self.at(name))

    @property
    def rest(self) -> list[str]:
        """The paths of what nobody asked for."""
        return [self.at(name) for name in self._left]


def checked(
    value: Any,
    path: str,
    *,
    filled: bool = False,
    longest: int | None = None,
    pattern: re.Pattern[str] | None = None,
    is_body: bool = False,
) -> str:
    """Return a string that has no control characters (a body has line ends and tabs)."""
    if not isinstance(value, str):
        raise Wrong(Fault.TYPE, path, "no string")
    if filled and not value:
        raise Wrong(Fault.VALUE, path, "empty")
    if (_BODY_CONTROLS if is_body else _CONTROLS).search(value):
        raise Wrong(Fault.VALUE, path, "a control character")
    if longest is not None and len(value) > longest:
        raise Wrong(Fault.SIZE, path, f"{len(value)} are more than {longest}")
    if pattern is not None and not pattern.fullmatch(value):
        raise Wrong(Fault.VALUE, path, repr(value[:80]))
    return value


def checked_email(value: str, path: str, *, ascii_only: bool = False) -> str:
    """Return an address with an ASCII domain (A-labels)."""
    if not _EMAIL.fullmatch(value) or len(value.encode()) > 254 or ".." in value:
        raise Wrong(Fault.EMAIL, path, f"{value!r} is no address")
    if ascii_only and not value.isascii():
        raise Wrong(Fault.EMAIL, path, f"{value!r} needs SMTPUTF8")
    return value


def mailboxes(text: str, path: str, *, ascii_only: bool = False) -> tuple[Address, ...]:
    """Return the addresses of a header's text (RFC 5322, 3.4), names decoded from RFC 2047."""
    if _EMAIL.fullmatch(text):
        return (Address(checked_email(text, path, ascii_only=ascii_only)),)
    plain = _BRACKETED.fullmatch(text)
    if plain:
        return (Address(checked_email(plain[2], path, ascii_only=ascii_only), plain[1] or ""),)
    if _CONTROLS.search(text):
        raise Wrong(Fault.VALUE, path, "a control character")
    header = SMTP.header_factory("to", text)
    if header.defects:
        raise Wrong(Fault.EMAIL, path, f"{text!r}: {header.defects[0]!r}")
    addresses = tuple(
        Address(checked_email(found.addr_spec, path, ascii_only=ascii_only), found.display_name)
        for found in header.addresses
    )
    if not addresses:
        raise Wrong(Fault.EMAIL, path, f"{text!r} names nobody")
    return addresses


def one_mailbox(text: str, path: str, *, ascii_only: bool = False) -> Address:
    """Return the only address of a header's text."""
    found = mailboxes(text, path, ascii_only=ascii_only)
    if len(found) != 1:
        raise Wrong(Fault.EMAIL, path, f"{text!r} names {len(found)}")
    return found[0]


def checked_headers(
    pairs: Sequence[tuple[str, str]],
    path: str,
    forbidden: frozenset[str] = OF_THE_SERVICE,
    *,
    ascii_only: bool = False,
) -> tuple[tuple[str, str], ...]:
    """Return headers with their values decoded from RFC 2047, none of them forbidden, none twice."""
    names = set()
    for name, value in pairs:
        checked(value, f"{path}.{name}")
        if not _HEADER_NAME.fullmatch(name):
            raise Wrong(Fault.HEADER, f"{path}.{name}", "no name of a header")
        if name.lower() in forbidden or name.lower() in names:
            raise Wrong(Fault.HEADER, f"{path}.{name}", "not to be set, or set twice")
        if ascii_only and not value.isascii():
            raise Wrong(Fault.VALUE, f"{path}.{name}", "not ASCII")
        names.add(name.lower())
    return tuple((name, decoded(value)) for name, value in pairs)


def decoded(value: str) -> str:
    """Return a header's text as a reader sees it (RFC 2047)."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (MessageError, LookupError, UnicodeError) as error:
        raise Wrong(Fault.VALUE, "header", f"{value!r}: {error}") from error


def unbase64(text: str, path: str) -> bytes:
    """Return what base64 without line breaks stands for."""
    try:
        return a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError) as error:
        raise Wrong(Fault.VALUE, path, f"no base64: {error}") from error


def document_of(body: bytes) -> Any:
    """Return the JSON of a body."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Wrong(Fault.SYNTAX, "body", str(error)) from error
