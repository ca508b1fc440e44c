"""A configuration as text: TOML or JSON's own values, with every secret masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from shared.domain.message import Address
from shared.domain.secret import Secret
from shared.settings.model import ProviderSettings
from shared.settings.shapes import keys_of

#: From here on the digits of a number stand in groups.
_GROUPED: Final = 10_000


def tree_of(table: object) -> dict[str, Any]:
    """Return a settings object as dictionaries, lists, texts and numbers; None where a key is absent."""
    tree = {name: plain(getattr(table, name)) for name in keys_of(type(table))}
    if isinstance(table, ProviderSettings) and table.options is not None:
        tree |= tree_of(table.options)
    return tree


def to_toml(tree: Mapping[str, Any], path: str = "") -> str:
    """Return a tree as a TOML document; keys without a value are left out."""
    return "\n".join(_lines(tree, path)).strip("\n") + "\n"


def toml_value(value: object) -> str:
    """Return one value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() if abs(value) >= _GROUPED:
            return f"{value:_}"
        case float() if value.is_integer():
            return toml_value(int(value))
        case int() | float():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            # JSON's escapes are a subset of those of a basic string of TOML.
            return json.dumps(plain(value), ensure_ascii=False)


def _lines(tree: Mapping[str, Any], path: str) -> Iterator[str]:
    tables = {key: value for key, value in tree.items() if isinstance(value, dict) or _holds_tables(value)}
    for key, value in tree.items():
        if value is not None and key not in tables:
            yield f"{key} = {toml_value(value)}"
    for key, value in tables.items():
        here = f"{path}.{key}" if path else key
        for table in [value] if isinstance(value, dict) else value:
            yield ""
            yield f"[{here}]" if isinstance(value, dict) else f"[[{here}]]"
            yield from _lines(table, here)


def _holds_tables(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def plain(value: object) -> object:
    """Return a value of the model as JSON and TOML know it."""
    match value:
        case Enum():
            return value.value
        case float() if value.is_integer():
            return int(value)
        case None | bool() | int() | float() | str():
            return value
        case Secret() | Address():
            return _text(value)
        case tuple():
            return [plain(item) for item in value]
    return tree_of(value)


def _text(value: Secret | Address) -> str:
    return str(value) if isinstance(value, Secret) else _mailbox(value)


def _mailbox(address: Address) -> str:
    if not address.name:
        return address.email
    name = address.name
    if re.search(r'[@<>"\\]', name):
        name = '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
    return f"{name} <{address.email}>"
