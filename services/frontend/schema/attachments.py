"""Attachments: names without paths, media types, bytes in base64."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.frontend.limits import FILENAME_LENGTH
from services.frontend.schema.kinds import Choice, JsonSchema, ListOf
from services.frontend.schema.mail import FORBIDDEN, Line
from services.frontend.schema.objects import Field, Reader
from services.frontend.schema.refusal import refused, shown, wrong_type
from shared.domain.message import Attachment
from shared.mime.headers import is_content_id, is_media_type

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"

_LINE: Final = Line(FILENAME_LENGTH)
#: Unicode's property Bidi_Control: with one of these, `gpj.exe` is shown as `exe.jpg`.
_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_TURNED: Final = re.compile(f"[{_BIDI}]")


class Disposition(StrEnum):
    """How an attachment is shown: beside the text, or where the HTML refers to it."""

    ATTACHMENT = "attachment"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Filename:
    """The name under which an attachment is saved: no path, and nothing that a terminal obeys or a reader falls for."""

    def read(self, value: object) -> str:
        """Return the name."""
        name = _LINE.read(value)
        if not name:
            raise refused("missing", "A file name has at least one character")
        if "/" in name or "\\" in name:
            raise refused("forbidden_character", f"{shown(name)} holds a path separator; a name alone is wanted")
        if name in {".", ".."}:
            raise refused("invalid_filename", f"{shown(name)} names a folder; a file name is wanted")
        if (turn := _TURNED.search(name)) is not None:
            detail = f"A character that turns the direction of reading (U+{ord(turn[0]):04X}) deceives about the ending"
            raise refused("forbidden_character", f"{detail}; found at character {turn.start() + 1}")
        return name

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": FILENAME_LENGTH,
            "pattern": rf"^(?!\.{{1,2}}$)[^/\\{FORBIDDEN}{_BIDI}]*$",
        }


@dataclass(frozen=True, slots=True)
class MediaType:
    """What an attachment holds, as `type/subtype` with parameters."""

    def read(self, value: object) -> str:
        """Return the media type."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        if not is_media_type(value):
            raise refused("invalid_content_type", f"{shown(value)} is no media type, as application/pdf is one")
        if value[:10].lower() == "multipart/" or value[:8].lower() == "message/":
            # RFC 2045, section 6.4: such parts travel unencoded, which a file of any bytes cannot.
            raise refused("invalid_content_type", f"{shown(value)} cannot be a file; use application/octet-stream")
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "maxLength": 255}


@dataclass(frozen=True, slots=True)
class ContentId:
    """The name by which the HTML refers to an attachment, `logo` in `<img src="cid:logo">`."""

    def read(self, value: object) -> str:
        """Return the name."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        if not is_content_id(value):
            rule = "1 to 128 visible ASCII characters without <, > and other specials"
            raise refused("invalid_content_id", f"{shown(value)} is no content id: {rule}")
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "minLength": 1, "maxLength": 128}


@dataclass(frozen=True, slots=True)
class Base64:
    """Bytes in base64 (RFC 4648, section 4): with padding, without line breaks, at most `most_bytes` decoded."""

    most_bytes: int

    def read(self, value: object) -> bytes:
        """Return the bytes."""
        if type(value) is not str:
            raise wrong_type("a string in base64", value)
        if len(value) // 4 * 3 - 2 > self.most_bytes:
            raise refused(
                "too_large", f"Has more than {self.most_bytes:,} bytes, the limit of all attachments together"
            )
        try:
            return binascii.a2b_base64(value, strict_mode=True)
        except ValueError:  # binascii.Error is one, and a text that is not ASCII gives one without being it
            raise refused(
                "bad_base64", "Must be base64 as in RFC 4648, section 4: padded, without line breaks"
            ) from None

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "contentEncoding": "base64"}


class File:
    """One attachment."""

    def __init__(self, most_bytes: int) -> None:
        self._reader: Final = Reader(_file_fields(most_bytes))

    def read(self, value: object) -> Attachment:
        """Return the attachment with its content decoded."""
        values = self._reader.read(value)
        content_id = values.get("content_id")
        default = Disposition.ATTACHMENT if content_id is None else Disposition.INLINE
        return Attachment(
            filename=values["filename"],
            content_type=values.get("content_type", DEFAULT_CONTENT_TYPE),
            size_bytes=len(values["content"]),
            content=values["content"],
            content_id=content_id,
            disposition=str(values.get("disposition", default)),
        )

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return self._reader.schema()


class Files:
    """All attachments of a message: so many, so many bytes together, no two under one content id."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most_bytes: Final = most_bytes
        self._list: Final = ListOf(File(most_bytes), "attachment", most)

    def read(self, value: object) -> tuple[Attachment, ...]:
        """Return the attachments in their order."""
        files = self._list.read(value)
        size = sum(file.size_bytes for file in files)
        if size > self._most_bytes:
            raise refused("too_large", f"Have {size:,} bytes together; {self._most_bytes:,} are allowed")
        seen: set[str] = set()
        for index, file in enumerate(files):
            if file.content_id is None:
                continue
            if file.content_id in seen:
                detail = f"Another attachment has the content id {shown(file.content_id)} already"
                raise refused("duplicate", detail, f"/{index}/content_id")
            seen.add(file.content_id)
        return files

    def schema(self) -> JsonSchema:
        """Return the rule, but for the size of all together."""
        return self._list.schema()


def _file_fields(most_bytes: int) -> tuple[Field, ...]:
    return (
        Field("filename", Filename(), "The name under which it is saved.", required=True, examples=("receipt.pdf",)),
        Field(
            "content_type",
            MediaType(),
            "What it holds.",
            examples=("application/pdf", "text/calendar; method=REQUEST"),
            default=DEFAULT_CONTENT_TYPE,
        ),
        Field("content", Base64(most_bytes), "Its bytes in base64.", required=True, examples=("JVBERi0xLjcK",)),
        Field("content_id", ContentId(), "The name by which the HTML refers to it.", examples=("logo",)),
        Field(
            "disposition",
            Choice(Disposition),
            "Whether it is shown inside the text. Left out: inline where there is a content_id, else attachment.",
            examples=("inline",),
        ),
    )
