"""submit: a message is stored once, where its send time and its priority say, or refused for a reason that is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.errors import QueueFull
from shared.domain.message import Acceptance, OnAmbiguous, Priority
from shared.domain.states import State
from shared.queue.submissions import Bounds, Refusal
from tests.queue.conftest import OpenQueue
from tests.queue.scenario import (
    DAY,
    HOUR,
    MINUTE,
    OTHER_TENANT,
    SECOND,
    START,
    Scenario,
    envelope,
    large_envelope,
)

KEYED: dict[str, Any] = {"idempotency_key": "order-1042", "fingerprint": "f1"}


async def test_a_message_without_times_is_ready_at_once(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    assert await scenario.members("ready:default:normal") == {message_id: START}


async def test_a_message_is_stored_with_what_it_needs_and_nothing_more(scenario: Scenario) -> None:
    prepared = scenario.prepare(recipients=3)
    await scenario.send(prepared)
    assert await scenario.stored(prepared.id) == {
        "tenant": "default",
        "flow": "default:normal",
        "recipients": "3",
        "bytes": str(len(prepared.body)),
        "created": f"{START}-0",
        "state": "queued",
        "place": "ready:default:normal",
    }


async def test_every_time_that_was_asked_for_is_stored(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=MINUTE, ttl_ms=HOUR)
    stored = await scenario.stored(message_id)
    assert {name: stored[name] for name in ("send", "expires", "ttl")} == {
        "send": str(START + MINUTE),
        "expires": str(START + MINUTE + HOUR),
        "ttl": str(HOUR),
    }


async def test_the_answer_tells_what_was_stored(scenario: Scenario) -> None:
    prepared = scenario.prepare(priority=Priority.HIGH, pool="fast", send_at=START + HOUR, expires_at=START + DAY)
    assert await scenario.send(prepared) == Acceptance(
        prepared.id, State.SCHEDULED, Priority.HIGH, "fast", START, START + HOUR, START + DAY, "example.com"
    )


async def test_the_answer_for_a_message_without_times_has_none(scenario: Scenario) -> None:
    prepared = scenario.prepare()
    assert await scenario.send(prepared) == Acceptance(
        prepared.id, State.QUEUED, Priority.NORMAL, "default", START, None, None, "example.com"
    )


@pytest.mark.parametrize("priority", Priority)
async def test_each_pool_and_priority_is_a_flow_of_its_own(scenario: Scenario, priority: Priority) -> None:
    message_id = await scenario.submit(pool="fast", priority=priority)
    assert await scenario.members(f"ready:fast:{priority}") == {message_id: START}


@pytest.mark.parametrize("priority", Priority)
async def test_a_send_time_to_come_schedules_within_the_priority(scenario: Scenario, priority: Priority) -> None:
    message_id = await scenario.submit(pool="fast", priority=priority, send_at=START + 1)
    assert await scenario.members(f"scheduled:{priority}") == {message_id: START + 1}


@pytest.mark.parametrize("times", [{"send_at": START}, {"send_at": START - DAY}, {"delay_ms": 0}])
async def test_a_send_time_that_is_not_to_come_means_now(scenario: Scenario, times: dict[str, int]) -> None:
    message_id = await scenario.submit(**times)
    assert await scenario.members("ready:default:normal") == {message_id: START}


async def test_a_send_time_that_has_passed_is_shown_as_it_was_asked_for(scenario: Scenario) -> None:
    message_id = await scenario.submit(send_at=START - DAY)
    assert (await scenario.view(message_id)).send_at == START - DAY


@pytest.mark.parametrize(
    ("times", "start"),
    [
        ({}, START),
        ({"delay_ms": MINUTE}, START + MINUTE),
        ({"send_at": START + HOUR}, START + HOUR),
        ({"send_at": START - HOUR}, START),
    ],
)
async def test_a_time_to_live_counts_from_the_later_of_acceptance_and_send_time(
    scenario: Scenario, times: dict[str, int], start: int
) -> None:
    message_id = await scenario.submit(ttl_ms=DAY, **times)
    assert await scenario.members("expiring") == {message_id: start + DAY}


async def test_an_end_that_has_passed_is_accepted_and_left_to_expiry(scenario: Scenario) -> None:
    message_id = await scenario.submit(expires_at=START - HOUR)
    assert await scenario.state(message_id) is State.QUEUED
    assert await scenario.members("expiring") == {message_id: START - HOUR}


async def test_what_to_do_with_an_ambiguous_attempt_is_stored_where_it_is_not_the_usual(scenario: Scenario) -> None:
    message_id = await scenario.submit(envelope(on_ambiguous=OnAmbiguous.FAIL))
    assert await scenario.stored_field(message_id, "fail") == "1"


async def test_messages_of_one_millisecond_are_logged_in_the_order_of_the_call(scenario: Scenario) -> None:
    batch = [scenario.prepare() for _ in range(3)]
    await scenario.queue.submissions.submit(batch)
    log = await scenario.redis("XRANGE", f"{scenario.tag}:log", "-", "+")
    assert [fields[1].decode() for _, fields in log] == [prepared.id for prepared in batch]


async def test_a_clock_that_steps_backwards_hinders_no_acceptance(scenario: Scenario) -> None:
    first = await scenario.submit()
    await scenario.advance(-HOUR)
    second = await scenario.submit()
    assert (await scenario.view(second)).created_at >= (await scenario.view(first)).created_at


async def test_every_pool_that_was_ever_used_is_remembered(scenario: Scenario) -> None:
    await scenario.submit(pool="fast")
    await scenario.submit(pool="slow")
    assert await scenario.redis("SMEMBERS", f"{scenario.tag}:pools") == [b"fast", b"slow"]


async def test_acceptances_are_counted_in_slots_of_ten_seconds(scenario: Scenario) -> None:
    await scenario.queue.submissions.submit([scenario.prepare() for _ in range(2)])
    await scenario.submit()
    slot = f"rate:{START // 10_000}"
    assert await scenario.redis("HGET", f"{scenario.tag}:{slot}", "accepted") == b"3"
    assert 110 * SECOND < await scenario.remaining_ms(slot) <= 120 * SECOND


# The same call again


async def test_the_same_call_again_is_answered_alike(scenario: Scenario) -> None:
    prepared = scenario.prepare(delay_ms=HOUR, ttl_ms=HOUR)
    first = await scenario.submit_raw(prepared)
    await scenario.advance(5 * MINUTE)
    assert await scenario.submit_raw(prepared) == [["repeated", *first[0][1:]]]


async def test_the_same_call_again_is_answered_alike_without_times(scenario: Scenario) -> None:
    prepared = scenario.prepare()
    assert await scenario.send(prepared) == await scenario.send(prepared)


async def test_the_same_call_again_stores_nothing_even_when_the_message_went_on(scenario: Scenario) -> None:
    prepared = scenario.prepare()
    await scenario.send(prepared)
    await scenario.advance(MINUTE)
    await scenario.leased(prepared.id)
    before = await scenario.keyspace()
    await scenario.send(prepared)
    assert await scenario.keyspace() == before


async def test_the_same_call_again_writes_so_that_waiting_for_replicas_counts(scenario: Scenario) -> None:
    prepared = scenario.prepare()
    await scenario.send(prepared)
    before = await scenario.writes()
    await scenario.send(prepared)
    assert await scenario.writes() > before


async def test_the_same_call_with_a_key_again_is_no_replay(scenario: Scenario) -> None:
    prepared = scenario.prepare(**KEYED)
    first = await scenario.send(prepared)
    assert await scenario.send(prepared) == first


# Idempotency keys


async def test_a_key_with_the_same_fingerprint_gives_the_first_answer_again(scenario: Scenario) -> None:
    content = envelope(message_id_domain="a.example")
    first = await scenario.send(scenario.prepare(content, delay_ms=HOUR, ttl_ms=DAY, **KEYED))
    await scenario.advance(5 * MINUTE)
    assert isinstance(first, Acceptance)
    assert await scenario.send(scenario.prepare(pool="other", **KEYED)) == replace(first, replayed=True)


async def test_a_replay_stores_nothing_but_its_instant(scenario: Scenario) -> None:
    prepared = scenario.prepare(**KEYED)
    await scenario.send(prepared)
    await scenario.advance(MINUTE)
    before = await scenario.keyspace()
    await scenario.send(scenario.prepare(**KEYED))
    after = await scenario.keyspace()
    record = f"{scenario.tag}:idempotency:{prepared.arguments['key']}"
    assert after.pop(record).value == {**before.pop(record).value, "replayed": str(START + MINUTE)}
    assert after == before


async def test_an_idempotency_record_holds_the_first_answer(scenario: Scenario) -> None:
    prepared = scenario.prepare(send_at=START + HOUR, expires_at=START + DAY, **KEYED)
    await scenario.send(prepared)
    flat = await scenario.redis("HGETALL", f"{scenario.tag}:idempotency:{prepared.arguments['key']}")
    assert dict(zip(flat[::2], flat[1::2], strict=True)) == {
        b"id": prepared.id.encode(),
        b"fingerprint": b"f1",
        b"created": b"%d-0" % START,
        b"send": b"%d" % (START + HOUR),
        b"expires": b"%d" % (START + DAY),
        b"flow": b"default:normal",
        b"domain": b"example.com",
    }


async def test_an_idempotency_record_ends_after_the_time_configured(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(idempotency_ms=3 * HOUR)))
    prepared = scenario.prepare(**KEYED)
    await scenario.send(prepared)
    remaining = await scenario.remaining_ms(f"idempotency:{prepared.arguments['key']}")
    assert 3 * HOUR - 10 * SECOND < remaining <= 3 * HOUR


async def test_a_replay_does_not_prolong_the_key(scenario: Scenario) -> None:
    prepared = scenario.prepare(**KEYED)
    await scenario.send(prepared)
    record = f"idempotency:{prepared.arguments['key']}"
    await scenario.redis("PEXPIRE", f"{scenario.tag}:{record}", HOUR)
    await scenario.send(scenario.prepare(**KEYED))
    assert await scenario.remaining_ms(record) <= HOUR


async def test_a_key_with_another_fingerprint_is_refused_and_nothing_stored(scenario: Scenario) -> None:
    await scenario.submit(**KEYED)
    before = await scenario.keyspace()
    assert await scenario.send(scenario.prepare(**{**KEYED, "fingerprint": "f2"})) is Refusal.KEY_REUSED
    assert await scenario.keyspace() == before


async def test_one_key_twice_in_one_call_stores_one_message(scenario: Scenario) -> None:
    batch = [scenario.prepare(ttl_ms=DAY, **KEYED), scenario.prepare(**KEYED)]
    first, second = await scenario.queue.submissions.submit(batch)
    assert isinstance(first, Acceptance)
    assert second == replace(first, replayed=True)


async def test_one_key_twice_in_one_call_with_two_fingerprints_is_refused(scenario: Scenario) -> None:
    batch = [scenario.prepare(**KEYED), scenario.prepare(**{**KEYED, "fingerprint": "f2"})]
    _, second = await scenario.queue.submissions.submit(batch)
    assert second is Refusal.KEY_REUSED


async def test_a_key_outlives_its_message(scenario: Scenario) -> None:
    message_id = await scenario.submit(**KEYED)
    await scenario.cancel(message_id)
    await scenario.delete(message_id)
    replay = await scenario.send(scenario.prepare(**KEYED))
    assert isinstance(replay, Acceptance)
    assert (replay.id, replay.replayed) == (message_id, True)


async def test_a_refused_submission_claims_no_key(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=0)))
    prepared = scenario.prepare(**KEYED)
    assert await scenario.send(prepared) is Refusal.QUEUE_FULL
    assert await scenario.redis("EXISTS", f"{scenario.tag}:idempotency:{prepared.arguments['key']}") == 0


@pytest.mark.parametrize("other", [{"tenant": OTHER_TENANT}, {"idempotency_key": "order-1043"}, {"derived": 0}])
async def test_keys_of_other_tenants_and_kinds_are_other_keys(scenario: Scenario, other: dict[str, Any]) -> None:
    first = await scenario.submit(**KEYED)
    assert await scenario.submit(**{**KEYED, **other}) != first


# When it is full


@pytest.mark.parametrize(
    ("priority", "room"), [(Priority.BULK, 16), (Priority.NORMAL, 18), (Priority.HIGH, 19), (Priority.CRITICAL, 20)]
)
async def test_each_priority_fills_its_share_of_the_queue(open_queue: OpenQueue, priority: Priority, room: int) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=20)))
    for _ in range(room):
        await scenario.submit(priority=priority)
    assert await scenario.send(scenario.prepare(priority=priority)) is Refusal.QUEUE_FULL


async def test_messages_of_one_call_fill_the_queue_too(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=2)))
    batch = [scenario.prepare(priority=Priority.CRITICAL) for _ in range(3)]
    results = await scenario.queue.submissions.submit(batch)
    assert [isinstance(result, Acceptance) for result in results] == [True, True, False]
    assert results[2] is Refusal.QUEUE_FULL


async def test_each_shard_takes_its_share(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=2, bounds=Bounds(queued_messages=4)))
    for _ in range(2):
        await scenario.submit(priority=Priority.CRITICAL)
    assert await scenario.send(scenario.prepare(priority=Priority.CRITICAL)) is Refusal.QUEUE_FULL


async def test_what_has_ended_fills_nothing(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=1)))
    await scenario.cancel(await scenario.submit(priority=Priority.CRITICAL))
    assert isinstance(await scenario.send(scenario.prepare(priority=Priority.CRITICAL)), Acceptance)


@pytest.mark.parametrize("state", [State.SCHEDULED, State.SENDING, State.RETRYING])
async def test_whatever_may_still_be_sent_fills_the_queue(open_queue: OpenQueue, state: State) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=1)))
    await scenario.message_in(state, priority=Priority.CRITICAL)
    assert await scenario.send(scenario.prepare(priority=Priority.CRITICAL)) is Refusal.QUEUE_FULL


async def test_a_full_queue_stores_nothing(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=1)))
    await scenario.submit(priority=Priority.CRITICAL)
    before = await scenario.keyspace()
    await scenario.send(scenario.prepare())
    assert await scenario.keyspace() == before


async def test_a_full_queue_still_answers_for_what_it_took(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=1)))
    prepared = scenario.prepare(priority=Priority.CRITICAL, **KEYED)
    first = await scenario.send(prepared)
    assert isinstance(first, Acceptance)
    assert await scenario.send(prepared) == first
    assert await scenario.send(scenario.prepare(**KEYED)) == replace(first, replayed=True)


async def test_without_memory_nothing_is_accepted(scenario: Scenario) -> None:
    await scenario.redis("CONFIG", "SET", "maxmemory", "1")
    try:
        assert isinstance(await scenario.send(scenario.prepare()), QueueFull)
    finally:
        await scenario.redis("CONFIG", "SET", "maxmemory", "0")


async def test_a_refusal_is_told_with_the_id_and_nothing_else(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(bounds=Bounds(queued_messages=1)))
    first = await scenario.submit(priority=Priority.CRITICAL, **KEYED)
    reused, full = scenario.prepare(**{**KEYED, "fingerprint": "f2"}), scenario.prepare()
    lost = scenario.prepare(large_envelope(), priority=Priority.CRITICAL)
    lost.arguments["full_at"] = 9
    assert await scenario.submit_raw(reused, full, lost) == [
        ["reused", first, "", "", "", "", ""],
        ["full", full.id, "", "", "", "", ""],
        ["missing_pieces", lost.id, "", "", "", "", ""],
    ]


# Pieces


async def test_a_large_content_lies_in_pieces_and_comes_back_whole(scenario: Scenario) -> None:
    content = large_envelope()
    lease = await scenario.submit_and_lease(content)
    assert lease.pieces == 2
    assert await scenario.queue.leases.whole(lease) == content


async def test_claimed_pieces_no_longer_end_by_themselves(scenario: Scenario) -> None:
    message_id = await scenario.submit(large_envelope())
    assert [await scenario.remaining_ms(f"piece:{message_id}:{number}") for number in (1, 2)] == [-1, -1]


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_submission_whose_pieces_are_gone_is_refused(scenario: Scenario, lost: int) -> None:
    prepared = scenario.prepare(large_envelope(), **KEYED)
    await scenario.queue.submissions.write_pieces(prepared)
    await scenario.redis("UNLINK", f"{scenario.tag}:piece:{prepared.id}:{lost}")
    before = await scenario.keyspace()
    assert await scenario.send(prepared) is Refusal.PIECES_LOST
    assert await scenario.keyspace() == before


async def test_the_same_call_again_asks_for_no_pieces(scenario: Scenario) -> None:
    prepared = scenario.prepare(large_envelope())
    await scenario.queue.submissions.write_pieces(prepared)
    first = await scenario.send(prepared)
    await scenario.cancel(prepared.id)
    await scenario.queue.chores.drop_content(0, keep_ms=0)
    assert await scenario.send(prepared) == first


# The shard of a message


async def test_each_flush_goes_to_the_next_shard(open_queue: OpenQueue) -> None:
    queue = await open_queue(shards=3)
    assert [queue.submissions.flush_shard() for _ in range(6)] == [1, 2, 0, 1, 2, 0]


async def test_a_key_decides_the_shard_whatever_the_flush(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=8))
    submissions = [scenario.prepare(idempotency_key=f"k{number % 10}", fingerprint="f") for number in range(20)]
    shards = [prepared.shard for prepared in submissions]
    assert shards[:10] == shards[10:]
    assert len(set(shards)) > 2


async def test_keys_derived_from_one_batch_share_a_shard(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=8))
    prepared = [scenario.prepare(idempotency_key="k", fingerprint="f", derived=number) for number in range(20)]
    assert len({one.shard for one in prepared}) == 1
    assert len({one.arguments["key"] for one in prepared}) == 20


async def test_one_call_may_reach_many_shards_and_answers_in_order(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=4))
    batch = [scenario.prepare(idempotency_key=f"k{number}", fingerprint="f") for number in range(12)]
    results = await scenario.queue.submissions.submit(batch)
    assert [result.id for result in results if isinstance(result, Acceptance)] == [one.id for one in batch]
