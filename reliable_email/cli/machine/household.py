"""The processes of one machine: started in their order, kept running, ended in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Final

from reliable_email.cli.machine import tail
from reliable_email.cli.machine.child import Child, Order, spawn
from reliable_email.cli.machine.lifelines import END_WHEN_ALONE, Lifelines
from reliable_email.cli.machine.plan import Plan, Service
from reliable_email.cli.machine.ports import free_run
from reliable_email.cli.machine.telling import Telling
from reliable_email.embedded import server_command
from shared.domain.errors import ReliableEmailError
from shared.runtime.process import EXIT_CONFIGURATION, EXIT_FAILED
from shared.runtime.run_file import write_run_file

_VALKEY: Final = "valkey"
#: Valkey only has to sync what it has acknowledged already.
_VALKEY_GRACE_SECONDS: Final = 20.0

#: Where the search for Valkey's port begins: below the ports that systems give to connections,
#: so that none takes it while Valkey is started again; two that start at once begin apart.
_FIRST_PORT: Final = 16_379
_SPREAD: Final = 10_000


class StartFailed(ReliableEmailError):
    """A process ended before everything ran. The text holds its last words."""

    def __init__(self, text: str, code: int) -> None:
        self.code = code
        super().__init__(text)


class Household:
    """The children of `up`. `failed` gets the StartFailed of the first that ends before `settle`."""

    def __init__(self, plan: Plan, telling: Telling, lock: int) -> None:
        self._plan = plan
        self._telling = telling
        self._lock = lock
        self._lifelines = Lifelines()
        self._services: list[Child] = []
        self._valkey: Child | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._log_starts: dict[str, int] = {}
        self._guard: asyncio.subprocess.Process | None = None
        self._port = 0
        self._has_settled = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        write_run_file(plan.data.run_file("up"), "up", {})

    def start_valkey(self) -> str:
        """Start the embedded server and return its URL. Raises ConfigurationError where there is none."""
        data = self._plan.data
        self._port = free_run("127.0.0.1", _FIRST_PORT + os.getpid() % _SPREAD, 1)
        command = server_command(self._port, data.valkey.absolute())
        self._valkey = self._keep(
            Order(_VALKEY, command, data.log(_VALKEY), _VALKEY_GRACE_SECONDS, inherits=(self._lock,))
        )
        return f"redis://127.0.0.1:{self._port}/0"

    def start_services(self, redis_url: str) -> None:
        """Start the services."""
        for service in self._plan.services:
            order = self._order(service, redis_url)
            self._services.append(self._keep(order))
            self._telling.listen_to(order.name, order.log)

    def settle(self) -> None:
        """From now on a process that ends is only started again."""
        self._has_settled = True

    def hurry(self) -> None:
        """Let the services settle what they hold and leave."""
        for child in self._services:
            child.hurry()

    def kill(self) -> None:
        """End the services by force; Valkey keeps what they had written down."""
        for child in self._services:
            child.kill()

    async def stop_services(self) -> None:
        """End the services in order; they still need the queue."""
        await asyncio.gather(*(child.stop() for child in self._services))

    async def stop_valkey(self) -> None:
        """End the embedded server, when nobody needs it any more."""
        await self._release_guard()
        if self._valkey is not None:
            await self._valkey.stop()

    async def close(self) -> None:
        """Let go of the data, once everything has ended."""
        await asyncio.gather(*self._keepers)
        for name in ("up", _VALKEY, *(child.name for child in self._services)):
            self._plan.data.run_file(name).unlink(missing_ok=True)
        self._lifelines.close()
        os.close(self._lock)

    def _keep(self, order: Order) -> Child:
        self._log_starts[order.name] = order.log.stat().st_size if order.log.exists() else 0
        child = Child(order, on_start=self._started, on_end=self._ended)
        self._keepers.append(asyncio.create_task(child.keep(), name=f"keep {order.name}"))
        return child

    def _order(self, service: Service, redis_url: str) -> Order:
        return Order(
            name=service.name,
            command=self._plan.command(service.role),
            log=self._plan.data.log(service.name),
            grace_seconds=service.grace_seconds,
            environ=self._plan.environ_of(service, redis_url),
            stdin=self._lifelines.tether,
            inherits=(self._lock, self._lifelines.presence_end),
        )

    async def _started(self, child: Child) -> None:
        if child is self._valkey and child.pid is not None:
            write_run_file(self._plan.data.run_file(_VALKEY), _VALKEY, {"redis": self._port}, child.pid)
            await self._set_guard(child.pid)
        if self._has_settled:
            self._telling.say_restarted(child.name)

    async def _set_guard(self, pid: int) -> None:
        """Let a shell wait for the end of `up` and of all services, to end Valkey then."""
        await self._release_guard()
        command = (*END_WHEN_ALONE, str(pid))
        self._guard = await spawn(Order("guard", command, self._plan.data.log("up"), 0, stdin=self._lifelines.presence))

    async def _release_guard(self) -> None:
        """End the shell: we are here, and end Valkey ourselves."""
        if self._guard is not None:
            with contextlib.suppress(ProcessLookupError):
                self._guard.send_signal(signal.SIGKILL)
            await self._guard.wait()
            self._guard = None

    def _ended(self, child: Child, how: str, code: int, pause: float) -> None:
        if self._has_settled:
            self._telling.say_ended(child.name, how, pause)
        elif not self.failed.done():
            said = tail.last_words(self._plan.data.log(child.name), self._log_starts[child.name])
            text = "\n".join([f"{child.name} {how}:", *(f"  {line}" for line in said)])
            self.failed.set_exception(
                StartFailed(text, EXIT_CONFIGURATION if code == EXIT_CONFIGURATION else EXIT_FAILED)
            )
