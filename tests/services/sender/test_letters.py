"""Every kind of message, from the queue through a real server: parsed back, it is what was submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.states import State
from tests.fakes.smtp_server import Mail, SmtpServer
from tests.services.sender.cluster import Cluster, letter
from tests.unit.mime.oracle import assert_faithful
from tests.unit.mime.strategies import envelopes

MEBIBYTE: Final = 1 << 20
ADA: Final = Address("ada@example.org", "Ada Lovelace")
HTML: Final = "<p>Thank you.</p>\n"
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def file(content: bytes, name: str = "receipt.pdf", kind: str = "application/pdf", **more: Any) -> Attachment:
    """Return an attachment."""
    return Attachment(name, kind, len(content), content, **more)


LETTERS: Final = {
    "text": letter(text="Dear Ada,\n.\n..dots\nFrom us, with ünïcode.\n"),
    "html": letter(text=None, html=HTML),
    "both": letter(html=HTML),
    "image": letter(
        html='<img src="cid:logo">\n',
        attachments=(file(PNG, "logo.png", "image/png", content_id="logo", disposition="inline"),),
    ),
    "two-files": letter(attachments=(file(b"%PDF-1.7\n"), file(bytes(range(256)) * 40, "résumé №2.bin"))),
    "cc-and-bcc": letter(
        cc=(Address("linus@example.net", "Linus, T."),),
        bcc=(Address("archive@example.com"), Address("audit@example.com")),
        reply_to=(Address("help@example.com"),),
    ),
    "japanese": letter(subject="領収書 №1042、ありがとうございます", text="日本語の本文。\n"),
    "idn": letter("grace@bücher.example", "用户@例え.テスト"),
    "headers": letter(headers=(("X-Order", "1042"), ("In-Reply-To", "<order-1042@shop.example.com>"))),
    "2-mebibytes": letter(attachments=(file(bytes(range(256)) * (2 * MEBIBYTE // 256)),)),
    "18-mebibytes": letter(attachments=(file(bytes(range(256)) * (18 * MEBIBYTE // 256)),)),
}


async def assert_arrived(cluster: Cluster, mail: Mail, envelope: Envelope, message_id: str) -> None:
    """Assert that what a server took is the message that was submitted, to every recipient."""
    record = await cluster.view(message_id)
    message = assert_faithful(
        envelope,
        mail.data,
        message_id=message_id,
        internet_message_id=record.internet_message_id,
        date=record.attempts[0].started_at,
    )
    assert message["X-Reliable-Email-Id"] == message_id
    assert len(mail.recipients) == len(envelope.recipients)


@pytest.mark.parametrize("kind", LETTERS)
async def test_a_message_arrives_as_it_was_submitted(kind: str, cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)

    message_id = await cluster.submit(LETTERS[kind])
    await cluster.came_to(State.SENT, message_id)

    (mail,) = smtp.mails
    await assert_arrived(cluster, mail, LETTERS[kind], message_id)


async def test_blind_recipients_get_the_message_and_stand_in_no_header(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)

    await cluster.came_to(State.SENT, await cluster.submit(LETTERS["cc-and-bcc"]))

    (mail,) = smtp.mails
    assert mail.recipients == ("ada@example.org", "linus@example.net", "archive@example.com", "audit@example.com")
    assert b"archive@example.com" not in mail.data


async def test_a_domain_travels_as_its_ascii_form(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)

    await cluster.came_to(State.SENT, await cluster.submit(letter("grace@bücher.example")))

    (mail,) = smtp.mails
    assert mail.recipients == ("grace@xn--bcher-kva.example",)
    assert "SMTPUTF8" not in mail.parameters


async def test_bounces_go_where_the_configuration_says(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp, return_path="bounces@example.com")

    await cluster.came_to(State.SENT, await cluster.submit())

    (mail,) = smtp.mails
    assert (mail.sender, mail.message["From"]) == ("bounces@example.com", "shop@example.com")


async def test_any_valid_message_arrives_as_it_was_submitted(cluster: Cluster, smtp: SmtpServer) -> None:
    """One hundred random ones, with everything that validation lets through."""
    sent = examples(100)
    await cluster.sends_through(smtp)

    ids = await cluster.submit_all(sent, at_once=20)
    await cluster.drained()

    mails = {mail.message["X-Reliable-Email-Id"]: mail for mail in smtp.mails}
    for envelope, message_id in zip(sent, ids, strict=True):
        await assert_arrived(cluster, mails[message_id], envelope, message_id)


def examples(count: int) -> Sequence[Envelope]:
    """Return random envelopes that somebody is to get, the same at every run."""
    found: list[Envelope] = []

    @settings(max_examples=count)
    @given(envelopes().filter(lambda envelope: envelope.recipients))
    def collect(envelope: Envelope) -> None:
        found.append(envelope)

    collect()
    return found
