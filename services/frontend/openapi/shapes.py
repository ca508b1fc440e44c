"""The few forms that the definition of an answer is made of, as JSON Schema 2020-12.

An answer carries every member always, and clients ignore what they do not know: so all members are
required, and others are never forbidden.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final

from services.frontend.schema.kinds import JsonSchema, or_null

#: Where the named definitions of the document stand.
COMPONENTS: Final = "#/components/schemas/"


def an_object(doc: str, members: Mapping[str, JsonSchema], *, at_times: Collection[str] = ()) -> JsonSchema:
    """Return an object with these members; those `at_times` may be missing."""
    required = [name for name in members if name not in at_times]
    return {"type": "object", "description": doc, "properties": dict(members), "required": required}


def named(name: str, doc: str = "") -> JsonSchema:
    """Return a reference to a definition by its name."""
    return {"$ref": COMPONENTS + name, **({"description": doc} if doc else {})}


def nullable(rule: JsonSchema) -> JsonSchema:
    """Return the same, or null where it is unknown or not there; a description stays outside."""
    described = {key: value for key, value in rule.items() if key == "description" and "$ref" in rule}
    bare = {key: value for key, value in rule.items() if key not in described}
    return {**or_null(bare), **described}


def listed(items: JsonSchema, doc: str = "") -> JsonSchema:
    """Return a list; it may be empty."""
    return {"type": "array", "items": items, **({"description": doc} if doc else {})}


def text(doc: str = "") -> JsonSchema:
    """Return a string."""
    return {"type": "string", **({"description": doc} if doc else {})}


def truth(doc: str) -> JsonSchema:
    """Return a truth value."""
    return {"type": "boolean", "description": doc}


def whole(doc: str, least: int | None = 0) -> JsonSchema:
    """Return a whole number."""
    return {"type": "integer", "description": doc, **({} if least is None else {"minimum": least})}


def number(doc: str) -> JsonSchema:
    """Return a number that is not negative."""
    return {"type": "number", "description": doc, "minimum": 0}


def instant(doc: str = "") -> JsonSchema:
    """Return a point in time: RFC 3339 in UTC, with `Z` and three decimals."""
    return {"type": "string", "format": "date-time", **({"description": doc} if doc else {})}


def closed(values: Iterable[StrEnum | str], doc: str) -> JsonSchema:
    """Return one of a closed set: no value is ever added."""
    return {"type": "string", "enum": [str(value) for value in values], "description": doc}


def open_set(values: Iterable[StrEnum | str], doc: str) -> JsonSchema:
    """Return one of an open set: these are known now, and clients must expect others."""
    known = [str(value) for value in values]
    return {"type": "string", "description": f"{doc} More values may be added.", "x-extensible-enum": known}


def counts(keys: Iterable[StrEnum | str], doc: str) -> JsonSchema:
    """Return a number for each of these."""
    members = {str(key): {"type": "integer", "minimum": 0} for key in keys}
    return {"type": "object", "description": doc, "properties": members, "required": list(members)}
