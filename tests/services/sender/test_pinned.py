"""A message that is pinned to one provider puts it to the test: it goes there or nowhere."""

from __future__ import annotations

from shared.domain.message import Priority, Record
from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.pauses import Pause, Scale
from tests.fakes.smtp_server import Say, SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal

REFUSED = Say("530 5.7.0 Authentication required")


async def submit_to(cluster: Cluster, provider: str) -> str:
    """Submit what `POST /v1/providers/{name}/test` makes."""
    return await cluster.submit(letter(pinned_to=provider), priority=Priority.HIGH)


async def two_relays(cluster: Cluster, first: SmtpServer, second: SmtpServer) -> None:
    await cluster.scheduler()
    await cluster.sender(relay(first, "first"), relay(second, "second", tier=2))


def providers_of(record: Record) -> set[str]:
    return {attempt.provider for attempt in record.attempts}


async def test_it_goes_to_its_provider_though_another_is_better(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await two_relays(cluster, smtp, other_smtp)

    record = await cluster.came_to(State.SENT, await submit_to(cluster, "second"))

    assert ids_of(other_smtp.mails) == [record.id]
    assert smtp.mails == []


async def test_it_fails_over_to_nobody(cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer) -> None:
    smtp.plan("mail", Say("451 4.3.0 later"), Say("451 4.3.0 later"))
    await two_relays(cluster, smtp, other_smtp)

    record = await cluster.came_to(State.SENT, await submit_to(cluster, "first"))

    assert providers_of(record) == {"first"}
    assert [attempt.outcome for attempt in record.attempts] == [*[Outcome.TEMPORARY] * 2, Outcome.ACCEPTED]
    assert other_smtp.mails == []


async def test_an_open_breaker_lets_it_through_at_once(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    """Misconfigured providers are tried again after half a minute; who has mended the key wants to know now."""
    smtp.plan("mail", REFUSED)
    await two_relays(cluster, smtp, other_smtp)
    await cluster.came_to(State.SENT, await cluster.submit())
    await journal.saw("breaker_opened", provider="first")

    record = await cluster.came_to(State.SENT, await submit_to(cluster, "first"))

    assert ids_of(smtp.mails) == [record.id]
    assert [step.code for step in record.attempts[0].route] == ["probe"]


async def test_refused_as_a_probe_it_waits_for_its_provider(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    smtp.always("mail", REFUSED)
    await two_relays(cluster, smtp, other_smtp)
    other = await cluster.came_to(State.SENT, await cluster.submit())
    await journal.saw("breaker_opened", provider="first")

    record = await cluster.came_to(State.RETRYING, await submit_to(cluster, "first"))

    assert [(attempt.provider, attempt.outcome) for attempt in record.attempts] == [("first", Outcome.MISCONFIGURED)]
    assert ids_of(other_smtp.mails) == [other.id]


async def test_a_pause_of_its_provider_holds_it_up(cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer) -> None:
    await two_relays(cluster, smtp, other_smtp)
    await cluster.queue.pauses.pause(Pause(Scale.PROVIDER, "first"))

    message_id = await submit_to(cluster, "first")
    waits = await cluster.came_to(State.RETRYING, message_id)
    await cluster.queue.pauses.resume(Scale.PROVIDER, "first")
    await cluster.came_to(State.SENT, message_id)

    assert waits.waiting is not None
    assert waits.waiting.code == "paused"
    assert ids_of(smtp.mails) == [message_id]


async def test_a_provider_that_its_pool_does_not_have_ends_it(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    await two_relays(cluster, smtp, other_smtp)

    record = await cluster.ended(await submit_to(cluster, "third"))

    assert record.state is State.FAILED
    assert record.reason is not None
    assert record.reason.code == "no_provider_can_carry"
