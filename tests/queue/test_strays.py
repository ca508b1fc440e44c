"""An entry that lost its record holds up nobody: whoever meets it takes it out and goes on to those behind it."""

from __future__ import annotations

import pytest

from shared.domain.states import DEAD, State
from tests.queue.scenario import HOUR, LEASE_MS, MINUTE, Scenario

STRAY = "msg_lost"


async def stray(scenario: Scenario, place: str, score: int = 1) -> None:
    """Put an entry without a record into a place, before all others."""
    await scenario.redis("ZADD", f"{scenario.tag}:{place}", score, STRAY)


async def test_in_a_flow(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await stray(scenario, "ready:default:normal")
    assert [lease.id for lease in await scenario.lease()] == [message_id]


async def test_alone_in_a_flow(scenario: Scenario) -> None:
    await stray(scenario, "ready:default:normal")
    await scenario.redis("ZADD", f"{scenario.tag}:work", 1, "default:normal")
    assert await scenario.lease() == []
    assert await scenario.members("work") == {}


@pytest.mark.parametrize(("state", "place"), [(State.SCHEDULED, "scheduled"), (State.RETRYING, "retry")])
async def test_among_what_is_due(scenario: Scenario, state: State, place: str) -> None:
    await scenario.message_in(state)
    await stray(scenario, f"{place}:normal")
    await scenario.advance(HOUR)
    assert await scenario.promote() == [state]


async def test_among_leases(scenario: Scenario) -> None:
    await scenario.submit_and_lease()
    await stray(scenario, "leased")
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.QUEUED]


async def test_among_what_expires(scenario: Scenario) -> None:
    await scenario.submit(ttl_ms=MINUTE)
    await stray(scenario, "expiring")
    await scenario.advance(HOUR)
    assert (await scenario.queue.chores.expire(0)).states == (State.EXPIRED,)


async def test_among_contents_to_drop(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.CANCELLED)
    await stray(scenario, "content")
    await scenario.queue.chores.drop_content(0, keep_ms=0)
    assert (await scenario.view(message_id)).content_dropped
    assert f"{scenario.tag}:body:{STRAY}" not in await scenario.keyspace()


@pytest.mark.parametrize(("state", "place"), [(State.CANCELLED, "finished"), (State.FAILED, "failed")])
async def test_among_what_retention_ends(scenario: Scenario, state: State, place: str) -> None:
    await scenario.message_in(state)
    await stray(scenario, place)
    assert await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0) == 1


@pytest.mark.parametrize(("state", "place"), [(State.QUEUED, "ready:default"), (State.SCHEDULED, "scheduled")])
async def test_among_what_moves(scenario: Scenario, state: State, place: str) -> None:
    ids = [await scenario.message_in(state) for _ in range(3)]
    await stray(scenario, f"{place}:normal")
    cursor: str | None = None
    for _ in range(100):
        step = await scenario.queue.owners.move("default", "spare", cursor, 2)
        cursor = step.next_cursor
        if cursor is None:
            break
    assert {(await scenario.view(message_id)).pool for message_id in ids} == {"spare"}


async def test_among_what_is_listed(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.FAILED)
    await stray(scenario, "failed", scenario.now + 1)
    page = await scenario.queue.views.page(DEAD, 10)
    assert [record.id for record in page.records] == [message_id]
    await scenario.redis("ZREM", f"{scenario.tag}:failed", STRAY)
