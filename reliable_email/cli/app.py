"""All commands, joined."""

from __future__ import annotations

import sys

import typer

from reliable_email import __version__
from reliable_email.cli import doctor, failed, mail, operate, serve, up
from reliable_email.cli.config import config_app

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


app.command(rich_help_panel="Run")(up.up)
app.command(rich_help_panel="Run")(serve.frontend)
app.command(rich_help_panel="Run")(serve.scheduler)
app.command(rich_help_panel="Run")(serve.sender)
app.command(rich_help_panel="Mail")(mail.send)
app.command(rich_help_panel="Mail", cls=mail.CommandThatMayWait)(mail.status)
app.command(rich_help_panel="Mail")(mail.cancel)
app.command(rich_help_panel="Mail")(mail.reschedule)
app.add_typer(failed.failed_app, name="failed", rich_help_panel="Repair")
app.command(rich_help_panel="Repair")(doctor.doctor)
app.add_typer(operate.queue_app, name="queue", rich_help_panel="Operate")
app.command(rich_help_panel="Operate")(operate.pools)
app.add_typer(operate.providers_app, name="providers", rich_help_panel="Operate")
app.add_typer(config_app, name="config", rich_help_panel="Setup")


def main() -> None:
    """Run the command that the arguments name, and end the process with its code."""
    # Where standard output cannot show every character of a subject, a mark is better than a stack.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()
