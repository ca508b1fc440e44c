"""The same internet in a process of its own: a small endpoint on loopback scripts lives and shows ledgers.

GET  /                            every desk: kind, url, credentials
POST /{desk}/life/{method}        call a method of the life; the body is an object of its arguments
GET  /{desk}/ledger?since=0       counts, and what was taken from number `since` on
GET  /{desk}/reached/{n}          answers once the desk has taken n messages
GET  /complaints
"""

from __future__ import annotations

import json
import os
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from tests.fakes.internet.internet import Internet

#: What other processes may call.
METHODS: Final = frozenset(
    {"fail", "page", "hang", "lose_answers", "cut_answers", "break_early", "drip", "review", "refuse", "deafen", "drop"}
    | {"hold", "let_go", "script", "heal", "throttle", "quota", "latency", "lookups", "close_after"}
)


class Control:
    """The endpoint."""

    def __init__(self, internet: Internet) -> None:
        self._internet = internet

    def application(self) -> web.Application:
        """Return what serves the endpoint."""
        application = web.Application()
        application.router.add_get("/", self.show)
        application.router.add_get("/complaints", self.complaints)
        application.router.add_post("/{desk}/life/{method}", self.live)
        application.router.add_get("/{desk}/ledger", self.ledger)
        application.router.add_get("/{desk}/reached/{count}", self.reached)
        return application

    async def show(self, _: web.Request) -> web.Response:
        """Return every desk."""
        desks = {name: self._internet.desk(name) for name in self._internet.names}
        return web.json_response(
            {
                name: {"kind": desk.kind, "url": desk.url, "credentials": desk.credentials}
                for name, desk in desks.items()
            }
        )

    async def complaints(self, _: web.Request) -> web.Response:
        """Return every complaint."""
        return web.json_response([[c.desk, c.what, c.path] for c in self._internet.complaints])

    async def live(self, request: web.Request) -> web.Response:
        """Call a method of a life."""
        method = request.match_info["method"]
        if method not in METHODS:
            raise web.HTTPNotFound(text=f"no method {method!r}")
        arguments = json.loads(await request.read() or b"{}")
        getattr(self._internet.desk(request.match_info["desk"]).life, method)(**arguments)
        return web.json_response({})

    async def ledger(self, request: web.Request) -> web.Response:
        """Return a ledger from a number on."""
        ledger = self._internet.desk(request.match_info["desk"]).ledger
        since = int(request.query.get("since", "0"))
        return web.json_response(
            {
                "count": len(ledger.taken),
                "arrivals": len(ledger.arrivals),
                "lookups": ledger.lookups,
                "answers": {str(status): count for status, count in ledger.answers.items()},
                "duplicates": ledger.duplicates,
                "busiest_second": ledger.busiest(),
                "taken": [taken.as_json() for taken in ledger.taken[since:]],
            }
        )

    async def reached(self, request: web.Request) -> web.Response:
        """Wait until a desk has taken so many messages."""
        await self._internet.desk(request.match_info["desk"]).ledger.reached(int(request.match_info["count"]))
        return web.json_response({})


class RemoteDesk:
    """One desk of another process. Its `life` methods are those of `Life`, by name."""

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str, shown: dict[str, Any]) -> None:
        self.name = name
        self.kind: str = shown["kind"]
        self.url: str = shown["url"]
        self.credentials: dict[str, str] = shown["credentials"]
        self._session = session
        self._base = f"{url}/{name}"

    async def life(self, method: str, /, **arguments: Any) -> None:
        """Call a method of the desk's life."""
        async with self._session.post(f"{self._base}/life/{method}", json=arguments) as response:
            response.raise_for_status()

    async def ledger(self, since: int = 0) -> dict[str, Any]:
        """Return counts, and what was taken from a number on."""
        async with self._session.get(f"{self._base}/ledger", params={"since": since}) as response:
            response.raise_for_status()
            shown: dict[str, Any] = await response.json()
            return shown

    async def reached(self, count: int) -> None:
        """Wait until the desk has taken so many messages."""
        async with self._session.get(f"{self._base}/reached/{count}") as response:
            response.raise_for_status()


class Remote:
    """The internet in a process of its own, started and ended by a context manager."""

    def __init__(self, *names: str, is_light: bool = True) -> None:
        self._arguments = [*names, *(["--light"] if is_light else [])]
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""
        self._desks: dict[str, RemoteDesk] = {}

    def desk(self, name: str) -> RemoteDesk:
        """Return a provider by its name."""
        return self._desks[name]

    async def complaints(self) -> list[list[str]]:
        """Return every complaint: desk, what, path."""
        assert self._session is not None
        async with self._session.get(f"{self._url}/complaints") as response:
            shown: list[list[str]] = await response.json()
            return shown

    async def __aenter__(self) -> Self:
        self._process = await create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.internet", *self._arguments, stdout=PIPE, env=os.environ
        )
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        self._url = line.decode().split()[-1]
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        async with self._session.get(self._url) as response:
            shown = await response.json()
        self._desks = {name: RemoteDesk(self._session, self._url, name, desk) for name, desk in shown.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()
