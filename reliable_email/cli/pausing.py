"""`pause` and `resume`: hold up everything, a pool or a provider, and let go of it again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from reliable_email.cli import words
from reliable_email.cli.client import DEFAULT_URL, Client, JsonOption, UrlOption, run, to_json
from reliable_email.cli.faults import failure

_USAGE: Final = 2
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever sees it.")]
Until = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When it ends by itself, like 2026-12-01T09:00:00+01:00; else by `resume`."),
]
For = Annotated[
    str | None, typer.Option("--for", metavar="SPAN", help="The same as a span from now: 90s, 15m, 2h or 1d.")
]
PoolName = Annotated[str, typer.Argument(metavar="NAME", help="The pool.")]
ProviderName = Annotated[str, typer.Argument(metavar="NAME", help="The provider.")]

_EVERYTHING: Final = "/v1/queue"


def pause_everything(
    reason: Reason = None,
    until: Until = None,
    span: For = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Let no attempt begin at all; messages are taken and wait. Speaks HTTP."""
    _pause(url, _EVERYTHING, _Wish(reason, until, span), as_json=as_json)


def resume_everything(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Let attempts begin again, but where a pool or a provider is paused. Speaks HTTP."""
    _resume(url, _EVERYTHING, as_json=as_json)


def pause_pool(
    name: PoolName,
    reason: Reason = None,
    until: Until = None,
    span: For = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Let nothing of a pool begin; its messages wait. Speaks HTTP."""
    _pause(url, f"/v1/pools/{name}", _Wish(reason, until, span), as_json=as_json)


def resume_pool(name: PoolName, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Let messages of a pool begin again. Speaks HTTP."""
    _resume(url, f"/v1/pools/{name}", as_json=as_json)


def pause_provider(
    name: ProviderName,
    reason: Reason = None,
    until: Until = None,
    span: For = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Let nothing begin at a provider; the others of its pools take over. Speaks HTTP."""
    _pause(url, f"/v1/providers/{name}", _Wish(reason, until, span), as_json=as_json)


def resume_provider(name: ProviderName, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Let attempts at a provider begin again, slowly at first. Speaks HTTP."""
    _resume(url, f"/v1/providers/{name}", as_json=as_json)


class _Wish:
    """A pause as the options describe it."""

    def __init__(self, reason: str | None, until: str | None, span: str | None) -> None:
        if until is not None and span is not None:
            raise failure("--until and --for are both the end; give one of them", _USAGE)
        self._reason = reason
        self._until = until
        self._span = None if span is None else _seconds(span)

    async def body(self, client: Client) -> dict[str, Any]:
        """Return what is sent; a span counts by the service's clock, which may not be ours."""
        until = self._until
        if self._span is not None:
            now = datetime.fromisoformat((await client.call("GET", "/v1")).body["time"])
            until = (now + self._span).astimezone(UTC).isoformat()
        body = {"reason": self._reason, "until": until}
        return {name: value for name, value in body.items() if value is not None}


def _seconds(span: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", span)
    if match is None:
        raise failure(f"--for takes a span like 90s, 15m, 2h or 1d, not {span!r}", _USAGE)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _pause(url: str, path: str, wish: _Wish, *, as_json: bool) -> None:
    async def work(client: Client) -> int:
        answer = (await client.call("POST", f"{path}/pause", body=await wish.body(client))).body
        _tell(answer, as_json=as_json)
        return 0

    run(url, work, as_json=as_json)


def _resume(url: str, path: str, *, as_json: bool) -> None:
    async def work(client: Client) -> int:
        _tell((await client.call("POST", f"{path}/resume")).body, as_json=as_json)
        return 0

    run(url, work, as_json=as_json)


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(answer))
        return
    name = words.clean(answer.get("name", "everything"))
    typer.echo(f"{name}  {words.pause(answer['paused']) if answer['paused'] else 'not paused'}")
