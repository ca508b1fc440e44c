"""How our configuration names a desk: as settings, and as TOML for a process."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from shared.domain.secret import Secret
from shared.providers import registry
from shared.providers.interface import Adapter
from shared.settings.model import ProviderSettings
from tests.fakes.internet.desk import Station


def options_of(station: Station, adapter: Adapter | None = None, **more: Any) -> Any:
    """Return the options of the kind that reach this desk; `more` are further keys of the kind."""
    kind = (adapter or registry.adapter(station.kind)).Options
    keys = {**_keys(station, kind), **more}
    return kind(**{name: Secret(value) if name in _secrets(kind) else value for name, value in keys.items()})


def settings_of(station: Station, *, options: dict[str, Any] | None = None, **more: Any) -> ProviderSettings:
    """Return the settings of a provider at this desk, under its name; `more` are keys that all providers share."""
    name = station.name.replace(":", "-")
    values: dict[str, Any] = {"name": name, "kind": station.kind, **more}
    return ProviderSettings(**values, options=options_of(station, **(options or {})))


def toml_of(station: Station, **more: Any) -> str:
    """Return a `[[providers]]` table that reaches this desk; `more` are keys of any kind.

    Secrets are named as variables, which `secrets_of` has.
    """
    kind = registry.adapter(station.kind).Options
    secrets = _secrets(kind)
    keys = {"name": station.name.replace(":", "-"), "kind": station.kind, **_keys(station, kind), **more}
    lines = [
        f'{name} = {{env = "{_variable(station, name)}"}}' if name in secrets else f"{name} = {json.dumps(value)}"
        for name, value in keys.items()
    ]
    return "\n".join(["[[providers]]", *lines, ""])


def secrets_of(station: Station) -> dict[str, str]:
    """Return the variables that the table of `toml_of` names."""
    kind = registry.adapter(station.kind).Options
    return {_variable(station, name): value for name, value in _keys(station, kind).items() if name in _secrets(kind)}


def _variable(station: Station, name: str) -> str:
    return f"{station.name}_{name}".replace(":", "_").replace("-", "_").upper()


def _secrets(kind: type[Any]) -> set[str]:
    return {part.name for part in fields(kind) if "Secret" in str(part.type)}


def _keys(station: Station, kind: type[Any]) -> dict[str, Any]:
    parts = urlsplit(station.url)
    if parts.scheme == "smtp":
        return {"host": parts.hostname, "port": parts.port, "tls": "none", **station.credentials}
    usual = next((part.default for part in fields(kind) if part.name == "base_url"), "")
    path = urlsplit(usual).path if isinstance(usual, str) else ""
    return {"base_url": station.url + path, **station.credentials}
