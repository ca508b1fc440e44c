"""Telling a user at a terminal what is wrong."""

from __future__ import annotations

import typer

from shared.domain.errors import ConfigurationError


def print_faults(error: ConfigurationError) -> None:
    """Print every fault of a configuration on stderr, one a line."""
    for fault in error.faults:
        typer.echo(f"{fault.where}: {fault.detail}", err=True)


def failure(text: str, code: int = 1) -> typer.Exit:
    """Print `text` on stderr and return what ends the command with `code`."""
    typer.echo(text, err=True)
    return typer.Exit(code)
