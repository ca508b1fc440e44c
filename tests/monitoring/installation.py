"""The whole service on this machine: Valkey and its disk, processes of every role, the providers they send through."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tests.fakes.collector import Collector
from tests.fakes.internet import Internet
from tests.fakes.internet.life import Life
from tests.fakes.internet.settings import secrets_of, toml_of
from tests.redis_server import RedisServer, free_port
from tests.services.sender.cluster import merged, toml

ROOT: Final = Path(__file__).parents[2]

#: The processes by their names: what stands in front of the number is the role.
PROCESSES: Final = ("frontend-1", "scheduler-1", "scheduler-2", "sender-1", "sender-2")

#: Where the log of one process goes, which loses every line.
FULL_DISK: Final = Path("/dev/full")

#: Each desk of the fake internet, and what the configuration says of it.
PROVIDERS: Final[Mapping[str, dict[str, Any]]] = {
    "sendgrid": {"tier": 1, "weight": 2, "rate_per_second": 60},
    "postmark": {
        "tier": 1,
        "rate_per_second": 40,
        "quotas": [{"messages": 50_000, "per": "day"}, {"messages": 1_000_000, "per": "month", "window": "calendar"}],
    },
    "smtp:relay": {"name": "relay", "tier": 2, "rate_per_second": 100},
    "smtp:partner": {"name": "partner", "pools": ["partner"], "rate_per_second": 5},
}
FIRST_TIER: Final = ("sendgrid", "postmark")
SECOND_TIER: Final = ("smtp:relay",)

#: More than an ordinary day leaves waiting, and soon full for whoever wants it to be.
QUEUED: Final = 5_000

#: Short enough to be waited for.
_FAST: Final[dict[str, dict[str, Any]]] = {
    "sender": {"lease_seconds": 2, "grace_seconds": 5},
    "scheduler": {"grace_seconds": 5},
    "frontend": {"grace_seconds": 5},
    "retry": {"base_seconds": 0.5, "max_seconds": 2, "ambiguous_delay_seconds": 0.5},
    "limits": {"queued_messages": QUEUED},
}
#: How long a process may take to start, or to end after its grace period.
_PATIENCE_SECONDS: Final = 60


class Service:
    """One process, in a group of its own; killed and started again it keeps its address."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self.role = name.partition("-")[0]
        self.address = f"127.0.0.1:{(port := free_port())}"
        self.config = folder / f"{name}.toml"
        self._log = FULL_DISK if name == "scheduler-2" else folder / f"{name}.log"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RELIABLE_EMAIL_")}
        self._environ = {**clean, **environ, "PYTHONPATH": str(ROOT), "RELIABLE_EMAIL_OPS__PORT": str(port)}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it is ready somewhat later."""
        command = (sys.executable, "-m", "reliable_email", self.role, "--config", str(self.config))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.config.parent,
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def ready(self, client: aiohttp.ClientSession) -> None:
        """Wait until it says that it is ready."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await self._is_ready(client):
                assert self._running.returncode is None, f"{self.name} has ended: see {self._log}"
                await asyncio.sleep(0.05)

    async def _is_ready(self, client: aiohttp.ClientSession) -> bool:
        try:
            async with client.get(f"http://{self.address}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running.send_signal(number)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal that ends it, if it still runs, and return its exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self.send(number)
            self.thaw()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self._process.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process


class Installation:
    """All of it, as a context manager; what it leaves in `folder` are logs and data."""

    def __init__(self, folder: Path) -> None:
        self.redis = RedisServer(folder / "valkey")
        self.internet = Internet(*PROVIDERS, is_light=True)
        self.collector = Collector()
        self.api = f"http://127.0.0.1:{(port := free_port())}"
        self.services: dict[str, Service] = {}
        self._folder = folder
        self._sections = merged({"redis": {"url": self.redis.url, "shards": 2}, "frontend": {"port": port}}, _FAST)
        self._ends = AsyncExitStack()
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as ends:
            ends.enter_context(self.redis)
            await ends.enter_async_context(self.internet)
            await ends.enter_async_context(self.collector)
            self._client = await ends.enter_async_context(aiohttp.ClientSession())
            desks = [self.internet.desk(name) for name in PROVIDERS]
            secrets = {name: value for desk in desks for name, value in secrets_of(desk).items()}
            self.services = {name: Service(name, self._folder, secrets) for name in PROCESSES}
            ends.push_async_callback(self._end_services)
            for service in self.services.values():
                self.configure(service.name)
                await service.start()
            for service in self.services.values():
                await service.ready(self._client)
            self._ends = ends.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ends.aclose()

    async def _end_services(self) -> None:
        await asyncio.gather(*(service.end() for service in self.services.values()))

    @property
    def targets(self) -> dict[str, str]:
        """The address of each process's metrics."""
        return {name: service.address for name, service in self.services.items()}

    def configure(self, service: str, **changes: dict[str, Any]) -> None:
        """Write the configuration of a process; `changes` are further keys of providers, by their desks' names."""
        providers = []
        for name, keys in PROVIDERS.items():
            (reached,) = tomllib.loads(toml_of(self.internet.desk(name)))["providers"]
            providers.append({**reached, **keys, **changes.get(name, {})})
        tracing = {"endpoint": self.collector.url, "sample_percent": 20}
        self.services[service].config.write_text(toml({**self._sections, "tracing": tracing, "providers": providers}))

    async def restart(self, service: str) -> None:
        """Start a process that has ended, and see it ready."""
        assert self._client is not None
        await self.services[service].start()
        await self.services[service].ready(self._client)

    def life(self, provider: str) -> Life:
        """Return a provider's life."""
        return self.internet.desk(provider).life
