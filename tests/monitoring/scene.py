"""The service, its clients, and Prometheus beside them.

`python -m tests.monitoring.scene --minutes 5` keeps it alive for whoever wants to look at it: normal traffic, small
accidents, a provider that fails, the whole first tier, recovery, a burst of bulk, and again. The first line of
output is Prometheus's address. It ends by itself, or on SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.fakes.internet import acts
from tests.fakes.internet.life import Life
from tests.monitoring.installation import FIRST_TIER, PROVIDERS, ROOT, Installation
from tests.monitoring.prometheus import Prometheus
from tests.monitoring.traffic import Traffic

RULES: Final = ROOT / "grafana" / "rules"

#: A round of the story that is told again and again, in parts of equal length.
_PARTS: Final = 8
_LONGEST_PART_SECONDS: Final = 60.0


class Scene:
    """All of it, as a context manager, and what may happen to the providers."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder)
        self.traffic = Traffic(self.installation.api)
        self._folder = folder
        self._ends = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as ends:
            await ends.enter_async_context(self.installation)
            watched = Prometheus(self._folder / "prometheus", self.installation.targets, RULES)
            self.prometheus = await ends.enter_async_context(watched)
            self.ordinary_day()
            await ends.enter_async_context(self.traffic)
            self._ends = ends.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ends.aclose()

    def ordinary_day(self) -> None:
        """Let every provider work, as well as providers do."""
        self.back(*PROVIDERS)
        self._life("sendgrid").latency(0.06, 0.4)
        self._life("sendgrid").fail("server_error", share=0.01)
        self._life("postmark").latency(0.09, 0.5)
        self._life("postmark").fail("406", share=0.02)
        self._life("smtp:relay").latency(0.12, 0.6)

    def back(self, *providers: str) -> None:
        """Let providers work without any fault."""
        for provider in providers:
            self._life(provider).heal()

    def refuse(self, *providers: str) -> None:
        """Let providers refuse every connection."""
        for provider in providers:
            self._life(provider).refuse()

    def review(self, provider: str) -> None:
        """Let a provider refuse our account."""
        self._life(provider).review()

    def throttle(self, provider: str, requests: int) -> None:
        """Let a provider find the next requests too many."""
        self._life(provider).script([acts.fail("rate_limit")] * requests)

    def lose_answers(self, provider: str, requests: int) -> None:
        """Let a provider take the next messages and say nothing of it."""
        self._life(provider).script([acts.reset(taken=True)] * requests)

    def hold(self, *providers: str) -> None:
        """Let providers keep every request waiting."""
        for provider in providers:
            self._life(provider).hold()

    def let_go(self, *providers: str) -> None:
        """Let providers answer again."""
        for provider in providers:
            self._life(provider).let_go()

    def _life(self, provider: str) -> Life:
        return self.installation.life(provider)


async def _live(scene: Scene, part_seconds: float) -> None:
    """Tell the story round after round; the pauses are the story's own time."""
    while True:
        await asyncio.sleep(2 * part_seconds)
        scene.throttle("sendgrid", 30)
        scene.lose_answers("postmark", 3)
        scene.review("smtp:partner")
        await scene.installation.services["sender-2"].end(signal.SIGKILL)
        await scene.installation.restart("sender-2")
        await asyncio.sleep(part_seconds)
        scene.refuse("sendgrid")
        await asyncio.sleep(part_seconds)
        scene.refuse(*FIRST_TIER)
        await asyncio.sleep(part_seconds)
        scene.ordinary_day()
        await asyncio.sleep(part_seconds)
        await scene.traffic.burst(1000)
        await asyncio.sleep(2 * part_seconds)


async def _first_of(*works: Awaitable[object]) -> None:
    """Wait until one has ended, and end the others; raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()


async def _run(minutes: float) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    part_seconds = min(_LONGEST_PART_SECONDS, minutes * 60 / _PARTS)
    with tempfile.TemporaryDirectory(prefix="scene-") as folder:
        async with Scene(Path(folder)) as scene:
            sys.stdout.write(f"{scene.prometheus.url}\n")
            sys.stdout.flush()
            await _first_of(stopped.wait(), asyncio.sleep(minutes * 60), _live(scene, part_seconds))


def main() -> None:
    """Run for so many minutes, or until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring.scene", description="A day of the service.")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long it lasts")
    asyncio.run(_run(parser.parse_args().minutes))


if __name__ == "__main__":
    main()
