from __future__ import annotations

import asyncio

import pytest

from services.sender.mailbox import Mailbox, MailboxFull


async def test_what_was_put_in_first_comes_out_first() -> None:
    box: Mailbox[int] = Mailbox("actor", 10)
    for number in range(5):
        box.put(number)

    assert (await box.take(3), await box.take(3)) == ([0, 1, 2], [3, 4])


async def test_a_full_mailbox_takes_no_more() -> None:
    box: Mailbox[int] = Mailbox("actor", 2)
    box.put(1)
    box.put(2)

    with pytest.raises(MailboxFull, match="the mailbox of actor holds 2 messages already"):
        box.put(3)
    assert len(box) == 2


async def test_a_mailbox_that_was_emptied_has_room_again() -> None:
    box: Mailbox[int] = Mailbox("actor", 2)
    box.put(1)
    box.put(2)

    assert box.empty() == [1, 2]
    box.put(3)
    assert await box.take(10) == [3]


async def test_taking_waits_until_there_is_something() -> None:
    box: Mailbox[int] = Mailbox("actor", 2)
    taking = asyncio.ensure_future(box.take(10))
    await asyncio.sleep(0)

    assert not taking.done()
    box.put(1)
    assert await taking == [1]


async def test_a_taker_that_was_cancelled_leaves_everything() -> None:
    box: Mailbox[int] = Mailbox("actor", 2)
    taking = asyncio.ensure_future(box.take(10))
    await asyncio.sleep(0)
    box.put(1)
    taking.cancel()
    await asyncio.wait([taking])

    assert await box.take(10) == [1]


async def test_taking_waits_after_the_mailbox_was_emptied() -> None:
    box: Mailbox[int] = Mailbox("actor", 2)
    box.put(1)
    box.empty()
    taking = asyncio.ensure_future(box.take(10))
    await asyncio.sleep(0)

    assert not taking.done()
    taking.cancel()
