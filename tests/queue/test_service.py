"""meta, beat, census: what the queue is, and who works with it."""

from __future__ import annotations

import pytest

from shared.domain.errors import ScriptDefect
from shared.queue import Queue
from shared.queue.processes import GONE_SECONDS, Process
from tests.queue.invariant import kind_of
from tests.queue.scenario import SECOND, START, Scenario


async def test_the_first_process_decides_how_many_shards_there_are(queue: Queue) -> None:
    assert [await queue.core.learn_shards(count) for count in (5, 1)] == [1, 1]


async def test_schema_and_shards_are_written_once(queue: Queue) -> None:
    (stored,) = await queue.core.plain(queue.core.service_tag, [("HGETALL", f"{queue.core.service_tag}:meta")])
    assert stored == [b"schema", b"1", b"shards", b"1"]


async def test_a_queue_of_a_newer_version_is_refused(queue: Queue) -> None:
    tag = queue.core.service_tag
    await queue.core.plain(tag, [("HSET", f"{tag}:meta", "schema", 2)])
    with pytest.raises(ScriptDefect, match="Upgrade"):
        await queue.core.learn_shards(1)


async def test_a_process_says_what_it_knows(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a:b", {"pools": ["default"]})
    assert await scenario.queue.processes.census() == [Process("sender", "a:b", START, {"pools": ["default"]})]


async def test_the_last_beat_counts(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a", {"n": 1})
    await scenario.advance(SECOND)
    await scenario.queue.processes.beat("sender", "a", {"n": 2})
    assert await scenario.queue.processes.census() == [Process("sender", "a", START + SECOND, {"n": 2})]


async def test_all_who_beat_are_there(scenario: Scenario) -> None:
    for name in ("a", "b", "c"):
        await scenario.queue.processes.beat("sender", name, {})
        await scenario.advance(SECOND)
    assert [process.name for process in await scenario.queue.processes.census()] == ["a", "b", "c"]


@pytest.mark.parametrize(("early", "number"), [(0, 1), (-1, 0)])
async def test_a_silent_process_counts_as_gone(scenario: Scenario, early: int, number: int) -> None:
    await scenario.queue.processes.beat("sender", "a", {})
    await scenario.advance(GONE_SECONDS * SECOND - early)
    assert len(await scenario.queue.processes.census()) == number


async def test_a_silent_process_is_forgotten_when_another_beats(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a", {})
    await scenario.advance(GONE_SECONDS * SECOND)
    await scenario.queue.processes.beat("scheduler", "b", {})
    tag = scenario.queue.core.service_tag
    (left,) = await scenario.queue.core.plain(tag, [("ZRANGE", f"{tag}:processes", 0, -1)])
    assert left == [b"process:scheduler:b"]


async def test_what_a_process_said_ends_by_itself(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a", {})
    tag = scenario.queue.core.service_tag
    (left,) = await scenario.queue.core.plain(tag, [("PTTL", f"{tag}:process:sender:a")])
    assert (GONE_SECONDS - 5) * SECOND < left <= GONE_SECONDS * SECOND


async def test_who_withdraws_leaves_nothing_behind(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a", {})
    await scenario.queue.processes.withdraw("sender", "a")
    assert {kind_of(key) for key in await scenario.keyspace()} == {"meta"}


async def test_a_process_whose_words_have_ended_is_not_there(scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "a", {})
    tag = scenario.queue.core.service_tag
    await scenario.queue.core.plain(tag, [("UNLINK", f"{tag}:process:sender:a")])
    assert await scenario.queue.processes.census() == []


async def test_who_withdraws_is_gone_at_once_and_nobody_else(scenario: Scenario) -> None:
    for name in ("a", "b"):
        await scenario.queue.processes.beat("sender", name, {})

    await scenario.queue.processes.withdraw("sender", "a")

    assert [process.name for process in await scenario.queue.processes.census()] == ["b"]
    assert not [key for key in await scenario.keyspace() if key.endswith("process:sender:a")]
