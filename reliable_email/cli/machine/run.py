"""`up`, joined: what is started, in which order, and how all of it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

import aiohttp

from reliable_email.cli.faults import print_faults
from reliable_email.cli.machine import queue_facts
from reliable_email.cli.machine.data import DataInUse, shown
from reliable_email.cli.machine.household import Household, StartFailed
from reliable_email.cli.machine.plan import Plan, PortTaken, Wishes, make_plan
from reliable_email.cli.machine.queue_facts import QueueFacts
from reliable_email.cli.machine.readiness import base_url, wait_until_ready
from reliable_email.cli.machine.screen import Facts, Screen, first_screen
from reliable_email.cli.machine.telling import Telling
from shared.domain.errors import ConfigurationError, QueueError
from shared.runtime import logs
from shared.runtime.process import EXIT_CONFIGURATION, EXIT_DONE, EXIT_FAILED

__all__ = ["Wishes", "run"]

#: After so long without a word a user wants to know what is going on.
_SILENCE_SECONDS: Final = 2.0


def run(wishes: Wishes) -> int:
    """Run everything until a signal comes, and return the exit code."""
    try:
        plan = make_plan(wishes, os.environ)
        lock = plan.data.occupy()
        plan.require_ports()
    except ConfigurationError as error:
        print_faults(error)
        return EXIT_CONFIGURATION
    except (DataInUse, PortTaken) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    except OSError as error:
        sys.stderr.write(f"{shown(wishes.data)} cannot be used: {error.strerror}\n")
        return EXIT_FAILED
    with plan.data.log("up").open("ab") as log:
        logs.configure("up", plan.settings.logging.level, "json", log.fileno())
        return asyncio.run(_live(plan, lock))


async def _live(plan: Plan, lock: int) -> int:
    screen = Screen(sys.stdout)
    machine = Machine(plan, screen, lock)
    _obey_signals(machine)
    try:
        with screen.starting():
            await machine.start()
        await machine.follow()
    except StartFailed as error:
        screen.complain(str(error))
        return error.code
    except ConfigurationError as error:
        print_faults(error)
        return EXIT_CONFIGURATION
    except QueueError as error:
        screen.complain(str(error))
        return EXIT_FAILED
    finally:
        await machine.end()
    return EXIT_DONE


def _obey_signals(machine: Machine) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup the end of the terminal is not meant for us.
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        loop.add_signal_handler(number, machine.stop)


class Machine:
    """Everything on one machine, from the first process to the last."""

    def __init__(self, plan: Plan, screen: Screen, lock: int) -> None:
        self._plan = plan
        self._screen = screen
        self._telling = Telling(plan, screen)
        self._household = Household(plan, self._telling, lock)
        self._stop_asked = asyncio.Event()
        self._stops = 0

    async def start(self) -> None:
        """Start everything and show the first screen; return early where a stop is asked for.

        Raises StartFailed where a process ends meanwhile, ConfigurationError where there is no
        server to start, QueueError where the one that there is may not be used.
        """
        await self._unless_stopped(self._start())

    async def _start(self) -> None:
        settings = self._plan.settings
        url = self._household.start_valkey() if self._plan.has_own_valkey else settings.redis.server
        facts = await queue_facts.ask(url, settings, self._telling.complaint_after(_SILENCE_SECONDS))
        self._household.start_services(url)
        api_port = await self._until_ready()
        self._household.settle()
        self._screen.say(first_screen(self._facts(facts, api_port)))

    async def _until_ready(self) -> int:
        plan = self._plan
        async with aiohttp.ClientSession() as session:
            waits = [
                wait_until_ready(session, plan.data.run_file(service.name), plan.settings.ops.host)
                for service in plan.services
            ]
            ports_of_frontend, *_ = await asyncio.gather(*waits)
        return ports_of_frontend.get("api", plan.settings.frontend.port)

    def _facts(self, facts: QueueFacts, api_port: int) -> Facts:
        plan, settings = self._plan, self._plan.settings
        promise = ", fsync before every answer" if settings.durability.mode == "strict" else ""
        return Facts(
            data=plan.data.shown,
            api=f"{base_url(settings.frontend.host, api_port)}/v1",
            needs_key=bool(settings.frontend.keys),
            outbox=plan.outbox,
            providers=[provider.name for provider in settings.providers],
            queue=facts.server + promise,
            waiting=facts.waiting,
            failed=facts.failed,
            running=" · ".join(service.name for service in plan.services),
            logs=shown(plan.data.logs),
        )

    async def follow(self) -> None:
        """Show what happens until a stop is asked for."""
        await self._unless_stopped(self._telling.follow())

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        failed = self._household.failed
        tasks = (asyncio.ensure_future(work), asyncio.ensure_future(self._stop_asked.wait()))
        try:
            await asyncio.wait((*tasks, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if failed.done() and (error := failed.exception()) is not None:
            raise error
        for result in results:
            if isinstance(result, Exception):
                raise result

    def stop(self) -> None:
        """Ask for the end; a second time hurries it, a third ends the services by force."""
        self._stops += 1
        self._stop_asked.set()
        if self._stops == 2:  # noqa: PLR2004 - the second time
            self._household.hurry()
        elif self._stops > 2:  # noqa: PLR2004 - … and the third
            self._household.kill()

    async def end(self) -> None:
        """End the services, then Valkey, and go on showing what ends meanwhile."""
        following = asyncio.ensure_future(self._telling.follow())
        hint = asyncio.get_running_loop().call_later(_SILENCE_SECONDS, self._telling.say_that_it_ends)
        await self._household.stop_services()
        hint.cancel()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        self._telling.look()
        await self._household.stop_valkey()
        await self._household.close()
