"""All commands, joined."""

from __future__ import annotations

import sys

import typer

from reliable_email import __version__
from reliable_email.cli.completion import completion, serve_shell
from reliable_email.cli.config import config_app
from reliable_email.cli.doctor import doctor
from reliable_email.cli.failed import failed_app
from reliable_email.cli.mail import CommandThatMayWait, cancel, reschedule, send, status
from reliable_email.cli.operate import pools_app, providers_app, queue_app
from reliable_email.cli.route import route
from reliable_email.cli.serve import frontend, scheduler, sender
from reliable_email.cli.simulate import simulate
from reliable_email.cli.up import up

app = typer.Typer(
    name="reliable-email",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Takes an email over HTTP, answers once it is on disk, and owes its delivery.",
)


@app.command(rich_help_panel="Setup")
def version() -> None:
    """Print the version."""
    typer.echo(f"reliable-email {__version__}")


app.command(rich_help_panel="Run")(up)
app.command(rich_help_panel="Run")(frontend)
app.command(rich_help_panel="Run")(scheduler)
app.command(rich_help_panel="Run")(sender)
app.command(rich_help_panel="Mail")(send)
app.command(rich_help_panel="Mail", cls=CommandThatMayWait)(status)
app.command(rich_help_panel="Mail")(cancel)
app.command(rich_help_panel="Mail")(reschedule)
app.add_typer(failed_app, name="failed", rich_help_panel="Repair")
app.command(rich_help_panel="Repair")(doctor)
app.add_typer(queue_app, name="queue", rich_help_panel="Operate")
app.add_typer(pools_app, name="pools", rich_help_panel="Operate")
app.command(rich_help_panel="Operate")(route)
app.command(rich_help_panel="Operate")(simulate)
app.add_typer(providers_app, name="providers", rich_help_panel="Operate")
app.add_typer(config_app, name="config", rich_help_panel="Setup")
app.command(rich_help_panel="Setup")(completion)


def main() -> None:
    """Run the command that the arguments name, and end the process with its code."""
    # Where standard output cannot show every character of a subject, a mark is better than a stack.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    serve_shell()
    app()
