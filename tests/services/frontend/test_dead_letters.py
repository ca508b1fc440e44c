"""Requeue and delete for many messages at once."""

from __future__ import annotations

from typing import Any

import pytest

from services.frontend.instants import instant, parse_instant
from services.frontend.routes import dead_letters
from tests.services.frontend.running import Answer, Running

UNKNOWN = "msg_01kas3v7q2f8x4m9d0w5t6y1zc00"


async def bulk(frontend: Running, verb: str, **body: Any) -> Answer:
    return await frontend.post(f"/v1/messages/{verb}", body)


async def test_messages_are_requeued_by_their_ids(frontend: Running) -> None:
    failed, partly, sent, waiting = await frontend.letters("failed", "partly_sent", "sent", "queued")

    answer = await bulk(frontend, "requeue", ids=[failed, partly, sent, waiting, UNKNOWN, "x"])

    assert (answer.status, answer.body["done"]) == (200, 3)
    assert [(result["id"], result["status"]) for result in answer.body["results"]] == [
        (failed, 200),
        (partly, 200),
        (sent, 409),
        (waiting, 200),
        (UNKNOWN, 404),
        ("x", 404),
    ]


async def test_messages_are_deleted_by_their_ids(frontend: Running) -> None:
    failed, sent, waiting = await frontend.letters("failed", "sent", "queued")

    answer = await bulk(frontend, "delete", ids=[failed, sent, waiting, UNKNOWN])

    assert answer.body["done"] == 2
    assert [result["status"] for result in answer.body["results"]] == [204, 204, 409, 404]


async def test_each_result_says_what_was_wrong(frontend: Running) -> None:
    failed, sent = await frontend.letters("failed", "sent")

    answer = await bulk(frontend, "requeue", ids=[failed, sent])

    good, bad = answer.body["results"]
    assert good["error"] is None
    assert (bad["error"]["code"], bad["error"]["state"]) == ("not_requeueable", "sent")


async def test_an_id_that_is_given_twice_counts_once(frontend: Running) -> None:
    (failed,) = await frontend.letters("failed")

    answer = await bulk(frontend, "requeue", ids=[failed, failed])

    assert (answer.body["done"], len(answer.body["results"])) == (1, 1)


@pytest.mark.parametrize(
    ("states", "chosen"), [("failed", [0, 3]), ("partly_sent", [1]), (["partly_sent", "failed"], [0, 1, 3])]
)
async def test_messages_are_chosen_by_their_state(frontend: Running, states: Any, chosen: list[int]) -> None:
    made = await frontend.letters("failed", "partly_sent", "expired", "failed")

    answer = await bulk(frontend, "requeue", filter={"state": states})

    assert {result["id"] for result in answer.body["results"]} == {made[number] for number in chosen}
    assert answer.body["done"] == len(chosen)


async def test_messages_are_chosen_by_their_pool(frontend: Running) -> None:
    await frontend.letters("failed")
    (other,) = await frontend.letters("failed", pool="old")

    answer = await bulk(frontend, "delete", filter={"pool": "old"})

    assert [(result["id"], result["status"]) for result in answer.body["results"]] == [(other, 204)]


async def test_messages_are_chosen_by_the_time_of_their_end(frontend: Running) -> None:
    first, second, third = await frontend.letters("failed", "failed", "failed")
    ended = (await frontend.get(f"/v1/messages/{second}")).body["finished_at"]

    answer = await bulk(frontend, "delete", filter={"finished_before": ended})

    assert [result["id"] for result in answer.body["results"]] == [first]
    later = instant(parse_instant(ended) + 1)
    assert (await bulk(frontend, "delete", filter={"finished_before": later})).body["results"][0]["id"] == second
    assert (await frontend.get(f"/v1/messages/{third}")).status == 200


async def test_a_limit_takes_the_newest(frontend: Running) -> None:
    _, second, third = await frontend.letters("failed", "failed", "failed")

    answer = await bulk(frontend, "delete", filter={"state": "failed"}, limit=2)

    assert [result["id"] for result in answer.body["results"]] == [third, second]


async def test_more_than_one_page_is_chosen(frontend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_PAGE", 2)
    made = await frontend.letters(*["failed"] * 5)

    answer = await bulk(frontend, "requeue", filter={"state": "failed"})

    assert answer.body["done"] == len(made)


async def test_a_long_search_does_what_it_found(frontend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_PAGE", 2)
    monkeypatch.setattr(dead_letters, "_SEARCH_SECONDS", 0.0)
    await frontend.letters(*["failed"] * 5)

    done = [(await bulk(frontend, "delete", filter={"state": "failed"})).body["done"] for _ in range(4)]

    assert done == [2, 2, 1, 0]


async def test_nothing_that_matches_is_no_fault(frontend: Running) -> None:
    answer = await bulk(frontend, "requeue", filter={"state": "failed"})

    assert (answer.status, answer.body) == (200, {"done": 0, "results": []})


@pytest.mark.parametrize("verb", ["requeue", "delete"])
async def test_messages_of_another_tenant_are_not_there(frontend: Running, verb: str) -> None:
    message_id = await frontend.scenario.submit_for("other")

    assert (await bulk(frontend, verb, ids=[message_id])).body["results"][0]["status"] == 404


async def test_a_delete_may_be_repeated(frontend: Running) -> None:
    (failed,) = await frontend.letters("failed")
    await bulk(frontend, "delete", ids=[failed])

    answer = await bulk(frontend, "delete", ids=[failed])

    assert (answer.status, answer.body["done"], answer.body["results"][0]["status"]) == (200, 0, 404)
