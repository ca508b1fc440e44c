"""From the raw tree of a file and its variables to `Settings`, with every fault and its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from shared.domain.errors import ConfigurationError, Fault
from shared.domain.secret import Secret
from shared.providers import registry
from shared.settings.model import ProviderSettings, Settings
from shared.settings.shapes import Form, Key, Shape, keys_of
from shared.settings.values import Refused, check_constraints, is_absent, items_of, scalar, wrong_form
from shared.settings.variables import Variable, lay_over, variables_under

T = TypeVar("T")


class Secrets(Protocol):
    """Where secrets come from; both methods raise Refused where there is none."""

    def variable(self, name: str) -> str:
        """Return the text of an environment variable."""
        ...

    def file(self, path: str) -> str:
        """Return the text of a file."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read. A faulty key has its default here, a table that cannot be built is left out.

    `faults` are placed by the key's path (`providers.relay.port`); `origins` gives the variable
    that a path's value came from.
    """

    settings: Settings
    faults: tuple[Fault, ...]
    origins: Mapping[str, str]


def parse(
    file: Mapping[str, Any],
    variables: Mapping[str, Any],
    secrets: Secrets,
    secrets_of: Collection[str] | None = None,
) -> Draft:
    """Read the tree of a TOML file under the variables that lie over it.

    `secrets_of` names the sections whose secrets are read, None all of them; the others are
    there and empty.
    """
    parser = _Parser(secrets, secrets_of)
    tree = lay_over(file, variables, Settings)
    if not tree.get("providers"):
        tree.pop("providers", None)  # none configured: the model's default
    settings = parser.table(Settings, tree, "")
    assert settings is not None  # noqa: S101 - every section has a default
    return Draft(settings, tuple(dict.fromkeys(parser.faults)), parser.origins)


class _Parser:
    def __init__(self, secrets: Secrets, secrets_of: Collection[str] | None) -> None:
        self.faults: list[Fault] = []
        self.origins: dict[str, str] = {}
        self._secrets = secrets
        self._secrets_of = secrets_of

    def table(self, table: type[T], raw: Mapping[str, Any], path: str) -> T | None:
        """Return an instance of the dataclass, or None where a key without a default is faulty."""
        keys = keys_of(table)
        self._refuse_unknown(raw, keys, path)
        return self._build(table, raw, path)

    def provider(self, raw: Mapping[str, Any], path: str) -> ProviderSettings | None:
        """Return a provider: the keys that it shares with all others, and those of its kind."""
        common = keys_of(ProviderSettings)
        provider = self._build(ProviderSettings, raw, path)
        kind = raw["kind"].text if isinstance(raw.get("kind"), Variable) else raw.get("kind")
        if not isinstance(kind, str):
            return None
        try:
            table = registry.adapter(kind).Options
        except ConfigurationError as error:
            self._refuse_keys(path, error)
            return None
        rest = {key: value for key, value in raw.items() if key not in common}
        self._refuse_unknown(rest, keys_of(table), path, also=common)
        options = self._options(table, rest, path)
        return replace(provider, options=options) if provider and options else None

    def _options(self, table: type[T], raw: Mapping[str, Any], path: str) -> T | None:
        try:
            return self._build(table, raw, path)
        except ConfigurationError as error:
            self._refuse_keys(path, error)
            return None

    def _build(self, table: type[T], raw: Mapping[str, Any], path: str) -> T | None:
        values: dict[str, Any] = {}
        complete = True
        for key in keys_of(table).values():
            here = _join(path, key.name)
            try:
                if key.name in raw:
                    values[key.name] = self._value(key.shape, raw[key.name], here)
            except Refused as refused:
                self._fault(here, refused.code, refused.detail)
            else:
                if key.name not in raw and key.is_required:
                    self._fault(here, "missing", "It is required and missing")
            complete = complete and (key.name in values or not key.is_required)
        return table(**values) if complete else None

    def _value(self, shape: Shape, raw: object, path: str) -> object:
        if not _is_container(shape, raw):
            self._note_origin(raw, path)
        if is_absent(shape, raw):
            return None
        match shape.form:
            case Form.LIST:
                return self._list(shape, raw, path)
            case Form.TABLE:
                return self._table_value(shape, raw, path)
            case Form.SECRET:
                return self._secret(shape, raw, path)
            case _:
                return scalar(shape, raw)

    def _list(self, shape: Shape, raw: object, path: str) -> tuple[Any, ...]:
        item = shape.item
        assert item is not None  # noqa: S101 - what makes a shape a list
        values = []
        for position, part in enumerate(items_of(shape, raw)):
            here = _join(path, _part_name(part, position))
            try:
                value = self._value(item, part, here)
            except Refused as refused:
                self._fault(here, refused.code, refused.detail)
            else:
                values += [] if value is None else [value]
        if not self._is_faulty(path):
            check_constraints(shape, tuple(values))
        return tuple(values)

    def _table_value(self, shape: Shape, raw: object, path: str) -> object:
        if not isinstance(raw, dict) or shape.table is None:
            raise wrong_form(shape, raw)
        if shape.table is ProviderSettings:
            return self.provider(raw, path)
        return self.table(shape.table, raw, path)

    def _secret(self, shape: Shape, raw: object, path: str) -> Secret:
        if self._secrets_of is not None and path.split(".", 1)[0] not in self._secrets_of:
            return Secret("")
        secret = Secret(self._secret_text(raw))
        if re.search(r"[\x00-\x1f\x7f]", secret.reveal()):
            raise Refused("invalid_secret", "The secret holds a line break or another control character")
        if not secret.reveal():
            raise Refused("invalid_secret", "The secret is empty")
        check_constraints(shape, secret)
        return secret

    def _secret_text(self, raw: object) -> str:
        if isinstance(raw, Variable):
            return raw.text
        match raw:
            case {"env": str() | Variable() as name, **others} if not others:
                return self._secrets.variable(_text_of(name))
            case {"file": str() | Variable() as path, **others} if not others:
                return self._secrets.file(_text_of(path))
        raise Refused("invalid_secret", f"A secret does not stand in the file: write {Form.SECRET.value}")

    def _refuse_unknown(
        self, raw: Mapping[str, Any], keys: Mapping[str, Key], path: str, also: Collection[str] = ()
    ) -> None:
        known = [*keys, *also]
        for name in sorted(raw.keys() - set(keys)):
            close = difflib.get_close_matches(name, known, n=1)
            cure = f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(known)}."
            for place in [variable.name for variable in variables_under(raw[name])] or [_join(path, name)]:
                self._fault(place, "unknown_key", f"There is no key '{name}' here. {cure}")

    def _refuse_keys(self, path: str, error: ConfigurationError) -> None:
        """Place the faults that a kind of provider finds in its own keys; one fault a key is enough."""
        seen = {fault.where for fault in self.faults}
        for fault in error.faults:
            where = _join(path, fault.where)
            if where not in seen:
                self._fault(where, fault.code, fault.detail)

    def _note_origin(self, raw: object, path: str) -> None:
        """Remember the variable that gives a value; one inside a value is as good as the value itself."""
        for variable in variables_under(raw)[:1]:
            self.origins[path] = variable.name

    def _fault(self, path: str, code: str, detail: str) -> None:
        self.faults.append(Fault(path, code, detail))

    def _is_faulty(self, path: str) -> bool:
        return any(fault.where.startswith(f"{path}.") for fault in self.faults)


def _is_container(shape: Shape, raw: object) -> bool:
    """Return whether a value holds values with places of their own."""
    return isinstance(raw, dict) if shape.form is Form.TABLE else shape.form is Form.LIST and isinstance(raw, list)


def _part_name(part: object, position: int) -> str:
    name = part.get("name") if isinstance(part, dict) else None
    return name if isinstance(name, str) and name else str(position)


def _text_of(value: str | Variable) -> str:
    return value.text if isinstance(value, Variable) else value


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
