"""The command as a client of the frontend: one request, and what went wrong in words and as an exit code."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer

from shared.domain.errors import ReliableEmailError

KEY_VARIABLE: Final = "RELIABLE_EMAIL_API_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8525"

EXIT_FAILED: Final = 1
EXIT_AUTHENTICATION: Final = 4
#: sysexits' EX_TEMPFAIL: the same command may succeed later.
EXIT_TRY_AGAIN: Final = 75

UrlOption = Annotated[
    str, typer.Option("--url", envvar="RELIABLE_EMAIL_URL", metavar="URL", help="The frontend to speak to.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]

#: The service answers within 3 s; more is the network's.
_ANSWER_SECONDS: Final = 60.0
_AUTHENTICATION: Final = frozenset({401, 403})
_NOT_NOW: Final = frozenset({429, 502, 503, 504})
_FIRST_ERROR: Final = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Declined(ReliableEmailError):
    """The service did not do what was asked, or could not be reached; `problem` is what it said, as JSON."""

    def __init__(self, problem: dict[str, Any], code: int, retry_after_seconds: float | None = None) -> None:
        self.problem = problem
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        super().__init__(str(problem.get("detail")))

    def words(self) -> str:
        """Return the problem for people: what it is, then every fault with its place."""
        title, detail = self.problem.get("title"), self.problem.get("detail")
        lines = [f"{title}: {detail}" if title and detail else str(title or detail)]
        for error in self.problem.get("errors") or ():
            where = error.get("pointer") or error.get("parameter") or error.get("header")
            lines.append(f"  {where}: {error.get('detail')}")
        return "\n".join(lines)


class Client:
    """Speaks to one frontend."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        parameters: list[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Make one request and return its answer. Raises Declined."""
        import aiohttp  # noqa: PLC0415 - not for `--help`

        sent = dict(headers or {})
        if key := os.environ.get(KEY_VARIABLE):
            sent["Authorization"] = f"Bearer {key}"
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as session,
                session.request(
                    method, f"{self.url}{path}", data=data, params=parameters or [], headers=sent
                ) as answer,
            ):
                return _judged(self.url, answer.status, await answer.read(), answer.headers)
        except aiohttp.InvalidURL as error:
            raise Declined({"detail": f"{self.url!r} is no URL; it looks like {DEFAULT_URL}"}, EXIT_FAILED) from error
        except aiohttp.ClientConnectorError as error:
            detail = f"Nothing answers at {self.url}; `reliable-email up` starts a service, --url names another one"
            raise Declined({"code": "unreachable", "detail": detail}, EXIT_TRY_AGAIN) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            detail = f"The answer of {self.url} was lost: {str(error) or type(error).__name__}"
            raise Declined({"code": "answer_lost", "detail": detail}, EXIT_TRY_AGAIN) from error


def _judged(url: str, status: int, raw: bytes, headers: Mapping[str, str]) -> Reply:
    try:
        body = json.loads(raw) if raw else None
    except ValueError:
        body = None
    if status < _FIRST_ERROR:
        return Reply(status, body, dict(headers))
    if not isinstance(body, dict) or "code" not in body:
        body = {"status": status, "detail": f"{url} answered {status}, and not as this service does"}
    code = EXIT_FAILED
    if status in _AUTHENTICATION:
        code = EXIT_AUTHENTICATION
        body = {**body, "detail": f"{body.get('detail')}. This command takes its key from {KEY_VARIABLE}."}
    elif status in _NOT_NOW:
        code = EXIT_TRY_AGAIN
    wait = headers.get("Retry-After", "")
    raise Declined(body, code, float(wait) if wait.isdigit() else None)


def run(url: str, work: Callable[[Client], Awaitable[int]], *, as_json: bool) -> None:
    """Do some work with a client and end the command with its code; what was declined goes to stderr."""
    try:
        code = asyncio.run(_awaited(work(Client(url))))
    except Declined as error:
        typer.echo(to_json(error.problem) if as_json else error.words(), err=True)
        raise typer.Exit(error.code) from error
    if code:
        raise typer.Exit(code)


async def _awaited(work: Awaitable[int]) -> int:
    return await work


def to_json(value: object) -> str:
    """Return one line of JSON Lines."""
    return json.dumps(value, ensure_ascii=False)
