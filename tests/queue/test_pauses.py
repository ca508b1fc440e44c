"""pause: nothing of a pool, of a provider or of everything begins, from the answer on."""

from __future__ import annotations

import pytest

from shared.queue.pauses import Pause, Scale
from tests.queue.conftest import OpenQueue
from tests.queue.scenario import MINUTE, RELAY, SECOND, START, Scenario

EVERYTHING = Pause(Scale.EVERYTHING, reason="maintenance", since=START)
DEFAULT = Pause(Scale.POOL, "default", "a bad template", since=START)
RELAYED = Pause(Scale.PROVIDER, RELAY, "key rotation", since=START)

ALL = pytest.mark.parametrize("pause", [EVERYTHING, DEFAULT, RELAYED], ids=lambda pause: pause.what)


@ALL
async def test_nothing_begins_that_is_paused(scenario: Scenario, pause: Pause) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.queue.pauses.pause(pause)
    assert (await scenario.begin(lease)).status == "paused"


@ALL
async def test_what_was_resumed_begins(scenario: Scenario, pause: Pause) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.queue.pauses.pause(pause)
    await scenario.queue.pauses.resume(pause.scale, pause.name)
    assert (await scenario.begin(lease)).status == "begun"


@pytest.mark.parametrize("pause", [Pause(Scale.POOL, "another"), Pause(Scale.PROVIDER, "another")])
async def test_a_pause_holds_up_nothing_else(scenario: Scenario, pause: Pause) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.queue.pauses.pause(pause)
    assert (await scenario.begin(lease)).status == "begun"


async def test_a_refused_begin_leaves_the_lease_as_it_was(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.queue.pauses.pause(RELAYED)
    await scenario.begin(lease)
    await scenario.queue.pauses.resume(Scale.PROVIDER, RELAY)
    assert (await scenario.begin(lease)).status == "begun"


async def test_an_attempt_that_has_begun_is_told_so_again(scenario: Scenario) -> None:
    """Its first answer may have been lost, and the message be on its way."""
    lease = await scenario.submit_and_begin()
    await scenario.queue.pauses.pause(EVERYTHING)
    assert (await scenario.begin(lease)).status == "begun"


@ALL
async def test_a_pause_with_an_end_ends_by_itself(scenario: Scenario, pause: Pause) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.queue.pauses.pause(Pause(pause.scale, pause.name, until=START + SECOND))
    await scenario.advance(SECOND - 1)
    assert (await scenario.begin(lease)).status == "paused"
    assert len(await scenario.queue.pauses.all()) == 1
    await scenario.advance(1)
    assert (await scenario.begin(lease)).status == "begun"
    assert await scenario.queue.pauses.all() == []


async def test_all_pauses_are_told_with_their_reasons_and_ends(scenario: Scenario) -> None:
    pauses = [EVERYTHING, Pause(Scale.POOL, "news", "quiet hours", START + MINUTE, START), RELAYED]
    for pause in pauses:
        await scenario.queue.pauses.pause(pause)
    assert sorted(await scenario.queue.pauses.all(), key=lambda pause: pause.what) == sorted(
        pauses, key=lambda pause: pause.what
    )


async def test_a_pause_may_last_to_the_end_of_all_calendars(scenario: Scenario) -> None:
    pause = Pause(Scale.POOL, "default", until=253_402_300_799_999)
    await scenario.queue.pauses.pause(pause)
    assert await scenario.queue.pauses.all() == [pause]


async def test_the_latest_word_on_a_pause_counts(scenario: Scenario) -> None:
    await scenario.queue.pauses.pause(Pause(Scale.POOL, "default", "first", START + SECOND, START))
    await scenario.queue.pauses.pause(DEFAULT)
    await scenario.advance(MINUTE)
    assert await scenario.queue.pauses.all() == [DEFAULT]


async def test_a_pause_holds_in_every_shard(open_queue: OpenQueue) -> None:
    queue = await open_queue(shards=4)
    await queue.pauses.pause(EVERYTHING)
    tags = [queue.core.tag(shard) for shard in range(4)]
    held = [await queue.core.plain(tag, [("HEXISTS", f"{tag}:pauses", "everything")]) for tag in tags]
    assert held == [[1]] * 4


async def test_a_lease_on_what_is_paused_runs_out_and_counts_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.queue.pauses.pause(DEFAULT)
    await scenario.begin(lease)
    await scenario.release(lease)
    record = await scenario.view(lease.id)
    assert (record.state, record.attempts_total, record.rounds) == ("queued", 0, 0)
