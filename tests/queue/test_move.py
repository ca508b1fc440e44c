"""move: what waits in one pool goes to another, step by step, and nothing else is touched."""

from __future__ import annotations

import pytest

from shared.domain.message import Priority
from shared.domain.states import State
from shared.queue.owners import MoveStep
from tests.queue.conftest import OpenQueue
from tests.queue.scenario import DAY, HOUR, MINUTE, OTHER_TENANT, SECOND, START, Scenario


async def move_all(scenario: Scenario, source: str, target: str, limit: int = 250) -> int:
    """Move a whole pool, as its caller does; return how many moved."""
    moved, cursor = 0, None
    for _ in range(1000):
        step = await scenario.queue.owners.move(source, target, cursor, limit)
        moved, cursor = moved + step.moved, step.next_cursor
        if cursor is None:
            return moved
    raise AssertionError("the move does not end")


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize(
    ("state", "place", "instant"),
    [
        (State.QUEUED, "ready:spare", START),
        (State.SCHEDULED, "scheduled", START + HOUR),
        (State.RETRYING, "retry", START + 5 * SECOND),
    ],
)
async def test_whatever_waits_moves_and_keeps_its_time(
    scenario: Scenario, priority: Priority, state: State, place: str, instant: int
) -> None:
    message_id = await scenario.message_in(state, priority=priority, ttl_ms=DAY)
    await scenario.advance(SECOND)
    assert await move_all(scenario, "default", "spare") == 1
    record = await scenario.view(message_id)
    assert (record.pool, record.priority, record.state) == ("spare", priority, state)
    assert await scenario.members(f"{place}:{priority}") == {message_id: instant}


async def test_a_moved_flow_has_its_turn_in_the_new_pool(scenario: Scenario) -> None:
    await scenario.submit()
    await scenario.advance(SECOND)
    await move_all(scenario, "default", "spare")
    assert await scenario.members("work") == {"spare:normal": START}
    assert await scenario.redis("SMEMBERS", f"{scenario.tag}:pools") == [b"default", b"spare"]


async def test_a_moved_retry_comes_back_in_the_new_pool(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.RETRYING)
    await move_all(scenario, "default", "spare")
    await scenario.advance(MINUTE)
    await scenario.promote()
    assert [lease.id for lease in await scenario.lease(pool="spare")] == [message_id]


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED, State.RETRYING])
async def test_other_pools_are_not_touched(scenario: Scenario, state: State) -> None:
    await scenario.message_in(state, pool="busy")
    before = await scenario.keyspace()
    assert await move_all(scenario, "default", "spare") == 0
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED])
async def test_other_tenants_are_not_touched(scenario: Scenario, state: State) -> None:
    await scenario.message_in(state, tenant=OTHER_TENANT)
    before = await scenario.keyspace()
    assert await move_all(scenario, "default", "spare") == 0
    assert await scenario.keyspace() == before


async def test_a_pool_whose_name_begins_alike_is_another_pool(scenario: Scenario) -> None:
    await scenario.message_in(State.SCHEDULED, pool="default-2")
    await scenario.message_in(State.QUEUED, pool="default-2")
    assert await move_all(scenario, "default", "spare") == 0


@pytest.mark.parametrize("state", [State.SENDING, State.SENT, State.FAILED])
async def test_what_does_not_wait_stays(scenario: Scenario, state: State) -> None:
    await scenario.message_in(state)
    assert await move_all(scenario, "default", "spare") == 0


async def test_who_refused_and_who_is_preferred_is_forgotten(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=MINUTE, refused=frozenset({"a"}), prefer="relay")
    await move_all(scenario, "default", "spare")
    assert not {"refused", "prefer"} & (await scenario.stored(lease.id)).keys()


async def test_a_ready_flow_is_emptied_from_its_head_step_by_step(scenario: Scenario) -> None:
    ids = []
    for _ in range(3):
        ids.append(await scenario.submit(priority=Priority.CRITICAL))
        await scenario.advance(1)
    step = await scenario.queue.owners.move("default", "spare", None, 2)
    assert step == MoveStep(2, "0.0.1")
    assert (await scenario.members("ready:spare:critical")).keys() == set(ids[:2])
    assert await scenario.queue.owners.move("default", "spare", step.next_cursor, 2) == MoveStep(1, "0.1.0")


async def test_a_flow_of_just_the_limit_is_emptied_by_one_step(scenario: Scenario) -> None:
    for _ in range(2):
        await scenario.submit(priority=Priority.CRITICAL)
    assert await scenario.queue.owners.move("default", "spare", None, 2) == MoveStep(2, "0.1.0")


async def test_what_stays_in_a_flow_hinders_nobody_behind_it(scenario: Scenario) -> None:
    own = []
    for tenant in (OTHER_TENANT, OTHER_TENANT, "default", OTHER_TENANT, "default", "default"):
        message_id = await scenario.submit(tenant=tenant)
        await scenario.advance(1)
        own += [message_id] if tenant == "default" else []
    assert await move_all(scenario, "default", "spare", limit=2) == 3
    assert (await scenario.members("ready:spare:normal")).keys() == set(own)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED])
async def test_a_move_to_the_same_pool_moves_nothing_and_ends(scenario: Scenario, state: State, limit: int) -> None:
    for _ in range(3):
        await scenario.message_in(state)
    before = await scenario.keyspace()
    assert await move_all(scenario, "default", "default", limit) == 0
    assert await scenario.keyspace() == before


async def test_a_large_schedule_is_walked_to_its_end(scenario: Scenario) -> None:
    await scenario.queue.submissions.submit([scenario.prepare(delay_ms=HOUR) for _ in range(200)])
    await scenario.queue.submissions.submit([scenario.prepare(delay_ms=HOUR, pool="busy") for _ in range(100)])
    assert await move_all(scenario, "default", "spare", limit=20) == 200


async def test_who_leaves_a_schedule_while_it_is_walked_hides_nobody(scenario: Scenario) -> None:
    leaving = [scenario.prepare(delay_ms=MINUTE, pool="busy") for _ in range(100)]
    await scenario.queue.submissions.submit([*leaving, *(scenario.prepare(delay_ms=HOUR) for _ in range(100))])
    moved, cursor, step = 0, "0", 0
    while step == 0 or cursor != "0":
        place = {"place": "scheduled:normal", "cursor": cursor, "limit": 20, "from": "default", "to": "spare"}
        answer = await scenario.call("move", operation=f"o{step}", tenant="default", **place)
        moved, cursor, step = moved + int(answer[0]), answer[1], step + 1
        await scenario.queue.owners.cancel([prepared.id for prepared in leaving])
    assert moved == 100


async def test_a_step_is_bounded(scenario: Scenario) -> None:
    await scenario.queue.submissions.submit([scenario.prepare(delay_ms=HOUR) for _ in range(300)])
    place = {"place": "scheduled:normal", "cursor": "0", "limit": 10}
    answer = await scenario.call("move", operation="o", tenant="default", **{"from": "default"}, to="spare", **place)
    assert 0 < int(answer[0]) < 100
    assert answer[1] != "0"


async def test_every_shard_is_moved(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=3))
    batch = [scenario.prepare(idempotency_key=f"k{number}", fingerprint="f") for number in range(12)]
    await scenario.queue.submissions.submit(batch)
    assert len({prepared.shard for prepared in batch}) == 3
    assert await move_all(scenario, "default", "spare") == 12


@pytest.mark.parametrize(
    "cursor",
    [
        "1.0.0",
        "-1.0.0",
        "0.12.0",
        "0.0.-1",
        "0.0",
        "a.b.c",
        "0.1.99999999999999999999",
        "0.4.1_0",
        "\u0660.0.0",
        "0.0.+1",
    ],
)
async def test_a_cursor_that_never_was_is_refused(scenario: Scenario, cursor: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await scenario.queue.owners.move("default", "spare", cursor)


async def test_a_move_is_no_event(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await move_all(scenario, "default", "spare")
    assert len((await scenario.view(message_id)).events) == 1
