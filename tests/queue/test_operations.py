"""What an owner asks for is done once for each operation token, and answered alike as often as it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.states import State
from tests.queue.scenario import DAY, MINUTE, SECOND, Scenario


async def _arguments(scenario: Scenario, verb: str) -> dict[str, Any]:
    state = {"requeue": State.FAILED, "delete": State.SENT}.get(verb, State.QUEUED)
    message_id = await scenario.message_in(state)
    own: dict[str, dict[str, Any]] = {
        "change": {"id": message_id, "send": scenario.now + DAY, "pool": "fast"},
        "move": {"from": "default", "to": "fast", "place": "ready:default:normal", "cursor": "0", "limit": 10},
    }
    return {"operation": "token", "tenant": "default", **own.get(verb, {"ids": [message_id, "gone"]})}


VERBS = ("cancel", "change", "delete", "move", "requeue")


@pytest.mark.parametrize("verb", VERBS)
async def test_the_same_operation_again_is_answered_alike_and_changes_nothing(scenario: Scenario, verb: str) -> None:
    arguments = await _arguments(scenario, verb)
    first = await scenario.call(verb, **arguments)
    before = await scenario.keyspace()
    await scenario.advance(5 * MINUTE)
    assert await scenario.call(verb, **arguments) == first
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("verb", VERBS)
async def test_the_same_operation_again_is_answered_alike_when_the_message_went_on(
    scenario: Scenario, verb: str
) -> None:
    arguments = await _arguments(scenario, verb)
    first = await scenario.call(verb, **arguments)
    await scenario.advance(2 * DAY)
    await scenario.promote()
    for pool in ("default", "fast"):
        for lease in await scenario.lease(pool=pool):
            await scenario.begin(lease, lease.attempts + 1)
    before = await scenario.keyspace()
    assert await scenario.call(verb, **arguments) == first
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("verb", VERBS)
async def test_the_same_operation_again_writes_so_that_waiting_for_replicas_counts(
    scenario: Scenario, verb: str
) -> None:
    arguments = await _arguments(scenario, verb)
    await scenario.call(verb, **arguments)
    before = await scenario.writes()
    await scenario.call(verb, **arguments)
    assert await scenario.writes() > before


@pytest.mark.parametrize("verb", ["cancel", "requeue", "delete"])
async def test_an_operation_that_changes_nothing_writes_too(scenario: Scenario, verb: str) -> None:
    before = await scenario.writes()
    assert await scenario.call(verb, operation="token", tenant="default", ids=["gone"]) == ["missing", ""]
    assert await scenario.writes() > before


async def test_an_operation_on_nothing_is_answered_twice(scenario: Scenario) -> None:
    for _ in range(2):
        assert await scenario.call("cancel", operation="token", tenant="default", ids=[]) == []


async def test_an_answer_is_kept_for_a_minute_from_the_last_time_it_was_given(scenario: Scenario) -> None:
    arguments = await _arguments(scenario, "cancel")
    await scenario.call("cancel", **arguments)
    assert 55 * SECOND < await scenario.remaining_ms("operation:token") <= MINUTE
    await scenario.redis("PEXPIRE", f"{scenario.tag}:operation:token", 10 * SECOND)
    await scenario.call("cancel", **arguments)
    assert 55 * SECOND < await scenario.remaining_ms("operation:token") <= MINUTE


async def test_another_token_is_another_operation(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.FAILED)
    arguments = {"tenant": "default", "ids": [message_id]}
    assert await scenario.call("requeue", operation="one", **arguments) == ["done", "queued"]
    assert await scenario.call("requeue", operation="two", **arguments) == ["unchanged", "queued"]
