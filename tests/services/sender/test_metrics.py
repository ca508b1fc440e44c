"""What a sender shows of its providers and of what it holds, while mail flows."""

from __future__ import annotations

from shared.policy.opening import OpenReason
from shared.settings.model import config_revision
from tests.fakes.smtp_server import Act, SmtpServer
from tests.redis_server import free_port
from tests.services.sender.cluster import Cluster, letter, relay
from tests.services.sender.journal import Journal

DEAD = {"name": "dead", "kind": "smtp", "host": "127.0.0.1", "tls": "none"}


async def test_a_breaker_that_opens_is_counted_with_its_reason(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    sender = await cluster.sender({**DEAD, "port": free_port()}, relay(smtp, tier=2))
    await cluster.submit_all([letter()] * 10)
    await journal.saw("breaker_opened", provider="dead")
    await cluster.drained()

    counts = {
        reason: await sender.metric("breaker_openings_total", provider="dead", reason=reason) for reason in OpenReason
    }
    assert {reason for reason, count in counts.items() if count} == {OpenReason.PROVIDER_DOWN}
    assert await sender.metric("breaker_openings_total", provider="relay") == 0


async def test_what_is_in_a_sender_s_hands_is_shown_while_it_is(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("end", Act.HANG)
    await cluster.scheduler()
    sender = await cluster.sender(relay(smtp, concurrency=3, answer_seconds=3))
    await cluster.submit()
    await smtp.at("end")

    assert await sender.metric("leases_held") == 1
    await sender.shows(1, "provider_in_flight", provider="relay")
    assert await sender.metric("provider_concurrency", provider="relay") == 3
    await cluster.drained()
    await sender.shows(0, "provider_in_flight", provider="relay")
    await sender.shows(0, "leases_held")


async def test_a_provider_in_another_tier_is_shown_there_alone(cluster: Cluster, smtp: SmtpServer) -> None:
    sender = await cluster.sender(relay(smtp))
    await sender.shows(1, "provider_info", provider="relay", kind="smtp", tier="1")
    await cluster.reload(sender, relay(smtp, tier=2))

    await sender.shows(1, "provider_info", provider="relay", kind="smtp", tier="2")
    assert await sender.metric("provider_info", provider="relay") == 1


async def test_a_sender_shows_which_configuration_it_has_taken_over(cluster: Cluster, smtp: SmtpServer) -> None:
    sender = await cluster.sender(relay(smtp))
    line = await cluster.reload(sender, relay(smtp, tier=2))

    assert line["config_revision"] == config_revision(cluster.settings(relay(smtp, tier=2)))
    assert await sender.metric("config_info", revision=line["config_revision"]) == 1
    assert await sender.metric("config_info") == 1, "no other is shown"
