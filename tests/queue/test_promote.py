"""promote: what is due becomes ready, the most urgent first, each with the time at which it was due."""

from __future__ import annotations

import pytest

from shared.domain.message import Priority
from shared.domain.states import State
from shared.queue.chores import Due, Promoted
from tests.queue.scenario import HOUR, MINUTE, SECOND, START, TRACE, Scenario


async def test_nothing_is_due_in_an_empty_queue(scenario: Scenario) -> None:
    assert await scenario.queue.chores.promote(0) == Promoted((), START, None)


async def test_what_is_due_becomes_ready_with_the_time_it_was_due(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=MINUTE)
    await scenario.advance(HOUR)
    await scenario.promote()
    assert await scenario.members("ready:default:normal") == {message_id: START + MINUTE}


async def test_a_retry_that_is_due_becomes_ready_and_waits_no_longer(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.RETRYING)
    await scenario.advance(5 * SECOND)
    assert await scenario.promote() == [State.RETRYING]
    record = await scenario.view(message_id)
    assert (record.state, record.waiting) == (State.QUEUED, None)


async def test_a_retry_keeps_its_rounds_and_its_preferred_provider(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=SECOND, counts_round=True, prefer="relay", refused=frozenset({"a"}))
    await scenario.advance(SECOND)
    await scenario.promote()
    (again,) = await scenario.lease()
    assert (again.rounds, again.prefer, again.refused) == (1, "relay", frozenset({"a"}))


@pytest.mark.parametrize(("early", "promoted"), [(0, [State.SCHEDULED]), (1, [])])
async def test_due_means_at_that_millisecond(scenario: Scenario, early: int, promoted: list[State]) -> None:
    await scenario.submit(delay_ms=MINUTE)
    await scenario.advance(MINUTE - early)
    assert await scenario.promote() == promoted


async def test_of_each_message_its_lateness_and_its_trace_are_told(scenario: Scenario) -> None:
    first = await scenario.submit(delay_ms=MINUTE, trace=TRACE)
    second = await scenario.submit(delay_ms=3 * MINUTE)
    await scenario.advance(4 * MINUTE)
    promoted = await scenario.queue.chores.promote(0)
    assert promoted.messages == (
        Due(first, State.SCHEDULED, 3 * MINUTE, TRACE),
        Due(second, State.SCHEDULED, MINUTE),
    )


async def test_the_most_urgent_are_promoted_first_scheduled_before_retries(scenario: Scenario) -> None:
    due: list[str] = []
    for priority in reversed(Priority):
        lease = await scenario.submit_and_begin(priority=priority)
        await scenario.settle(lease, delay_ms=MINUTE)
        scheduled = await scenario.submit(priority=priority, delay_ms=MINUTE)
        due = [scheduled, lease.id, *due]
    await scenario.advance(MINUTE)
    for message_id in due:
        await scenario.queue.chores.promote(0, limit=1)
        assert await scenario.state(message_id) is State.QUEUED


async def test_no_more_than_the_limit_is_promoted(scenario: Scenario) -> None:
    for priority in (Priority.HIGH, Priority.HIGH, Priority.NORMAL):
        await scenario.submit(priority=priority, delay_ms=MINUTE)
    await scenario.advance(MINUTE)
    assert len((await scenario.queue.chores.promote(0, limit=2)).messages) == 2


@pytest.mark.parametrize("limit", [2, 3])
async def test_the_limit_counts_over_all_priorities(scenario: Scenario, limit: int) -> None:
    for priority in Priority:
        await scenario.submit(priority=priority, delay_ms=MINUTE)
    await scenario.advance(MINUTE)
    assert len((await scenario.queue.chores.promote(0, limit=limit)).messages) == limit


async def test_what_was_left_is_the_next_that_is_due(scenario: Scenario) -> None:
    for _ in range(2):
        await scenario.submit(delay_ms=MINUTE)
    await scenario.advance(HOUR)
    assert (await scenario.queue.chores.promote(0, limit=1)).next_due_at == START + MINUTE


async def test_the_next_due_instant_is_the_earliest_of_schedule_retry_and_expiry(scenario: Scenario) -> None:
    await scenario.submit(priority=Priority.BULK, send_at=START + 3 * HOUR)
    assert (await scenario.queue.chores.promote(0)).next_due_at == START + 3 * HOUR
    await scenario.submit(expires_at=START + 2 * HOUR)
    assert (await scenario.queue.chores.promote(0)).next_due_at == START + 2 * HOUR
    lease = await scenario.submit_and_begin(priority=Priority.HIGH)
    await scenario.settle(lease, delay_ms=HOUR)
    assert (await scenario.queue.chores.promote(0)).next_due_at == START + HOUR


@pytest.mark.parametrize("priority", Priority)
async def test_every_priority_is_looked_at_for_the_next_due_instant(scenario: Scenario, priority: Priority) -> None:
    await scenario.submit(priority=priority, delay_ms=MINUTE)
    assert (await scenario.queue.chores.promote(0)).next_due_at == START + MINUTE


async def test_a_promotion_is_an_event(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=MINUTE)
    await scenario.advance(HOUR)
    await scenario.promote()
    events = (await scenario.view(message_id)).events
    assert [(event.type, event.at) for event in events] == [
        ("message.scheduled", START),
        ("message.queued", START + HOUR),
    ]


async def test_promoting_again_changes_nothing(scenario: Scenario) -> None:
    await scenario.submit(delay_ms=MINUTE)
    await scenario.advance(MINUTE)
    await scenario.promote()
    before = await scenario.keyspace()
    assert await scenario.promote() == []
    assert await scenario.keyspace() == before
