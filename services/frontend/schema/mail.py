"""The kinds of value that only a mail has: addresses, lines of a header, headers, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.frontend.limits import ADDRESS_LENGTH, NAME_LENGTH
from services.frontend.schema.kinds import NO_NUL, NUL, JsonSchema, nul_in
from services.frontend.schema.objects import Field, Reader
from services.frontend.schema.refusal import Refused, counted, refused, shown, wrong_type
from shared.domain.errors import Fault
from shared.domain.message import Address
from shared.mime.addresses import InvalidAddress, check_email, parse_address
from shared.mime.headers import describe_forbidden, header_fault

#: The characters that no header may hold, for a class of characters in a pattern; half surrogates are no JSON.
FORBIDDEN: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"


@dataclass(frozen=True, slots=True)
class Line:
    """A text that stands in a header: one line of at most `most` characters."""

    most: int

    def read(self, value: object) -> str:
        """Return the text."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        if len(value) > self.most:
            raise refused("too_long", f"Has {len(value):,} characters; {self.most:,} are allowed")
        # Whatever is printable holds no forbidden character, and asking that is ten times faster.
        if not value.isprintable() and (sentence := describe_forbidden(value)) is not None:
            raise refused("forbidden_character", sentence)
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "maxLength": self.most, "pattern": f"^[^{FORBIDDEN}]*$"}


@dataclass(frozen=True, slots=True)
class Email:
    """An email address by itself."""

    def read(self, value: object) -> str:
        """Return the address in the form in which it is kept."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        try:
            return check_email(value)
        except InvalidAddress as error:
            raise refused(error.code, error.detail) from None

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "format": "idn-email", "maxLength": 254}


#: Reads an address that is an object.
ADDRESS: Final = Reader(
    (
        Field("email", Email(), "The address.", required=True, examples=("ada@example.org",)),
        Field("name", Line(NAME_LENGTH), "The name shown beside it.", examples=("Ada Lovelace",)),
    )
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address: an object with `email` and `name`, a string, or `Name <address>` in a string."""

    def read(self, value: object) -> Address:
        """Return the address."""
        if type(value) is dict:
            values = ADDRESS.read(value)
            return Address(values["email"], values.get("name", ""))
        if type(value) is not str:
            raise wrong_type("a string or an object", value)
        if len(value) > ADDRESS_LENGTH:
            raise refused("too_long", f"Has {len(value):,} characters; {ADDRESS_LENGTH:,} are allowed")
        try:
            return parse_address(value)
        except InvalidAddress as error:
            raise refused(error.code, error.detail) from None

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"oneOf": [{"type": "string", "format": "mailbox", "maxLength": ADDRESS_LENGTH}, ADDRESS.schema()]}


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers of the client's own, by name; no two names differ only in case."""

    most: int

    def read(self, value: object) -> tuple[tuple[str, str], ...]:
        """Return names and values in the order of the object."""
        if type(value) is not dict:
            raise wrong_type("an object", value)
        if len(value) > self.most:
            raise refused("too_many", f"Holds {counted(len(value), 'header')}; {self.most:,} are allowed")
        faults: list[Fault] = []
        spellings: dict[str, str] = {}
        for name, text in value.items():
            try:
                _check_header(name, text)
            except Refused as refusal:
                faults += refusal.below(name)
            other = spellings.setdefault(name.lower(), name)
            if other != name:
                detail = f"{shown(name)} and {shown(other)} are the same header"
                faults += refused("duplicate", detail).below(name)
        if faults:
            raise Refused(faults)
        return tuple(value.items())

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9-]{1,76}$"},
            "additionalProperties": {"type": "string", "pattern": f"^[^{FORBIDDEN}]*$"},
            "maxProperties": self.most,
        }


def _check_header(name: str, value: object) -> None:
    fault = header_fault(name, value if type(value) is str else "")
    if fault is not None:
        raise refused(fault.code, fault.detail)
    if type(value) is not str:
        raise wrong_type("a string", value)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Strings by names, for the client's own use; `most_bytes` of UTF-8 in all."""

    most_bytes: int

    def read(self, value: object) -> Mapping[str, str]:
        """Return the strings by their names."""
        if type(value) is not dict:
            raise wrong_type("an object", value)
        texts = [*value, *(text for text in value.values() if type(text) is str)]
        size = sum(len(text.encode()) for text in texts)
        if size > self.most_bytes or len(value) > self.most_bytes:
            raise refused("too_large", f"Has {size:,} bytes, names and values; {self.most_bytes:,} are allowed")
        faults: list[Fault] = []
        for name, text in value.items():
            if not name:
                faults += refused("missing", "A name has at least one character").below(name)
            elif type(text) is not str:
                faults += wrong_type("a string", text).below(name)
            elif NUL in text or NUL in name:
                faults += nul_in(text if NUL in text else name).below(name)
        if faults:
            raise Refused(faults)
        return value

    def schema(self) -> JsonSchema:
        """Return the rule, but for the size, which JSON Schema cannot say."""
        text = {"type": "string", "pattern": NO_NUL}
        return {"type": "object", "propertyNames": {**text, "minLength": 1}, "additionalProperties": text}
