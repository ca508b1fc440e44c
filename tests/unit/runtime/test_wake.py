from __future__ import annotations

import asyncio

import pytest

from shared.runtime.wake import Bell, Witness, happened


async def test_an_event_that_was_set_before_needs_no_wait() -> None:
    event = asyncio.Event()
    event.set()

    assert await happened(event, 0)


async def test_an_event_that_does_not_come_is_given_up() -> None:
    assert not await happened(asyncio.Event(), 0)


async def test_a_ring_before_the_wait_is_remembered() -> None:
    bell = Bell()
    bell.ring()

    assert await bell.heard(0)


async def test_rings_that_come_together_count_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.heard(0)

    assert not await bell.heard(0)


async def test_a_ring_wakes_who_waits_for_ever() -> None:
    bell = Bell()
    listener = asyncio.create_task(bell.heard())
    await asyncio.sleep(0)
    bell.ring()

    assert await listener


async def test_a_witness_that_nobody_watches_keeps_nothing() -> None:
    witness: Witness[int] = Witness()
    witness.saw(1)
    witness.watch()

    with pytest.raises(TimeoutError):
        await witness.next(0)


async def test_a_witness_gives_what_it_saw_in_order() -> None:
    witness: Witness[int] = Witness()
    witness.watch()
    witness.saw(1)
    witness.saw(2)

    assert [await witness.next(), await witness.next()] == [1, 2]
