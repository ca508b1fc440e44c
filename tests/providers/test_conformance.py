"""What every kind of provider keeps, under the same names.

A new kind adds a rig: its settings, what it took, and how to break it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, TypeVar

import pytest

from services.sender.transport import Channel, open_channel
from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope
from shared.providers import registry
from shared.providers.http.options import HttpOptions
from shared.providers.outbox import OutboxOptions
from shared.providers.sandbox import SandboxOptions
from shared.providers.smtp import SmtpOptions
from shared.settings.model import ProviderSettings
from tests.fakes.certificate import server_context
from tests.fakes.smtp_server import SmtpServer
from tests.providers.parcels import RICH, envelope_to, parcel_of, parcel_to

T = TypeVar("T")


@dataclass(frozen=True)
class Rig:
    """A provider to test against. What a kind has not stays None, and its tests do not ask for it."""

    settings: ProviderSettings
    taken: Callable[[], list[bytes]] | None = None
    break_down: Callable[[], Awaitable[Any]] | None = None
    recover: Callable[[], Awaitable[Any]] | None = None
    refused: str | None = None
    hanging: str | None = None


@asynccontextmanager
async def outbox(folder: Path, _: Callable[[], tuple[Path, Path]]) -> AsyncIterator[Rig]:
    directory = folder / "mail" / "outbox"

    async def break_down() -> None:
        directory.parent.write_bytes(b"a file where the folder should be")

    async def recover() -> None:
        directory.parent.unlink()

    yield Rig(
        ProviderSettings(name="outbox", kind="outbox", options=OutboxOptions(directory=str(directory))),
        taken=lambda: [file.read_bytes() for file in directory.glob("*.eml")],
        break_down=break_down,
        recover=recover,
    )


@asynccontextmanager
async def sandbox(_: Path, __: Callable[[], tuple[Path, Path]]) -> AsyncIterator[Rig]:
    settings = ProviderSettings(name="sandbox", kind="sandbox", options=SandboxOptions(), answer_seconds=3_600)
    yield Rig(settings, refused="rejected@example.org", hanging="hang@example.org")


@asynccontextmanager
async def smtp(_: Path, __: Callable[[], tuple[Path, Path]]) -> AsyncIterator[Rig]:
    async with SmtpServer() as server:
        yield smtp_rig(server, SmtpOptions(host="127.0.0.1", port=server.port, tls="none"))


@asynccontextmanager
async def smtp_starttls(_: Path, certificate: Callable[[], tuple[Path, Path]]) -> AsyncIterator[Rig]:
    files = certificate()
    async with SmtpServer(starttls=server_context(*files)) as server:
        yield smtp_rig(server, SmtpOptions(host="localhost", port=server.port, ca_file=str(files[0])))


@asynccontextmanager
async def smtp_tls(_: Path, certificate: Callable[[], tuple[Path, Path]]) -> AsyncIterator[Rig]:
    files = certificate()
    async with SmtpServer(tls=server_context(*files)) as server:
        yield smtp_rig(server, SmtpOptions(host="localhost", port=server.port, tls="tls", ca_file=str(files[0])))


def smtp_rig(server: SmtpServer, options: SmtpOptions) -> Rig:
    return Rig(
        ProviderSettings(name="relay", kind="smtp", options=options, concurrency=8),
        taken=lambda: [mail.data for mail in server.mails],
        break_down=server.refuse,
        recover=server.start,
        refused="reply-550-5.1.1@example.org",
        hanging="end-hang@example.org",
    )


KINDS = {"outbox": outbox, "sandbox": sandbox, "smtp": smtp, "smtp-starttls": smtp_starttls, "smtp-tls": smtp_tls}
#: Kinds that keep what they take · that may not be there · that treat each recipient on its own.
keeping = pytest.mark.parametrize("rig", ["outbox", "smtp", "smtp-starttls", "smtp-tls"], indirect=True)
fallible = keeping
selective = pytest.mark.parametrize("rig", ["sandbox", "smtp", "smtp-starttls", "smtp-tls"], indirect=True)


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with KINDS[request.param](tmp_path, lambda: request.getfixturevalue("certificate")) as opened:
        yield opened


@pytest.fixture
async def channel(rig: Rig) -> AsyncIterator[Channel]:
    opened = open_channel(rig.settings)
    yield opened
    await opened.close()


def had(part: T | None) -> T:
    assert part is not None
    return part


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


async def test_accepts_a_message(channel: Channel) -> None:
    verdict = await channel.deliver(parcel_of(RICH))

    assert (verdict.outcome, verdict.recipients) == (Outcome.ACCEPTED, ())


async def test_names_what_it_accepted(channel: Channel) -> None:
    first, second = [await channel.deliver(parcel_to(serial=serial)) for serial in range(2)]

    assert first.provider_message_id
    assert first.provider_message_id != second.provider_message_id


@keeping
async def test_the_message_says_what_its_envelope_says(rig: Rig, channel: Channel) -> None:
    taken = had(rig.taken)
    await channel.deliver(parcel_of(RICH))

    message = parsed(*taken())
    text, html = message.get_body(["plain"]), message.get_body(["html"])
    assert message["From"].addresses[0].display_name == RICH.sender.name
    assert [address.addr_spec for address in message["To"].addresses] == [
        "ada@example.org",
        "grace@xn--bcher-kva.example",
    ]
    assert (message["Cc"], message["Reply-To"]) == ("linus@example.net", "help@example.com")
    assert (message["Subject"], message["X-Order"]) == (RICH.subject, "1042")
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == RICH.text
    assert html.get_content().replace("\r\n", "\n") == RICH.html
    assert [part.get_content() for part in message.iter_attachments()] == [bytes(range(256))]


@keeping
async def test_the_message_carries_its_ids_and_the_date_of_its_first_attempt(rig: Rig, channel: Channel) -> None:
    taken = had(rig.taken)
    parcel = parcel_of(RICH)
    await channel.deliver(parcel)

    message = parsed(*taken())
    assert (message["Message-ID"], message["X-Reliable-Email-Id"]) == (parcel.internet_message_id, parcel.id)
    assert message["Date"].datetime.timestamp() * 1_000 == parcel.date


@keeping
async def test_no_header_names_a_blind_recipient(rig: Rig, channel: Channel) -> None:
    taken = had(rig.taken)
    await channel.deliver(parcel_of(RICH))

    assert b"archive@example.com" not in taken()[0]


@keeping
async def test_a_second_try_carries_the_same_bytes(rig: Rig, channel: Channel) -> None:
    taken = had(rig.taken)
    await channel.deliver(parcel_of(RICH))
    await channel.deliver(parcel_of(RICH))

    assert len(set(taken())) == 1


@keeping
async def test_many_at_once_all_arrive_and_none_twice(rig: Rig, channel: Channel) -> None:
    taken = had(rig.taken)
    parcels = [parcel_to(serial=serial) for serial in range(50)]
    verdicts = await asyncio.gather(*map(channel.deliver, parcels))

    assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}
    assert sorted(parsed(data)["X-Reliable-Email-Id"] for data in taken()) == [parcel.id for parcel in parcels]


@fallible
async def test_refused_connection_is_provider_down(rig: Rig, channel: Channel) -> None:
    await had(rig.break_down)()

    verdict = await channel.deliver(parcel_to())

    assert verdict.outcome is Outcome.PROVIDER_DOWN
    assert verdict.detail


@fallible
async def test_works_again_once_the_provider_does(rig: Rig, channel: Channel) -> None:
    await had(rig.break_down)()
    await channel.deliver(parcel_to())
    await had(rig.recover)()

    assert (await channel.deliver(parcel_to())).outcome is Outcome.ACCEPTED


@selective
async def test_a_refused_recipient_is_told_by_its_number(rig: Rig, channel: Channel) -> None:
    envelope = envelope_to("ada@example.org", "grace@example.net", had(rig.refused))

    verdict = await channel.deliver(parcel_of(envelope, 1, 2))

    assert [(share.index, share.outcome, share.scope) for share in verdict.recipients] == [
        (1, Outcome.ACCEPTED, Scope.MESSAGE),
        (2, Outcome.REJECTED, Scope.MESSAGE),
    ]


@selective
async def test_a_lone_refused_recipient_is_rejected_for_good(rig: Rig, channel: Channel) -> None:
    verdict = await channel.deliver(parcel_to(had(rig.refused)))

    assert (verdict.outcome, verdict.scope, verdict.recipients) == (Outcome.REJECTED, Scope.MESSAGE, ())


@selective
async def test_an_answer_that_never_comes_is_ambiguous(rig: Rig) -> None:
    impatient = open_channel(replace(rig.settings, answer_seconds=0.05))

    verdict = await impatient.deliver(parcel_to(had(rig.hanging)))

    await impatient.close()
    assert verdict.outcome is Outcome.AMBIGUOUS


@keeping
async def test_an_address_that_cannot_travel_is_rejected_and_nothing_leaves(rig: Rig, channel: Channel) -> None:
    taken = had(rig.taken)
    envelope = replace(envelope_to(), to=(Address("a@b.example>\r\nDATA"),))

    verdict = await channel.deliver(parcel_of(envelope))

    assert (verdict.outcome, verdict.scope, taken()) == (Outcome.REJECTED, Scope.MESSAGE, [])


async def test_a_cancelled_delivery_leaves_the_channel_usable(channel: Channel) -> None:
    delivery = asyncio.create_task(channel.deliver(parcel_of(RICH)))
    await asyncio.sleep(0)
    delivery.cancel()
    await asyncio.wait({delivery})

    assert (await channel.deliver(parcel_to(serial=1))).outcome is Outcome.ACCEPTED


async def test_close_leaves_no_task_behind(rig: Rig) -> None:
    opened = open_channel(rig.settings)
    await asyncio.gather(*(opened.deliver(parcel_to(serial=serial)) for serial in range(10)))
    await opened.close()

    ours = {task.get_name() for task in asyncio.all_tasks()}
    assert not {name for name in ours if name.startswith(("outbox", "smtp"))}


async def test_close_without_a_message_is_fine(rig: Rig) -> None:
    await open_channel(rig.settings).close()


def test_every_built_in_kind_that_is_not_over_http_is_tested_here() -> None:
    others = {kind for kind in registry.kinds() if not issubclass(registry.adapter(kind).Options, HttpOptions)}

    assert {kind.partition("-")[0] for kind in KINDS} == others
