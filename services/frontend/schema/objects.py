"""Objects with known fields: the table of a field, and the reading of a whole object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.frontend.limits import KEYS_OF_AN_OBJECT
from services.frontend.schema.kinds import JsonSchema, Kind, or_null
from services.frontend.schema.refusal import Refused, refused, shown, wrong_type
from services.frontend.schema.suggest import Suggester, did_you_mean
from shared.domain.errors import Fault

#: Unknown names that are listed one by one. Whoever sends more has sent something else altogether.
_UNKNOWN_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object: everything that the reader and the API's description say of it.

    `default` is the value of a field that is left out, in words or as it would be written; None
    where it then simply is not there. Null leaves a field out; `null` is False where it may not.
    """

    name: str
    kind: Kind[object]
    doc: str
    required: bool = False
    examples: tuple[object, ...] = ()
    default: object = None
    null: bool = True

    def schema(self) -> JsonSchema:
        """Return the field's rule with its description."""
        described = {"description": self.doc, "examples": list(self.examples), "default": self.default}
        rule = self.kind.schema()
        if self.null and not self.required:
            rule = or_null(rule)
        return {**rule, **{key: value for key, value in described.items() if value not in (None, [])}}


class Reader:
    """Reads objects with a given table of fields. Null means absent, and no other field is let in."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields: Final = tuple(fields)
        self.names: Final = frozenset(field.name for field in self.fields)
        self._reads = {field.name: field.kind.read for field in self.fields}
        self._required = tuple(field.name for field in self.fields if field.required)
        self._suggester = Suggester(self._reads)

    def examine(self, value: object) -> tuple[dict[str, Any], list[Fault]]:
        """Return the fields that could be read, and everything that is wrong with those that are there."""
        if type(value) is not dict:
            return {}, wrong_type("an object", value).faults
        if len(value) > KEYS_OF_AN_OBJECT:
            return {}, [Fault("", "too_many", f"Holds {len(value):,} fields; {KEYS_OF_AN_OBJECT} are allowed")]
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        reads = self._reads
        unknown: list[str] = []
        for name, item in value.items():
            read = reads.get(name)
            if read is None:
                unknown.append(name)
            elif item is not None:
                try:
                    values[name] = read(item)
                except Refused as refusal:
                    faults += refusal.below(name)
        if unknown:
            faults += self._unknown(unknown)
        return values, faults

    def missing(self, value: Mapping[str, object]) -> list[Fault]:
        """Return a fault for each required field that is not there."""
        return [
            Fault(f"/{name}", "missing", f"'{name}' is required") for name in self._required if value.get(name) is None
        ]

    def read(self, value: object) -> dict[str, Any]:
        """Return the fields of an object that is without fault. Raises Refused."""
        values, faults = self.examine(value)
        if type(value) is dict:
            faults += self.missing(value)
        if faults:
            raise Refused(faults)
        return values

    def schema(self) -> JsonSchema:
        """Return the rule as JSON Schema."""
        return {
            "type": "object",
            "properties": {field.name: field.schema() for field in self.fields},
            "required": list(self._required),
            "additionalProperties": False,
        }

    def _unknown(self, names: list[str]) -> Iterable[Fault]:
        for name in names[:_UNKNOWN_LISTED]:
            hint = did_you_mean(self._suggester, name)
            yield from refused("unknown_field", f"There is no field {shown(name)}.{hint}").below(name)
        if (more := len(names) - _UNKNOWN_LISTED) > 0:
            yield Fault("", "unknown_field", f"There are {more} more fields that do not exist")
