"""`reliable-email failed`: the dead letters, kept until their owner requeues or drops them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from reliable_email.cli import words
from reliable_email.cli.client import DEFAULT_URL, EXIT_FAILED, Client, JsonOption, UrlOption, run, to_json
from reliable_email.cli.faults import failure

_USAGE: Final = 2
_PAGE: Final = 200
_STEP: Final = 1000
_FIRST_ERROR: Final = 400

failed_app = typer.Typer(
    no_args_is_help=True, help="The dead letters: messages that failed, or reached some recipients only. Speaks HTTP."
)


class DeadState(StrEnum):
    """A state in which a message is a dead letter."""

    FAILED = "failed"
    PARTLY_SENT = "partly_sent"


Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="These messages; or name a filter.")]
States = Annotated[list[DeadState] | None, typer.Option("--state", help="May be given twice.")]
Pool = Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this pool.")]
Before = Annotated[str | None, typer.Option("--finished-before", metavar="TIME", help="Only those that ended before.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@failed_app.command("list")
def list_(
    state: States = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first. Speaks HTTP."""

    async def work(client: Client) -> int:
        rows = [row async for row in _rows(client, state or [], limit)]
        if as_json:
            for row in rows:
                typer.echo(to_json(row))
        elif rows:
            heads = ("id", "state", "finished_at", "pool")
            cells = [
                (*(row[name] for name in heads), row["reason"]["code"] if row["reason"] else "", row["subject"])
                for row in rows
            ]
            typer.echo("\n".join(words.table((*heads, "reason", "subject"), cells)))
        else:
            typer.echo("no dead letters", err=True)
        return 0

    run(url, work, as_json=as_json)


async def _rows(client: Client, states: list[DeadState], limit: int) -> AsyncIterator[dict[str, Any]]:
    filters = [("state", state.value) for state in states]
    cursor: str | None = None
    left = limit
    while left:
        parameters = [*filters, ("limit", str(min(left, _PAGE))), *([("cursor", cursor)] if cursor else [])]
        page = (await client.call("GET", "/v1/messages", parameters=parameters)).body
        for row in page["data"]:
            yield row
        left -= len(page["data"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


@failed_app.command()
def requeue(
    ids: Ids = None,
    state: States = None,
    pool: Pool = None,
    finished_before: Before = None,
    url: UrlOption = DEFAULT_URL,
    *,
    everything: All = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again to those recipients who did not get them. Speaks HTTP."""
    conditions = _conditions(ids, state, pool, finished_before, everything=everything)
    run(url, lambda client: _repair(client, "requeue", ids, conditions, as_json=as_json), as_json=as_json)


@failed_app.command()
def drop(  # noqa: PLR0913 - a filter has many conditions
    ids: Ids = None,
    state: States = None,
    pool: Pool = None,
    finished_before: Before = None,
    url: UrlOption = DEFAULT_URL,
    *,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete dead letters for good. By a filter it asks before. Speaks HTTP."""
    conditions = _conditions(ids, state, pool, finished_before, everything=everything)
    if conditions and not yes:
        if not sys.stdin.isatty():
            raise failure("Nobody can be asked here: --yes deletes what matches the filter", _USAGE)
        typer.confirm(f"Delete all dead letters with {_in_words(conditions)} for good?", abort=True, err=True)
    run(url, lambda client: _repair(client, "delete", ids, conditions, as_json=as_json), as_json=as_json)


def _conditions(
    ids: list[str] | None,
    state: list[DeadState] | None,
    pool: str | None,
    finished_before: str | None,
    *,
    everything: bool,
) -> dict[str, Any]:
    """Return the filter, empty where ids are given."""
    states = list(DeadState) if everything else state or []
    given = {"state": [one.value for one in states] or None, "pool": pool, "finished_before": finished_before}
    conditions = {name: value for name, value in given.items() if value is not None}
    if bool(ids) == bool(conditions):
        raise failure("Give either ids, or a filter: --state, --pool, --finished-before, --all", _USAGE)
    return conditions


def _in_words(conditions: Mapping[str, Any]) -> str:
    parts = {name: " or ".join(value) if isinstance(value, list) else value for name, value in conditions.items()}
    return ", ".join(f"{name} {value}" for name, value in parts.items())


async def _repair(
    client: Client, verb: str, ids: list[str] | None, conditions: dict[str, Any], *, as_json: bool
) -> int:
    done = refused = 0
    left = list(ids or ())
    while True:
        step, left = left[:_STEP], left[_STEP:]
        body: dict[str, Any] = {"ids": step} if step else {"filter": conditions, "limit": _STEP}
        answer = (await client.call("POST", f"/v1/messages/{verb}", body=body)).body
        done += answer["done"]
        for result in answer["results"]:
            if as_json:
                typer.echo(to_json(result))
            elif result["status"] >= _FIRST_ERROR:
                typer.echo(f"{result['id']}: {result['error']['detail']}", err=True)
            refused += result["status"] >= _FIRST_ERROR
        # A filter finds again what was refused: where nothing moves any more, it is done.
        if not left and (step or not answer["done"]):
            break
    if not as_json:
        typer.echo(f"{done:,} {'requeued' if verb == 'requeue' else 'deleted'}")
    return EXIT_FAILED if refused else 0
