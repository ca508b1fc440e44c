"""`reliable-email config`: write, judge and show the configuration. None of it needs a running service."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.domain.errors import ConfigurationError
from shared.settings.load import load
from shared.settings.model import Settings
from shared.settings.schema import json_schema
from shared.settings.show import to_toml, tree_of
from shared.settings.template import template

DEFAULT_FILE: Final = Path("reliable-email.toml")

config_app = typer.Typer(
    no_args_is_help=True,
    help="Write, judge and show the configuration. Reads files and variables only.",
)

ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The configuration; else $RELIABLE_EMAIL_CONFIG, ./reliable-email.toml, /etc/reliable-email/config.toml.",
    ),
]


@config_app.command()
def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_FILE,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented file with every key and its default. It changes nothing until you do."""
    try:
        with file.open("w" if force else "x", encoding="utf-8") as target:
            target.write(template())
    except FileExistsError:
        raise _failure(f"{file} is there already; --force replaces it") from None
    except OSError as error:
        raise _failure(f"{file} cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {file}")


@config_app.command()
def check(config: ConfigOption = None) -> None:
    """Say `ok`, or name every fault of the configuration and exit with 1."""
    settings = _load(config)
    typer.echo("ok")
    typer.echo(_origin(settings), err=True)


@config_app.command()
def show(
    config: ConfigOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of TOML.")] = False,
) -> None:
    """Print what is in force, from defaults, file and variables together. Secrets are masked."""
    settings = _load(config)
    if as_json:
        typer.echo(json.dumps({"source": settings.source, **tree_of(settings)}, ensure_ascii=False, indent=2))
    else:
        typer.echo(f"# {_origin(settings)}\n\n{to_toml(tree_of(settings))}", nl=False)


@config_app.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors that complete and check TOML."""
    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))


def _load(config: str | None) -> Settings:
    try:
        return load(config, os.environ)
    except ConfigurationError as error:
        raise _failure("\n".join(f"{fault.where}: {fault.detail}" for fault in error.faults)) from error


def _origin(settings: Settings) -> str:
    return f"read from {settings.source}" if settings.source else "the defaults: there is no file"


def _failure(text: str) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(1)
