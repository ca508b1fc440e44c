from __future__ import annotations

from shared.domain.message import Address, Envelope
from shared.domain.outcome import Outcome
from shared.mime.writer import render
from shared.providers.interface import FileWrite, Parcel, Phase, Reply
from shared.providers.outbox import Outbox, OutboxOptions

ENVELOPE = Envelope(sender=Address("shop@example.com"), to=(Address("ada@example.org"),), text="It works.\n")
PARCEL = Parcel("msg_1", ENVELOPE, (0,), "<msg_1@example.com>", 1_795_000_000_000)


def test_a_message_becomes_a_file_named_after_it() -> None:
    request = Outbox().build(PARCEL, OutboxOptions(directory="mail"))

    assert (request.directory, request.name) == ("mail", "msg_1.eml")


def test_the_file_holds_the_message_as_a_relay_would_get_it() -> None:
    request = Outbox().build(PARCEL, OutboxOptions())

    assert request.data == render(
        ENVELOPE, message_id="msg_1", internet_message_id="<msg_1@example.com>", date=PARCEL.date
    )


def test_a_written_file_is_accepted_under_its_path() -> None:
    verdict = Outbox().classify(FileWrite("data/outbox/", "msg_1.eml", b""), Reply(Phase.ANSWERED))

    assert (verdict.outcome, verdict.provider_message_id) == (Outcome.ACCEPTED, "data/outbox/msg_1.eml")


def test_a_disk_that_keeps_nothing_is_a_provider_that_is_down() -> None:
    reply = Reply(Phase.SENDING, "no space left on device", "io")

    verdict = Outbox().classify(FileWrite("data/outbox", "msg_1.eml", b""), reply)

    assert (verdict.outcome, verdict.detail) == (Outcome.PROVIDER_DOWN, "no space left on device")
