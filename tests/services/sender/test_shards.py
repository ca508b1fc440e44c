"""Several senders on several shards: every message is found, and sent once."""

from __future__ import annotations

from shared.domain.ids import shard_of
from shared.domain.states import State
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.conftest import OpenCluster

FOUR = {"redis": {"shards": 4}}


async def crowd(cluster: Cluster, count: int) -> list[str]:
    """Return messages that lie in all shards."""
    ids = await cluster.submit_all([letter()] * count, at_once=count // 8)
    assert {shard_of(message_id) for message_id in ids} == {0, 1, 2, 3}
    return ids


async def test_three_senders_send_each_message_once(smtp: SmtpServer, open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(shards=4)
    before = await crowd(cluster, 400)
    for _ in range(3):
        await cluster.sender(relay(smtp), **FOUR)

    after = await crowd(cluster, 400)
    await cluster.drained()

    assert sorted(ids_of(smtp.mails)) == sorted([*before, *after])
    assert await cluster.count(State.SENT) == 800


async def test_a_sender_that_leaves_hands_its_messages_to_the_others(
    smtp: SmtpServer, open_cluster: OpenCluster
) -> None:
    cluster = await open_cluster(shards=4)
    ids = await crowd(cluster, 800)
    first = await cluster.sender(relay(smtp), **FOUR)
    await cluster.sender(relay(smtp), **FOUR)
    await smtp.received(100)

    await first.stop()
    await cluster.drained()

    assert sorted(ids_of(smtp.mails)) == sorted(ids)


async def test_a_process_with_another_count_uses_the_queue_s_own(smtp: SmtpServer, open_cluster: OpenCluster) -> None:
    cluster = await open_cluster(shards=4)
    ids = await crowd(cluster, 80)

    await cluster.sender(relay(smtp), redis={"shards": 1})
    await cluster.drained()

    assert sorted(ids_of(smtp.mails)) == sorted(ids)
