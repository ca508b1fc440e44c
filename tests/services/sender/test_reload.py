"""SIGHUP to a sender: providers come, go and change while mail flows; nothing is lost and nothing goes out twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.policy.quotas import Quota
from shared.queue.provider_state import Limits
from shared.queue.script import Scripts
from tests.fakes.lossy import LossyProxy
from tests.fakes.smtp_server import Act, Action, Say, Session, SmtpServer
from tests.redis_server import RedisServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.conftest import OpenCluster
from tests.services.sender.journal import Journal

BEGIN = Scripts()["begin"].sha.encode()
LEASE = Scripts()["lease"].sha.encode()


def held(server: SmtpServer) -> asyncio.Event:
    """Let a server answer the final dot only when the event is set; what it took it has."""
    gate = asyncio.Event()

    class Held(Session):
        async def perform(self, action: Action, usual: str) -> bool:
            if usual.startswith("250 2.0.0"):
                await gate.wait()
            return await super().perform(action, usual)

    server.session = Held
    return gate


def knowing(server: SmtpServer, secret: Path, name: str = "relay", **keys: Any) -> dict[str, Any]:
    """Return a provider that logs in with the password in a file."""
    return relay(server, name, username="shop", password={"file": str(secret)}, **keys)


async def told(cluster: Cluster, revision: str) -> dict[str, Any]:
    """Wait until the one sender tells the cluster of this revision, and return what it tells."""
    async with asyncio.timeout(20):
        while True:
            for process in await cluster.queue.processes.census():
                if process.role == "sender" and process.told["config_revision"] == revision:
                    return dict(process.told)


async def all_shut(cluster: Cluster, senders: int) -> None:
    """Wait until so many senders tell that the breaker of their one provider is open."""
    async with asyncio.timeout(20):
        while True:
            words = [process.told for process in await cluster.queue.processes.census() if process.role == "sender"]
            if [row["breaker"]["state"] for word in words for row in word["providers"]] == ["open"] * senders:
                return


# Providers that come and go


async def test_a_provider_that_comes_takes_over(cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer) -> None:
    sender = await cluster.sender(relay(smtp, "old"))
    await cluster.reload(sender, relay(smtp, "old", tier=2), relay(other_smtp, "new"))

    message_id = await cluster.submit()
    await cluster.came_to(State.SENT, message_id)

    assert (ids_of(smtp.mails), ids_of(other_smtp.mails)) == ([], [message_id])


async def test_a_provider_that_goes_finishes_what_it_has_and_gets_nothing_more(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    gate = held(smtp)
    sender = await cluster.sender(relay(smtp, "old"))
    first = await cluster.submit()
    await smtp.received(1)

    await cluster.reload(sender, relay(other_smtp, "new"))
    second = await cluster.submit()
    await cluster.came_to(State.SENT, second)
    gate.set()
    record = await cluster.came_to(State.SENT, first)

    assert [(attempt.provider, attempt.outcome) for attempt in record.attempts] == [("old", Outcome.ACCEPTED)]
    assert (ids_of(smtp.mails), ids_of(other_smtp.mails)) == ([first], [second])


async def test_a_provider_that_goes_takes_leave_of_its_server(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    sender = await cluster.sender(relay(smtp, "old"))
    await cluster.came_to(State.SENT, await cluster.submit())
    connected = smtp.connected

    await cluster.reload(sender, relay(other_smtp, "new"))
    async with asyncio.timeout(20):  # idle connections end by themselves, but later
        await smtp.all_gone()

    assert (connected, smtp.commands[-1]) == (1, "QUIT")


async def test_what_waits_at_a_provider_that_goes_is_handed_back_at_once(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, server: RedisServer, journal: Journal
) -> None:
    """The provider's actor is held up by a call for another message."""
    async with LossyProxy(server.port) as proxy:
        cluster.url = proxy.url
        sender = await cluster.sender(relay(smtp, "old"))
        await cluster.came_to(State.SENT, await cluster.submit())
        proxy.hold(BEGIN)
        first = await cluster.submit()
        await proxy.met(BEGIN)
        second = await cluster.submit()
        await journal.saw("messages_leased", times=3)

        await cluster.reload(sender, relay(other_smtp, "new", pools=["other"]))
        waiting = await cluster.came_to(State.QUEUED, second)
        await proxy.let_go()
        await cluster.came_to(State.SENT, first)

    assert (waiting.rounds, waiting.attempts_total) == (0, 0)


async def test_what_a_provider_that_goes_has_drawn_and_not_used_is_given_back(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, server: RedisServer, journal: Journal
) -> None:
    async with LossyProxy(server.port) as proxy:
        cluster.url = proxy.url
        sender = await cluster.sender(relay(smtp, "old", quotas=[{"messages": 10}]))
        await cluster.came_to(State.SENT, await cluster.submit())
        proxy.hold(BEGIN)
        await cluster.submit()
        await proxy.met(BEGIN)
        await cluster.submit()
        await journal.saw("messages_leased", times=3)

        await cluster.reload(sender, relay(other_smtp, "new", pools=["other"]))
        await proxy.let_go()
        await smtp.received(2)
        await smtp.all_gone()

        async def is_back() -> bool:
            drawn = await cluster.queue.providers.draw("old", Limits(quotas=(Quota(10, "day"),)), 0)
            return drawn.used == (2,)

        async with asyncio.timeout(20):
            while not await is_back():
                pass


async def test_what_fails_at_a_provider_that_has_gone_goes_to_another_in_the_same_lease(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    """Without a scheduler nothing is ever promoted: it must have happened inside the lease."""
    gate = held(smtp)
    smtp.plan("end", Say("451 4.3.0 later"))
    sender = await cluster.sender(relay(smtp, "old"))
    message_id = await cluster.submit()
    await smtp.at("end")

    await cluster.reload(sender, relay(other_smtp, "new"))
    gate.set()
    record = await cluster.came_to(State.SENT, message_id)

    assert [(attempt.provider, attempt.outcome) for attempt in record.attempts] == [
        ("old", Outcome.TEMPORARY),
        ("new", Outcome.ACCEPTED),
    ]


async def test_a_provider_that_has_gone_is_shown_no_longer(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    """An alert that looks at its last state would never end."""
    sender = await cluster.sender(relay(smtp, "old"), relay(other_smtp, "new"))
    await cluster.came_to(State.SENT, await cluster.submit())
    before = await sender.metric("provider_health", provider="old")

    line = await cluster.reload(sender, relay(other_smtp, "new"))
    rows = (await told(cluster, line["config_revision"]))["providers"]

    assert ([row["name"] for row in rows], before) == (["new"], 1)
    assert await sender.metric("provider_health", provider="old") == 0


async def test_a_sender_that_stops_does_not_wait_for_a_provider_that_has_gone_longer_than_for_any_other(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    gate = held(smtp)
    sender = await cluster.sender(relay(smtp, "old"), sender={"grace_seconds": 1})
    message_id = await cluster.submit()
    await smtp.received(1)

    await cluster.reload(sender, relay(other_smtp, "new"), sender={"grace_seconds": 1})
    await sender.stop()
    record = await cluster.view(message_id)
    gate.set()

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS]


# Providers that change


async def test_a_change_of_what_only_routing_reads_keeps_the_connections(cluster: Cluster, smtp: SmtpServer) -> None:
    sender = await cluster.sender(relay(smtp))
    await cluster.came_to(State.SENT, await cluster.submit())

    await cluster.reload(sender, relay(smtp, weight=7, rate_per_second=50, pools=["default", "news"]))
    await cluster.came_to(State.SENT, await cluster.submit(letter(), pool="news"))

    assert smtp.connections == 1


async def test_a_changed_limit_holds(cluster: Cluster, smtp: SmtpServer) -> None:
    gate = held(smtp)
    sender = await cluster.sender(relay(smtp, concurrency=5))
    await cluster.reload(sender, relay(smtp, concurrency=1))
    ids = await cluster.submit_all([letter()] * 3)

    await smtp.received(1)
    connected = smtp.connected
    gate.set()
    for message_id in ids:
        await cluster.came_to(State.SENT, message_id)

    assert (connected, smtp.connections) == (1, 1)


async def test_a_lowered_concurrency_counts_what_is_in_flight(cluster: Cluster, smtp: SmtpServer) -> None:
    """The connections of before and those of after belong to one account."""
    gate = held(smtp)
    sender = await cluster.sender(relay(smtp, concurrency=4))  # of which one waits for critical messages
    await cluster.submit_all([letter()] * 3)
    await smtp.received(3)

    line = await cluster.reload(sender, relay(smtp, concurrency=2))
    late = await cluster.submit()
    (row,) = (await told(cluster, line["config_revision"]))["providers"]
    gate.set()
    await cluster.came_to(State.SENT, late)

    assert (row["usage"]["in_flight"], row["limits"]["concurrency"]) == (3, 2)
    assert ids_of(smtp.mails)[3:] == [late]


async def test_what_was_learned_of_an_account_outlives_a_change_of_its_limits(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    smtp.always("mail", Say("421 4.3.2 shutting down"))
    sender = await cluster.sender(relay(smtp))
    await cluster.scheduler()
    await cluster.submit_all([letter()] * 5)
    await journal.saw("breaker_opened", provider="relay")

    line = await cluster.reload(sender, relay(smtp, concurrency=3, weight=2))
    (row,) = (await told(cluster, line["config_revision"]))["providers"]

    assert row["breaker"]["state"] in {"open", "probing"}
    assert row["health"] < 1


async def test_a_mended_password_is_tried_at_once(
    cluster: Cluster, smtp: SmtpServer, journal: Journal, tmp_path: Path
) -> None:
    """The breaker of the wrong one would keep the provider shut for half a minute at least."""
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    smtp.users["shop"] = "right"
    sender = await cluster.sender(knowing(smtp, secret))
    await cluster.submit()
    await journal.saw("breaker_opened", provider="relay")

    secret.write_text("right\n")
    line = await cluster.hang_up(sender, "configuration_reloaded")
    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert line["changes"] == ("providers.relay",)
    assert [attempt.outcome for attempt in record.attempts] == [Outcome.ACCEPTED]
    assert not journal.told("breaker_probed")


async def test_a_sender_with_the_mended_password_does_not_believe_those_with_the_wrong_one(
    cluster: Cluster, smtp: SmtpServer, journal: Journal, tmp_path: Path
) -> None:
    """Each of two would open again at the word of the other, for as long as one was not reloaded."""
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.write_text("wrong")
    right.write_text("right")
    smtp.users["shop"] = "right"
    one, _ = [await cluster.sender(knowing(smtp, wrong)) for _ in range(2)]
    await cluster.submit()
    await journal.saw("breaker_opened", provider="relay")
    await all_shut(cluster, 2)
    line = await cluster.reload(one, knowing(smtp, right))

    before = await told(cluster, line["config_revision"])
    messages = [await cluster.submit() for _ in range(3)]
    for message_id in messages:
        await cluster.came_to(State.SENT, message_id)

    assert [row["breaker"]["state"] for row in before["providers"]] == ["closed"]


# Pools


async def test_messages_of_a_pool_that_goes_wait_for_it(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, server: RedisServer
) -> None:
    """Also those whose lease is on its way at that moment."""
    async with LossyProxy(server.port) as proxy:
        cluster.url = proxy.url
        news = relay(other_smtp, "news", pools=["news"])
        sender = await cluster.sender(relay(smtp), news)
        await cluster.came_to(State.SENT, await cluster.submit())
        proxy.hold(LEASE)
        message_id = await cluster.submit(letter(), pool="news")
        await proxy.met(LEASE)

        await cluster.reload(sender, relay(smtp))
        await proxy.let_go()
        await cluster.came_to(State.QUEUED, message_id)
        others = await cluster.submit()
        await cluster.came_to(State.SENT, others)
        waiting = await cluster.view(message_id)
        await cluster.reload(sender, relay(smtp), news)
        await cluster.came_to(State.SENT, message_id)

    assert (waiting.state, waiting.attempts_total) == (State.QUEUED, 0)
    assert ids_of(other_smtp.mails) == [message_id]


# Everything else


async def test_nothing_is_lost_and_nothing_goes_out_twice_while_all_changes_under_load(
    open_cluster: OpenCluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    cluster = await open_cluster(shards=2)
    one, two = relay(smtp, "one", concurrency=10), relay(other_smtp, "two", concurrency=10)
    sender = await cluster.sender(one, two, redis={"shards": 2})
    ids: list[str] = []
    for providers in (
        [one],
        [two],
        [two | {"concurrency": 3}, one],
        [one | {"weight": 5}, two | {"concurrency": 4}],
        [one | {"connect_seconds": 9, "rate_per_second": 5_000}],
        [two | {"name": "three"}, one],
    ):
        ids += await cluster.submit_all([letter()] * 150, at_once=50)
        await cluster.reload(sender, *providers, redis={"shards": 2})
    await cluster.drained()
    records = [await cluster.view(message_id) for message_id in ids]

    assert sorted(ids_of(smtp.mails) + ids_of(other_smtp.mails)) == sorted(ids)
    assert {(record.state, record.attempts_total) for record in records} == {(State.SENT, 1)}


async def test_new_rules_of_retrying_hold_for_the_next_failure(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.always("mail", Say("451 4.3.0 later"))
    sender = await cluster.sender(relay(smtp))

    await cluster.reload(sender, relay(smtp), retry={"max_rounds": 1})
    record = await cluster.ended(await cluster.submit())

    assert (record.state, len(record.attempts)) == (State.FAILED, 1)


async def test_new_pauses_hold_for_the_next_doubt(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.always("end", Act.RESET)
    sender = await cluster.sender(relay(smtp))

    await cluster.reload(sender, relay(smtp), retry={"ambiguous_delay_seconds": 3_000})
    record = await cluster.came_to(State.RETRYING, await cluster.submit())

    assert record.waiting is not None
    assert record.waiting.until is not None
    assert record.waiting.until > await cluster.redis_now() + 600_000


async def test_a_configuration_with_a_fault_changes_nothing(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    sender = await cluster.sender(relay(smtp))
    faulty = cluster.config(relay(other_smtp, tier=0), relay(other_smtp, "two", weight=-1))
    sender.config.write_text(faulty.read_text())

    sender.lifetime.hangup.ring()
    lines = await journal.saw("configuration_refused", times=2)
    message_id = await cluster.submit()
    await cluster.came_to(State.SENT, message_id)

    assert {line["where"] for line in lines} == {"providers.relay.tier", "providers.two.weight"}
    assert ids_of(smtp.mails) == [message_id]


async def test_what_only_shows_when_a_channel_is_opened_changes_nothing_either(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, journal: Journal
) -> None:
    sender = await cluster.sender(relay(smtp))
    bad = relay(other_smtp, "two") | {"tls": "starttls", "ca_file": "/nowhere"}
    sender.config.write_text(cluster.config(relay(other_smtp), bad).read_text())

    line = await cluster.hang_up(sender, "configuration_refused")
    message_id = await cluster.submit()
    await cluster.came_to(State.SENT, message_id)

    assert line["where"] == "providers.two.ca_file"
    assert ids_of(smtp.mails) == [message_id]
    assert not journal.told("configuration_reloaded")


async def test_after_a_refusal_the_next_signal_is_obeyed(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    sender = await cluster.sender(relay(smtp))
    sender.config.write_text("[")
    await cluster.hang_up(sender, "configuration_refused")

    await cluster.reload(sender, relay(other_smtp))
    message_id = await cluster.submit()
    await cluster.came_to(State.SENT, message_id)

    assert ids_of(other_smtp.mails) == [message_id]


async def test_what_needs_a_restart_is_named(cluster: Cluster, smtp: SmtpServer, journal: Journal) -> None:
    sender = await cluster.sender(relay(smtp))

    line = await cluster.reload(sender, relay(smtp, weight=2), sender={"concurrency": 9}, retention={"sent_days": 9})
    (ignored,) = await journal.saw("configuration_ignored")

    assert line["changes"] == ("providers.relay",)
    assert ignored["keys"] == ("sender.concurrency", "retention.sent_days")


async def test_the_revision_that_everybody_sees_changes_with_it(cluster: Cluster, smtp: SmtpServer) -> None:
    sender = await cluster.sender(relay(smtp))
    one = await cluster.reload(sender, relay(smtp, weight=2))
    two = await cluster.reload(sender, relay(smtp, weight=3, pools=["default", "news"]))

    word = await told(cluster, two["config_revision"])

    assert one["config_revision"] != two["config_revision"]
    assert [(row["weight"], row["config_revision"]) for row in word["providers"]] == [(3, two["config_revision"])]
    assert word["pools"] == {"default": ["relay"], "news": ["relay"]}


async def test_a_sender_that_drains_takes_nothing_over(cluster: Cluster, smtp: SmtpServer, journal: Journal) -> None:
    gate = held(smtp)
    sender = await cluster.sender(relay(smtp))
    await cluster.submit()
    await smtp.received(1)

    sender.lifetime.stop()
    await cluster.hang_up(sender, "signal_ignored")
    gate.set()
    await sender.stop()

    assert not journal.told("configuration_reloaded")
