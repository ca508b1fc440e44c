from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.domain.errors import Unavailable
from shared.runtime.tasks import TaskEnded, TaskScope, periodically
from shared.runtime.wake import Bell, Witness

Task = asyncio.Task[Any]


class Broken(Exception):
    pass


async def fail() -> None:
    raise Broken


async def for_ever() -> None:
    await asyncio.Event().wait()


async def one_turn() -> None:
    await asyncio.sleep(0)


async def own(*work: Coroutine[Any, Any, object], body: Callable[[], Awaitable[object]] = for_ever) -> list[Task]:
    """Run `body` in a scope beside the tasks; return these."""
    async with TaskScope("owner") as scope:
        tasks = [scope.spawn(f"task {number}", item) for number, item in enumerate(work)]
        await body()
    return tasks


async def test_leaving_the_scope_cancels_what_still_runs() -> None:
    async with TaskScope("owner") as scope:
        task = scope.spawn("idle", for_ever())

    assert task.cancelled()


async def test_a_task_carries_the_names_of_its_owner_and_its_own() -> None:
    async with TaskScope("owner") as scope:
        task = scope.spawn("idle", for_ever())

    assert task.get_name() == "owner/idle"


async def test_a_crash_interrupts_the_block_and_comes_out_as_itself() -> None:
    with pytest.raises(Broken):
        await own(fail())


async def test_a_crash_leaves_no_cancellation_behind() -> None:
    with pytest.raises(Broken):
        await own(fail())

    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_crash_is_logged_under_the_name_of_the_task() -> None:
    with capture_logs() as lines, pytest.raises(Broken):
        await own(fail())

    assert [(line["event"], line["task"]) for line in lines] == [("task_crashed", "owner/task 0")]


async def test_a_crash_in_the_last_moment_of_the_block_is_not_overlooked() -> None:
    with pytest.raises(Broken):
        await own(fail(), body=one_turn)


async def test_a_crash_cancels_the_neighbours() -> None:
    ended: list[str] = []

    async def neighbour() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(Broken):
        await own(neighbour(), fail())

    assert ended == ["cancelled"]


async def test_an_error_of_the_block_itself_comes_out_unchanged() -> None:
    async def body() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await own(for_ever(), body=body)


async def test_a_cancellation_from_outside_stays_one() -> None:
    entered = asyncio.Event()

    async def body() -> None:
        entered.set()
        await for_ever()

    owner = asyncio.create_task(own(for_ever(), body=body))
    await entered.wait()
    owner.cancel()
    await asyncio.wait([owner])

    assert owner.cancelled()


async def test_a_cancellation_from_outside_wins_over_a_crash() -> None:
    async def owned() -> None:
        owner = asyncio.current_task()
        assert owner is not None
        async with TaskScope("owner") as scope:
            # Called after the scope's own guard, in the same turn: both cancel the owner.
            scope.spawn("doomed", fail()).add_done_callback(lambda _task: owner.cancel())
            await for_ever()

    owner = asyncio.create_task(owned())
    await asyncio.wait([owner])

    assert owner.cancelled()


async def test_a_task_that_may_end_ends_in_silence() -> None:
    with capture_logs() as lines:
        async with TaskScope("owner") as scope:
            assert await scope.spawn("sum", asyncio.sleep(0, result=3)) == 3

    assert lines == []


async def test_a_lasting_task_that_returns_is_a_crash() -> None:
    async def keep() -> None:
        async with TaskScope("owner") as scope:
            scope.keep("dispatcher", one_turn())
            await for_ever()

    with pytest.raises(TaskEnded, match="owner/dispatcher"):
        await keep()


async def test_a_lasting_task_may_return_during_a_drain() -> None:
    draining = asyncio.Event()
    draining.set()

    async with TaskScope("owner", draining) as scope:
        await scope.keep("dispatcher", asyncio.sleep(0))


async def test_a_closed_scope_starts_nothing() -> None:
    async with TaskScope("owner") as scope:
        pass

    with pytest.raises(RuntimeError, match="closing"):
        scope.spawn("late", for_ever())


class Chore:
    """Counts its runs, tells a test of each, and answers as scripted (then None)."""

    def __init__(self, *script: float | Exception | None) -> None:
        self.ran: Witness[int] = Witness()
        self.ran.watch()
        self._script = list(script)
        self._runs = 0

    async def __call__(self) -> float | None:
        self._runs += 1
        self.ran.saw(self._runs)
        step = self._script.pop(0) if self._script else None
        if isinstance(step, Exception):
            raise step
        return step


@contextlib.asynccontextmanager
async def running(chore: Chore, every: float, bell: Bell) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(periodically("sweep", chore, every, bell=bell))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


HOUR = 3600.0


async def test_a_chore_runs_at_once() -> None:
    chore = Chore()
    async with running(chore, HOUR, Bell()):
        assert await chore.ran.next() == 1


async def test_a_ring_runs_the_chore_early() -> None:
    chore, bell = Chore(), Bell()
    async with running(chore, HOUR, bell):
        await chore.ran.next()
        bell.ring()

        assert await chore.ran.next() == 2


async def test_a_chore_runs_again_after_its_interval() -> None:
    chore = Chore()
    async with running(chore, 0.001, Bell()):
        await chore.ran.next()

        assert await chore.ran.next() == 2


async def test_a_chore_may_ask_to_run_sooner() -> None:
    chore = Chore(0.0)
    async with running(chore, HOUR, Bell()):
        await chore.ran.next()

        assert await chore.ran.next() == 2


async def test_a_chore_that_asks_for_a_longer_wait_does_not_get_it() -> None:
    chore = Chore(HOUR)
    async with running(chore, 0.001, Bell()):
        await chore.ran.next()

        assert await chore.ran.next() == 2


async def test_a_chore_survives_an_error_of_ours() -> None:
    chore = Chore(Unavailable("no answer in 3 s"))
    with capture_logs() as lines:
        async with running(chore, 0.001, Bell()):
            await chore.ran.next()
            assert await chore.ran.next() == 2

    assert [(line["event"], line["chore"], line["kind"]) for line in lines] == [
        ("chore_failed", "sweep", "Unavailable")
    ]


async def test_a_defect_ends_the_chore() -> None:
    async with running(Chore(Broken()), HOUR, Bell()) as task:
        with pytest.raises(Broken):
            await task


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 10.0), (1.0, 8.0)])
async def test_jitter_shortens_the_wait_by_its_share_at_most(draw: float, expected: float) -> None:
    waits: list[float | None] = []

    class Deaf(Bell):
        async def heard(self, timeout_seconds: float | None = None) -> bool:
            waits.append(timeout_seconds)
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await periodically("sweep", Chore(), 10.0, bell=Deaf(), jitter=0.2, draw=lambda: draw)

    assert waits == [expected]
