"""The relay lives as the desks do."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator

import pytest

from tests.fakes.internet import Internet, acts, opened
from tests.fakes.internet.by_hand import MIME, OURS
from tests.fakes.internet.smtp import SmtpDesk


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    async with Internet("smtp") as running:
        yield running


@pytest.fixture
def desk(internet: Internet) -> SmtpDesk:
    return internet.desk_of(SmtpDesk)


async def send(desk: SmtpDesk) -> int | str:
    """Return the code of the first refusal, 250 where there is none, and the error's name where the dialogue broke."""

    def dialogue() -> int | str:
        try:
            with smtplib.SMTP("127.0.0.1", int(desk.url.rpartition(":")[2]), timeout=5) as client:
                client.sendmail("bounces@example.com", ["ada@example.org"], MIME)
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
        except smtplib.SMTPRecipientsRefused as error:
            return int(next(iter(error.recipients.values()))[0])
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            return type(error).__name__
        return 250

    return await asyncio.to_thread(dialogue)


async def test_takes_and_understands(desk: SmtpDesk, internet: Internet) -> None:
    assert await send(desk) == 250

    taken = opened(desk.ledger.taken[0])
    assert (taken.message_id, taken.text, taken.return_path) == (OURS, "It works.\n", "bounces@example.com")
    assert internet.complaints == []


@pytest.mark.parametrize(
    ("error", "code"),
    [("throttled", 454), ("not_allowed", 550), ("no_such_user", 550), ("content", 554), ("later", 451)],
)
async def test_fails_by_name(desk: SmtpDesk, error: str, code: int) -> None:
    desk.life.fail(error)

    assert (await send(desk), desk.ledger.taken, desk.ledger.answers) == (code, [], {code: 1})


async def test_a_script_meets_one_transaction_each(desk: SmtpDesk) -> None:
    desk.life.script([acts.fail("later"), acts.PASS])

    assert [await send(desk) for _ in range(3)] == [451, 250, 250]


@pytest.mark.parametrize(
    ("act", "count"), [(acts.reset(), 0), (acts.reset(taken=True), 1), (acts.close(taken=True), 1), (acts.early(), 0)]
)
async def test_loses_answers(desk: SmtpDesk, act: acts.Act, count: int) -> None:
    desk.life.act(act)

    assert await send(desk) in {"ConnectionResetError", "SMTPServerDisconnected", "BrokenPipeError"}
    assert len(desk.ledger.taken) == count


async def test_refuses_connections_and_takes_them_again(desk: SmtpDesk) -> None:
    desk.life.refuse()
    refused = await send(desk)
    desk.life.heal()

    assert (refused, await send(desk)) == ("ConnectionRefusedError", 250)


async def test_throttles_and_spends_its_quota(desk: SmtpDesk) -> None:
    desk.life.throttle(rate=0.001, burst=2)
    desk.life.quota(1)

    assert [await send(desk) for _ in range(3)] == [250, 454, 454]


async def test_under_review_it_takes_nothing(desk: SmtpDesk) -> None:
    desk.life.review()

    assert await send(desk) == 535


async def test_holds_transactions(desk: SmtpDesk) -> None:
    desk.life.hold()
    sending = asyncio.create_task(send(desk))
    await desk.ledger.arrived(1)
    desk.life.let_go()

    assert await sending == 250
