"""The JSON Schema of the configuration file (2020-12), for editors that complete and check TOML.

It is made from the model, says what one value alone must be, and leaves what holds between keys
to `config check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any, Final

from shared.providers import registry
from shared.settings.documentation import Documentation, documentation_of, summary_of
from shared.settings.model import ProviderSettings, Settings
from shared.settings.shapes import Form, Key, Shape, keys_of
from shared.settings.show import plain

_TYPES: Final = {
    Form.TEXT: "string",
    Form.INTEGER: "integer",
    Form.NUMBER: "number",
    Form.FLAG: "boolean",
    Form.CHOICE: "string",
    Form.MAILBOX: "string",
}


def json_schema() -> dict[str, Any]:
    """Return the schema of a file, with the kinds of provider that are installed here."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reliable-email.toml",
        **_table(Settings),
    }


def _table(table: type[object]) -> dict[str, Any]:
    if table is ProviderSettings:
        return {"oneOf": [_provider(kind) for kind in registry.kinds()]}
    return _object(summary_of(table), _keys(table), keys_of(table))


def _provider(kind: str) -> dict[str, Any]:
    """Describe one kind: the keys that all share, its own, and `kind` as the word that tells it."""
    adapter = registry.adapter(kind)
    common, own = keys_of(ProviderSettings), keys_of(adapter.Options)
    properties = {**_keys(ProviderSettings), **_keys(adapter.Options)}
    properties["kind"] = {"description": properties["kind"]["description"], "const": kind}
    return _object(summary_of(type(adapter)), properties, {**common, **own})


def _object(description: str, properties: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, Any]:
    required = [key.name for key in keys.values() if key.is_required]
    return {
        "description": description,
        "type": "object",
        "properties": dict(properties),
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _keys(table: type[object]) -> dict[str, Any]:
    texts = documentation_of(table)
    return {name: _key(key, texts.get(name, Documentation())) for name, key in keys_of(table).items()}


def _key(key: Key, text: Documentation) -> dict[str, Any]:
    described = {"description": text.text} if text.text else {}
    if key.default is MISSING or key.default is None or key.shape.form is Form.TABLE or key.shape.item_table:
        return {**_shape(key.shape), **described}
    return {**_shape(key.shape), **described, "default": plain(key.default)}


def _shape(shape: Shape) -> dict[str, Any]:
    schema = _bare(shape)
    for constraint in shape.constraints:
        schema |= constraint.schema()
    others: list[dict[str, Any]] = [{"const": ""}] if shape.optional else []
    if shape.item is not None and shape.item.table is None:
        others.append(_shape(shape.item))
    return {"anyOf": [schema, *others]} if others else schema


def _bare(shape: Shape) -> dict[str, Any]:
    if shape.table is not None:
        return _table(shape.table)
    if shape.form is Form.SECRET:
        return {"oneOf": [_secret("env"), _secret("file")]}
    if shape.form is Form.CHOICE:
        return {"enum": list(shape.choices)}
    if shape.item is not None:
        return {"type": "array", "items": _shape(shape.item)}
    return {"type": _TYPES[shape.form]}


def _secret(source: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {source: {"type": "string"}},
        "required": [source],
        "additionalProperties": False,
    }
