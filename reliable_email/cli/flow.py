"""Is mail flowing? The answer of `reliable-email status`, judged from what the service shows of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import typer

from reliable_email.cli import words
from reliable_email.cli.client import EXIT_FAILED, Client, to_json

#: A message that has been ready for so long, while nothing is sent, stands still.
_STANDING_SECONDS: Final = 60.0

_WAITING: Final = ("queued", "sending", "retrying")

Json = Mapping[str, Any]


async def show(client: Client, *, as_json: bool) -> int:
    """Say whether mail flows and why not; return the exit code."""
    queue: Json = (await client.call("GET", "/v1/queue")).body
    obstacles = list(obstacles_in(queue))
    totals, rates = queue["totals"], queue["rates"]
    if as_json:
        typer.echo(to_json({"flowing": not obstacles, "obstacles": obstacles, **queue}))
    else:
        waiting = sum(totals[state] for state in _WAITING)
        failed = totals["failed"] + totals["partly_sent"]
        typer.echo("Mail does not flow." if obstacles else "Mail flows.")
        for obstacle in obstacles:
            typer.echo(f"  {obstacle}")
        typer.echo(
            f"  {waiting:,} waiting, {totals['scheduled']:,} scheduled, {failed:,} failed; "
            f"{rates['accepted_per_second']:g} accepted and {rates['sent_per_second']:g} sent a second"
        )
    return EXIT_FAILED if obstacles else 0


def obstacles_in(queue: Json) -> Iterator[str]:
    """Yield what keeps mail from flowing, in words."""
    for role in ("scheduler", "sender"):
        if not queue["processes"].get(role):
            yield f"no {role} runs"
    if queue.get("paused"):
        yield f"everything is {words.pause(queue['paused'])}"
        return
    for pool in queue["pools"]:
        obstacle = _obstacle(pool, is_sending=bool(queue["rates"]["sent_per_second"]))
        if obstacle is not None:
            yield obstacle


def _obstacle(pool: Json, *, is_sending: bool) -> str | None:
    """Return what keeps the messages of a pool from flowing; None where none wait."""
    waits = [row for row in pool["priorities"] if row["queued"] or row["retrying"] or row["sending"]]
    if not waits:
        return None
    name = pool["name"]
    if pool.get("paused"):
        return f"pool {name} is {words.pause(pool['paused'])}"
    if not pool["providers"]:
        return f"no sender has a provider of pool {name}"
    if not pool["available"]:
        return f"no provider of pool {name} can send now: {', '.join(pool['providers'])}"
    oldest = max(row["oldest_queued_age_seconds"] for row in waits)
    if oldest > _STANDING_SECONDS and not is_sending:
        return f"pool {name} stands still: its oldest message has been ready for {oldest:.0f} s"
    return None
