"""examine and repair: what breaks the invariant is found, told, and mended."""

from __future__ import annotations

import pytest

from shared.domain.message import Priority, Reason
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided
from tests.queue.scenario import HOUR, MINUTE, SECOND, START, Scenario, large_envelope

EVERY_STATE = [state for state in State if state is not State.SUPPRESSED]


async def examine(scenario: Scenario, *ids: str) -> dict[str, list[str]]:
    """Return the faults of each message that has some."""
    return {message_id: faults for message_id, *faults in await scenario.call("examine", ids=list(ids))}


async def repair(scenario: Scenario, message_id: str) -> str:
    """Repair one message; return what was done, once nothing is left to find."""
    ((repaired, done),) = await scenario.call("repair", ids=[message_id])
    assert repaired == message_id
    assert await examine(scenario, message_id) == {}
    return str(done)


async def damage(scenario: Scenario, *command: str) -> None:
    """Run a command on a key of the first shard that no script would run."""
    verb, name, *rest = command
    assert await scenario.redis(verb, f"{scenario.tag}:{name}", *rest)


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("state", EVERY_STATE)
async def test_a_sound_message_has_no_faults(scenario: Scenario, state: State, priority: Priority) -> None:
    message_id = await scenario.message_in(state, priority=priority, pool="fast")
    assert await examine(scenario, message_id, "msg_that_never_was") == {}


@pytest.mark.parametrize("state", EVERY_STATE)
async def test_repairing_a_sound_message_changes_nothing(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = await scenario.keyspace()
    await scenario.advance(SECOND)
    assert await repair(scenario, message_id) == f"put back to {await scenario.stored_field(message_id, 'place')}"
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("priority", [Priority.CRITICAL, Priority.BULK])
@pytest.mark.parametrize("state", EVERY_STATE)
async def test_a_message_in_no_place_is_put_back(scenario: Scenario, state: State, priority: Priority) -> None:
    message_id = await scenario.message_in(state, priority=priority)
    place = str(await scenario.stored_field(message_id, "place"))
    await scenario.advance(MINUTE)
    await damage(scenario, "ZREM", place, message_id)
    assert await examine(scenario, message_id) == {message_id: [f"lies in no place; its record names {place}"]}
    assert await repair(scenario, message_id) == f"put back to {place}"
    finished = (await scenario.view(message_id)).finished_at
    assert await scenario.members(place) == {message_id: finished or scenario.now}


@pytest.mark.parametrize(
    "second",
    [
        *("leased", "failed", "finished", "scheduled:critical", "scheduled:high", "scheduled:bulk", "scheduled:normal"),
        *("retry:critical", "retry:high", "retry:normal", "retry:bulk", "ready:default:bulk", "ready:fast:critical"),
    ],
)
async def test_a_message_in_two_places_is_left_in_the_one_its_record_names(scenario: Scenario, second: str) -> None:
    await scenario.submit(pool="fast")  # so that the shard knows this pool
    message_id = await scenario.submit()
    await damage(scenario, "ZADD", second, "1", message_id)
    faults = await examine(scenario, message_id)
    assert faults[message_id][0].startswith("lies in ")
    assert all(place in faults[message_id][0] for place in (second, " and ", "ready:default:normal"))
    await repair(scenario, message_id)
    assert await scenario.members(second) == {}
    assert await scenario.members("ready:default:normal") == {message_id: START}


async def test_a_message_in_another_place_is_put_back_with_its_time(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await damage(scenario, "ZREM", "ready:default:normal", message_id)
    await damage(scenario, "ZADD", "retry:bulk", str(START + 5), message_id)
    assert await examine(scenario, message_id) == {
        message_id: ["lies in retry:bulk; its record names ready:default:normal"]
    }
    await repair(scenario, message_id)
    assert await scenario.members("ready:default:normal") == {message_id: START + 5}
    assert await scenario.members("retry:bulk") == {}


@pytest.mark.parametrize("place", ["ready:default:normal", "retry:high", "leased"])
async def test_an_entry_without_a_record_is_forgotten(scenario: Scenario, place: str) -> None:
    await scenario.cancel(await scenario.submit())
    for name in (place, "expiring", "content"):
        await damage(scenario, "ZADD", name, "1", "msg_lost")
    assert await examine(scenario, "msg_lost") == {"msg_lost": [f"lies in {place} without a record"]}
    assert await repair(scenario, "msg_lost") == "forgotten: it had no record"
    for name in (place, "expiring"):
        assert await scenario.members(name) == {}


async def test_a_body_without_a_record_is_forgotten_with_all_that_belongs_to_it(scenario: Scenario) -> None:
    await damage(scenario, "SET", "body:msg_lost", "x")
    for number in (1, 2):
        await damage(scenario, "SET", f"piece:msg_lost:{number}", "x")
    await damage(scenario, "RPUSH", "attempts:msg_lost", "{}")
    await damage(scenario, "RPUSH", "history:msg_lost", "x")
    await damage(scenario, "HSET", "recipients:msg_lost", "0", "sent {}")
    assert await examine(scenario, "msg_lost") == {"msg_lost": ["has a body without a record"]}
    assert await repair(scenario, "msg_lost") == "forgotten: it had no record"
    assert await scenario.kinds_left() == set()


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING])
async def test_a_message_that_lost_its_body_ends_among_the_dead_letters(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state, ttl_ms=HOUR)
    await damage(scenario, "UNLINK", f"body:{message_id}")
    assert await examine(scenario, message_id) == {message_id: ["has no body"]}
    assert await repair(scenario, message_id) == "moved to failed: its body was lost"
    record = await scenario.view(message_id)
    assert (record.state, record.content_dropped, record.envelope.subject) == (State.FAILED, True, "(lost)")
    assert record.reason is not None
    assert record.reason.code == "body_lost"


async def test_a_lost_body_spares_decided_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=HOUR)
    await damage(scenario, "UNLINK", f"body:{lease.id}")
    await repair(scenario, lease.id)
    told = await scenario.redis("HGET", f"{scenario.tag}:recipients:{lease.id}", "1")
    assert told.startswith(b"failed ")
    assert b'{"code":"body_lost"}' in told
    assert await scenario.stored_field(lease.id, "state") == "partly_sent"


@pytest.mark.parametrize("state", [State.SENT, State.CANCELLED, State.FAILED])
async def test_what_has_ended_keeps_its_end_without_its_body(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    await damage(scenario, "UNLINK", f"body:{message_id}")
    assert await repair(scenario, message_id) == "given an empty body: its own was lost"
    record = await scenario.view(message_id)
    assert (record.state, record.content_dropped) == (state, True)


async def test_a_message_that_lost_place_and_body_is_mended_at_once(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await damage(scenario, "ZREM", "ready:default:normal", message_id)
    await damage(scenario, "UNLINK", f"body:{message_id}")
    assert len((await examine(scenario, message_id))[message_id]) == 2
    await repair(scenario, message_id)
    assert await scenario.members("failed") == {message_id: START}


async def test_pieces_that_are_gone_or_will_go_are_found(scenario: Scenario) -> None:
    message_id = await scenario.submit(large_envelope(3))
    await damage(scenario, "UNLINK", f"piece:{message_id}:1")
    await damage(scenario, "EXPIRE", f"piece:{message_id}:3", "1000")
    assert await examine(scenario, message_id) == {
        message_id: [
            "lacks piece 1 of its content, or it will expire",
            "lacks piece 3 of its content, or it will expire",
        ]
    }
    await damage(scenario, "PERSIST", f"piece:{message_id}:3")
    await damage(scenario, "SET", f"piece:{message_id}:1", "again")


async def test_pieces_go_with_a_body_that_is_lost(scenario: Scenario) -> None:
    message_id = await scenario.submit(large_envelope(2))
    await damage(scenario, "UNLINK", f"body:{message_id}")
    await repair(scenario, message_id)
    assert "piece" not in await scenario.kinds_left()


async def test_a_repaired_flow_has_its_turn_again(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await damage(scenario, "ZREM", "ready:default:normal", message_id)
    await damage(scenario, "ZREM", "work", "default:normal")
    await repair(scenario, message_id)
    assert await scenario.members("work") == {"default:normal": START}


async def test_a_flow_that_a_repair_emptied_has_none(scenario: Scenario) -> None:
    await scenario.cancel(await scenario.submit())
    await damage(scenario, "ZADD", "ready:default:normal", "1", "msg_lost")
    await damage(scenario, "ZADD", "work", "1", "default:normal")
    await repair(scenario, "msg_lost")
    assert await scenario.members("work") == {}


async def test_only_those_with_faults_are_told(scenario: Scenario) -> None:
    sound, broken = await scenario.submit(), await scenario.submit()
    await damage(scenario, "UNLINK", f"body:{broken}")
    assert list(await examine(scenario, sound, broken)) == [broken]
    answer = await scenario.call("repair", ids=[sound, broken])
    assert [entry[0] for entry in answer] == [sound, broken]


async def test_a_lost_body_has_its_own_reason_for_each_recipient(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await damage(scenario, "UNLINK", f"body:{message_id}")
    await repair(scenario, message_id)
    assert (await scenario.view(message_id)).reason == Reason("body_lost")
