"""Values held against the definitions of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator

from services.frontend.limits import Rules
from services.frontend.openapi import document
from services.frontend.openapi.operations import OPERATIONS


def whole() -> dict[str, Any]:
    """Return the document with every operation that is described, served or not."""
    made = document(Rules(), {(operation.method, operation.path) for operation in OPERATIONS}, "0.1.0")
    read: dict[str, Any] = orjson.loads(orjson.dumps(made))
    return read


def faults_of(
    contract: Mapping[str, Any], schema: Mapping[str, Any], value: object, *, strict: bool = True
) -> list[str]:
    """Return what is wrong with a value; `strict` allows no member that is not defined, as clients must."""
    components = {"schemas": contract["components"]["schemas"]}
    rooted = {**schema, "components": _each(components, _closed) if strict else components}
    validator = Draft202012Validator(rooted, validate_formats=True)
    plain = orjson.loads(orjson.dumps(value))
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(plain)]


def answers_of(contract: Mapping[str, Any], method: str, path: str) -> dict[str, dict[str, Any]]:
    """Return what an operation answers, by status; references are followed."""
    answers = contract["paths"][path][method.lower()]["responses"]
    return {status: followed(contract, answer) for status, answer in answers.items()}


def followed(contract: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule, or what it refers to."""
    found: Any = rule
    while "$ref" in found:
        reference = found["$ref"].removeprefix("#/").split("/")
        found = contract
        for part in reference:
            found = found[part]
    return dict(found)


def _closed(rule: dict[str, Any]) -> dict[str, Any]:
    return {"additionalProperties": False, **rule} if "properties" in rule and rule.get("type") == "object" else rule


def _each(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, dict):
        return change({name: _each(item, change) for name, item in value.items()})
    return [_each(item, change) for item in value] if isinstance(value, list) else value
