"""Long-running work: every task has a name, a guard that notices its end, and an owner that cancels it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from shared.domain.errors import ReliableEmailError
from shared.runtime.logs import get_logger
from shared.runtime.wake import Bell

T = TypeVar("T")

log = get_logger()


class TaskEnded(RuntimeError):
    """A task that should last as long as its scope returned: a defect of that task."""


class TaskScope:
    """The owner of a set of tasks; none of them outlives it.

    Used as `async with TaskScope("sender", lifetime.draining) as scope:`. Leaving the block
    cancels what still runs and waits for it. A task that crashes is logged, interrupts the
    block, and its own exception comes out of it; `asyncio.TaskGroup` would wait for the others
    to end, and wrap what they raised.
    """

    def __init__(self, owner: str, draining: asyncio.Event | None = None) -> None:
        self.owner = owner
        self._draining = draining
        self._tasks: set[asyncio.Task[Any]] = set()
        self._crash: BaseException | None = None
        self._host: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._closing = False

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that may end by itself."""
        if self._closing:
            work.close()
            raise RuntimeError(f"{self.owner} is closing and starts no {name}")
        task = asyncio.create_task(work, name=f"{self.owner}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(self, name: str, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Start a task that lasts as long as the scope; to return before a drain is a crash.

        A process that has quietly lost its dispatcher looks healthy and sends nothing.
        """
        task = self.spawn(name, self._lasting(name, work))
        # One that is cancelled before its first step never comes to await its work.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _lasting(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        await work
        if not (self._closing or (self._draining is not None and self._draining.is_set())):
            raise TaskEnded(f"{self.owner}/{name} ended by itself")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        crash = task.exception()
        if crash is None:
            return
        log.error("task_crashed", task=task.get_name(), error=repr(crash), exc_info=crash)
        if self._crash is None:
            self._crash = crash
            self._interrupt()

    def _interrupt(self) -> None:
        if self._host is not None and not self._closing and not self._host.done():
            self._interrupted = True
            self._host.cancel()

    async def close(self) -> None:
        """Cancel every task and wait until all have ended."""
        self._closing = True
        # A finished task stays in the set until its guard has run, so that no crash is overlooked.
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(tuple(self._tasks))

    async def __aenter__(self) -> Self:
        self._host = asyncio.current_task()
        if self._crash is not None:
            self._interrupt()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ours must be taken back before the next await, or it would be delivered there.
        cancelled_by_others = False
        if self._interrupted and self._host is not None:
            cancelled_by_others = self._host.uncancel() > 0
        await self.close()
        if self._crash is None or cancelled_by_others:
            return
        if error is None or (self._interrupted and isinstance(error, asyncio.CancelledError)):
            raise self._crash


async def periodically(
    name: str,
    run_once: Callable[[], Awaitable[float | None]],
    every_seconds: float,
    *,
    bell: Bell | None = None,
    jitter: float = 0.1,
    draw: Callable[[], float] = random.random,
) -> None:
    """Run a chore again and again until cancelled: the loop only waits, wakes and survives.

    The chore is due `every_seconds` after it ended, less up to the share `jitter`, so that many
    processes do not march in step; sooner where it returned a shorter wait or the bell rings.
    An error of ours (Redis is away) is logged and the chore tried again at its next turn; any
    other exception is a defect and ends the loop.
    """
    bell = bell or Bell()
    while True:
        wait_seconds: float | None = None
        try:
            wait_seconds = await run_once()
        except ReliableEmailError as error:
            log.warning("chore_failed", chore=name, error=str(error), kind=type(error).__name__)
        longest = every_seconds * (1 - jitter * draw())
        await bell.heard(longest if wait_seconds is None else max(0.0, min(wait_seconds, longest)))
