"""`reliable-email send | status | cancel | reschedule`: what the owner of a mail does."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from reliable_email.cli import flow, words
from reliable_email.cli.client import (
    DEFAULT_URL,
    EXIT_FAILED,
    EXIT_TRY_AGAIN,
    Client,
    Declined,
    JsonOption,
    Reply,
    UrlOption,
    run,
    to_json,
)
from reliable_email.cli.faults import failure

#: A send is repeated so often while it is not known to have been taken; its key makes that harmless.
_TRIES: Final = 4
_LONGEST_PAUSE_SECONDS: Final = 5.0

_FIRST_LOOK_SECONDS: Final = 0.1
_LONGEST_LOOK_SECONDS: Final = 2.0
_FOREVER: Final = float("inf")

_USAGE: Final = 2
_NOTED: Final = 202

Addresses = Annotated[list[str] | None, typer.Option(metavar="ADDRESS", help="May be given several times.")]
Priority = Annotated[str | None, typer.Option(metavar="NAME", help="critical, high, normal or bulk.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="The messages.")]


def send(  # noqa: PLR0913, PLR0917 - a mail has many parts
    to: Annotated[list[str], typer.Option(metavar="ADDRESS", help="Whom it is for; may be given several times.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="Who sends it; else the service's default.")
    ] = None,
    cc: Addresses = None,
    bcc: Addresses = None,
    reply_to: Addresses = None,
    subject: Annotated[str, typer.Option(metavar="TEXT")] = "",
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="The body as plain text.")] = None,
    html: Annotated[str | None, typer.Option(metavar="HTML", help="The body as HTML.")] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The body: HTML where it is called .html, else plain text.")
    ] = None,
    attach: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="May be given several times.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="May be given several times.")] = None,
    priority: Priority = None,
    pool: Annotated[str | None, typer.Option(metavar="NAME", help="The providers that may send it.")] = None,
    send_at: Annotated[str | None, typer.Option(metavar="TIME", help="Like 2026-12-01T09:00:00+01:00.")] = None,
    delay: Annotated[int | None, typer.Option(metavar="SECONDS", min=0, help="Send it so much later.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key sends once, however often; else one is made.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Send a mail. Without a body, standard input is read. Speaks HTTP.

    Exits with 0 once the mail is on the service's disk.
    """
    key = idempotency_key or f"cli-{secrets.token_hex(12)}"
    message = {
        "from": from_,
        "to": to,
        "cc": cc or None,
        "bcc": bcc or None,
        "reply_to": reply_to or None,
        "subject": subject,
        **_body(text, html, file, has_attachments=bool(attach)),
        "attachments": [_attachment(path) for path in attach or ()] or None,
        "tags": tag or None,
        "priority": priority,
        "pool": pool,
        "send_at": send_at,
        "delay_seconds": delay,
        "idempotency_key": key,
    }
    body = {name: value for name, value in message.items() if value is not None}

    async def work(client: Client) -> int:
        try:
            reply = await _submit(client, body)
        except Declined as error:
            if error.code == EXIT_TRY_AGAIN and not as_json:
                typer.echo(f"To try again without sending twice, add: --idempotency-key {key}", err=True)
            raise
        accepted: dict[str, Any] = reply.body
        replayed = " (accepted before)" if reply.headers.get("Idempotent-Replayed") else ""
        typer.echo(to_json(accepted) if as_json else f"{accepted['id']}  {accepted['state']}{replayed}")
        return 0

    run(url, work, as_json=as_json)


async def _submit(client: Client, body: dict[str, Any]) -> Reply:
    pause = 0.25
    for _ in range(_TRIES - 1):
        try:
            return await client.call("POST", "/v1/messages", body=body)
        except Declined as error:
            if error.code != EXIT_TRY_AGAIN or error.problem.get("code") == "unreachable":
                raise
            await asyncio.sleep(min(error.retry_after_seconds or pause, _LONGEST_PAUSE_SECONDS))
            pause *= 2
    return await client.call("POST", "/v1/messages", body=body)


def _body(text: str | None, html: str | None, file: Path | None, *, has_attachments: bool) -> dict[str, str]:
    parts = {"text": text, "html": html}
    if file is not None:
        kind = "html" if file.suffix.lower() in {".html", ".htm"} else "text"
        if parts[kind] is not None:
            raise failure(f"--file {file} and --{kind} are both the body as {kind}; give one of them", _USAGE)
        parts[kind] = _read(file).decode(errors="replace")
    given = {kind: part for kind, part in parts.items() if part is not None}
    if given or (has_attachments and sys.stdin.isatty()):
        return given
    if sys.stdin.isatty():
        typer.echo("The body, until Ctrl-D:", err=True)
    return {"text": sys.stdin.buffer.read().decode(errors="replace")}


def _attachment(path: Path) -> dict[str, str]:
    kind, encoding = mimetypes.guess_type(path.name)
    return {
        "filename": path.name,
        "content_type": kind if kind and not encoding else "application/octet-stream",
        "content": base64.b64encode(_read(path)).decode(),
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise failure(f"{path} cannot be read: {error.strerror}", _USAGE) from error


class CommandThatMayWait(TyperCommand):
    """A command whose `--wait` may stand alone; Typer knows options with a value and flags, nothing between."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own context
        """Parse the arguments, a bare `--wait` as one without an end."""
        return super().parse_args(ctx, [f"--wait={_FOREVER}" if arg == "--wait" else arg for arg in args])


def status(
    message_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The message; without one: does mail flow?")
    ] = None,
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="[=SECONDS]", min=0, help="Wait until it has ended.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say where a message stands, or whether mail flows at all. Speaks HTTP.

    With --wait: 0 sent, 1 ended in another state, 75 time over. Without an id: 1 where mail does not flow.
    """
    if message_id is None:
        if wait is not None:
            raise failure("--wait needs the id of a message", _USAGE)
        run(url, lambda client: flow.show(client, as_json=as_json), as_json=as_json)
        return

    async def work(client: Client) -> int:
        message = await look(client, message_id, wait or 0.0)
        show(message, as_json=as_json)
        if wait is None or message["state"] == "sent":
            return 0
        return EXIT_FAILED if message["final"] else EXIT_TRY_AGAIN

    run(url, work, as_json=as_json)


async def look(client: Client, message_id: str, seconds: float) -> dict[str, Any]:
    """Return the record once it is final, or as it is after so many seconds."""
    until = time.monotonic() + seconds
    pause = _FIRST_LOOK_SECONDS
    while True:
        message: dict[str, Any] = (await client.call("GET", f"/v1/messages/{message_id}")).body
        left = until - time.monotonic()
        if message["final"] or left <= 0:
            return message
        await asyncio.sleep(min(pause, left))
        pause = min(1.5 * pause, _LONGEST_LOOK_SECONDS)


def cancel(ids: Ids, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Send nothing more of these messages. Speaks HTTP."""

    async def work(client: Client) -> int:
        for message_id in ids:
            reply = await client.call("POST", f"/v1/messages/{message_id}/cancel")
            if as_json:
                typer.echo(to_json(reply.body))
            elif reply.status == _NOTED:
                typer.echo(f"{message_id}  noted: an attempt is under way, no other will follow")
            else:
                typer.echo(f"{message_id}  {reply.body['state']}")
        return 0

    run(url, work, as_json=as_json)


def reschedule(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="The message.")],
    send_at: Annotated[str | None, typer.Option(metavar="TIME", help="When to send it, or `now`.")] = None,
    priority: Priority = None,
    pool: Annotated[str | None, typer.Option(metavar="NAME", help="The providers that may send it.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Give a message that waits another time, priority or pool. Speaks HTTP."""
    changes: dict[str, str | None] = {}
    if send_at is not None:
        changes["send_at"] = None if send_at == "now" else send_at
    if priority is not None:
        changes["priority"] = priority
    if pool is not None:
        changes["pool"] = pool
    if not changes:
        raise failure("Nothing to change: give --send-at, --priority or --pool", _USAGE)

    async def work(client: Client) -> int:
        headers = {"Content-Type": "application/merge-patch+json"}
        reply = await client.call("PATCH", f"/v1/messages/{message_id}", body=changes, headers=headers)
        show(reply.body, as_json=as_json)
        return 0

    run(url, work, as_json=as_json)


def show(message: dict[str, Any], *, as_json: bool) -> None:
    """Print a record."""
    typer.echo(to_json(message) if as_json else "\n".join(words.record(message)))
