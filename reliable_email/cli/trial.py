"""`reliable-email providers test`: a message through one provider and no other."""

from __future__ import annotations

from typing import Annotated

import typer

from reliable_email.cli.client import (
    DEFAULT_URL,
    EXIT_FAILED,
    EXIT_TRY_AGAIN,
    Client,
    JsonOption,
    UrlOption,
    run,
    to_json,
)
from reliable_email.cli.mail import look, show


def try_provider(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The provider.")],
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Who gets the message: you.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="Who sends it; else the service's default.")
    ] = None,
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="[=SECONDS]", min=0, help="Wait until it has ended.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Send a test message through one provider: past the routing, never past the limits. Speaks HTTP.

    With --wait: 0 sent, 1 ended in another state, 75 time over.
    """
    body = {"to": to, **({"from": from_} if from_ else {})}

    async def work(client: Client) -> int:
        accepted = (await client.call("POST", f"/v1/providers/{name}/test", body=body)).body
        if wait is None:
            typer.echo(to_json(accepted) if as_json else f"{accepted['id']}  {accepted['state']}")
            return 0
        message = await look(client, accepted["id"], wait)
        show(message, as_json=as_json)
        if message["state"] == "sent":
            return 0
        return EXIT_FAILED if message["final"] else EXIT_TRY_AGAIN

    run(url, work, as_json=as_json)
