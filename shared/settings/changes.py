"""What a running process takes over from another configuration, and what of it needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from shared.domain.errors import ConfigurationError, Fault
from shared.settings.checks import check
from shared.settings.model import Settings, default_providers


def taken_over(running: Settings, loaded: Settings) -> Settings:
    """Return the running configuration with all in it that may change at run time: providers, routes, the
    frontend's keys, the rules of retrying and the log.

    Raises ConfigurationError where what stays and what changes do not go together.
    """
    result = replace(
        running,
        providers=loaded.providers,
        routes=loaded.routes,
        retry=loaded.retry,
        logging=loaded.logging,
        frontend=replace(running.frontend, keys=loaded.frontend.keys),
    )
    # The last key may go only where the port that is open now is this machine's own, whatever host the file names.
    faults = (*check(result), *_fallen_back(running, loaded))
    if faults:
        raise ConfigurationError(faults)
    return result


def _fallen_back(running: Settings, loaded: Settings) -> Iterator[Fault]:
    """Find a file that names no provider any more: one that is half written looks like that."""
    if loaded.providers == default_providers() != running.providers:
        detail = "No provider is left, and mail would go into files on this machine; only a restart does that"
        yield Fault("providers", "conflict", detail)


def differences(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return the keys by which two configurations differ, as `sender.concurrency`, `providers.relay` or `routes`."""
    return tuple(
        key
        for table in fields(Settings)
        if table.name != "source"
        for key in _differences(table.name, getattr(before, table.name), getattr(after, table.name))
    )


def _differences(table: str, before: Any, after: Any) -> Iterator[str]:  # noqa: ANN401 - any two values of one key
    if before == after:
        return
    keys: list[str] = []
    if is_dataclass(before):
        keys = [key.name for key in fields(before) if getattr(before, key.name) != getattr(after, key.name)]
    elif table == "providers":
        keys = _changed_names(before, after)
    # What is only in another order has no key of its own.
    yield from [f"{table}.{key}" for key in keys] or [table]


def _changed_names(before: Any, after: Any) -> list[str]:  # noqa: ANN401 - tuples of providers, which no type tells here
    """Return the names of the providers that came, went or changed, in alphabetical order."""
    ones, others = ({provider.name: provider for provider in providers} for providers in (before, after))
    return sorted(name for name in ones.keys() | others.keys() if ones.get(name) != others.get(name))
