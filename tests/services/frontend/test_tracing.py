"""A client's `traceparent` travels with its message, whether anybody records spans here or not."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from services.frontend.commit import Commit
from shared.domain.message import Submission
from tests.services.frontend.running import Running, Start, message
from tests.services.frontend.test_drain import SlowRequest
from tests.traces import SPAN_ID, TRACE_ID, TRACEPARENT, id_of, kept_traces, parent_of, trace_of


async def stored_trace(frontend: Running, message_id: str) -> str | None:
    """Return the position in a trace that is stored with a message."""
    return await frontend.scenario.stored_field(message_id, "trace")


@pytest.mark.parametrize(("header", "stored"), [(TRACEPARENT, TRACEPARENT), ("00-nonsense", None), (None, None)])
async def test_a_traceparent_is_stored_as_it_came_where_it_is_one(
    frontend: Running, header: str | None, stored: str | None
) -> None:
    answer = await frontend.submit({} if header is None else {"traceparent": header})
    assert answer.status == 202
    assert await stored_trace(frontend, answer.body["id"]) == stored


async def test_of_two_traceparents_none_is_taken(frontend: Running) -> None:
    headers = [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT), ("Content-Type", "application/json")]
    async with aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{frontend.port}/v1/messages"
        async with client.post(url, json=message(), headers=headers) as answer:
            assert answer.status == 202
            assert await stored_trace(frontend, (await answer.json())["id"]) is None


async def test_all_messages_of_a_batch_share_its_traceparent(frontend: Running) -> None:
    body = {"messages": [message(), message()]}
    answer = await frontend.post("/v1/messages/batch", body, headers={"traceparent": TRACEPARENT})
    ids = [result["message"]["id"] for result in answer.body["results"]]
    assert [await stored_trace(frontend, one) for one in ids] == [TRACEPARENT, TRACEPARENT]


async def test_a_replay_keeps_the_trace_of_the_first_time(frontend: Running) -> None:
    first = await frontend.submit({"Idempotency-Key": "k", "traceparent": TRACEPARENT})
    again = await frontend.submit({"Idempotency-Key": "k", "traceparent": TRACEPARENT.replace("b7", "c8")})
    assert again.body["id"] == first.body["id"]
    assert await stored_trace(frontend, first.body["id"]) == TRACEPARENT


async def test_request_and_enqueueing_are_steps_of_the_clients_trace(frontend: Running) -> None:
    async with kept_traces() as traces:
        answer = await frontend.submit({"traceparent": TRACEPARENT})
        request, enqueue = traces.one("POST /v1/messages"), traces.one("enqueue")
    assert {trace_of(span) for span in traces.spans} == {TRACE_ID}
    assert [parent_of(request), parent_of(enqueue)] == [SPAN_ID, id_of(request)]
    assert (request.attributes or {})["http.response.status_code"] == 202
    assert (enqueue.attributes or {})["messaging.message.id"] == answer.body["id"]
    assert await stored_trace(frontend, answer.body["id"]) == f"00-{TRACE_ID}-{id_of(enqueue)}-01"


async def test_each_message_of_a_batch_is_a_step_of_its_own(frontend: Running) -> None:
    async with kept_traces() as traces:
        answer = await frontend.post("/v1/messages/batch", {"messages": [message(), {"to": 1}, message()]})
        steps = traces.named("enqueue")
    ids = [result["message"]["id"] for result in answer.body["results"] if "message" in result]
    assert [(step.attributes or {})["messaging.message.id"] for step in steps] == ids
    assert len({parent_of(step) for step in steps}) == 1


@pytest.mark.parametrize(("percent", "expected"), [(0.0, 0), (100.0, 2)])
async def test_without_a_clients_decision_the_configured_share_is_traced(
    frontend: Running, percent: float, expected: int
) -> None:
    async with kept_traces(percent) as traces:
        answer = await frontend.submit()
    assert len(traces.spans) == expected
    stored = await stored_trace(frontend, answer.body["id"]) or ""
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", stored)
    assert int(stored[-2:], 16) & 1 == min(expected, 1)  # whoever goes on with it need not decide anew


async def test_probes_are_no_steps(frontend: Running) -> None:
    async with kept_traces() as traces:
        await frontend.get("/healthz")
    assert traces.spans == []


async def test_the_time_of_a_submission_names_its_trace(frontend: Running) -> None:
    async with kept_traces():
        await frontend.submit({"traceparent": TRACEPARENT})
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with frontend.client.get(f"http://127.0.0.1:{frontend.ops_port}/metrics", headers=headers) as answer:
        lines = [line for line in (await answer.text()).splitlines() if f'trace_id="{TRACE_ID}"' in line]
    assert [line.partition("{")[0] for line in lines] == ["reliable_email_submit_seconds_bucket"]


async def test_where_the_environment_switches_the_library_off_no_trace_is_stored(
    frontend: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with kept_traces():
        answer = await frontend.submit()
    assert await stored_trace(frontend, answer.body["id"]) is None


async def test_a_request_that_we_fail_is_an_error_and_one_that_the_client_got_wrong_is_none(
    start: Start, frontend: Running
) -> None:
    cut_off = await start(url="redis://127.0.0.1:9", ready=False)
    async with kept_traces() as traces:
        answers = [await cut_off.submit(), await frontend.submit(to=...)]
        faults = [request.status.description for request in traces.named("POST /v1/messages")]
    assert [answer.status for answer in answers] == [503, 422]
    assert faults == ["the service failed", None]


async def break_off(frontend: Running) -> None:
    """End a frontend without waiting for what is in flight, as the end of its process does."""
    for _ in range(2):  # the second ends the grace period
        frontend.lifetime.stop()
    await asyncio.wait_for(frontend.task, 10)
    in_flight = [task for task in asyncio.all_tasks() if "RequestHandler" in repr(task.get_coro())]
    for task in in_flight:
        task.cancel()
    await asyncio.gather(*in_flight, return_exceptions=True)


async def test_a_request_that_is_broken_off_says_so(frontend: Running) -> None:
    async with kept_traces() as traces:
        request = await SlowRequest.begin(frontend)
        await break_off(frontend)
        step = traces.one("POST /v1/messages")
    request.writer.close()
    assert step.status.description == "broken off"


async def test_a_message_that_is_given_up_on_its_way_to_the_disk_says_so(
    frontend: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_under_way = asyncio.Event()

    async def wait_for_ever(_commit: Commit, _submission: Submission) -> None:
        is_under_way.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Commit, "submit", wait_for_ever)
    async with kept_traces() as traces:
        client = asyncio.ensure_future(frontend.submit())
        await is_under_way.wait()
        await break_off(frontend)
        step = traces.one("enqueue")
    await asyncio.wait([client])
    assert isinstance(client.exception(), aiohttp.ClientError)
    assert step.status.description == "broken off"
