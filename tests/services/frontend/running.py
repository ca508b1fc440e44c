"""A frontend that runs inside the test, spoken to over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest

from services.frontend import app
from shared.domain.secret import Secret
from shared.domain.states import State
from shared.queue import Queue
from shared.runtime import joining
from shared.runtime.metrics import FRONTEND
from shared.runtime.process import Lifetime
from shared.runtime.run_file import RUN_FILE_VARIABLE
from shared.settings.model import (
    DurabilitySettings,
    FrontendSettings,
    KeySettings,
    LimitsSettings,
    OpsSettings,
    RedisSettings,
    Settings,
)
from tests.queue.scenario import Scenario

JSON: Final = {"Content-Type": "application/json"}
_PATIENCE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, its body parsed where it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        return str(self.body["code"])

    @property
    def faults(self) -> list[tuple[str, str]]:
        """Place and code of every fault."""
        return [
            (fault.get("pointer") or fault.get("parameter") or fault.get("header"), fault["code"])
            for fault in self.body["errors"]
        ]


@dataclass(slots=True)
class Running:
    """One frontend, a client of it, and the queue behind it."""

    port: int
    ops_port: int
    lifetime: Lifetime
    task: asyncio.Task[None]
    client: aiohttp.ClientSession
    queue: Queue
    settings: Settings
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def scenario(self) -> Scenario:
        """The verbs of the other processes, by the real clock."""
        return Scenario(self.queue, now=int(time.time() * 1000))

    def hang_up(self, settings: Settings) -> None:
        """Give it another configuration, as SIGHUP does."""
        self.settings = settings
        self.lifetime.hangup.ring()

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """Send one request."""
        headers = {**self.headers, **options.pop("headers", {})}
        async with self.client.request(method, path, headers=headers, **options) as response:
            content = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "")
            return Answer(response.status, response.headers, orjson.loads(content) if is_json and content else content)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        """Send a body as JSON; none where it is None."""
        return await self._send("POST", path, body, options)

    async def patch(self, path: str, body: Any, **options: Any) -> Answer:
        return await self._send("PATCH", path, body, options)

    async def submit(self, http_headers: Mapping[str, str] = {}, **fields: Any) -> Answer:
        """Submit a good message with some fields replaced."""
        return await self.post("/v1/messages", message(**fields), headers=http_headers)

    async def accepted(self, **fields: Any) -> str:
        """Submit a message that must be accepted, and return its id."""
        answer = await self.submit(**fields)
        assert answer.status == 202, answer
        return str(answer.body["id"])

    async def letters(self, *states: str, **fields: Any) -> list[str]:
        """Make messages that end one after the other, each in a millisecond of its own."""
        made = []
        for state in states:
            made.append(await self.scenario.message_in(State(state), **fields))
            await self._millisecond_over()
        return made

    async def metric(self, name: str) -> float:
        """Return one sample of the metrics, by its name with labels."""
        async with self.client.get(f"http://127.0.0.1:{self.ops_port}/metrics") as response:
            lines = (await response.text()).splitlines()
        (value,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"reliable_email_{name} ")]
        return float(value)

    async def raw(self, *parts: bytes) -> bytes:
        """Write bytes on a connection of its own and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
        finally:
            writer.close()

    async def _millisecond_over(self) -> None:
        """Return once the server's clock shows another millisecond."""
        views = self.queue.views
        begun = (await views.depths()).as_of

        async def is_over() -> bool:
            return (await views.depths()).as_of > begun

        await eventually(is_over)

    async def _send(self, method: str, path: str, body: Any, options: dict[str, Any]) -> Answer:
        headers = {**(JSON if body is not None else {}), **options.pop("headers", {})}
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        data = None if body is None else io.BytesIO(content)
        return await self.call(method, path, data=data, headers=headers, **options)


#: Starts a frontend; what is given replaces parts of the settings.
Start = Callable[..., Awaitable[Running]]


def message(**fields: Any) -> dict[str, Any]:
    """Return a good message with some fields replaced, or left out where they are `...`."""
    whole = {"from": "shop@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works.", **fields}
    return {name: value for name, value in whole.items() if value is not ...}


def settings_for(url: str, prefix: str, **changes: Any) -> Settings:
    """Return settings with free ports; `keys` are secrets, the rest are sections or keys of `frontend`."""
    keys = tuple(KeySettings(f"key-{n}", Secret(key)) for n, key in enumerate(changes.pop("keys", ())))
    sections: dict[str, Any] = {
        "limits": LimitsSettings(),
        "durability": DurabilitySettings(),
        "ops": OpsSettings(port=0),
    }
    sections |= {name: changes.pop(name) for name in (*sections, "providers", "routes") if name in changes}
    return Settings(
        frontend=FrontendSettings(**{"port": 0, "keys": keys, **changes}),
        redis=RedisSettings(url=url, prefix=prefix),
        **sections,
    )


@contextlib.asynccontextmanager
async def run_frontend(
    settings: Settings, directory: Path, monkeypatch: pytest.MonkeyPatch, *, ready: bool = True
) -> AsyncIterator[Running]:
    """Run a frontend; `ready` waits until it is."""
    run_file = directory / f"{settings.redis.prefix}.json"
    run_file.unlink(missing_ok=True)
    monkeypatch.setenv(RUN_FILE_VARIABLE, str(run_file))
    lifetime = Lifetime(FRONTEND, settings.frontend.grace_seconds)
    found: list[Running] = []
    task = asyncio.create_task(app.run(settings, lifetime, lambda: found[0].settings))
    try:
        await eventually(run_file.exists, task)
        ports = orjson.loads(run_file.read_bytes())["ports"]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{ports['api']}") as client:
            queue = joining.connect(settings, "test")
            running = Running(ports["api"], ports["ops"], lifetime, task, client, queue, settings)
            found.append(running)
            if ready:
                await eventually(lambda: _is_ready(running), task)
            yield running
            await queue.close()
    finally:
        lifetime.stop()
        await asyncio.wait((task,))
        lifetime.close()
        if not task.cancelled():
            task.exception()  # whoever waited for the frontend has had it


async def eventually(holds: Callable[[], Any], task: asyncio.Task[None] | None = None) -> None:
    """Return once something holds, which must come in time. A task that fails meanwhile raises."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            held = holds()
            if await held if asyncio.iscoroutine(held) else held:
                return
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.005)


async def _is_ready(running: Running) -> bool:
    with contextlib.suppress(aiohttp.ClientConnectionError):
        return (await running.get("/readyz")).status == 200
    return False
