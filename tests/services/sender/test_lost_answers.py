"""Answers of Redis that are lost, requests that come late, and a Redis that stands still for a while.

No scheduler runs unless a test says so: nothing takes a lease back, so a message is sent only
where the sender itself has found its way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.script import Scripts
from tests.fakes.lossy import LossyProxy
from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import RedisServer
from tests.services.sender.cluster import Cluster, Member, ids_of, letter, relay
from tests.services.sender.journal import Journal

_SCRIPTS = Scripts()
#: A lease during which nothing runs out by itself, however slow the machine.
PATIENT = {"lease_seconds": 60, "grace_seconds": 5}


def calls_of(script: str) -> tuple[bytes, bytes]:
    """Return the words by which a call of a script is known, whether it brings its source or its hash."""
    return _SCRIPTS[script].sha.encode(), f"-- {script}: ".encode()


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def far_cluster(proxy: LossyProxy, cluster: Cluster) -> Cluster:
    """A cluster whose senders reach Redis through the proxy, while the test itself reaches it directly."""
    cluster.url = proxy.url
    return cluster


async def warm_sender(cluster: Cluster, smtp: SmtpServer, **keys: Any) -> Member:
    """Start a sender that has sent one message: by now Redis knows each script."""
    sender = await cluster.sender(relay(smtp, **keys), sender=PATIENT)
    await cluster.came_to(State.SENT, await cluster.submit())
    return sender


@pytest.mark.parametrize("script", ["lease", "begin", "settle"])
async def test_one_lost_answer_does_no_harm(
    script: str, proxy: LossyProxy, far_cluster: Cluster, smtp: SmtpServer
) -> None:
    await warm_sender(far_cluster, smtp)

    proxy.lose_answers(*calls_of(script))
    ids = await far_cluster.submit_all([letter()] * 10)
    await far_cluster.drained()

    records = [await far_cluster.view(message_id) for message_id in ids]
    assert sorted(ids_of(smtp.mails[1:])) == sorted(ids)
    assert {(record.state, record.attempts_total, record.possible_duplicate) for record in records} == {
        (State.SENT, 1, False)
    }


@pytest.mark.parametrize("script", ["lease", "begin", "settle"])
async def test_answers_lost_for_longer_than_a_call_lasts_do_no_harm(
    script: str, proxy: LossyProxy, far_cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    """What Redis has done is not known to the sender, which gives the call up, and finds out later."""
    await warm_sender(far_cluster, smtp)

    proxy.lose_answers(*calls_of(script), times=1000)
    message_id = await far_cluster.submit()
    await journal.until(
        lambda: journal.told("chore_failed", chore=script) or journal.told("settle_failed"), "it gives the call up"
    )
    await proxy.let_go()
    record = await far_cluster.came_to(State.SENT, message_id)

    assert ids_of(smtp.mails[1:]) == [message_id]
    assert (record.attempts_total, record.possible_duplicate) == (1, False)


async def test_a_begin_that_comes_after_its_lease_is_over_sends_nothing(
    proxy: LossyProxy, far_cluster: Cluster, smtp: SmtpServer, journal: Journal, server: RedisServer
) -> None:
    """Whoever has the message by then sends it, once."""
    slow = await far_cluster.sender(relay(smtp), sender={"lease_seconds": 1})
    proxy.hold(*calls_of("begin"))
    message_id = await far_cluster.submit()
    await proxy.met(*calls_of("begin"))

    far_cluster.url = server.url
    await far_cluster.scheduler(sender={"lease_seconds": 1})
    proxy.hold(*calls_of("extend"))
    await journal.saw("lease_reclaimed", message_id=message_id, begun=False)
    await far_cluster.sender(relay(smtp), sender={"lease_seconds": 1})
    await far_cluster.came_to(State.SENT, message_id)
    await proxy.let_go()
    await slow.stop()

    assert ids_of(smtp.mails) == [message_id]


async def test_an_acceptance_that_comes_after_its_lease_is_over_still_ends_the_message(
    proxy: LossyProxy, far_cluster: Cluster, smtp: SmtpServer, journal: Journal, server: RedisServer
) -> None:
    """To ignore it would be to send a second copy for certain."""
    retry = {"ambiguous_delay_seconds": 60}
    await far_cluster.sender(relay(smtp), sender={"lease_seconds": 1})
    proxy.hold(*calls_of("settle"), *calls_of("extend"))
    message_id = await far_cluster.submit()
    await proxy.met(*calls_of("settle"))

    far_cluster.url = server.url
    await far_cluster.scheduler(sender={"lease_seconds": 1}, retry=retry)
    await journal.saw("lease_reclaimed", message_id=message_id, begun=True)
    await proxy.let_go()
    record = await far_cluster.came_to(State.SENT, message_id)

    assert ids_of(smtp.mails) == [message_id]
    assert [attempt.outcome for attempt in record.attempts] == [Outcome.ACCEPTED]


async def test_mail_flows_again_after_redis_stood_still(
    tmp_path_factory: pytest.TempPathFactory, smtp: SmtpServer, journal: Journal
) -> None:
    with RedisServer(tmp_path_factory.mktemp("frozen")) as redis:
        cluster = Cluster(redis.url, "f", tmp_path_factory.mktemp("config"), journal)
        await cluster.open()
        await cluster.scheduler()
        await cluster.sender(relay(smtp), sender=PATIENT)
        ids = await cluster.submit_all([letter()] * 50)
        await smtp.received(5)

        redis.freeze()
        await journal.saw("chore_failed", chore="look")  # the scheduler has given a call up
        redis.thaw()
        await cluster.drained()
        records = [await cluster.view(message_id) for message_id in ids]
        await cluster.close()

    assert sorted(ids_of(smtp.mails)) == sorted(ids)
    assert {(record.state, record.attempts_total) for record in records} == {(State.SENT, 1)}
