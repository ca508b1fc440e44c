"""Who is handed over first, how fast, and who does not wait for whom."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from shared.domain.message import Priority
from shared.domain.states import State
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal

RATE = 50


class Arrivals(SmtpServer):
    """A server that notes when each message arrived, by the loop's own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def take(self, mail: object) -> None:
        self.times.append(asyncio.get_running_loop().time())
        await super().take(mail)  # type: ignore[arg-type]  # only passed on

    def most_above(self, rate: float, since: float) -> float:
        """Return by how much the arrivals were ever more than `rate` allows since an instant."""
        return max(count - rate * (at - since) for count, at in enumerate(self.times, start=1))


@pytest.fixture
async def smtp() -> AsyncIterator[Arrivals]:
    async with Arrivals() as server:
        yield server


async def test_a_critical_message_overtakes_a_crowd_of_bulk(cluster: Cluster, smtp: Arrivals) -> None:
    """Two thousand wait behind fifty a second, which is forty seconds; it goes with the next few."""
    await cluster.submit_all([letter()] * 2_000, priority=Priority.BULK)
    await cluster.sender(relay(smtp, rate_per_second=RATE))
    await smtp.received(RATE)

    before = len(smtp.mails)
    urgent = await cluster.submit(priority=Priority.CRITICAL)
    await cluster.came_to(State.SENT, urgent)

    assert ids_of(smtp.mails).index(urgent) - before <= 10


async def test_the_last_token_is_a_critical_message_s(cluster: Cluster, smtp: Arrivals) -> None:
    """Of a bucket of ten, nine go to bulk; the tenth is there when a critical message comes, not 100 s later."""
    await cluster.submit_all([letter()] * 50, priority=Priority.BULK)
    await cluster.sender(relay(smtp, rate_per_second=0.01, burst=10))
    await smtp.received(9)

    urgent = await cluster.submit(priority=Priority.CRITICAL)
    await cluster.came_to(State.SENT, urgent)

    assert ids_of(smtp.mails).index(urgent) == 9


async def test_a_provider_without_a_rate_takes_a_critical_message_next(cluster: Cluster, smtp: Arrivals) -> None:
    await cluster.submit_all([letter()] * 2_000, priority=Priority.BULK)
    await cluster.sender(relay(smtp, concurrency=4))
    await smtp.received(100)

    before = len(smtp.mails)
    urgent = await cluster.submit(priority=Priority.CRITICAL)
    await cluster.came_to(State.SENT, urgent)

    assert ids_of(smtp.mails).index(urgent) - before <= 50


async def test_bulk_moves_on_while_critical_messages_keep_coming(cluster: Cluster, smtp: Arrivals) -> None:
    """A twentieth is theirs, however many critical ones wait."""
    await cluster.submit_all([letter()] * 50, priority=Priority.BULK)
    await cluster.submit_all([letter()] * 500, priority=Priority.CRITICAL)

    await cluster.sender(relay(smtp, rate_per_second=200, burst=1))
    await smtp.received(250)

    counted = await _by_priority(cluster, ids_of(smtp.mails)[:250])
    assert counted[Priority.CRITICAL] >= 225
    assert counted[Priority.BULK] >= 5


async def test_high_normal_and_bulk_share_by_weight(cluster: Cluster, smtp: Arrivals) -> None:
    for priority in (Priority.BULK, Priority.NORMAL, Priority.HIGH):
        await cluster.submit_all([letter()] * 200, priority=priority)

    await cluster.sender(relay(smtp, rate_per_second=100, burst=1))
    await smtp.received(130)

    counted = await _by_priority(cluster, ids_of(smtp.mails)[:130])
    assert counted[Priority.HIGH] > counted[Priority.NORMAL] > counted[Priority.BULK] > 0


async def test_a_pool_whose_provider_is_down_holds_up_no_other(
    cluster: Cluster, smtp: Arrivals, other_smtp: SmtpServer
) -> None:
    await other_smtp.refuse()
    dead = relay(other_smtp, "dead", pools=["dead"])
    await cluster.submit_all([letter()] * 300, pool="dead", priority=Priority.HIGH)
    ids = await cluster.submit_all([letter()] * 100, priority=Priority.BULK)

    await cluster.scheduler()
    await cluster.sender(relay(smtp), dead)
    await smtp.received(100)

    assert sorted(ids_of(smtp.mails)) == sorted(ids)


async def test_a_pool_that_a_sender_does_not_know_is_left_to_others(cluster: Cluster, smtp: Arrivals) -> None:
    unknown = await cluster.submit(pool="elsewhere")

    await cluster.sender(relay(smtp))
    await cluster.came_to(State.SENT, await cluster.submit())

    assert (await cluster.view(unknown)).state is State.QUEUED


async def test_two_senders_keep_a_provider_s_rate_together(cluster: Cluster, smtp: Arrivals) -> None:
    burst = 10
    await cluster.submit_all([letter()] * 200)

    started = asyncio.get_running_loop().time()
    for _ in range(2):
        await cluster.sender(relay(smtp, rate_per_second=RATE, burst=burst))
    await smtp.received(150)

    assert smtp.most_above(RATE, started) <= burst


async def test_bulk_that_hangs_leaves_a_slot_for_a_critical_message(
    cluster: Cluster, smtp: Arrivals, journal: Journal
) -> None:
    await cluster.submit_all([letter("end-hang@example.org")] * 30, priority=Priority.BULK)
    await cluster.sender(relay(smtp, concurrency=10), sender={"grace_seconds": 0.5})
    await journal.saw("attempt_begun", times=9)

    urgent = await cluster.submit(priority=Priority.CRITICAL)
    await cluster.came_to(State.SENT, urgent)

    assert urgent in ids_of(smtp.mails)


async def _by_priority(cluster: Cluster, ids: Sequence[str]) -> Counter[Priority]:
    return Counter([(await cluster.view(message_id)).priority for message_id in ids])
