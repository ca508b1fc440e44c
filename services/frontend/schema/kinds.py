"""What a value can be. A kind reads a JSON value into a value of the domain, and describes itself.

`read` returns what it read or raises `Refused`; it never converts one type into another.
`schema` returns the same rule as JSON Schema 2020-12, for the API's description.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar

from services.frontend.instants import BadTime, parse_instant
from services.frontend.schema.refusal import Refused, counted, refused, shown, wrong_type
from shared.domain.errors import Fault

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

#: A description in JSON Schema.
JsonSchema = dict[str, Any]

NUL: Final = "\0"
#: The same rule as a pattern.
NO_NUL: Final = r"^[^\u0000]*$"


class Kind(Protocol[T_co]):
    """One kind of value."""

    def read(self, value: object) -> T_co:
        """Return the value as the domain has it. Raises Refused."""
        ...

    def schema(self) -> JsonSchema:
        """Return the rule as JSON Schema."""
        ...


@dataclass(frozen=True, slots=True)
class Body:
    """A text of any length up to `most_bytes` of UTF-8, without NUL."""

    most_bytes: int

    def read(self, value: object) -> str:
        """Return the text."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        size = len(value) if value.isascii() else len(value.encode())
        if size > self.most_bytes:
            raise refused("too_large", f"Has {size:,} bytes; {self.most_bytes:,} are allowed")
        if NUL in value:
            raise nul_in(value)
        return value

    def schema(self) -> JsonSchema:
        """Return the rule; JSON Schema counts characters, of which there are never more than bytes."""
        return {"type": "string", "maxLength": self.most_bytes, "pattern": NO_NUL}


@dataclass(frozen=True, slots=True)
class Token:
    """A short text of few characters, held whole by `pattern`; `rule` says the same in words."""

    pattern: re.Pattern[str]
    code: str
    rule: str

    def read(self, value: object) -> str:
        """Return the text."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        if self.pattern.fullmatch(value) is None:
            raise refused(self.code, f"{shown(value)} is not {self.rule}")
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "pattern": f"^{self.pattern.pattern}$"}


class Choice(Generic[E]):
    """One value of a closed set, or of those members of it that are `allowed`."""

    def __init__(self, values: type[E], allowed: Iterable[E] | None = None) -> None:
        self._members: Final = {str(member): member for member in (values if allowed is None else allowed)}

    def read(self, value: object) -> E:
        """Return the member that the text names."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        member = self._members.get(value)
        if member is None:
            raise refused("unknown_value", f"{shown(value)} is none of {', '.join(self._members)}")
        return member

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "enum": list(self._members)}


@dataclass(frozen=True, slots=True)
class Known:
    """A name that the configuration knows."""

    noun: str
    names: frozenset[str]

    def read(self, value: object) -> str:
        """Return the name."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        if value not in self.names:
            names = ", ".join(sorted(self.names))
            raise refused(f"unknown_{self.noun}", f"There is no {self.noun} {shown(value)}; there are: {names}")
        return value

    def schema(self) -> JsonSchema:
        """Return the rule; the names differ from one installation to the next and are left out."""
        return {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`. Neither 1.0 nor true is one."""

    least: int
    most: int

    def read(self, value: object) -> int:
        """Return the number."""
        if type(value) is not int:
            raise (
                refused("wrong_type", "Must be a whole number")
                if type(value) is float
                else wrong_type("a whole number", value)
            )
        if not self.least <= value <= self.most:
            raise refused("out_of_range", f"Must lie between {self.least:,} and {self.most:,}")
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time with its offset from UTC, as milliseconds since the epoch."""

    def read(self, value: object) -> int:
        """Return the instant."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        try:
            return parse_instant(value)
        except BadTime as error:
            raise refused("bad_time", error.detail) from None

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "format": "date-time"}


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of `least` to `most` values of one kind; `noun` is what one of them is called."""

    item: Kind[T]
    noun: str
    most: int
    least: int = 0

    def read(self, value: object) -> tuple[T, ...]:
        """Return the values in their order."""
        if type(value) is not list:
            raise wrong_type("a list", value)
        if len(value) > self.most:
            raise refused("too_many", f"Holds {counted(len(value), self.noun)}; {self.most:,} are allowed")
        if len(value) < self.least:
            raise refused("missing", f"Holds {counted(len(value), self.noun)}; at least {self.least:,} must be there")
        return self._each(value)

    def _each(self, items: Sequence[object]) -> tuple[T, ...]:
        values: list[T] = []
        faults: list[Fault] = []
        read = self.item.read
        for index, item in enumerate(items):
            try:
                values.append(read(item))
            except Refused as refusal:
                faults += refusal.below(index)
        if faults:
            raise Refused(faults)
        return tuple(values)

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "array", "items": self.item.schema(), "minItems": self.least, "maxItems": self.most}


@dataclass(frozen=True, slots=True)
class OneOrMany(Generic[T]):
    """A list of values of one kind, or one such value by itself."""

    many: ListOf[T]

    def read(self, value: object) -> tuple[T, ...]:
        """Return the values in their order."""
        return self.many.read(value) if type(value) is list else (self.many.item.read(value),)

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"oneOf": [self.many.item.schema(), self.many.schema()]}


def or_null(rule: JsonSchema) -> JsonSchema:
    """Return a rule that null keeps, too. An object stays whole inside it, so that it can have a name of its own."""
    if "oneOf" in rule:
        return {**rule, "oneOf": [*rule["oneOf"], {"type": "null"}]}
    if "properties" in rule or "$ref" in rule:
        return {"oneOf": [rule, {"type": "null"}]}
    nullable = {**rule, "type": [rule["type"], "null"]}
    return {**nullable, "enum": [*rule["enum"], None]} if "enum" in rule else nullable


def nul_in(text: str) -> Refused:
    """Return the refusal of a text with a NUL in it."""
    return refused(
        "forbidden_character", f"A NUL (U+0000) cannot stand in a text; found at character {text.index(NUL)}"
    )
