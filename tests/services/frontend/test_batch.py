"""`POST /v1/messages/batch`: each message for itself, and never a 2xx with nothing taken."""

from __future__ import annotations

from typing import Any

import orjson

from shared.settings.model import LimitsSettings
from tests.services.frontend.running import Answer, Running, Start, message

DEFAULTS = {"from": "shop@example.com", "subject": "Your parcel"}
GOOD = {"to": "ada@example.org", "text": "Hello Ada"}
BAD = {"to": "grace@", "text": "Hello Grace", "sendAt": "tomorrow"}


async def send(frontend: Running, *messages: dict[str, Any], key: str | None = None, **more: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"defaults": DEFAULTS, "messages": list(messages), **more}
    return await frontend.post("/v1/messages/batch", body, headers=headers)


async def test_a_batch_that_is_taken_is_accepted(frontend: Running) -> None:
    answer = await send(frontend, GOOD, GOOD)

    assert (answer.status, answer.body["accepted"], answer.body["refused"]) == (202, 2, 0)
    assert [(result["status"], result["replayed"]) for result in answer.body["results"]] == [(202, False)] * 2


async def test_each_message_of_a_batch_has_its_record(frontend: Running) -> None:
    answer = await send(frontend, GOOD, {**GOOD, "subject": "Its own"})

    records = [await frontend.get(f"/v1/messages/{result['message']['id']}") for result in answer.body["results"]]

    assert [record.body["subject"] for record in records] == ["Your parcel", "Its own"]


async def test_a_batch_that_is_partly_taken_says_which(frontend: Running) -> None:
    answer = await send(frontend, GOOD, BAD)

    assert (answer.status, answer.body["accepted"], answer.body["refused"]) == (207, 1, 1)
    taken, refused = answer.body["results"]
    assert taken["message"]["state"] == "queued"
    assert refused["status"] == 422
    assert [(fault["pointer"], fault["code"]) for fault in refused["error"]["errors"]] == [
        ("#/messages/1/to", "invalid_address"),
        ("#/messages/1/sendAt", "unknown_field"),
    ]


async def test_a_batch_of_which_nothing_is_taken_is_a_problem_with_results(frontend: Running) -> None:
    answer = await send(frontend, BAD, BAD)

    assert (answer.status, answer.code, answer.body["retryable"]) == (422, "invalid_batch", False)
    assert [result["status"] for result in answer.body["results"]] == [422, 422]


async def test_a_batch_for_a_full_queue_may_be_retried(start: Start) -> None:
    frontend = await start(limits=LimitsSettings(queued_messages=1))
    await frontend.accepted(priority="critical")

    answer = await send(frontend, GOOD, GOOD)

    assert (answer.status, answer.code, answer.body["retryable"]) == (429, "queue_full", True)
    assert "Retry-After" in answer.headers


async def test_too_many_messages_are_refused(start: Start) -> None:
    frontend = await start(limits=LimitsSettings(batch_messages=2))

    answer = await send(frontend, GOOD, GOOD, GOOD)

    assert (answer.status, answer.code, answer.faults) == (422, "invalid_batch", [("#/messages", "too_many")])


async def test_a_batch_without_messages_is_refused(frontend: Running) -> None:
    assert (await send(frontend)).faults == [("#/messages", "missing")]


async def test_a_thousand_messages_are_taken_at_once(frontend: Running) -> None:
    answer = await send(frontend, *[GOOD] * 1_000)

    assert (answer.status, answer.body["accepted"]) == (202, 1_000)
    assert len({result["message"]["id"] for result in answer.body["results"]}) == 1_000


async def test_a_batch_above_the_size_that_is_read_in_a_thread_is_taken(frontend: Running) -> None:
    answer = await send(frontend, {**GOOD, "text": "x" * 300_000}, GOOD)

    assert answer.status == 202


async def test_a_repeated_batch_replays_every_message(frontend: Running) -> None:
    first = await send(frontend, GOOD, GOOD, key="parcels")
    again = await send(frontend, GOOD, GOOD, key="parcels")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert [result["replayed"] for result in again.body["results"]] == [True, True]
    assert [result["message"] for result in again.body["results"]] == [
        result["message"] for result in first.body["results"]
    ]


async def test_a_repeated_batch_tries_the_rest(frontend: Running) -> None:
    first = await send(frontend, GOOD, BAD, key="parcels")
    again = await send(frontend, GOOD, GOOD, key="parcels")

    assert [result["replayed"] for result in again.body["results"]] == [True, False]
    assert again.body["results"][0]["message"] == first.body["results"][0]["message"]
    assert "Idempotent-Replayed" not in again.headers


async def test_a_derived_key_is_never_a_client_s_own(frontend: Running) -> None:
    (result,) = (await send(frontend, GOOD, key="k")).body["results"]

    answer = await frontend.submit(idempotency_key="k")

    assert answer.status == 202
    assert answer.body["id"] != result["message"]["id"]


async def test_a_key_of_its_own_wins_over_that_of_the_batch(frontend: Running) -> None:
    (result,) = (await send(frontend, {**GOOD, "idempotency_key": "own"}, key="k")).body["results"]

    (again,) = (await send(frontend, {**GOOD, "idempotency_key": "own"})).body["results"]

    assert (again["replayed"], again["message"]["id"]) == (True, result["message"]["id"])


async def test_the_same_key_for_two_messages_of_a_batch_takes_one(frontend: Running) -> None:
    answer = await send(frontend, {**GOOD, "idempotency_key": "k"}, {**GOOD, "idempotency_key": "k", "text": "Other"})

    assert answer.status == 207
    assert [result["status"] for result in answer.body["results"]] == [202, 422]
    assert answer.body["results"][1]["error"]["code"] == "idempotency_key_reused"


async def test_a_bad_key_refuses_the_whole_batch(frontend: Running) -> None:
    answer = await send(frontend, GOOD, key="a b")

    assert (answer.status, answer.faults) == (422, [("Idempotency-Key", "forbidden_character")])


async def test_a_message_of_a_batch_equals_the_same_alone(frontend: Running) -> None:
    merged = {**DEFAULTS, **GOOD, "idempotency_key": "k"}
    (result,) = (await send(frontend, {**GOOD, "idempotency_key": "k"})).body["results"]

    answer = await frontend.post("/v1/messages", orjson.dumps(merged))

    assert (answer.headers.get("Idempotent-Replayed"), answer.body) == ("true", result["message"])


async def test_each_message_is_counted(frontend: Running) -> None:
    await send(frontend, GOOD, {**message(), "priority": "bulk"}, BAD)

    assert await frontend.metric('submissions_total{priority="normal",result="accepted"}') == 1
    assert await frontend.metric('submissions_total{priority="bulk",result="accepted"}') == 1
    assert await frontend.metric('submissions_total{priority="normal",result="refused"}') == 1
