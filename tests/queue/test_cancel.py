"""cancel: nothing more of a message is sent, or it is told that an attempt is in flight."""

from __future__ import annotations

import pytest

from shared.domain.message import Reason
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided
from shared.queue.owners import Done, OwnerResult
from tests.queue.scenario import DAY, HOUR, MINUTE, OTHER_TENANT, SECOND, START, Scenario


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING])
async def test_what_has_not_begun_is_cancelled(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state, ttl_ms=DAY)
    await scenario.advance(SECOND)
    assert await scenario.queue.owners.cancel([message_id]) == [OwnerResult(message_id, Done.DONE, State.CANCELLED)]
    record = await scenario.view(message_id)
    assert record.state is State.CANCELLED
    assert record.finished_at == record.cancel_requested_at == START + SECOND
    assert record.reason is not None
    assert record.reason.code == "cancelled"


async def test_a_cancelled_message_leaves_its_place_and_its_expiry(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.RETRYING, ttl_ms=DAY)
    await scenario.cancel(message_id)
    assert await scenario.members("retry:normal") == await scenario.members("expiring") == {}
    assert await scenario.members("finished") == {message_id: START}


async def test_a_cancel_during_an_attempt_is_noted(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(SECOND)
    assert await scenario.queue.owners.cancel([lease.id]) == [OwnerResult(lease.id, Done.NOTED, State.SENDING)]
    record = await scenario.view(lease.id)
    assert (record.state, record.cancel_requested_at, record.finished_at) == (State.SENDING, START + SECOND, None)


async def test_a_cancel_noted_twice_keeps_its_first_instant(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.cancel(lease.id)
    await scenario.advance(MINUTE)
    assert await scenario.cancel(lease.id) is Done.NOTED
    assert (await scenario.view(lease.id)).cancel_requested_at == START


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.PARTLY_SENT, State.EXPIRED])
async def test_what_has_ended_is_not_cancelled(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.cancel([message_id]) == [OwnerResult(message_id, Done.FINAL, state)]
    assert await scenario.keyspace() == before


async def test_what_is_cancelled_is_cancelled_again(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.CANCELLED)
    before = await scenario.keyspace()
    await scenario.advance(HOUR)
    assert await scenario.queue.owners.cancel([message_id]) == [OwnerResult(message_id, Done.DONE, State.CANCELLED)]
    assert await scenario.keyspace() == before


async def test_what_was_cancelled_in_flight_and_sent_is_cancelled_again(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.cancel(lease.id)
    await scenario.settle(lease)
    assert await scenario.queue.owners.cancel([lease.id]) == [OwnerResult(lease.id, Done.DONE, State.SENT)]


async def test_a_cancel_ends_only_pending_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=3)
    await scenario.settle(lease, decided=(Decided(1, RecipientState.SENT),), delay_ms=MINUTE)
    await scenario.advance(SECOND)
    assert await scenario.queue.owners.cancel([lease.id]) == [OwnerResult(lease.id, Done.DONE, State.PARTLY_SENT)]
    first, second, third = (await scenario.view(lease.id)).recipients
    assert (first.state, second.state, third.state) == (
        RecipientState.CANCELLED,
        RecipientState.SENT,
        RecipientState.CANCELLED,
    )
    assert (first.reason, first.at) == (Reason("cancelled"), START + SECOND)


@pytest.mark.parametrize(
    ("decided", "state"), [(RecipientState.FAILED, State.FAILED), (RecipientState.EXPIRED, State.EXPIRED)]
)
async def test_the_state_of_a_cancelled_message_follows_from_its_recipients(
    scenario: Scenario, decided: RecipientState, state: State
) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(1, decided),), delay_ms=MINUTE)
    await scenario.cancel(lease.id)
    assert await scenario.state(lease.id) is state


async def test_a_cancelled_lease_brings_nothing_back(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.cancel(lease.id)
    before = await scenario.keyspace()
    await scenario.release(lease)
    await scenario.settle(lease)
    await scenario.advance(HOUR)
    await scenario.reap()
    assert await scenario.keyspace() == before


async def test_a_message_of_another_tenant_is_missing(scenario: Scenario) -> None:
    message_id = await scenario.submit_for(OTHER_TENANT)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.cancel([message_id]) == [OwnerResult(message_id, Done.MISSING, None)]
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("message_id", ["nonsense", "msg_" + "0" * 28, "msg_" + "0" * 26 + "zz"])
async def test_what_is_no_message_is_missing(scenario: Scenario, message_id: str) -> None:
    assert await scenario.queue.owners.cancel([message_id]) == [OwnerResult(message_id, Done.MISSING, None)]


async def test_each_message_of_a_call_is_judged_for_itself(scenario: Scenario) -> None:
    sent = await scenario.message_in(State.SENT)
    queued = await scenario.submit()
    results = await scenario.queue.owners.cancel([queued, "nonsense", sent, queued])
    assert [result.done for result in results] == [Done.DONE, Done.MISSING, Done.FINAL, Done.DONE]


async def test_many_messages_go_in_calls_of_a_bounded_size(scenario: Scenario) -> None:
    batch = [scenario.prepare() for _ in range(251)]
    await scenario.queue.submissions.submit(batch)
    results = await scenario.queue.owners.cancel([prepared.id for prepared in batch])
    assert {result.done for result in results} == {Done.DONE}


async def test_a_cancel_is_an_event(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.CANCELLED)
    types = [event.type for event in (await scenario.view(message_id)).events]
    assert types == ["message.queued", "message.cancelled"]
