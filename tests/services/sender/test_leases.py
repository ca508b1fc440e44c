"""Leases: kept while an attempt runs, lost when their sender is, and careful with what may have killed it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.domain.message import Priority
from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.chores import Reaped
from shared.queue.leases import Begin, FlowRequest, Lease, Leases
from tests.fakes.smtp_server import Act, SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal
from tests.services.sender.test_letters import file

SHORT = {"sender": {"lease_seconds": 1, "grace_seconds": 5}}


async def lose_sender(cluster: Cluster, ids: Sequence[str], *, begun: bool = True) -> list[Lease]:
    """Let a sender that nobody hears of again lease these messages, which must be all that wait."""
    lost = Leases(cluster.queue.core, lease_ms=1)
    leased = await lost.lease(0, [FlowRequest("default", Priority.NORMAL, len(ids))])
    assert sorted(lease.id for lease in leased.leases) == sorted(ids)
    if begun:
        await lost.begin(0, [Begin(lease, lease.attempts + 1, "relay", lease.pending) for lease in leased.leases])
    return list(leased.leases)


async def take_back(cluster: Cluster, count: int) -> None:
    """Take back the leases of senders that were lost, and make their messages ready at once."""
    reaped: list[Reaped] = []
    while len(reaped) < count:
        reaped += await cluster.queue.chores.reap(0, ambiguous_delay_ms=0, max_rounds=12, max_age_ms=1 << 40)
        await cluster.queue.chores.promote(0)


async def strike(cluster: Cluster, count: int, times: int = 1) -> list[str]:
    """Return messages whose senders were lost so many times while they sent them."""
    ids = await cluster.submit_all([letter()] * count)
    for _ in range(times):
        await lose_sender(cluster, ids)
        await take_back(cluster, count)
    return ids


async def test_a_lease_is_renewed_while_its_attempt_hangs(cluster: Cluster, smtp: SmtpServer, journal: Journal) -> None:
    """The attempt takes three leases' time; a scheduler that would take the lease back looks on."""
    smtp.plan("end", Act.HANG)
    await cluster.scheduler(**SHORT)
    await cluster.sender(relay(smtp, answer_seconds=3), **SHORT)

    record = await cluster.came_to(State.SENT, await cluster.submit())

    hung, sent = record.attempts
    assert hung.duration_ms >= 3_000
    assert (hung.outcome, sent.outcome) == (Outcome.AMBIGUOUS, Outcome.ACCEPTED)
    assert not journal.told("lease_reclaimed")


async def test_a_lost_sender_s_unbegun_messages_go_to_another(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    ids = await cluster.submit_all([letter()] * 3)
    await lose_sender(cluster, ids, begun=False)

    await cluster.sends_through(smtp)
    await cluster.drained()

    assert len(journal.told("lease_reclaimed", begun=False)) == 3
    records = [await cluster.view(message_id) for message_id in ids]
    assert {(record.state, record.rounds, record.possible_duplicate) for record in records} == {(State.SENT, 0, False)}


async def test_a_lost_sender_s_begun_messages_may_come_twice_and_say_so(cluster: Cluster, smtp: SmtpServer) -> None:
    ids = await strike(cluster, 1)

    await cluster.sends_through(smtp)
    record = await cluster.came_to(State.SENT, ids[0])

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS, Outcome.ACCEPTED]
    assert "the sender was lost" in record.attempts[0].detail
    assert (record.possible_duplicate, record.rounds) == (True, 1)


async def test_of_messages_with_strikes_one_is_in_flight(cluster: Cluster, smtp: SmtpServer, journal: Journal) -> None:
    """What killed a sender may do so again, and must not take the others with it."""
    ids = await strike(cluster, 3)
    innocent = await cluster.submit_all([letter()] * 20)

    await cluster.sends_through(smtp)
    await cluster.drained()

    assert most_in_flight(journal, ids) == 1
    assert most_in_flight(journal, innocent) > 1
    assert sorted(ids_of(smtp.mails)) == sorted([*ids, *innocent])


async def test_a_verdict_clears_strikes(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("end", Act.RESET)
    (message_id,) = await strike(cluster, 1, times=2)
    before = (await cluster.stored(message_id)).get("strikes")

    await cluster.sender(relay(smtp))
    await cluster.came_to(State.RETRYING, message_id)

    assert before == "2"
    assert "strikes" not in await cluster.stored(message_id)


async def test_a_message_that_lost_its_sender_three_times_fails(cluster: Cluster) -> None:
    (message_id,) = await strike(cluster, 1, times=3)

    record = await cluster.view(message_id)

    assert record.state is State.FAILED
    assert record.reason is not None
    assert record.reason.code == "sender_lost_three_times"


async def test_a_cancel_during_an_attempt_lets_it_end_and_begins_no_other(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    smtp.plan("end", Act.HANG)
    await cluster.sends_through(smtp, answer_seconds=1)
    message_id = await cluster.submit()
    await journal.saw("attempt_begun", message_id=message_id)

    await cluster.queue.owners.cancel([message_id])
    record = await cluster.ended(message_id)

    assert record.state is State.CANCELLED
    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS]


async def test_leased_bytes_are_bounded(cluster: Cluster, smtp: SmtpServer) -> None:
    """Six messages of 12 MiB do not fit into 25: at most three are in memory, and all arrive."""
    big = letter(attachments=(file(bytes(12 << 20)),))
    ids = await cluster.submit_all([big] * 6, at_once=1)
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(len(await cluster.leased()))
            await asyncio.sleep(0)

    watching = asyncio.ensure_future(watch())
    await cluster.sender(relay(smtp), sender={"buffer_megabytes": 25})
    await cluster.drained()
    watching.cancel()

    assert sorted(ids_of(smtp.mails)) == sorted(ids)
    assert 1 <= max(seen) <= 3


def most_in_flight(journal: Journal, ids: Sequence[str]) -> int:
    """Return how many of these messages were ever tried at the same time."""
    flying: set[str] = set()
    most = 0
    for line in journal.lines:
        if line.get("message_id") in ids and line["event"] == "attempt_begun":
            flying.add(line["message_id"])
        elif line["event"] == "attempt_finished":
            flying.discard(line["message_id"])
        most = max(most, len(flying))
    return most
