"""`reliable-email frontend | scheduler | sender`: one process of the service, in the foreground."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

import typer

from reliable_email.cli.config import ConfigOption
from reliable_email.cli.faults import print_faults
from shared.domain.errors import ConfigurationError
from shared.settings.load import load

if TYPE_CHECKING:
    from shared.runtime.process import Lifetime
    from shared.runtime.reloading import Load
    from shared.settings.model import Settings

    Service = Callable[[Settings, Lifetime, Load], Awaitable[None]]


def frontend(config: ConfigOption = None) -> None:
    """Run a frontend: it takes submissions over HTTP and answers once they are on disk.

    Reads configuration and Redis.
    """
    secrets_of = {"redis", "frontend"}
    settings = _settings(config, secrets_of)
    from services.frontend.app import run  # noqa: PLC0415 - a process imports its own service only

    _run("frontend", run, settings, settings.frontend.grace_seconds, secrets_of)


def scheduler(config: ConfigOption = None) -> None:
    """Run a scheduler: it promotes what is due, takes back lost leases and cleans up.

    Reads configuration and Redis.
    """
    secrets_of = {"redis"}
    settings = _settings(config, secrets_of)
    from services.scheduler.app import run  # noqa: PLC0415 - a process imports its own service only

    _run("scheduler", run, settings, settings.scheduler.grace_seconds, secrets_of)


def sender(config: ConfigOption = None) -> None:
    """Run a sender: it hands messages to providers and writes down what came of it.

    Reads configuration and Redis.
    """
    secrets_of = {"redis", "providers"}
    settings = _settings(config, secrets_of)
    from services.sender.app import run  # noqa: PLC0415 - a process imports its own service only

    _run("sender", run, settings, settings.sender.grace_seconds, secrets_of)


def _settings(config: str | None, secrets_of: Collection[str]) -> Settings:
    from shared.runtime.process import EXIT_CONFIGURATION  # noqa: PLC0415 - not for `--help`

    try:
        return load(config, os.environ, secrets_of=secrets_of)
    except ConfigurationError as error:
        print_faults(error)
        raise typer.Exit(EXIT_CONFIGURATION) from error


def _run(role: str, service: Service, settings: Settings, grace_seconds: float, secrets_of: Collection[str]) -> None:
    from shared.runtime import process, run_file, tracing  # noqa: PLC0415 - not for `--help`

    if run_file.run_file() is not None:
        _end_with_up()
    # A file that was found in a usual place and has gone since must be missed, not replaced by the defaults.
    load_anew = partial(load, settings.source, os.environ, secrets_of=secrets_of)

    async def traced(lifetime: Lifetime) -> None:
        tracing.configure(role, settings.tracing)
        await service(settings, lifetime, load_anew)

    code = process.run(
        role,
        traced,
        grace_seconds=grace_seconds,
        log_level=settings.logging.level,
        log_format=settings.logging.format,
    )
    tracing.close()  # the grace period is for mail, and what became of it is decided
    raise typer.Exit(code)


def _end_with_up() -> None:
    """Drain when `up` is gone, however it went: it alone holds the other end of our standard input."""

    def wait_for_the_end() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_the_end, name="tether", daemon=True).start()
