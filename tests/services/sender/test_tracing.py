"""A message's trace goes on in scheduler and sender, down to each exchange with a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.domain.states import State
from tests.fakes.internet import Internet
from tests.fakes.internet.settings import secrets_of, toml_of
from tests.fakes.smtp_server import Act, Say, SmtpServer
from tests.services.sender.cluster import FAST, Cluster, Member, letter, merged, relay, toml
from tests.traces import SPAN_ID, TRACE_ID, TRACEPARENT, Traces, id_of, kept_traces, parent_of, trace_of


@pytest.fixture(autouse=True)  # so that it outlives the processes that it records
async def traces() -> AsyncIterator[Traces]:
    async with kept_traces() as kept:
        yield kept


async def exposed(member: Member) -> str:
    """Return what Prometheus would read, exemplars included."""
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.get(f"http://127.0.0.1:{member.ops_port}/metrics") as answer,
    ):
        return await answer.text()


async def test_a_scheduled_message_is_followed_from_its_due_time_to_the_provider(
    cluster: Cluster, smtp: SmtpServer, traces: Traces
) -> None:
    await cluster.sends_through(smtp)
    message_id = await cluster.submit(delay_ms=50, trace=TRACEPARENT)
    await cluster.came_to(State.SENT, message_id)

    promote, deliver = traces.one("promote"), traces.one("deliver")
    attempt, exchange = traces.one("attempt relay"), traces.one("exchange")
    assert {trace_of(span) for span in traces.spans} == {TRACE_ID}
    assert [parent_of(span) for span in (promote, deliver)] == [SPAN_ID, SPAN_ID]
    assert [parent_of(attempt), parent_of(exchange)] == [id_of(deliver), id_of(attempt)]
    assert (deliver.attributes or {})["messaging.message.id"] == message_id
    assert (deliver.attributes or {})["reliable_email.state"] == "sent"
    assert (attempt.attributes or {})["reliable_email.outcome"] == "accepted"
    assert (exchange.attributes or {})["reliable_email.smtp_code"] == 250


async def test_a_failover_is_two_attempts_in_one_delivery_and_the_first_says_what_went_wrong(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer, traces: Traces
) -> None:
    smtp.plan("mail", Say("451 4.3.0 ada@example.org is busy"))
    await cluster.sender(relay(smtp, "first"), relay(other_smtp, "second", tier=2))
    await cluster.came_to(State.SENT, await cluster.submit(trace=TRACEPARENT))

    first, second = traces.one("attempt first"), traces.one("attempt second")
    assert parent_of(first) == parent_of(second) == id_of(traces.one("deliver"))
    assert (first.status.is_ok, second.status.is_ok) == (False, True)
    assert (first.attributes or {})["reliable_email.smtp_code"] == 451
    assert first.status.description == "temporary"


async def test_a_message_without_a_trace_begins_one_where_it_is_sent(
    cluster: Cluster, smtp: SmtpServer, traces: Traces
) -> None:
    await cluster.sender(relay(smtp))
    await cluster.came_to(State.SENT, await cluster.submit())
    deliver = traces.one("deliver")
    assert deliver.parent is None
    assert parent_of(traces.one("attempt relay")) == id_of(deliver)


async def test_what_the_client_did_not_sample_is_not_recorded(
    cluster: Cluster, smtp: SmtpServer, traces: Traces
) -> None:
    await cluster.sender(relay(smtp))
    await cluster.came_to(State.SENT, await cluster.submit(trace=f"00-{TRACE_ID}-{SPAN_ID}-00"))
    assert traces.spans == []


async def test_histograms_name_the_trace_as_an_exemplar(cluster: Cluster, smtp: SmtpServer, traces: Traces) -> None:
    sender = await cluster.sender(relay(smtp))
    await cluster.came_to(State.SENT, await cluster.submit(trace=TRACEPARENT))
    exemplars = [line for line in (await exposed(sender)).splitlines() if f'# {{trace_id="{TRACE_ID}"}}' in line]
    assert {line.partition("{")[0] for line in exemplars} == {
        "reliable_email_attempt_seconds_bucket",
        "reliable_email_end_to_end_seconds_bucket",
    }
    assert traces.spans


async def test_no_address_and_no_content_stands_in_a_span(cluster: Cluster, smtp: SmtpServer, traces: Traces) -> None:
    smtp.plan("rcpt", Say("550 5.7.1 'A secret subject' to ada@example.org, ada%40example.org looks like spam"))
    await cluster.sender(relay(smtp))
    secret = letter(subject="A secret subject", text="A secret body")
    await cluster.ended(await cluster.submit(secret, trace=TRACEPARENT))
    told = "".join(span.to_json() for span in traces.spans)
    assert "attempt relay" in told
    assert not [word for word in ("ada", "shop@", "secret", "spam") if word in told.lower()]


async def test_what_goes_in_one_request_is_one_exchange_linked_to_all_attempts(
    cluster: Cluster, traces: Traces, tmp_path: Path
) -> None:
    async with Internet("postmark") as internet:
        desk = internet.desk("postmark")
        own: dict[str, dict[str, Any]] = {"redis": {"url": cluster.url, "prefix": cluster.prefix}, "ops": {"port": 0}}
        config = tmp_path / "postmark.toml"
        config.write_text(toml(merged(own, FAST)) + toml_of(desk))
        cluster.environ |= secrets_of(desk)
        ids = await cluster.submit_all([letter()] * 5, trace=TRACEPARENT)
        sender = await cluster.sender_by(config)
        await cluster.drained()
        await sender.stop()
        cluster.members.remove(sender)

    exchange, attempts = traces.one("exchange"), traces.named("attempt postmark")
    linked = {f"{link.context.span_id:016x}" for link in exchange.links}
    assert len(attempts) == len(ids) == (exchange.attributes or {})["messaging.batch.message_count"]
    assert {parent_of(exchange), *linked} == {id_of(attempt) for attempt in attempts}


async def test_an_attempt_that_is_broken_off_says_so(cluster: Cluster, smtp: SmtpServer, traces: Traces) -> None:
    smtp.plan("end", Act.HANG)
    sender = await cluster.sender(relay(smtp), sender={"grace_seconds": 0.1, "lease_seconds": 60})
    await cluster.submit(trace=TRACEPARENT)
    await smtp.received(1)
    await sender.stop()

    faults = {span.name: span.status.description for span in traces.spans}
    assert faults == {"exchange": "broken off", "attempt relay": "ambiguous", "deliver": None}
