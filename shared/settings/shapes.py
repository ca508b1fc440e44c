"""A type hint of the model, read in the terms of a configuration file.

The loader, the variables, the template, the JSON Schema and `config show` all walk the same
shapes; none of them looks at a type hint itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin, get_type_hints

from shared.domain.message import Address
from shared.domain.secret import Secret
from shared.settings.constraints import Constraint, NotAKey


class Form(Enum):
    """The forms that a value can have; each says what it is in a sentence that begins with "It must be"."""

    TEXT = "a text"
    INTEGER = "a whole number"
    NUMBER = "a number"
    FLAG = "true or false"
    CHOICE = "one of a few words"
    SECRET = '{env = "NAME"} or {file = "path"}'  # noqa: S105 - the form of one
    MAILBOX = "an address"
    TABLE = "a table"
    LIST = "a list"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a key takes.

    `choices` maps the words of a CHOICE to their values, `table` is the dataclass of a TABLE,
    `item` the shape of a LIST's values. An optional value is None where it is absent or empty.
    """

    form: Form
    optional: bool = False
    constraints: tuple[Constraint, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)
    table: type[object] | None = None
    item: Shape | None = None

    @property
    def item_table(self) -> type[object] | None:
        """The dataclass of the tables that a list holds; None for everything else."""
        return self.item.table if self.item else None


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table: its shape, and its default (MISSING where it has none)."""

    name: str
    shape: Shape
    default: object

    @property
    def is_required(self) -> bool:
        """Whether a table without the key is faulty."""
        return self.default is MISSING


def keys_of(table: type[Any]) -> Mapping[str, Key]:
    """Return the keys of a dataclass in their order, without the fields that are marked as no keys."""
    hints = get_type_hints(table, include_extras=True)
    named = ((part, hints[part.name]) for part in fields(table))
    return {
        part.name: Key(
            part.name,
            shape_of(hint),
            part.default_factory() if part.default_factory is not MISSING else part.default,
        )
        for part, hint in named
        if not _is_internal(hint)
    }


def shape_of(hint: object) -> Shape:
    """Return the shape of a type hint. Raises TypeError for a hint that no file can express."""
    bare, optional, marks = _unwrap(hint)
    constraints = tuple(mark for mark in marks if isinstance(mark, Constraint))
    if get_origin(bare) is tuple:
        return Shape(Form.LIST, optional, constraints, item=shape_of(get_args(bare)[0]))
    if get_origin(bare) is Literal:
        return Shape(Form.CHOICE, optional, constraints, choices={str(word): word for word in get_args(bare)})
    if isinstance(bare, type) and issubclass(bare, Enum):
        return Shape(Form.CHOICE, optional, constraints, choices={str(one.value): one for one in bare})
    if bare in _FORMS:
        return Shape(_FORMS[bare], optional, constraints)
    if isinstance(bare, type) and is_dataclass(bare):
        return Shape(Form.TABLE, optional, constraints, table=bare)
    raise TypeError(f"{hint} cannot be read from a file")


_FORMS: dict[Any, Form] = {
    str: Form.TEXT,
    int: Form.INTEGER,
    float: Form.NUMBER,
    bool: Form.FLAG,
    Secret: Form.SECRET,
    Address: Form.MAILBOX,
}


def _unwrap(hint: object) -> tuple[Any, bool, tuple[object, ...]]:
    """Return the type inside `Annotated` and `| None`, whether None was allowed, and the marks."""
    optional = False
    marks: tuple[object, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            marks = (*marks, *more)
        elif _is_union(hint):
            arms = [arm for arm in get_args(hint) if arm is not NoneType]
            if len(arms) != 1:
                raise TypeError(f"{hint} allows more than one type")
            hint, optional = arms[0], True
        else:
            return hint, optional, marks


def _is_union(hint: object) -> TypeGuard[UnionType]:
    return get_origin(hint) in (Union, UnionType)


def _is_internal(hint: object) -> bool:
    return get_origin(hint) is Annotated and NotAKey in get_args(hint)
