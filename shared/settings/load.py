"""Reads the configuration: the file, the variables over it, the secrets they name. The only I/O of this folder."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from shared.domain.errors import ConfigurationError, Fault
from shared.settings.checks import check
from shared.settings.model import Settings
from shared.settings.parse import parse
from shared.settings.values import Refused
from shared.settings.variables import variables_in

#: Names the file, where `--config` does not.
CONFIG_VARIABLE: Final = "RELIABLE_EMAIL_CONFIG"

#: Where a file is looked for that nobody named.
USUAL_PLACES: Final = ("./reliable-email.toml", "/etc/reliable-email/config.toml")


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    secrets_of: Collection[str] | None = None,
) -> Settings:
    """Return the configuration that a process runs with.

    The file is `path`, else the one that `RELIABLE_EMAIL_CONFIG` names, else
    `./reliable-email.toml`, else `/etc/reliable-email/config.toml`; without any, the defaults
    hold. Variables override the file. `secrets_of` names the sections whose secrets the process
    uses (`redis`, `frontend`, `providers`; None: all): the others are not read, need not be
    there, and are empty.

    Raises ConfigurationError with every fault at once.
    """
    source = (
        path or environ.get(CONFIG_VARIABLE) or next((place for place in USUAL_PLACES if Path(place).is_file()), None)
    )
    draft = parse(_read(source) if source else {}, variables_in(environ), _Secrets(environ), secrets_of)
    faults = draft.faults + check(
        draft.settings, [fault.where for fault in draft.faults], _is_zone, available_timezones
    )
    if faults:
        raise ConfigurationError(tuple(replace(one, where=draft.origins.get(one.where, one.where)) for one in faults))
    return replace(draft.settings, source=source)


def _read(source: str) -> dict[str, Any]:
    try:
        # An editor of another system may have put a byte order mark in front.
        return tomllib.loads(Path(source).read_text("utf-8-sig"))
    except OSError as error:
        fault = Fault(source, "unreadable", f"The file cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        fault = Fault(source, "not_toml", f"The file is not UTF-8: byte {error.start} is not")
    except tomllib.TOMLDecodeError as error:
        fault = Fault(source, "not_toml", f"The file is not TOML: {error}")
    raise ConfigurationError((fault,))


class _Secrets:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def variable(self, name: str) -> str:
        if name not in self._environ:
            raise Refused("no_secret", f"The variable {name} is not set")
        return self._environ[name]

    def file(self, path: str) -> str:
        try:
            text = Path(path).read_bytes().decode()
        except OSError as error:
            raise Refused("no_secret", f"The file {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise Refused("no_secret", f"The file {path} is not UTF-8") from error
        # `echo` and most editors end a file with a line break that nobody means.
        return text.removesuffix("\n").removesuffix("\r")


def _is_zone(name: str) -> bool:
    """Return whether this machine knows a time zone: which it knows stands in files."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
