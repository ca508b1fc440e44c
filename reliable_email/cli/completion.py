"""`reliable-email completion`: what a shell needs to complete our commands and options."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Final

import typer

_PROGRAM: Final = "reliable-email"
#: Under this name a shell asks for completions; Typer makes it of the program's name.
_VARIABLE: Final = "_RELIABLE_EMAIL_COMPLETE"


class Shell(StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print the completion of this command for a shell.

    bash: `reliable-email completion bash >> ~/.bashrc`; zsh: the same with ~/.zshrc, after compinit;
    fish: `reliable-email completion fish > ~/.config/fish/completions/reliable-email.fish`.
    Needs no running service.
    """
    from typer._completion_shared import get_completion_script  # noqa: PLC0415 - nowhere else, not for `--help`

    typer.echo(get_completion_script(prog_name=_PROGRAM, complete_var=_VARIABLE, shell=shell.value))


def serve_shell() -> None:
    """Answer in the way that the printed scripts expect, where it is a shell that asks."""
    if _VARIABLE in os.environ:
        from typer._completion_classes import completion_init  # noqa: PLC0415 - likewise

        completion_init()
