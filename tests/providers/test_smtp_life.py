"""The SMTP kind against a relay with a life: every row of its table, and a break at each end of the dialogue."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.sender.transport import Channel, open_channel
from shared.domain.outcome import Outcome, Scope
from tests.fakes.internet import Internet, acts, opened
from tests.fakes.internet.desk import Native
from tests.fakes.internet.settings import settings_of
from tests.fakes.internet.smtp import SmtpDesk
from tests.providers.parcels import parcel_to
from tests.unit.providers.envelopes import full_parcel


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    async with Internet("smtp") as running:
        yield running


@pytest.fixture
def desk(internet: Internet) -> SmtpDesk:
    return internet.desk_of(SmtpDesk)


@pytest.fixture
async def channel(desk: SmtpDesk) -> AsyncIterator[Channel]:
    channel = open_channel(settings_of(desk, answer_seconds=5))
    yield channel
    await channel.close()


@pytest.mark.parametrize(
    ("name", "native"), [(name, native) for name, native in SmtpDesk.natives.items() if native.code != "auth"]
)
async def test_a_native_error_has_its_outcome(channel: Channel, desk: SmtpDesk, name: str, native: Native) -> None:
    desk.life.fail(name)

    verdict = await channel.deliver(parcel_to())

    assert (verdict.outcome, verdict.smtp_code) == (Outcome(native.outcome), native.status), verdict
    if verdict.outcome is Outcome.REJECTED:
        assert verdict.scope is Scope(native.scope)


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (acts.early(), Outcome.PROVIDER_DOWN),
        (acts.reset(taken=True), Outcome.AMBIGUOUS),
        (acts.reset(), Outcome.AMBIGUOUS),
        (acts.close(taken=True), Outcome.AMBIGUOUS),
        (acts.cut(), Outcome.AMBIGUOUS),
        (acts.page(), Outcome.AMBIGUOUS),
    ],
    ids=str,
)
async def test_a_break_has_its_outcome(channel: Channel, desk: SmtpDesk, act: acts.Act, outcome: Outcome) -> None:
    desk.life.act(act)

    assert (await channel.deliver(parcel_to())).outcome is outcome


async def test_the_relay_understands_the_full_message(channel: Channel, desk: SmtpDesk, internet: Internet) -> None:
    parcel = full_parcel()
    await channel.deliver(parcel)

    taken = opened(desk.ledger.taken[0])
    assert (taken.subject, taken.message_id) == (parcel.envelope.subject, parcel.id)
    assert taken.return_path == parcel.return_path
    assert internet.complaints == []


async def test_it_works_again_once_the_relay_does(channel: Channel, desk: SmtpDesk) -> None:
    desk.life.refuse()
    down = await channel.deliver(parcel_to())
    desk.life.heal()

    assert (down.outcome, (await channel.deliver(parcel_to())).outcome) == (Outcome.PROVIDER_DOWN, Outcome.ACCEPTED)
