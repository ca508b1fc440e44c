"""A call ends when its caller's patience does, is understood whatever happened to the server, and is never late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from shared.domain.errors import QueueFull, ScriptDefect
from shared.domain.states import State
from shared.queue.core import MAX_CALL_BYTES, MAX_MESSAGES, in_batches
from shared.queue.script import names
from tests.queue.scenario import HOUR, SECOND, START, Scenario, as_text

#: The least that each script may be called with.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "submit": {"messages": [], "idempotency_ms": 1},
    "lease": {"sender": "s", "number": 1, "token": "t", "lease_ms": 1, "count": 1, "flows": []},
    "begin": {"attempts": []},
    "extend": {"lease_ms": 1, "leases": []},
    "release": {"releases": []},
    "settle": {"settlements": [], "max_rounds": 1, "max_age_ms": 1},
    "cancel": {"operation": "o", "tenant": "default", "ids": []},
    "requeue": {"operation": "o", "tenant": "default", "ids": []},
    "delete": {"operation": "o", "tenant": "default", "ids": []},
    "change": {"operation": "o", "tenant": "default", "id": "gone"},
    "move": {
        "operation": "o",
        "tenant": "default",
        "from": "a",
        "to": "b",
        "place": "ready:a:bulk",
        "cursor": "0",
        "limit": 1,
    },
    "promote": {"limit": 1},
    "reap": {"limit": 1, "ambiguous_delay_ms": 1, "max_rounds": 1, "max_age_ms": 1},
    "expire": {"limit": 1},
    "drop_content": {"limit": 1, "keep_ms": 1},
    "trim": {"limit": 1, "finished_ms": 1, "failed_ms": 1},
    "read": {"ids": []},
    "page": {
        "tenant": "default",
        "place": "failed",
        "states": ["failed"],
        "before": START,
        "before_id": "~",
        "limit": 1,
        "look": 100,
    },
    "depths": {},
    "examine": {"ids": []},
    "repair": {"ids": []},
    "draw": {"wanted": 1, "reserve": 0, "quotas": []},
    "share": {"sender": "s", "told": "{}", "accepted": 0, "keep_ms": 1, "ramp": False},
    "probe": {"sender": "s", "apart_ms": 1},
    "pause": {"what": "everything"},
    "pauses": {},
    "meta": {"schema": 1, "shards": 1},
    "beat": {"role": "sender", "name": "s", "told": "{}", "seconds": 10},
    "withdraw": {"role": "sender", "name": "s"},
    "census": {"seconds": 10},
}


async def raw(scenario: Scenario, script: str, **arguments: Any) -> Any:
    """Run a script with just these arguments, as Redis gets them."""
    source = scenario.queue.core.scripts[script].source
    return as_text(await scenario.redis("EVAL", source, 1, scenario.tag, orjson.dumps(arguments)))


@pytest.mark.parametrize("name", names())
async def test_every_answer_begins_with_the_instant_and_ok(scenario: Scenario, name: str) -> None:
    assert (await raw(scenario, name, **ARGUMENTS[name]))[:2] == [START, "ok"]


@pytest.mark.parametrize("name", names())
async def test_a_call_that_comes_too_late_does_nothing(scenario: Scenario, name: str) -> None:
    await scenario.submit(expires_at=START)
    before, writes = await scenario.keyspace(), await scenario.writes()
    assert await raw(scenario, name, **ARGUMENTS[name], not_after=START - 1) == [START, "too_late"]
    assert (await scenario.keyspace(), await scenario.writes()) == (before, writes)


@pytest.mark.parametrize("name", names())
async def test_a_call_that_comes_at_its_last_millisecond_is_answered(scenario: Scenario, name: str) -> None:
    assert (await raw(scenario, name, **ARGUMENTS[name], not_after=START))[1] == "ok"


@pytest.mark.parametrize("name", sorted(set(names()) - {"settle"}))
async def test_every_call_but_a_settlement_tells_when_its_caller_gives_up(scenario: Scenario, name: str) -> None:
    call = scenario.queue.core.call(name, scenario.tag, dict(ARGUMENTS[name]))
    assert orjson.loads(call.command(START, 2, whole=False)[4])["not_after"] == START + 2 * SECOND


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_clock_that_stepped_is_learned_anew(scenario: Scenario, step: int) -> None:
    server = (await scenario.queue.core.servers.primaries())[0]
    server.learn_clock(START - step)
    assert isinstance(await scenario.submit(), str)
    assert abs(server.now_ms() - START) < 10 * SECOND


async def test_a_server_that_forgot_the_scripts_is_told_them_again(scenario: Scenario) -> None:
    await scenario.redis("SCRIPT", "FLUSH")
    message_id = await scenario.submit()
    await scenario.redis("SCRIPT", "FLUSH")
    assert await scenario.state(message_id) is State.QUEUED


async def test_calls_that_meet_a_server_without_scripts_are_each_done_once(scenario: Scenario) -> None:
    await scenario.redis("SCRIPT", "FLUSH")
    await asyncio.gather(*(scenario.submit() for _ in range(10)))
    assert len(await scenario.members("ready:default:normal")) == 10


async def test_a_script_that_fails_is_a_defect_with_its_name(scenario: Scenario) -> None:
    await scenario.redis("SET", f"{scenario.tag}:ready:default:normal", "no set")
    try:
        with pytest.raises(ScriptDefect, match="lease"):
            await scenario.lease()
    finally:
        await scenario.redis("UNLINK", f"{scenario.tag}:ready:default:normal")


@asynccontextmanager
async def full_memory(scenario: Scenario) -> AsyncIterator[None]:
    """Leave the server no memory for a while."""
    await scenario.redis("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        await scenario.redis("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("name", sorted(set(names()) - {"submit", "meta"}))
async def test_a_full_memory_hinders_nothing_that_moves_or_ends_or_reads(scenario: Scenario, name: str) -> None:
    async with full_memory(scenario):
        await scenario.call(name, **ARGUMENTS[name])


@pytest.mark.parametrize("name", ["submit", "meta"])
async def test_a_full_memory_refuses_what_adds(scenario: Scenario, name: str) -> None:
    async with full_memory(scenario):
        with pytest.raises(QueueFull, match=name):
            await scenario.call(name, **ARGUMENTS[name])


async def test_a_full_queue_drains(scenario: Scenario) -> None:
    message_id = await scenario.submit(expires_at=START + HOUR)
    async with full_memory(scenario):
        lease = await scenario.leased(message_id)
        assert (await scenario.begin(lease)).status == "begun"
        assert (await scenario.settle(lease)).state is State.SENT
        assert await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0) == 1


def test_a_batch_is_bounded_by_number_and_size_and_never_empty() -> None:
    assert [len(batch) for batch in in_batches(range(2 * MAX_MESSAGES + 1), lambda _: 1)] == [MAX_MESSAGES] * 2 + [1]
    halves = [MAX_CALL_BYTES // 2] * 3
    assert [len(batch) for batch in in_batches(halves, int)] == [2, 1]
    assert [len(batch) for batch in in_batches([MAX_CALL_BYTES + 1] * 2, int)] == [1, 1]
    assert list(in_batches([], int)) == []
