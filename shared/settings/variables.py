"""Environment variables as a layer over the file.

`RELIABLE_EMAIL_PROVIDERS__SES_EU__RATE_PER_SECOND` is the key `rate_per_second` of the provider
`ses-eu`. Tables that have a name are found by it, and made if they are missing; others are
found by their position from 0 (`RELIABLE_EMAIL_ROUTES__0__POOL`). Only names with a double
underscore are ours: for a Service of our name Kubernetes sets `RELIABLE_EMAIL_PORT=tcp://…`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.providers import registry
from shared.settings.model import ProviderSettings
from shared.settings.shapes import Shape, keys_of

PREFIX: Final = "RELIABLE_EMAIL_"


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that an environment variable gives. It is not shown: it may be a secret."""

    name: str
    text: str = field(repr=False)


def variables_in(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return our variables as a tree: a table for each part of a name, a `Variable` at its end."""
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        path = name.removeprefix(PREFIX)
        if path == name or "__" not in path:
            continue
        *tables, key = path.lower().split("__")
        place = tree
        for table in tables:
            inner = place.get(table)
            # A variable that another one goes into stays as a key that exists nowhere: a fault.
            place[table] = inner = {"": inner} if isinstance(inner, Variable) else inner or {}
            place = inner
        place[key] = Variable(name, environ[name])
    return tree


def variables_under(tree: object) -> list[Variable]:
    """Return all variables of a tree, or of a part of it."""
    if isinstance(tree, Variable):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [variable for part in parts for variable in variables_under(part)]


def lay_over(file: Mapping[str, Any], variables: Mapping[str, Any], table: type[object]) -> dict[str, Any]:
    """Return the keys of a table as the file gives them, with the variables in their places.

    Nothing is judged here: what fits nowhere is left where the parser finds and reports it.
    """
    keys = keys_of(table)
    merged = dict(file)
    for name, value in variables.items():
        merged[name] = _lay(merged.get(name), value, keys[name].shape if name in keys else None)
    return merged


def _lay(old: object, new: Variable | dict[str, Any], shape: Shape | None) -> object:
    if shape is None or isinstance(new, Variable):
        return new
    if shape.item_table is not None:
        return _lay_list([] if old is None else old, new, shape.item_table)
    if shape.table is not None:
        old = {} if old is None else old
        return lay_over(old, new, shape.table) if isinstance(old, dict) else old
    # A secret that says `file` replaces one that said `env`; anything else is the parser's to refuse.
    return new


def _lay_list(old: object, new: Mapping[str, Any], table: type[object]) -> object:
    if not isinstance(old, list):
        return old
    items = list(old)
    for part in sorted(new, key=lambda part: (len(part), part) if part.isdigit() else (0, part)):
        keys, position = new[part], _position(items, part, table)
        if position is None or not isinstance(keys, dict):
            items += variables_under(keys)
        elif position == len(items):
            items.append(lay_over(_new_table(part, table), keys, table))
        elif isinstance(items[position], dict):
            items[position] = lay_over(items[position], keys, table)
    return items


def _position(items: list[Any], part: str, table: type[object]) -> int | None:
    """Return where in the list a part of a variable's name points to; its length is a new place."""
    if "name" in keys_of(table):
        names = [variable_part(str(item.get("name"))) if isinstance(item, dict) else "" for item in items]
        return names.index(part.upper()) if part.upper() in names else len(items)
    return int(part) if part.isdecimal() and int(part) <= len(items) else None


def _new_table(part: str, table: type[object]) -> dict[str, Any]:
    if "name" not in keys_of(table):
        return {}
    name = part.replace("_", "-")
    return {"name": name, "kind": name} if table is ProviderSettings and name in registry.kinds() else {"name": name}


def variable_part(name: str) -> str:
    """Return the form in which a table's name stands in the name of a variable."""
    return name.upper().replace("-", "_")
