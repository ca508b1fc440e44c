"""`reliable-email queue | pools | providers`: how the service stands, and what an operator does to it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from reliable_email.cli import pausing, trial, words
from reliable_email.cli.client import DEFAULT_URL, Client, JsonOption, UrlOption, run, to_json
from reliable_email.cli.mail import CommandThatMayWait

_STATES: Final = ("scheduled", "queued", "sending", "retrying")

queue_app = typer.Typer(invoke_without_command=True)
pools_app = typer.Typer(invoke_without_command=True)
providers_app = typer.Typer(invoke_without_command=True)

queue_app.command("pause")(pausing.pause_everything)
queue_app.command("resume")(pausing.resume_everything)
pools_app.command("pause")(pausing.pause_pool)
pools_app.command("resume")(pausing.resume_pool)
providers_app.command("pause")(pausing.pause_provider)
providers_app.command("resume")(pausing.resume_provider)
providers_app.command("test", cls=CommandThatMayWait)(trial.try_provider)


@queue_app.callback()
def queue(context: typer.Context, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show how much waits where, or move it, or pause everything. Speaks HTTP."""
    if context.invoked_subcommand is not None:
        return

    async def work(client: Client) -> int:
        answer = (await client.call("GET", "/v1/queue")).body
        typer.echo(to_json(answer) if as_json else "\n".join(_queue_lines(answer)))
        return 0

    run(url, work, as_json=as_json)


def _queue_lines(answer: dict[str, Any]) -> list[str]:
    rows = [
        (
            pool["name"],
            row["priority"],
            *(f"{row[state]:,}" for state in _STATES),
            f"{row['oldest_queued_age_seconds']:.1f} s",
        )
        for pool in answer["pools"]
        for row in pool["priorities"]
        if any(row[state] for state in _STATES)
    ]
    totals, rates = answer["totals"], answer["rates"]
    lines = words.table(("pool", "priority", *_STATES, "oldest"), rows) if rows else ["Nothing waits."]
    lines += _pauses(answer)
    running = ", ".join(f"{count} {role}{'s' if count > 1 else ''}" for role, count in answer["processes"].items())
    ended = f"failed {totals['failed']:,}, partly sent {totals['partly_sent']:,}"
    speed = f"{rates['accepted_per_second']:g} accepted and {rates['sent_per_second']:g} sent a second"
    return [*lines, "", f"{ended}; {speed}", f"running: {running or 'nothing'}"]


def _pauses(answer: dict[str, Any]) -> list[str]:
    """Return a line for everything that is paused, but providers."""
    held = [
        ("everything", answer.get("paused")),
        *((f"pool {pool['name']}", pool.get("paused")) for pool in answer["pools"]),
    ]
    lines = [f"{what} is {words.pause(pause)}" for what, pause in held if pause]
    return ["", *lines] if lines else []


@queue_app.command()
def move(
    source: Annotated[str, typer.Argument(metavar="FROM", help="The pool whose messages wait.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The pool whose providers shall send them.")],
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Move all that waits in one pool to another. Speaks HTTP."""

    async def work(client: Client) -> int:
        moved, cursor = 0, None
        while True:
            body = {"from": source, "to": target, **({"cursor": cursor} if cursor else {})}
            answer = (await client.call("POST", "/v1/queue/move", body=body)).body
            moved += answer["moved"]
            cursor = answer["next_cursor"]
            if cursor is None:
                break
        typer.echo(to_json({"moved": moved}) if as_json else f"{moved:,} moved from {source} to {target}")
        return 0

    run(url, work, as_json=as_json)


@pools_app.callback()
def pools(context: typer.Context, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show the pools, their providers and what waits for them, or pause one. Speaks HTTP."""
    if context.invoked_subcommand is not None:
        return

    async def work(client: Client) -> int:
        found = (await client.call("GET", "/v1/queue")).body["pools"]
        if as_json:
            for pool in found:
                typer.echo(to_json(pool))
        else:
            rows = [
                (
                    pool["name"],
                    "yes" if pool["available"] else "paused" if pool.get("paused") else "no",
                    f"{sum(row[state] for row in pool['priorities'] for state in _STATES):,}",
                    ", ".join(pool["providers"]) or "none",
                )
                for pool in found
            ]
            typer.echo("\n".join(words.table(("pool", "can send", "waiting", "providers"), rows)))
        return 0

    run(url, work, as_json=as_json)


@providers_app.callback()
def providers(context: typer.Context, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show the providers as the senders see them, or pause or test one. Speaks HTTP."""
    if context.invoked_subcommand is None:
        _list_providers(url, as_json=as_json)


@providers_app.command("list")
def list_(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show the providers as the senders see them. Speaks HTTP."""
    _list_providers(url, as_json=as_json)


def _list_providers(url: str, *, as_json: bool) -> None:
    async def work(client: Client) -> int:
        found = (await client.call("GET", "/v1/providers")).body["data"]
        if as_json:
            for provider in found:
                typer.echo(to_json(provider))
        else:
            heads = (
                "provider",
                "kind",
                "state",
                "until",
                "health",
                "rate now",
                "quota",
                "in flight",
                "pools",
                "remark",
            )
            typer.echo("\n".join(words.table(heads, [_provider_row(provider) for provider in found])))
        return 0

    run(url, work, as_json=as_json)


def _provider_row(provider: dict[str, Any]) -> tuple[object, ...]:
    error = provider["last_error"]
    return (
        provider["name"],
        provider["kind"],
        provider["state"],
        provider["available_at"] or "",
        f"{provider['health']:.2f}",
        _rate(provider["limits"]),
        ", ".join(map(_quota, provider["limits"]["quotas"])),
        provider["usage"]["in_flight"],
        ", ".join(provider["pools"]),
        _trouble(provider.get("paused"), error),
    )


def _rate(limits: dict[str, Any]) -> str:
    """Return messages a second: what is left of what is configured, where it is less."""
    configured, now = limits["rate_per_second"], limits["rate_now_per_second"]
    if configured is None:
        return "no limit"
    return f"{configured:g}/s" if now in {None, configured} else f"{now:g} of {configured:g}/s"


def _quota(quota: dict[str, Any]) -> str:
    frees = f", frees {quota['frees_at']}" if quota["frees_at"] else ""
    return f"{quota['used']:,} of {quota['messages']:,} a {quota['per']}{frees}"


def _trouble(paused: dict[str, Any] | None, error: dict[str, Any] | None) -> str:
    """Return why a provider is paused, else what went wrong last."""
    if paused is not None and paused["reason"]:
        return f"paused: {paused['reason']}"[:80]
    return f"{error['outcome']}: {error['detail']}"[:80] if error else ""
