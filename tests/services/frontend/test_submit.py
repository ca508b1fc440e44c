"""`POST /v1/messages`."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import orjson
import pytest

from services.frontend import app
from services.frontend.instants import parse_instant
from shared.domain.message import Address, Priority
from shared.settings.model import LimitsSettings, ProviderSettings, RouteMatch, RouteSettings, default_providers
from tests.services.frontend.running import Running, Start, eventually, message

BODY = orjson.dumps(message())
SANDBOX = ProviderSettings(name="sandbox", kind="sandbox", pools=("sandbox",))


async def test_a_message_is_accepted(frontend: Running) -> None:
    answer = await frontend.submit()

    assert answer.status == 202
    assert answer.body == {
        "id": answer.body["id"],
        "state": "queued",
        "priority": "normal",
        "pool": "default",
        "created_at": answer.body["created_at"],
        "send_at": None,
        "expires_at": None,
        "internet_message_id": f"<{answer.body['id']}@example.com>",
        "suppressed": [],
    }


async def test_an_acceptance_leads_to_the_record(frontend: Running) -> None:
    answer = await frontend.submit(subject="Grüße")

    record = await frontend.get(answer.headers["Location"])

    assert (record.status, record.body["id"], record.body["subject"]) == (200, answer.body["id"], "Grüße")


async def test_an_accepted_message_can_be_leased_with_what_was_submitted(frontend: Running) -> None:
    message_id = await frontend.accepted(priority="high", headers={"X-Order": "1042"})

    (lease,) = await frontend.scenario.lease(priority=Priority.HIGH)

    assert (lease.id, lease.envelope.text, lease.envelope.headers) == (message_id, "It works.", (("X-Order", "1042"),))


async def test_a_message_for_later_is_scheduled(frontend: Running) -> None:
    answer = await frontend.submit(delay_seconds=3_600, ttl_seconds=60)
    created, send, expires = (parse_instant(answer.body[name]) for name in ("created_at", "send_at", "expires_at"))

    assert answer.body["state"] == "scheduled"
    assert (send - created, expires - send) == (3_600_000, 60_000)


async def test_a_time_past_means_now(frontend: Running) -> None:
    assert (await frontend.submit(send_at="2001-01-01T00:00:00Z")).body["state"] == "queued"


async def test_a_time_too_far_ahead_is_refused(frontend: Running) -> None:
    answer = await frontend.submit(send_at="2999-01-01T00:00:00Z")

    assert (answer.status, answer.faults) == (422, [("#/send_at", "out_of_range")])


async def test_a_large_message_is_accepted_with_all_its_bytes(frontend: Running) -> None:
    content = bytes(range(256)) * 8_192

    message_id = await frontend.accepted(attachments=[{"filename": "f", "content": b64encode(content).decode()}])

    (lease,) = await frontend.scenario.lease()
    assert (await frontend.queue.leases.whole(lease)).attachments[0].content == content
    assert (await frontend.get(f"/v1/messages/{message_id}")).body["attachments"][0]["size_bytes"] == len(content)


async def test_many_at_once_are_all_accepted_under_ids_of_their_own(frontend: Running) -> None:
    ids = await asyncio.gather(*(frontend.accepted(subject=str(number)) for number in range(100)))

    assert len(set(ids)) == 100


async def test_a_message_goes_to_the_pool_of_its_route(start: Start) -> None:
    route = RouteSettings(pool="sandbox", match=RouteMatch(recipient_domain=("Example.TEST",)))
    frontend = await start(providers=(*default_providers(), SANDBOX), routes=(route,))

    assert (await frontend.submit(to="ada@example.test")).body["pool"] == "sandbox"
    assert (await frontend.submit(to="ada@example.org")).body["pool"] == "default"


async def test_an_unknown_pool_is_refused(frontend: Running) -> None:
    answer = await frontend.submit(pool="sandbox")

    assert (answer.status, answer.code, answer.faults) == (422, "invalid_message", [("#/pool", "unknown_pool")])


async def test_a_pool_that_only_senders_know_becomes_known(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CENSUS_SECONDS", 0.02)
    frontend = await start()
    await frontend.queue.processes.beat("sender", "one", {"started_at": 1, "pools": {"sandbox": ["sandbox"]}})

    async def is_taken() -> bool:
        return (await frontend.submit(pool="sandbox")).status == 202

    await eventually(is_taken)
    assert "sandbox" in (await frontend.get("/v1")).body["pools"]


async def test_the_service_s_own_sender_stands_in(start: Start) -> None:
    frontend = await start(default_from=Address("shop@example.com", "Shop"), message_id_domain="mail.example.net")

    answer = await frontend.post("/v1/messages", message(**{"from": ...}))

    assert answer.body["internet_message_id"].endswith("@mail.example.net>")


@pytest.mark.parametrize(("queued", "priority", "status"), [(1, "bulk", 429), (1, "critical", 202)])
async def test_a_full_queue_takes_the_urgent_longest(start: Start, queued: int, priority: str, status: int) -> None:
    frontend = await start(limits=LimitsSettings(queued_messages=2))
    for _ in range(queued):
        await frontend.accepted(priority="critical")

    answer = await frontend.submit(priority=priority)

    assert answer.status == status


async def test_a_full_queue_says_when_to_come_back(start: Start) -> None:
    frontend = await start(limits=LimitsSettings(queued_messages=1))
    await frontend.accepted(priority="critical")

    answer = await frontend.submit()

    assert (answer.status, answer.code, answer.body["retryable"]) == (429, "queue_full", True)
    assert int(answer.headers["Retry-After"]) > 0


async def test_every_submission_is_counted_by_what_came_of_it(frontend: Running) -> None:
    await frontend.submit(priority="high", idempotency_key="k")
    await frontend.submit(priority="high", idempotency_key="k")
    await frontend.submit(subject=...)

    assert await frontend.metric('submissions_total{priority="high",result="accepted"}') == 1
    assert await frontend.metric('submissions_total{priority="high",result="replayed"}') == 1
    assert await frontend.metric('submissions_total{priority="normal",result="refused"}') == 1
    assert await frontend.metric("submit_seconds_count") == 2


# Idempotency


async def test_the_same_key_and_body_give_the_first_answer_again(frontend: Running) -> None:
    first = await frontend.submit(idempotency_key="order-1042")
    again = await frontend.submit(idempotency_key="order-1042")

    assert (again.status, again.body) == (202, first.body)
    assert (first.headers.get("Idempotent-Replayed"), again.headers.get("Idempotent-Replayed")) == (None, "true")


@pytest.mark.parametrize("key", ["order-1042", '"order-1042"'])
async def test_the_header_is_the_same_key_as_the_field(frontend: Running, key: str) -> None:
    first = await frontend.submit(idempotency_key="order-1042")

    assert (await frontend.submit(http_headers={"Idempotency-Key": key})).body["id"] == first.body["id"]


async def test_the_order_of_fields_makes_no_other_message(frontend: Running) -> None:
    first = await frontend.submit(idempotency_key="k")
    body = message(idempotency_key="k")

    again = await frontend.post("/v1/messages", dict(reversed(body.items())))

    assert again.body == first.body


async def test_the_same_key_with_another_body_is_refused(frontend: Running) -> None:
    await frontend.submit(idempotency_key="k")

    answer = await frontend.submit(idempotency_key="k", subject="Another")

    assert (answer.status, answer.code, answer.body["retryable"]) == (422, "idempotency_key_reused", False)


async def test_a_refused_body_may_be_corrected_under_its_key(frontend: Running) -> None:
    assert (await frontend.submit(idempotency_key="k", subject=...)).status == 422

    assert (await frontend.submit(idempotency_key="k")).status == 202


@pytest.mark.parametrize(
    ("headers", "fields", "place"),
    [
        ({"Idempotency-Key": ""}, {}, "Idempotency-Key"),
        ({"Idempotency-Key": "a b"}, {}, "Idempotency-Key"),
        ({"Idempotency-Key": "k" * 256}, {}, "Idempotency-Key"),
        ({"Idempotency-Key": "other"}, {"idempotency_key": "k"}, "Idempotency-Key"),
        ({}, {"idempotency_key": ""}, "#/idempotency_key"),
    ],
)
async def test_a_bad_key_is_refused(
    frontend: Running, headers: dict[str, str], fields: dict[str, Any], place: str
) -> None:
    answer = await frontend.submit(http_headers=headers, **fields)

    assert (answer.status, [where for where, _ in answer.faults]) == (422, [place])


async def test_a_key_given_twice_is_no_key(frontend: Running) -> None:
    answer = await frontend.raw(
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
    )

    assert answer.startswith(b"HTTP/1.1 422")
    assert b'"header":"Idempotency-Key"' in answer


async def test_two_requests_with_one_key_at_once_make_one_message(frontend: Running) -> None:
    answers = await asyncio.gather(*(frontend.submit(idempotency_key="k") for _ in range(20)))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["id"] for answer in answers}) == 1


async def test_a_rehearsal_takes_nothing(frontend: Running) -> None:
    answer = await frontend.post("/v1/messages/validate", message(idempotency_key="k"))

    assert (answer.status, answer.body["valid"], answer.body["pool"]) == (200, True, "default")
    assert (await frontend.get("/v1/queue")).body["totals"]["queued"] == 0
    assert "Idempotent-Replayed" not in (await frontend.submit(idempotency_key="k")).headers


async def test_a_rehearsal_names_every_fault(frontend: Running) -> None:
    answer = await frontend.post("/v1/messages/validate", message(to="grace@", sendAt="now"))

    assert (answer.status, answer.body["valid"], answer.body["pool"]) == (200, False, None)
    assert answer.faults == [("#/to", "invalid_address"), ("#/sendAt", "unknown_field")]
