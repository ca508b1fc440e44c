"""change: a message that waits gets another time, end, priority or pool."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.message import Priority
from shared.domain.states import FINAL, State
from shared.queue.owners import Change, Done, OwnerResult
from tests.queue.scenario import DAY, HOUR, LEASE_MS, MINUTE, OTHER_TENANT, SECOND, START, Scenario

WAITING = (State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING)


async def change(scenario: Scenario, message_id: str, **fields: Any) -> OwnerResult:
    return await scenario.queue.owners.change(message_id, Change(**fields))


@pytest.mark.parametrize("state", WAITING)
async def test_a_send_time_to_come_schedules_from_every_state(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    result = await change(scenario, message_id, send_at=START + DAY)
    assert result == OwnerResult(message_id, Done.DONE, State.SCHEDULED)
    assert await scenario.members("scheduled:normal") == {message_id: START + DAY}
    assert (await scenario.view(message_id)).send_at == START + DAY


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING])
@pytest.mark.parametrize("send_at", [None, START, START + MINUTE])
async def test_a_send_time_that_is_not_to_come_makes_ready_now(
    scenario: Scenario, state: State, send_at: int | None
) -> None:
    message_id = await scenario.message_in(state)
    await scenario.advance(MINUTE)
    assert (await change(scenario, message_id, send_at=send_at)).state is State.QUEUED
    assert await scenario.members("ready:default:normal") == {message_id: START + MINUTE}
    assert (await scenario.view(message_id)).send_at == (START + MINUTE if send_at is None else send_at)


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING])
@pytest.mark.parametrize("send_at", [None, START])
async def test_what_was_ready_keeps_its_ready_time(scenario: Scenario, state: State, send_at: int | None) -> None:
    message_id = await scenario.message_in(state)
    await scenario.advance(MINUTE)
    assert (await change(scenario, message_id, send_at=send_at)).state is State.QUEUED
    assert await scenario.members("ready:default:normal") == {message_id: START}


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.RETRYING])
async def test_a_change_that_says_nothing_changes_nothing(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state, ttl_ms=DAY, pool="fast")
    before = await scenario.keyspace()
    assert (await change(scenario, message_id)).state is state
    assert await scenario.keyspace() == before


@pytest.mark.parametrize(
    ("state", "place", "instant"),
    [
        (State.SCHEDULED, "scheduled:critical", START + HOUR),
        (State.RETRYING, "retry:critical", START + 5 * SECOND),
        (State.QUEUED, "ready:default:critical", START),
        (State.SENDING, "ready:default:critical", START),
    ],
)
async def test_a_new_priority_keeps_the_time(scenario: Scenario, state: State, place: str, instant: int) -> None:
    message_id = await scenario.message_in(state)
    await scenario.advance(SECOND)
    await change(scenario, message_id, priority=Priority.CRITICAL)
    assert await scenario.members(place) == {message_id: instant}
    assert (await scenario.view(message_id)).priority is Priority.CRITICAL


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING])
async def test_a_new_pool_keeps_the_ready_time(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    await scenario.advance(SECOND)
    await change(scenario, message_id, pool="fast")
    assert await scenario.members("ready:fast:normal") == {message_id: START}
    assert await scenario.members("work") == {"fast:normal": START}
    assert await scenario.redis("SMEMBERS", f"{scenario.tag}:pools") == [b"default", b"fast"]


async def test_a_new_pool_forgets_who_refused_and_who_is_preferred(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=MINUTE, refused=frozenset({"a"}), prefer="relay")
    await change(scenario, lease.id, pool="fast")
    assert not {"refused", "prefer"} & (await scenario.stored(lease.id)).keys()


@pytest.mark.parametrize("fields", [{"pool": "default"}, {"priority": Priority.HIGH}, {"send_at": START + DAY}])
async def test_any_other_change_remembers_who_refused_and_who_is_preferred(
    scenario: Scenario, fields: dict[str, Any]
) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=MINUTE, refused=frozenset({"a"}), prefer="relay")
    await change(scenario, lease.id, **fields)
    stored = await scenario.stored(lease.id)
    assert (stored["refused"], stored["prefer"]) == ("a", "relay")


async def test_a_new_send_time_keeps_the_rounds(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=MINUTE, counts_round=True)
    await change(scenario, lease.id, send_at=START + DAY)
    assert (await scenario.view(lease.id)).rounds == 1


# Ends


async def test_a_new_end_replaces_the_old_one(scenario: Scenario) -> None:
    message_id = await scenario.submit(ttl_ms=HOUR)
    await change(scenario, message_id, expires_at=START + DAY)
    assert await scenario.members("expiring") == {message_id: START + DAY}
    assert (await scenario.view(message_id)).expires_at == START + DAY


async def test_no_end_is_an_end_too(scenario: Scenario) -> None:
    message_id = await scenario.submit(ttl_ms=HOUR)
    await change(scenario, message_id, expires_at=None)
    assert await scenario.members("expiring") == {}
    assert not {"expires", "ttl"} & (await scenario.stored(message_id)).keys()


async def test_an_end_may_be_given_to_what_had_none(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await change(scenario, message_id, expires_at=START - 1)
    assert await scenario.members("expiring") == {message_id: START - 1}


@pytest.mark.parametrize(
    ("send_at", "start"), [(START + DAY, START + DAY), (None, START + MINUTE), (START, START + MINUTE)]
)
async def test_a_time_to_live_moves_with_the_send_time(scenario: Scenario, send_at: int | None, start: int) -> None:
    message_id = await scenario.submit(delay_ms=HOUR, ttl_ms=HOUR)
    await scenario.advance(MINUTE)
    await change(scenario, message_id, send_at=send_at)
    assert await scenario.members("expiring") == {message_id: start + HOUR}


async def test_a_time_to_live_keeps_moving(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=HOUR, ttl_ms=HOUR)
    await change(scenario, message_id, send_at=START + DAY)
    await change(scenario, message_id, send_at=START + 2 * DAY)
    assert await scenario.members("expiring") == {message_id: START + 2 * DAY + HOUR}


async def test_an_end_that_was_given_as_an_instant_does_not_move(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=HOUR, expires_at=START + DAY)
    await change(scenario, message_id, send_at=START + 2 * HOUR)
    assert await scenario.members("expiring") == {message_id: START + DAY}


async def test_a_new_end_ends_the_time_to_live(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=HOUR, ttl_ms=HOUR)
    await change(scenario, message_id, send_at=START + DAY, expires_at=START + 2 * DAY)
    await change(scenario, message_id, send_at=START + DAY + HOUR)
    assert await scenario.members("expiring") == {message_id: START + 2 * DAY}


async def test_a_new_priority_moves_no_end(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=HOUR, ttl_ms=HOUR)
    await scenario.advance(MINUTE)
    await change(scenario, message_id, priority=Priority.HIGH)
    assert await scenario.members("expiring") == {message_id: START + 2 * HOUR}


# Leases and ends


async def test_a_change_revokes_a_lease_that_has_not_begun(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await change(scenario, lease.id, priority=Priority.HIGH)
    assert (await scenario.begin(lease)).status == "stale"
    assert await scenario.members("leased") == {}
    assert "lease" not in await scenario.stored(lease.id)


async def test_what_has_begun_is_not_changed(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    before = await scenario.keyspace()
    assert await change(scenario, lease.id, pool="fast") == OwnerResult(lease.id, Done.BEGUN, State.SENDING)
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("state", sorted({*FINAL} - {State.SUPPRESSED}))
async def test_what_has_ended_is_not_changed(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = await scenario.keyspace()
    assert await change(scenario, message_id, pool="fast") == OwnerResult(message_id, Done.FINAL, state)
    assert await scenario.keyspace() == before


async def test_a_message_of_another_tenant_is_missing(scenario: Scenario) -> None:
    message_id = await scenario.submit_for(OTHER_TENANT)
    before = await scenario.keyspace()
    assert await change(scenario, message_id, pool="fast") == OwnerResult(message_id, Done.MISSING, None)
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("message_id", ["nonsense", "msg_" + "0" * 28, "msg_" + "0" * 26 + "zz"])
async def test_what_is_no_message_is_missing(scenario: Scenario, message_id: str) -> None:
    assert await change(scenario, message_id, pool="fast") == OwnerResult(message_id, Done.MISSING, None)


# Events


@pytest.mark.parametrize(
    ("state", "fields", "event"),
    [
        (State.QUEUED, {"send_at": START + DAY}, "message.scheduled"),
        (State.SENDING, {"send_at": START + DAY}, "message.scheduled"),
        (State.SCHEDULED, {"send_at": None}, "message.queued"),
        (State.RETRYING, {"send_at": None}, "message.queued"),
    ],
)
async def test_a_new_state_is_an_event(scenario: Scenario, state: State, fields: dict[str, Any], event: str) -> None:
    message_id = await scenario.message_in(state)
    before = (await scenario.view(message_id)).events
    await change(scenario, message_id, **fields)
    after = (await scenario.view(message_id)).events
    assert [one.type for one in after[len(before) :]] == [event]


@pytest.mark.parametrize("state", WAITING)
async def test_the_same_state_is_none(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = (await scenario.view(message_id)).events
    await change(scenario, message_id, priority=Priority.HIGH)
    assert (await scenario.view(message_id)).events == before


@pytest.mark.parametrize(
    ("times", "first"),
    [
        ({}, "message.queued"),
        ({"send_at": START}, "message.queued"),
        ({"send_at": START + 1}, "message.scheduled"),
        ({"delay_ms": HOUR}, "message.scheduled"),
    ],
)
async def test_how_a_message_began_is_told_whatever_its_send_time_becomes(
    scenario: Scenario, times: dict[str, int], first: str
) -> None:
    message_id = await scenario.submit(**times)
    assert (await scenario.view(message_id)).events[0].type == first
    for send_at in (None, START + DAY, None, START + 2 * DAY):
        await change(scenario, message_id, send_at=send_at)
        assert (await scenario.view(message_id)).events[0].type == first


async def test_why_a_message_waited_is_forgotten_with_its_state(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.RETRYING)
    await change(scenario, message_id, send_at=START + DAY)
    assert (await scenario.view(message_id)).waiting is None


async def test_why_a_message_waits_is_kept_with_its_state(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.RETRYING)
    await change(scenario, message_id, priority=Priority.HIGH)
    assert await scenario.stored_field(message_id, "waiting") == "backoff"


async def test_a_changed_message_goes_on_as_any_other(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.SENDING)
    await change(scenario, message_id, send_at=START + DAY, pool="fast", priority=Priority.BULK)
    await scenario.advance(DAY)
    await scenario.promote()
    (lease,) = await scenario.lease(pool="fast", priority=Priority.BULK)
    await scenario.advance(LEASE_MS - 1)
    await scenario.begin(lease)
    assert (await scenario.settle(lease)).state is State.SENT
