"""Pausing and resuming a provider, a pool or everything, and testing a provider."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.frontend.instants import instant, parse_instant
from shared.domain.message import Address
from shared.queue.pauses import Pause, Scale
from shared.settings.model import DurabilitySettings, ProviderSettings, default_providers
from tests.redis_server import RedisServer
from tests.services.frontend.running import Running, Start
from tests.services.frontend.test_views import LATER, row, tell

PATHS = {"/v1/queue": "everything", "/v1/pools/default": "pool default", "/v1/providers/outbox": "provider outbox"}
EACH = pytest.mark.parametrize(("path", "what"), PATHS.items(), ids=PATHS.values())
UNTIL = instant(LATER)


async def pauses(frontend: Running) -> dict[str, Pause]:
    return {pause.what: pause for pause in await frontend.queue.pauses.all()}


async def waiting(frontend: Running, message_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await frontend.get(f"/v1/messages/{message_id}")).body["waiting"]
    return shown


# Pause


@EACH
async def test_a_pause_is_answered_by_what_is_paused(frontend: Running, path: str, what: str) -> None:
    answer = await frontend.post(f"{path}/pause", {"reason": "An audit.", "until": UNTIL})

    kept = (await pauses(frontend))[what]
    assert answer.status == 200
    assert answer.body["paused"] == {"reason": "An audit.", "since": instant(kept.since), "until": UNTIL}
    assert (kept.reason, kept.until) == ("An audit.", LATER)


@EACH
async def test_a_paused_thing_begins_nothing(frontend: Running, path: str, what: str) -> None:
    scenario = frontend.scenario
    lease = await scenario.submit_and_lease()
    await frontend.post(f"{path}/pause")

    status = (await scenario.begin(lease, provider="outbox")).status

    assert (status, list(await pauses(frontend))) == ("paused", [what])


@EACH
@pytest.mark.parametrize("body", [None, {}, {"reason": None, "until": None}])
async def test_a_pause_needs_no_body(frontend: Running, path: str, what: str, body: Any) -> None:
    answer = await frontend.post(f"{path}/pause", body)

    assert (answer.status, answer.body["paused"]["reason"], answer.body["paused"]["until"]) == (200, "", None)
    assert list(await pauses(frontend)) == [what]


@EACH
async def test_pausing_again_changes_reason_and_end_but_not_since_when(frontend: Running, path: str, what: str) -> None:
    await frontend.post(f"{path}/pause", {"reason": "First.", "until": UNTIL})
    first = (await pauses(frontend))[what]

    answer = await frontend.post(f"{path}/pause", {"reason": "Second."})

    assert answer.body["paused"] == {"reason": "Second.", "since": instant(first.since), "until": None}


@EACH
async def test_an_end_that_is_past_resumes(frontend: Running, path: str, what: str) -> None:
    await frontend.post(f"{path}/pause")

    answer = await frontend.post(f"{path}/pause", {"until": "2020-01-01T00:00:00Z"})

    assert (answer.status, answer.body["paused"]) == (200, None)
    assert what not in await pauses(frontend)


@EACH
async def test_a_pause_begins_by_the_clock_of_redis(frontend: Running, path: str, what: str) -> None:
    before = (await frontend.queue.views.depths()).as_of

    await frontend.post(f"{path}/pause")

    after = (await frontend.queue.views.depths()).as_of
    assert before - 1 <= (await pauses(frontend))[what].since <= after + 1


@EACH
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"until": "2026-12-01T10:00:00"}, ("#/until", "bad_time")),
        ({"reason": "x" * 501}, ("#/reason", "too_long")),
        ({"Until": UNTIL}, ("#/Until", "unknown_field")),
    ],
)
async def test_a_wish_that_is_not_clear_pauses_nothing(
    frontend: Running, path: str, what: str, body: Any, fault: tuple[str, str]
) -> None:
    answer = await frontend.post(f"{path}/pause", body)

    assert (answer.status, answer.code, answer.faults) == (422, "invalid_request", [fault])
    assert what not in await pauses(frontend)


# Resume


@EACH
@pytest.mark.parametrize("body", [None, {}])
async def test_what_is_resumed_is_not_paused(frontend: Running, path: str, what: str, body: Any) -> None:
    await frontend.post(f"{path}/pause")

    answer = await frontend.post(f"{path}/resume", body)

    assert (answer.status, answer.body["paused"]) == (200, None)
    assert what not in await pauses(frontend)


@EACH
async def test_resuming_what_runs_does_no_harm(frontend: Running, path: str, what: str) -> None:
    answer = await frontend.post(f"{path}/resume")

    assert (answer.status, answer.body["paused"]) == (200, None)
    assert what not in await pauses(frontend)


# What is known


@pytest.mark.parametrize(
    "path",
    [f"{what}/{verb}" for what in ("/v1/pools/x", "/v1/providers/x") for verb in ("pause", "resume")]
    + ["/v1/providers/x/test"],
)
async def test_what_nobody_knows_is_not_found(frontend: Running, path: str) -> None:
    body = {"to": "me@example.com", "from": "me@example.com"} if path.endswith("test") else {}

    answer = await frontend.post(path, body)

    assert (answer.status, answer.code) == (404, "not_found")
    assert await pauses(frontend) == {}


async def test_a_provider_that_a_sender_tells_of_is_known(frontend: Running) -> None:
    await tell(frontend, "one", row("relay", health=0.5))

    answer = await frontend.post("/v1/providers/relay/pause", {"until": UNTIL})

    assert (answer.body["health"], answer.body["state"]) == (0.5, "paused")
    assert (answer.body["available"], answer.body["available_at"]) == (False, UNTIL)


async def test_a_pool_that_was_ever_used_is_known(frontend: Running) -> None:
    await frontend.scenario.submit(pool="old")

    assert (await frontend.post("/v1/pools/old/pause")).body["name"] == "old"


@pytest.mark.parametrize(("scale", "path"), [(Scale.POOL, "/v1/pools/gone"), (Scale.PROVIDER, "/v1/providers/gone")])
@pytest.mark.parametrize(("verb", "body"), [("resume", None), ("pause", {"until": "2020-01-01T00:00:00Z"})])
async def test_what_is_known_for_its_pause_alone_can_be_resumed(
    frontend: Running, scale: Scale, path: str, verb: str, body: Any
) -> None:
    await frontend.queue.pauses.pause(Pause(scale, "gone"))

    answer = await frontend.post(f"{path}/{verb}", body)

    assert (answer.status, answer.body["name"], answer.body["paused"]) == (200, "gone", None)
    assert await pauses(frontend) == {}


# What is shown


async def test_a_pause_that_another_frontend_wrote_is_shown_at_once(frontend: Running) -> None:
    await tell(frontend, "one", row("a"), row("b"))
    for pause in (
        Pause(Scale.EVERYTHING),
        Pause(Scale.POOL, "default", "why"),
        Pause(Scale.PROVIDER, "a", until=LATER),
    ):
        await frontend.queue.pauses.pause(pause)

    queue = (await frontend.get("/v1/queue")).body
    providers = (await frontend.get("/v1/providers")).body["data"]

    assert queue["paused"] == {"reason": "", "since": instant(0), "until": None}
    assert (queue["pools"][0]["paused"]["reason"], queue["pools"][0]["available"]) == ("why", False)
    assert [(each["name"], each["state"]) for each in providers] == [("a", "paused"), ("b", "healthy")]
    assert [each["paused"] and each["paused"]["until"] for each in providers] == [UNTIL, None]


@EACH
async def test_a_message_waits_for_the_end_of_a_pause(frontend: Running, path: str, what: str) -> None:
    await tell(frontend, "one", row("outbox"))
    message_id = await frontend.accepted()

    await frontend.post(f"{path}/pause", {"until": UNTIL})

    shown = await waiting(frontend, message_id)
    assert (shown["code"], shown["until"]) == ("paused", UNTIL), what


async def test_a_message_that_is_to_be_sent_later_still_says_so(frontend: Running) -> None:
    message_id = await frontend.accepted(delay_seconds=60)

    await frontend.post("/v1/queue/pause")

    assert (await waiting(frontend, message_id))["code"] == "scheduled"


# While Redis is in trouble


async def test_everything_is_answered_in_time_while_redis_is_frozen(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    trial = {"to": "me@example.com", "from": "me@example.com"}

    own_valkey.freeze()
    async with asyncio.timeout(3.0):
        answers = await asyncio.gather(
            *(frontend.post(f"{path}/{verb}") for path in PATHS for verb in ("pause", "resume")),
            frontend.post("/v1/providers/outbox/test", trial),
        )

    assert [(answer.status, answer.code) for answer in answers] == [(503, "unavailable")] * 7
    assert all("not known" in answer.body["detail"] for answer in answers)


@EACH
async def test_a_pause_that_its_replicas_did_not_confirm_is_not_answered_with_200(
    start: Start, path: str, what: str
) -> None:
    frontend = await start(durability=DurabilitySettings(replicas=1, replica_timeout_seconds=0.05))

    answer = await frontend.post(f"{path}/pause")

    assert (answer.status, answer.code) == (503, "unavailable"), what


# A test


@pytest.fixture
async def shop(start: Start) -> Running:
    """A frontend with a sender of its own."""
    relay = ProviderSettings(name="relay", kind="smtp", pools=("news", "default"))
    return await start(default_from=Address("shop@example.com"), providers=(relay, *default_providers()))


async def test_a_test_is_answered_as_a_submission_is(shop: Running) -> None:
    answer = await shop.post("/v1/providers/relay/test", {"to": "Me <me@example.com>"})

    assert (answer.status, answer.body["state"]) == (202, "queued")
    assert answer.headers["Location"] == f"/v1/messages/{answer.body['id']}"
    assert (answer.body["priority"], answer.body["pool"]) == ("high", "news")


async def test_a_test_is_for_its_provider_alone(shop: Running) -> None:
    message_id = (await shop.post("/v1/providers/relay/test", {"to": "me@example.com"})).body["id"]

    record = await shop.queue.views.read(message_id)

    assert record is not None
    assert record.envelope.pinned_to == "relay"
    assert record.envelope.sender == Address("shop@example.com")


async def test_a_test_ends_by_itself(shop: Running) -> None:
    taken = (await shop.post("/v1/providers/relay/test", {"to": "me@example.com"})).body

    assert parse_instant(taken["expires_at"]) - parse_instant(taken["created_at"]) == 3_600_000


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"from": "me@example.com"}, "#/to"),
        ({"to": "me@example.com"}, "#/from"),
        ({"to": "me@example.com", "from": "me@example.com", "subject": "Hi"}, "#/subject"),
    ],
)
async def test_a_test_that_is_not_whole_is_refused(frontend: Running, body: Any, place: str) -> None:
    answer = await frontend.post("/v1/providers/outbox/test", body)

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert [where for where, _ in answer.faults] == [place]
