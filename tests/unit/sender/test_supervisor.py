from __future__ import annotations

import asyncio

import pytest

from services.sender.supervisor import supervise
from shared.runtime.metrics import SENDER, Metrics


class Actor:
    """Crashes as often as it is told, then ends."""

    def __init__(self, crashes: int) -> None:
        self.left = crashes
        self.starts = 0

    async def act(self) -> None:
        self.starts += 1
        if self.left:
            self.left -= 1
            raise RuntimeError("a defect")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take no pauses, but note how long they would have been."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr("services.sender.supervisor.asyncio.sleep", sleep)
    return taken


async def test_an_actor_that_ends_is_left_alone(pauses: list[float]) -> None:
    actor = Actor(crashes=0)

    await supervise("actor", actor.act, Metrics(SENDER))

    assert (actor.starts, pauses) == (1, [])


async def test_an_actor_that_crashes_is_started_again_more_and_more_slowly(pauses: list[float]) -> None:
    actor, metrics = Actor(crashes=9), Metrics(SENDER)

    await supervise("actor", actor.act, metrics)

    assert actor.starts == 10
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert metrics.actor_restarts["actor"]._value.get() == 9


async def test_an_actor_can_be_cancelled() -> None:
    started = asyncio.Event()

    async def act() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(supervise("actor", act, Metrics(SENDER)))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
