"""What a provider does not carry is known before a try: it goes elsewhere, and nobody is asked in vain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.domain.message import Address, Envelope
from shared.domain.states import State
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay

OWN: dict[str, Any] = {"sender_domains": ["example.com"]}


def letter_from(sender: str) -> Envelope:
    return replace(letter(), sender=Address(sender))


async def test_a_message_from_another_domain_goes_to_a_provider_that_sends_from_it(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await cluster.sender(relay(smtp, "first", **OWN), relay(other_smtp, "second", tier=2))

    record = await cluster.came_to(State.SENT, await cluster.submit(letter_from("shop@other.test")))

    assert ids_of(other_smtp.mails) == [record.id]
    (step, _) = record.attempts[0].route
    assert (step.provider, step.code) == ("first", "unsupported")
    assert step.detail.startswith("sends only from example.com, the message is from other.test;")


async def test_a_message_from_its_own_domain_goes_there(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await cluster.sender(relay(smtp, "first", **OWN), relay(other_smtp, "second", tier=2))

    record = await cluster.came_to(State.SENT, await cluster.submit(letter_from("shop@EXAMPLE.com")))

    assert ids_of(smtp.mails) == [record.id]


async def test_a_message_that_no_provider_sends_from_its_domain_fails_without_a_try(
    cluster: Cluster, smtp: SmtpServer
) -> None:
    await cluster.sender(relay(smtp, **OWN))

    record = await cluster.ended(await cluster.submit(letter_from("shop@other.test")))

    assert (record.state, record.attempts_total, smtp.mails) == (State.FAILED, 0, [])
    assert record.reason is not None
    assert record.reason.code == "no_provider_can_carry"
