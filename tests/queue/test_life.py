"""How a message's life is told: its attempts and its changes of state, bounded both."""

from __future__ import annotations

import pytest

from shared.domain.message import RouteStep
from shared.domain.outcome import Outcome
from tests.queue.scenario import (
    MINUTE,
    SECOND,
    START,
    TEMPORARY,
    Scenario,
    attempt,
)


async def test_the_first_five_and_the_last_forty_five_attempts_are_kept(scenario: Scenario) -> None:
    route = (RouteStep("relay", True, "best"),)
    lease = await scenario.submit_and_begin()
    for number in range(2, 61):
        await scenario.begin(lease, number, closed=attempt(number - 1, Outcome.THROTTLED, route=route))
    await scenario.settle(lease, 60, attempt=attempt(60, route=route))
    record = await scenario.view(lease.id)
    assert [one.number for one in record.attempts] == [1, 2, 3, 4, 5, *range(16, 61)]
    assert [one.number for one in record.attempts if one.route] == [1, 58, 59, 60]
    assert record.attempts_total == 60


@pytest.mark.parametrize(("total", "routed"), [(3, [1, 2, 3]), (4, [1, 2, 3, 4]), (5, [1, 3, 4, 5]), (6, [1, 4, 5, 6])])
async def test_the_first_and_the_last_three_attempts_keep_their_routes(
    scenario: Scenario, total: int, routed: list[int]
) -> None:
    route = (RouteStep("relay", True, "best"),)
    lease = await scenario.submit_and_begin()
    for number in range(2, total + 1):
        await scenario.begin(lease, number, closed=attempt(number - 1, Outcome.THROTTLED, route=route))
    await scenario.settle(lease, total, attempt=attempt(total, route=route))
    assert [one.number for one in (await scenario.view(lease.id)).attempts if one.route] == routed


async def test_fifty_attempts_are_all_kept(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    for number in range(2, 51):
        await scenario.begin(lease, number, closed=attempt(number - 1, Outcome.THROTTLED))
    await scenario.settle(lease, 50)
    assert [one.number for one in (await scenario.view(lease.id)).attempts] == list(range(1, 51))


async def test_a_change_of_state_is_an_event_with_time_and_attempt(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(SECOND)
    await scenario.settle(lease, **TEMPORARY)
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2)
    assert [(event.type, event.at, event.attempt) for event in (await scenario.view(lease.id)).events] == [
        ("message.queued", START, None),
        ("message.retrying", START + SECOND, 1),
        ("message.queued", START + SECOND + MINUTE, 1),
        ("message.sent", START + SECOND + MINUTE, 2),
    ]


async def test_an_event_has_the_same_id_at_every_reading(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    first = (await scenario.view(message_id)).events
    await scenario.advance(SECOND)
    await scenario.cancel(message_id)
    second = (await scenario.view(message_id)).events
    assert second[:1] == first
    assert len({event.id for event in second}) == 2


async def test_the_last_hundred_events_are_kept(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    for _ in range(51):
        await scenario.advance(1)
        await scenario.release(lease, delay_ms=0)
        await scenario.promote()
        (lease,) = await scenario.lease()
    events = (await scenario.view(lease.id)).events
    assert [event.at for event in events] == sorted([*range(START + 2, START + 52)] * 2)
    assert await scenario.redis("LLEN", f"{scenario.tag}:history:{lease.id}") == 100
