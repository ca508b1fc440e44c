"""SIGHUP to a frontend: other keys, routes and pools from the next request on, and none of what has to stay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.domain.secret import Secret
from shared.settings.model import KeySettings, ProviderSettings, RouteMatch, RouteSettings, Settings
from tests.services.frontend.running import Running, Start, message
from tests.services.sender.journal import Journal, kept_journal

OLD, NEW = "old-0123456789abcdef", "new-0123456789abcdef"
NEWS = ProviderSettings("news", "sandbox", pools=("news",))
DEFAULT = ProviderSettings("relay", "sandbox")


@pytest.fixture(autouse=True)
def journal() -> Iterator[Journal]:
    with kept_journal() as journal:
        yield journal


async def reload(running: Running, journal: Journal, event: str = "configuration_reloaded", **parts: Any) -> None:
    """Let a frontend read settings of which these parts are others, and wait for what it says."""
    before = len(journal.told(event))
    running.hang_up(replace(running.settings, **parts))
    await journal.saw(event, times=before + 1)


def with_keys(settings: Settings, *secrets: str) -> dict[str, Any]:
    keys = tuple(KeySettings(f"key-{number}", Secret(secret)) for number, secret in enumerate(secrets))
    return {"frontend": replace(settings.frontend, keys=keys)}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_new_key_opens_and_one_that_is_gone_does_not(start: Start, journal: Journal) -> None:
    frontend = await start(keys=[OLD])
    before = [(await frontend.get("/v1", headers=bearer(key))).status for key in (OLD, NEW)]

    await reload(frontend, journal, **with_keys(frontend.settings, NEW))
    after = [(await frontend.get("/v1", headers=bearer(key))).status for key in (OLD, NEW)]

    assert (before, after) == ([200, 401], [401, 200])


async def test_a_request_that_is_being_received_is_answered_though_its_key_has_gone(
    start: Start, journal: Journal
) -> None:
    frontend = await start(keys=[OLD])
    body = orjson.dumps(message())
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OLD}\r\nExpect: 100-continue\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"100 Continue\r\n\r\n")  # it was let in

    await reload(frontend, journal, **with_keys(frontend.settings, NEW))
    writer.write(body)
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 202 ")


async def test_the_last_key_stays_where_others_reach_the_port(start: Start, journal: Journal) -> None:
    frontend = await start(keys=[OLD], host="0.0.0.0")  # noqa: S104 - that it is so is the point

    loopback = replace(frontend.settings.frontend, keys=(), host="127.0.0.1")
    await reload(frontend, journal, "configuration_refused", frontend=loopback)

    assert (await frontend.get("/v1")).status == 401


async def test_messages_are_routed_by_the_routes_that_hold_now(start: Start, journal: Journal) -> None:
    frontend = await start(providers=(DEFAULT, NEWS))
    before = await frontend.accepted(tags=["letter"])

    route = RouteSettings(pool="news", match=RouteMatch(tag=("letter",)))
    await reload(frontend, journal, routes=(route,))
    after = await frontend.accepted(tags=["letter"])

    pools = [(await frontend.get(f"/v1/messages/{message_id}")).body["pool"] for message_id in (before, after)]
    assert pools == ["default", "news"]


async def test_a_pool_that_comes_can_be_named_and_one_that_went_cannot(start: Start, journal: Journal) -> None:
    frontend = await start(providers=(DEFAULT,))
    before = await frontend.submit(pool="news")
    await reload(frontend, journal, providers=(DEFAULT, NEWS))
    meanwhile = await frontend.submit(pool="news")
    await reload(frontend, journal, providers=(DEFAULT,))
    after = await frontend.submit(pool="news")

    assert [before.status, meanwhile.status, after.status] == [422, 202, 422]


async def test_a_pool_that_senders_know_can_be_named_after_a_reload_too(start: Start, journal: Journal) -> None:
    frontend = await start(providers=(DEFAULT,))
    await frontend.queue.processes.beat("sender", "s", {"started_at": 0, "pools": {"theirs": ["x"]}, "providers": []})
    await frontend.get("/v1/queue")  # asks the census

    await reload(frontend, journal, providers=(DEFAULT, NEWS))

    assert (await frontend.submit(pool="theirs")).status == 202


async def test_a_provider_that_comes_is_known_before_any_sender_tells_of_it(start: Start, journal: Journal) -> None:
    frontend = await start(providers=(DEFAULT,))
    before = await frontend.post("/v1/providers/news/pause", {})
    await reload(frontend, journal, providers=(DEFAULT, NEWS))
    after = await frontend.post("/v1/providers/news/pause", {})

    assert [before.status, after.status] == [404, 200]


async def test_what_has_to_stay_stays_and_is_named(start: Start, journal: Journal) -> None:
    frontend = await start()
    before = (await frontend.get("/v1")).body["limits"]

    other = replace(frontend.settings.limits, recipients=3)
    await reload(frontend, journal, "configuration_ignored", limits=other)

    assert journal.told("configuration_ignored")[0]["keys"] == ("limits.recipients",)
    assert (await frontend.get("/v1")).body["limits"] == before
