"""The settler alone, on a register that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from services.sender.delivery import Delivery
from services.sender.settler import Settler
from shared.domain.errors import AnswerLost, ScriptDefect, Unavailable
from shared.domain.message import Attempt
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue.leases import Leases, Release, Settled, Settlement
from shared.runtime.metrics import SENDER, Metrics
from tests.unit.sender.leases import delivery_of


class Register(Leases):
    """Writes down what it is asked, unless `refuse` raises."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.refuse: Callable[[Sequence[Settlement]], None] = lambda _: None

    async def settle(
        self,
        shard: int,  # noqa: ARG002 - as the queue has it
        settlements: Sequence[Settlement],
        seconds: float = 2.0,  # noqa: ARG002 - as the queue has it
    ) -> list[Settled]:
        self.calls.append([settlement.lease.id for settlement in settlements])
        self.refuse(settlements)
        return [Settled("settled", State.SENT)] * len(settlements)

    async def release(self, shard: int, releases: Sequence[Release]) -> list[Settled]:  # noqa: ARG002 - as the queue has it
        self.calls.append([release.lease.id for release in releases])
        return [Settled("released", State.QUEUED)] * len(releases)


class Desk:
    """A settler at work, and what it has finished."""

    def __init__(self) -> None:
        self.register = Register()
        self.done: list[tuple[Delivery, Settled]] = []
        self._wanted = asyncio.Event()
        self._count = 0
        self.settler = Settler(self.register, Metrics(SENDER), 100, self._done)

    def _done(self, delivery: Delivery, settled: Settled) -> None:
        self.done.append((delivery, settled))
        if len(self.done) >= self._count:
            self._wanted.set()

    async def finished(self, count: int) -> dict[str, str]:
        """Wait until so many deliveries are out of its hands; return what came of each."""
        self._count = count
        if len(self.done) < count:
            async with asyncio.timeout(10):
                await self._wanted.wait()
        return {delivery.lease.id: settled.status for delivery, settled in self.done}


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    for pause in ("_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(f"services.sender.settler.{pause}", 0.001)
    return Desk()


def settlement(number: int, *, sent: bool = True, shard: int = 0) -> tuple[Delivery, Settlement]:
    """Return an outcome to be written."""
    delivery = delivery_of(number, shard=shard)
    attempt = Attempt(1, "relay", 0, 0, Outcome.ACCEPTED if sent else Outcome.TEMPORARY)
    return delivery, Settlement(delivery.lease, attempt, all_state=RecipientState.SENT if sent else None)


def release(number: int) -> tuple[Delivery, Release]:
    """Return a lease to be handed back."""
    delivery = delivery_of(number)
    return delivery, Release(delivery.lease)


async def run(desk: Desk, *items: tuple[Delivery, Settlement | Release]) -> dict[str, str]:
    """Let the settler find these in its mailbox, and finish them all."""
    for item in items:
        desk.settler.mailbox.put(item)
    acting = asyncio.ensure_future(desk.settler.act())
    try:
        return await desk.finished(len(items))
    finally:
        acting.cancel()
        await asyncio.wait([acting])


def refuse(number: int, error: Exception, times: int = 1 << 30) -> Callable[[Sequence[Settlement]], None]:
    """Return what refuses every call that carries one message, so many times."""
    odd, left = delivery_of(number).lease.id, [times]

    def refusing(settlements: Sequence[Settlement]) -> None:
        if left[0] and any(settlement.lease.id == odd for settlement in settlements):
            left[0] -= 1
            raise error

    return refusing


async def test_what_waits_is_written_in_one_call(desk: Desk) -> None:
    items = [settlement(number) for number in range(5)]

    await run(desk, *items)

    assert desk.register.calls == [[delivery.lease.id for delivery, _ in items]]


async def test_acceptances_are_written_first(desk: Desk) -> None:
    later, sent = settlement(1, sent=False), settlement(2)

    await run(desk, later, sent)

    assert desk.register.calls == [[sent[0].lease.id, later[0].lease.id]]


async def test_each_shard_and_each_kind_of_wish_has_a_call_of_its_own(desk: Desk) -> None:
    items: list[tuple[Delivery, Settlement | Release]] = [settlement(1), settlement(2, shard=1), release(3)]

    await run(desk, *items)

    assert sorted(desk.register.calls) == [[delivery.lease.id] for delivery, _ in items]


@pytest.mark.parametrize("error", [Unavailable("away"), AnswerLost("lost")])
async def test_what_redis_did_not_answer_is_written_again_whole(error: Exception, desk: Desk) -> None:
    items = [settlement(number) for number in range(3)]
    desk.register.refuse = refuse(1, error, times=2)

    told = await run(desk, *items)

    assert set(told.values()) == {"settled"}
    assert [len(call) for call in desk.register.calls] == [3, 3, 3]


async def test_an_outcome_that_cannot_be_asked_for_is_given_up_alone(desk: Desk) -> None:
    items = [settlement(number) for number in range(4)]
    desk.register.refuse = refuse(2, TypeError("no codec takes this"))

    told = await run(desk, *items)

    assert told == {
        delivery.lease.id: "stale" if number == 2 else "settled" for number, (delivery, _) in enumerate(items)
    }


async def test_an_outcome_that_redis_refuses_is_tried_again_later(desk: Desk) -> None:
    """Whoever runs Redis may mend it: what is known must not get lost meanwhile, nor hold up the others."""
    items = [settlement(number) for number in range(4)]
    desk.register.refuse = refuse(2, ScriptDefect("WRONGTYPE"), times=5)

    told = await run(desk, *items)

    assert set(told.values()) == {"settled"}
    assert desk.done[-1][0] is items[2][0]


async def test_what_was_not_written_when_the_settler_crashed_is_written_by_the_next(desk: Desk) -> None:
    item = settlement(1)
    desk.settler.mailbox.put(item)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.settler, "_done", _raise)
        with pytest.raises(ExceptionGroup):
            await desk.settler.act()

    acting = asyncio.ensure_future(desk.settler.act())
    told = await desk.finished(1)
    acting.cancel()
    await asyncio.wait([acting])

    assert told == {item[0].lease.id: "settled"}


def _raise(_delivery: Delivery, _settled: Settled) -> None:
    raise ZeroDivisionError
