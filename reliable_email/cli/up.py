"""`reliable-email up`: everything on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reliable_email.cli.config import ConfigOption

#: Where `up` keeps mail, logs and what it knows of its processes.
DEFAULT_DATA = Path("data")

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="Where queue, outbox and logs are kept.")]


def up(
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Where the API listens; else frontend.host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, metavar="PORT", help="The API's port; else frontend.port.")
    ] = None,
    senders: Annotated[int, typer.Option(min=1, max=100, metavar="K", help="How many senders to run.")] = 1,
) -> None:
    """Run everything on this machine: a Valkey of its own, a frontend, a scheduler and senders.

    Reads the configuration; with redis.url set it starts no Valkey.
    """
    from reliable_email.cli.machine.run import Wishes, run  # noqa: PLC0415 - not for `--help`

    raise typer.Exit(run(Wishes(config=config, data=data, host=host, port=port, senders=senders)))
