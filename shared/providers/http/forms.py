"""Forms with files (`multipart/form-data`, RFC 7578), the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file in a form. `filename` is a name of ours: ASCII without quotes."""

    field: str
    filename: str
    content_type: str
    content: bytes


def multipart_form(seed: str, fields: Sequence[tuple[str, str]], file: FormFile) -> tuple[str, bytes]:
    """Return the media type and the body of a form: its fields in their order, then the file.

    The boundary is made from `seed`; names and values of fields must not hold a line break.
    """
    boundary = f"form_{seed}"
    while boundary.encode() in file.content:
        boundary += "_"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{file.field}"; filename="{file.filename}"\r\n'
        f"Content-Type: {file.content_type}\r\n\r\n"
    )
    body = b"".join((*parts, head.encode(), file.content, f"\r\n--{boundary}--\r\n".encode()))
    return f'multipart/form-data; boundary="{boundary}"', body
