"""What forms are made of: multipart/form-data (RFC 7578) and the urlencoded kind, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

from tests.fakes.internet.shapes import Fault, Wrong

_BOUNDARY: Final = re.compile(r'multipart/form-data;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_DISPOSITION: Final = re.compile(r'form-data((?:;\s*[a-z*]+="[^"\r\n]*")+)', re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*([a-z*]+)="([^"\r\n]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form; `filename` is None where it is no file."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""

    @property
    def text(self) -> str:
        """The content as text; raises Wrong where it is not UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise Wrong(Fault.VALUE, self.name, "not UTF-8") from error


def read_form(content_type: str, body: bytes) -> list[Part]:
    """Return the fields of a form in order; raises Wrong for what is none."""
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError as error:
            raise Wrong(Fault.SYNTAX, "body", str(error)) from error
        return [Part(name, value.encode()) for name, value in pairs]
    boundary = _BOUNDARY.match(content_type)
    if boundary is None:
        raise Wrong(Fault.SYNTAX, "body", f"no form: {content_type!r}")
    return [_part(head, content) for head, content in _split(body, (boundary[1] or boundary[2]).encode())]


def _split(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield head and content of each part (RFC 2046, 5.1.1): CRLF, two hyphens and the boundary stand between them."""
    chunks = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(chunks) < 3 or chunks[0] or chunks[-1] not in {b"--", b"--\r\n"}:
        raise Wrong(Fault.SYNTAX, "body", "malformed multipart")
    for chunk in chunks[1:-1]:
        head, blank, content = chunk.partition(b"\r\n\r\n")
        if not chunk.startswith(b"\r\n") or not blank:
            raise Wrong(Fault.SYNTAX, "body", "malformed multipart: a part without a head")
        yield head[2:], content


def _part(head: bytes, content: bytes) -> Part:
    disposition = content_type = ""
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-disposition":
            disposition = value.strip()
        elif name.lower() == "content-type":
            content_type = value.strip()
        elif name.lower() == "content-transfer-encoding":
            # RFC 7578, 4.7: senders must not use it.
            raise Wrong(Fault.SYNTAX, "body", "a transfer encoding in a form")
    if not _DISPOSITION.fullmatch(disposition):
        raise Wrong(Fault.SYNTAX, "body", f"no field of a form: {disposition!r}")
    parameters = {name.lower(): unquote(value) for name, value in _PARAMETER.findall(disposition)}
    if not parameters.get("name"):
        raise Wrong(Fault.SYNTAX, "body", f"a field without a name: {disposition!r}")
    if not parameters.keys() <= {"name", "filename"}:
        # RFC 7578, 4.2 forbids `filename*`.
        raise Wrong(Fault.SYNTAX, parameters["name"], f"parameters of no form: {disposition!r}")
    return Part(parameters["name"], content, parameters.get("filename"), content_type)
