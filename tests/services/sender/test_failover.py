"""Several providers: who carries a message when one cannot, and what the record tells of it."""

from __future__ import annotations

import asyncio

from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.provider_state import Limits
from tests.fakes.smtp_server import Act, Say, SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal


def two_tiers(first: SmtpServer, second: SmtpServer, **keys: object) -> tuple[dict[str, object], dict[str, object]]:
    """Return two relays, of which the second is in reserve."""
    return relay(first, "first", **keys), relay(second, "second", tier=2, **keys)


async def test_a_temporary_failure_goes_to_the_next_provider_at_once(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    """Without a scheduler nothing is ever promoted: it must have happened inside the lease."""
    smtp.always("mail", Say("451 4.3.0 later"))
    sender = await cluster.sender(*two_tiers(smtp, other_smtp))

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert ids_of(other_smtp.mails) == [record.id]
    assert record.rounds == 0
    assert await sender.metric("failovers_total", **{"from": "first", "to": "second"}) == 1


async def test_both_attempts_of_a_failover_stand_in_the_record(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    smtp.always("mail", Say("451 4.3.0 later"))
    await cluster.sender(*two_tiers(smtp, other_smtp))

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [(attempt.number, attempt.provider, attempt.outcome) for attempt in record.attempts] == [
        (1, "first", Outcome.TEMPORARY),
        (2, "second", Outcome.ACCEPTED),
    ]
    assert [[(step.provider, step.chosen, step.code) for step in attempt.route] for attempt in record.attempts] == [
        [("first", True, "best"), ("second", False, "lower_tier")],
        [("first", False, "already_tried"), ("second", True, "failover")],
    ]
    assert record.attempts_total == 2


async def test_what_a_provider_cannot_carry_goes_to_another(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    smtp.always("mail", Say("552 5.3.4 message too big for us"))
    await cluster.sender(*two_tiers(smtp, other_smtp))

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [(attempt.provider, attempt.outcome) for attempt in record.attempts] == [
        ("first", Outcome.REJECTED),
        ("second", Outcome.ACCEPTED),
    ]


async def test_a_provider_that_cannot_carry_a_message_is_not_asked_again(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    smtp.always("mail", Say("552 5.3.4 message too big for us"))
    other_smtp.plan("mail", Say("451 4.3.0 later"))
    await cluster.scheduler()
    await cluster.sender(*two_tiers(smtp, other_smtp))

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [attempt.provider for attempt in record.attempts] == ["first", "second", "second"]
    assert record.attempts[2].route[0].code == "unsupported"


async def test_a_message_that_nobody_can_carry_fails(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    for server in (smtp, other_smtp):
        server.always("mail", Say("552 5.3.4 message too big for us"))
    await cluster.sender(*two_tiers(smtp, other_smtp))

    record = await cluster.ended(await cluster.submit())

    assert (record.state, len(record.attempts)) == (State.FAILED, 2)
    assert record.reason is not None
    assert (record.reason.code, record.reason.provider) == ("no_provider_can_carry", "second")


async def test_a_requeue_asks_a_provider_again_that_could_not_carry_the_message(
    cluster: Cluster, smtp: SmtpServer
) -> None:
    smtp.plan("mail", Say("552 5.3.4 message too big for us"))
    await cluster.sender(relay(smtp))
    message_id = (await cluster.ended(await cluster.submit())).id

    await cluster.queue.owners.requeue([message_id])
    record = await cluster.came_to(State.SENT, message_id)

    assert (record.requeues, len(record.attempts)) == (1, 2)


async def test_a_server_that_is_down_is_left_for_the_next_one(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    await smtp.refuse()
    await cluster.scheduler()
    await cluster.sender(*two_tiers(smtp, other_smtp))

    ids = await cluster.submit_all([letter()] * 20)
    await cluster.drained()

    assert sorted(ids_of(other_smtp.mails)) == sorted(ids)
    assert journal.told("breaker_opened", provider="first")


async def test_a_429_leaves_the_provider_to_the_others(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    smtp.plan("mail", Say("451 4.7.1 too many messages, slow down"))
    await cluster.sender(*two_tiers(smtp, other_smtp))

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.THROTTLED, Outcome.ACCEPTED]
    assert record.rounds == 0
    assert journal.told("provider_throttled", provider="first")


async def test_a_429_to_one_sender_stops_every_sender(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("mail", Say("454 4.7.0 Throttling failure: Maximum sending rate exceeded."))
    await cluster.sender(relay(smtp, rate_per_second=100))
    await cluster.submit()
    blocked_until = await _block_of(cluster, "relay")

    await cluster.sender(relay(smtp, rate_per_second=100))
    ids = await cluster.submit_all([letter()] * 5)
    records = [await cluster.came_to(State.SENT, message_id) for message_id in ids]

    assert min(record.attempts[0].started_at for record in records) >= blocked_until


async def test_a_429_s_message_waits_until_the_provider_may_be_used_again(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("mail", Say("454 4.7.0 Throttling failure: Maximum sending rate exceeded."))
    await cluster.sender(relay(smtp))
    message_id = await cluster.submit()
    waits = await cluster.came_to(State.RETRYING, message_id)
    blocked_until = await _block_of(cluster, "relay")

    await cluster.scheduler()
    record = await cluster.came_to(State.SENT, message_id)

    assert waits.waiting is not None
    assert waits.waiting.code == "rate_limited"
    assert record.attempts[1].started_at >= blocked_until


async def test_a_full_mailbox_is_no_429(cluster: Cluster, smtp: SmtpServer, journal: Journal) -> None:
    smtp.plan("rcpt", Say("452 4.2.2 mailbox over quota"))
    await cluster.sends_through(smtp)

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert record.attempts[0].outcome is Outcome.TEMPORARY
    assert not journal.told("provider_throttled")


async def test_a_lost_answer_goes_back_to_the_same_provider(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    """It may hold the message already, and knows it by its Message-ID; another would surely send a second copy."""
    await cluster.scheduler()
    await cluster.sender(*(relay(server, name, weight=1) for server, name in ((smtp, "one"), (other_smtp, "two"))))

    # One message at a time: several lost answers together would open the provider's breaker, and then it may not wait.
    for server in (smtp, other_smtp):
        server.plan("end", Act.RESET)
    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert len(record.attempts) == 2
    assert len({attempt.provider for attempt in record.attempts}) == 1


async def _block_of(cluster: Cluster, provider: str) -> int:
    """Wait until a provider is blocked for every sender, and return until when."""
    async with asyncio.timeout(10):
        while True:
            drawn = await cluster.queue.providers.draw(provider, Limits(), 0)
            if drawn.blocked_until is not None:
                return drawn.blocked_until
