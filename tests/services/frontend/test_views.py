"""What can be read: records, lists, the queue, the providers, the service."""

from __future__ import annotations

from typing import Any

import pytest

from services.frontend.instants import instant
from shared.domain.message import Address
from shared.domain.states import State
from shared.settings.model import LimitsSettings, ProviderSettings, default_providers
from tests.queue.scenario import HOUR
from tests.services.frontend.running import Running, Start, eventually

LATER = 4_102_444_800_000  # the year 2100: what a provider waits for is shown until it has come


def row(name: str, **fields: Any) -> dict[str, Any]:
    """Return what a sender tells of a provider."""
    return {
        "name": name,
        "kind": "smtp",
        "pools": ["default"],
        "tier": 1,
        "weight": 1,
        "state": "healthy",
        "available": True,
        "available_at": None,
        "paused": None,
        "health": 1.0,
        "breaker": {"state": "closed", "opened_at": None, "next_probe_at": None, "reason": None},
        "limits": {
            "rate_per_second": None,
            "rate_now_per_second": None,
            "burst": None,
            "concurrency": 20,
            "quotas": [],
        },
        "capabilities": {
            "max_bytes": None,
            "max_recipients": None,
            "sender_domains": None,
            "refused_extensions": [],
            "known_extensions": None,
            "ascii_only": False,
        },
        "usage": {"tokens": None, "in_flight": 0, "accepted_24h": None},
        "outcomes_1m": {},
        "latency_ms": {"p50": None, "p95": None},
        "last_error": None,
        "config_revision": "a",
        **fields,
    }


async def tell(frontend: Running, sender: str, *rows: dict[str, Any], started_at: int = 1) -> None:
    """Let a sender say what it knows of its providers, all in `default`."""
    pools = {"default": [each["name"] for each in rows]}
    told = {"started_at": started_at, "config_revision": "a", "pools": pools, "providers": list(rows)}
    await frontend.queue.processes.beat("sender", sender, told)


# The service itself


async def test_the_service_describes_itself(start: Start) -> None:
    sandbox = ProviderSettings(name="sandbox", kind="sandbox", pools=("sandbox", "a"))
    limits = LimitsSettings(request_megabytes=2, attachments_megabytes=1, recipients=7)
    frontend = await start(limits=limits, providers=(sandbox, *default_providers()))

    answer = await frontend.get("/v1")

    assert answer.body == {
        "service": "reliable-email",
        "version": "0.1.0",
        "api_version": "v1",
        "time": answer.body["time"],
        "tenant": "default",
        "scopes": ["send", "read"],
        "limits": {
            "request_bytes": 2_097_152,
            "attachments_bytes": 1_048_576,
            "attachments": 20,
            "recipients": 7,
            "batch_messages": 1_000,
            "headers": 64,
            "metadata_bytes": 4_096,
            "schedule_days": 365,
            "idempotency_hours": 24,
        },
        "priorities": ["critical", "high", "normal", "bulk"],
        "pools": ["default", "a", "sandbox"],
    }


# A record


@pytest.mark.parametrize("message_id", ["x", "batch", "msg_01kas3v7q2f8x4m9d0w5t6y1zc00", "msg_" + "0" * 28])
async def test_an_unknown_message_is_not_found(frontend: Running, message_id: str) -> None:
    answer = await frontend.get(f"/v1/messages/{message_id}")

    assert (answer.status, answer.code) == (404, "not_found")


async def test_a_message_of_another_tenant_is_not_found(frontend: Running) -> None:
    message_id = await frontend.scenario.submit_for("other")

    assert (await frontend.get(f"/v1/messages/{message_id}")).status == 404


async def test_a_record_shows_what_became_of_each_recipient(frontend: Running) -> None:
    message_id = await frontend.scenario.message_in(State.PARTLY_SENT)

    record = (await frontend.get(f"/v1/messages/{message_id}")).body

    assert (record["state"], record["final"], record["attempts_total"]) == ("partly_sent", True, 1)
    assert [recipient["state"] for recipient in record["recipients"]] == ["sent", "failed"]
    assert [event["type"] for event in record["events"]] == ["message.queued", "message.partly_sent"]


async def test_a_message_that_no_sender_can_carry_says_so(frontend: Running) -> None:
    message_id = await frontend.accepted()

    waiting = (await frontend.get(f"/v1/messages/{message_id}")).body["waiting"]

    assert (waiting["code"], waiting["until"]) == ("no_provider_available", None)


async def test_a_message_whose_providers_are_all_down_says_until_when(frontend: Running) -> None:
    await tell(
        frontend,
        "one",
        row("a", available=False, state="open", available_at=LATER + HOUR),
        row("b", available=False, state="misconfigured", available_at=LATER),
    )
    message_id = await frontend.accepted()

    async def is_known() -> bool:
        waiting = (await frontend.get(f"/v1/messages/{message_id}")).body["waiting"]
        return bool((waiting["code"], waiting["until"]) == ("no_provider_available", instant(LATER)))

    await eventually(is_known)


async def test_a_message_whose_provider_is_there_waits_for_its_turn(frontend: Running) -> None:
    await tell(frontend, "one", row("a"), row("b", available=False, state="open"))
    message_id = await frontend.accepted()

    async def is_its_turn() -> bool:
        return bool((await frontend.get(f"/v1/messages/{message_id}")).body["waiting"]["code"] == "turn")

    await eventually(is_its_turn)


# A list


async def test_dead_letters_are_listed_newest_first(frontend: Running) -> None:
    made = await frontend.letters(State.FAILED, State.PARTLY_SENT, State.SENT, State.FAILED)

    answer = await frontend.get("/v1/messages")

    assert [each["id"] for each in answer.body["data"]] == [made[3], made[1], made[0]]
    assert answer.body["next_cursor"] is None


async def test_a_row_counts_its_recipients(frontend: Running) -> None:
    await frontend.letters(State.PARTLY_SENT)

    (shown,) = (await frontend.get("/v1/messages")).body["data"]

    assert (
        shown["recipients_total"],
        shown["recipients_by_state"]["sent"],
        shown["recipients_by_state"]["failed"],
    ) == (
        2,
        1,
        1,
    )
    assert not shown.keys() & {"recipients", "attempts", "events"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [("?state=failed", [0]), ("?state=partly_sent", [1]), ("?state=failed&state=partly_sent", [1, 0])],
)
async def test_a_list_is_filtered_by_state(frontend: Running, query: str, expected: list[int]) -> None:
    made = await frontend.letters(State.FAILED, State.PARTLY_SENT)

    answer = await frontend.get(f"/v1/messages{query}")

    assert [each["id"] for each in answer.body["data"]] == [made[number] for number in expected]


async def test_cursors_lead_through_the_whole_list_once(frontend: Running) -> None:
    made = await frontend.letters(*[State.FAILED] * 5)
    seen: list[str] = []
    more = ""
    for _ in range(3):
        page = (await frontend.get(f"/v1/messages?limit=2{more}")).body
        seen += [each["id"] for each in page["data"]]
        more = f"&cursor={page['next_cursor']}"

    assert (seen, page["next_cursor"]) == (made[::-1], None)


async def test_a_cursor_of_another_list_is_refused(frontend: Running) -> None:
    await frontend.letters(State.FAILED, State.FAILED)
    cursor = (await frontend.get("/v1/messages?limit=1&state=failed")).body["next_cursor"]

    answer = await frontend.get(f"/v1/messages?limit=1&cursor={cursor}")

    assert (answer.status, answer.code) == (400, "cursor_mismatch")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "state=sent", "state=", "cursor=x", "cursor=", "q=1"],
)
async def test_a_bad_parameter_is_refused(frontend: Running, query: str) -> None:
    answer = await frontend.get(f"/v1/messages?{query}")

    assert (answer.status, answer.code) == (400, "bad_parameter")
    assert answer.faults == [(query.partition("=")[0], "bad_parameter")]


# The queue


async def test_the_queue_is_counted(frontend: Running) -> None:
    await frontend.accepted(priority="high")
    await frontend.accepted(priority="high", delay_seconds=60)
    await frontend.letters(State.FAILED)

    view = (await frontend.get("/v1/queue")).body

    totals = {"scheduled": 1, "queued": 1, "sending": 0, "retrying": 0, "failed": 1, "partly_sent": 0}
    assert view["totals"] == totals
    assert view["rates"]["window_seconds"] == 60
    (pool,) = view["pools"]
    assert (pool["name"], pool["providers"], pool["available"]) == ("default", [], False)
    assert [priority["priority"] for priority in pool["priorities"]] == ["critical", "high", "normal", "bulk"]
    high = pool["priorities"][1]
    assert (high["scheduled"], high["queued"], high["sending"], high["retrying"]) == (1, 1, 0, 0)
    assert high["oldest_queued_age_seconds"] >= 0


async def test_the_queue_shows_who_works_on_it(frontend: Running) -> None:
    await tell(frontend, "one", row("a"))
    await tell(frontend, "two", row("a"))
    await frontend.queue.processes.beat("scheduler", "one", {})

    async def is_counted() -> bool:
        view = (await frontend.get("/v1/queue")).body
        return bool(view["processes"] == {"frontend": 1, "scheduler": 1, "sender": 2})

    await eventually(is_counted)


async def test_a_pool_with_a_provider_is_available(frontend: Running) -> None:
    await tell(frontend, "one", row("a", available=False), row("b"))

    (pool,) = (await frontend.get("/v1/queue")).body["pools"]

    assert (pool["providers"], pool["available"]) == (["a", "b"], True)


async def test_a_pool_that_nobody_knows_any_more_is_shown_while_it_was_used(frontend: Running) -> None:
    await frontend.scenario.submit(pool="old")

    pools = (await frontend.get("/v1/queue")).body["pools"]

    assert [pool["name"] for pool in pools] == ["default", "old"]


# Moving what waits


async def test_what_waits_in_a_pool_is_moved(frontend: Running) -> None:
    moved = [await frontend.scenario.message_in(state, pool="old") for state in (State.QUEUED, State.SCHEDULED)]
    done = 0
    body = {"from": "old", "to": "default"}
    while True:
        answer = await frontend.post("/v1/queue/move", body)
        done += answer.body["moved"]
        if answer.body["next_cursor"] is None:
            break
        body["cursor"] = answer.body["next_cursor"]

    assert done == 2
    assert [(await frontend.get(f"/v1/messages/{each}")).body["pool"] for each in moved] == ["default", "default"]


# The providers


async def test_without_senders_there_are_no_providers(frontend: Running) -> None:
    assert (await frontend.get("/v1/providers")).body == {"data": [], "next_cursor": None}


async def test_a_provider_is_shown_as_its_senders_see_it(frontend: Running) -> None:
    error = {"at": LATER, "outcome": "throttled", "detail": "Slow down."}
    told = row("a", state="throttled", available=False, available_at=LATER, last_error=error)
    await tell(frontend, "one", told)

    (shown,) = (await frontend.get("/v1/providers")).body["data"]

    at = instant(LATER)
    assert shown == {**told, "available_at": at, "last_error": {**error, "at": at}, "seen_by": 1}


async def test_providers_are_sorted_by_name(frontend: Running) -> None:
    await tell(frontend, "one", row("b"), row("a"))

    assert [each["name"] for each in (await frontend.get("/v1/providers")).body["data"]] == ["a", "b"]


async def test_the_service_s_own_sender_is_no_secret_but_its_addresses_are(start: Start) -> None:
    frontend = await start(default_from=Address("shop@example.com"))

    assert "shop@example.com" not in str((await frontend.get("/v1")).body)
