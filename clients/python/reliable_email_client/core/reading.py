"""From JSON to the values of `answers`: what is missing takes its default, what is unknown is left in `raw`."""

from __future__ import annotations

import types
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from reliable_email_client.answers import Answer

A = TypeVar("A", bound=Answer)


class Unreadable(ValueError):
    """A value does not have the form that the interface promises."""


def read(kind: type[A], value: object) -> A:
    """Return a value of a class of answers. Raises Unreadable."""
    if not isinstance(value, Mapping):
        raise Unreadable(f"{kind.__name__} is not an object")
    given: dict[str, Any] = {}
    for name, json_name, hint, is_required in _shape(cast(Hashable, kind)):
        if name == "raw":
            given[name] = value
        elif json_name in value:
            try:
                given[name] = _read(hint, value[json_name])
            except Unreadable as error:
                raise Unreadable(f"{kind.__name__}.{name}: {error}") from None
        elif is_required:
            raise Unreadable(f"{kind.__name__} has no {json_name}")
    return kind(**given)


@cache
def _shape(kind: Any) -> tuple[tuple[str, str, Any, bool], ...]:  # noqa: ANN401 - a cache takes what can be hashed
    hints = get_type_hints(kind)
    return tuple(
        (
            field.name,
            field.metadata.get("json", field.name),
            hints[field.name],
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
    )


def _read(hint: Any, value: object) -> object:  # noqa: ANN401 - a type hint is no type
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return None if value is None else _read(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        return _read_list(arguments[0], value)
    if origin is not None and origin is not Literal:
        return _read_mapping(arguments[1], value)
    if isinstance(hint, type) and issubclass(hint, Answer):
        return read(hint, value)
    return _read_plain(hint, value)


def _read_list(item: Any, value: object) -> tuple[object, ...]:  # noqa: ANN401 - a type hint is no type
    if not isinstance(value, list):
        raise Unreadable(f"{value!r} is no list")
    return tuple(_read(item, one) for one in value)


def _read_mapping(item: Any, value: object) -> dict[str, object]:  # noqa: ANN401 - a type hint is no type
    if not isinstance(value, Mapping):
        raise Unreadable(f"{value!r} is no object")
    return {name: _read(item, one) for name, one in value.items()}


def _read_plain(hint: Any, value: object) -> object:  # noqa: ANN401 - a type hint is no type
    if hint is datetime:
        return _instant(value)
    if hint in {object, Any}:
        return value
    if hint is float and type(value) is int:
        return float(value)
    # A set that is closed today may be read from a service of tomorrow: any text passes.
    wanted = str if get_origin(hint) is Literal else hint
    if type(value) is not wanted:
        raise Unreadable(f"{value!r} is no {wanted.__name__}")
    return value


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise Unreadable(f"{value!r} is no time")
    try:
        # Python 3.10 does not know the letter.
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise Unreadable(f"{value!r} is no time") from None
