"""requeue: failed and expired recipients of an ended message get fresh rounds and a fresh age."""

from __future__ import annotations

import pytest

from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided
from shared.queue.owners import Done, OwnerResult
from tests.queue.scenario import DAY, HOUR, LEASE_MS, MAX_AGE_MS, MINUTE, OTHER_TENANT, SECOND, START, Scenario

SENT, FAILED, EXPIRED, CANCELLED = (
    RecipientState.SENT,
    RecipientState.FAILED,
    RecipientState.EXPIRED,
    RecipientState.CANCELLED,
)


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.PARTLY_SENT])
async def test_what_failed_is_ready_again_from_now_on(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    await scenario.advance(MINUTE)
    assert await scenario.queue.owners.requeue([message_id]) == [OwnerResult(message_id, Done.DONE, State.QUEUED)]
    assert await scenario.members("ready:default:normal") == {message_id: START + MINUTE}
    assert await scenario.members("failed") == await scenario.members("finished") == {}
    record = await scenario.view(message_id)
    assert (record.state, record.finished_at, record.reason, record.requeues) == (State.QUEUED, None, None, 1)


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING])
async def test_what_waits_anyway_is_unchanged(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.requeue([message_id]) == [OwnerResult(message_id, Done.UNCHANGED, state)]
    assert await scenario.keyspace() == before


async def test_what_is_in_flight_is_unchanged(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    assert await scenario.requeue(lease.id) is Done.UNCHANGED


@pytest.mark.parametrize("state", [State.SENT, State.CANCELLED])
async def test_where_nobody_is_left_to_send_to_it_is_final(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.requeue([message_id]) == [OwnerResult(message_id, Done.FINAL, state)]
    assert await scenario.keyspace() == before


async def test_recipients_that_were_sent_or_cancelled_are_final(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.cancel(lease.id)
    await scenario.settle(lease, decided=(Decided(0, SENT),), delay_ms=MINUTE)
    assert await scenario.state(lease.id) is State.PARTLY_SENT
    before = await scenario.keyspace()
    assert await scenario.requeue(lease.id) is Done.FINAL
    assert await scenario.keyspace() == before


async def test_only_failed_and_expired_recipients_are_sent_to_again(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=4)
    decided = tuple(Decided(index, state) for index, state in enumerate((SENT, FAILED, EXPIRED, CANCELLED)))
    await scenario.settle(lease, decided=decided, reason="recipients_rejected")
    assert await scenario.requeue(lease.id) is Done.DONE
    assert (await scenario.leased(lease.id)).pending == (1, 2)


async def test_where_all_had_failed_nothing_is_kept_for_each_recipient(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, FAILED),), fail_rest="attempts_exhausted")
    await scenario.requeue(lease.id)
    assert "recipients" not in await scenario.kinds_left()
    assert (await scenario.leased(lease.id)).pending == (0, 1)


async def test_rounds_and_age_begin_anew(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=0, counts_round=True)
    await scenario.promote()
    lease = await scenario.leased(lease.id)
    await scenario.begin(lease, 2)
    await scenario.settle(lease, 2, fail_rest="attempts_exhausted")
    await scenario.advance(2 * MAX_AGE_MS)
    await scenario.requeue(lease.id)
    again = await scenario.leased(lease.id)
    assert (again.rounds, again.requeues, again.attempts) == (0, 1, 2)
    await scenario.begin(again, 3)
    assert (await scenario.settle(again, 3, delay_ms=MINUTE, counts_round=True)).state is State.RETRYING


async def test_who_refused_is_forgotten(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease, refused=frozenset({"a"}), fail="no_provider_can_carry")
    await scenario.requeue(lease.id)
    assert (await scenario.leased(lease.id)).refused == frozenset()


async def test_a_cancel_that_came_too_late_is_forgotten(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.cancel(lease.id)
    await scenario.settle(lease, all_state=FAILED, reason="message_rejected")
    await scenario.requeue(lease.id)
    assert (await scenario.view(lease.id)).cancel_requested_at is None


@pytest.mark.parametrize(("early", "cleared"), [(1, False), (0, True)])
async def test_a_past_end_is_cleared_and_one_to_come_is_kept(scenario: Scenario, early: int, cleared: bool) -> None:
    message_id = await scenario.message_in(State.FAILED, ttl_ms=HOUR)
    await scenario.advance(HOUR - early)
    await scenario.requeue(message_id)
    assert await scenario.members("expiring") == ({} if cleared else {message_id: START + HOUR})
    assert ("ttl" in await scenario.stored(message_id)) is not cleared


async def test_the_content_is_kept_again(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.EXPIRED)
    await scenario.requeue(message_id)
    assert await scenario.members("content") == {}


async def test_a_message_without_its_content_is_not_sent_again(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.EXPIRED)
    await scenario.queue.chores.drop_content(0, keep_ms=0)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.requeue([message_id]) == [OwnerResult(message_id, Done.DROPPED, State.EXPIRED)]
    assert await scenario.keyspace() == before


async def test_requeues_are_counted(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.FAILED)
    for number in (2, 3):
        await scenario.requeue(message_id)
        lease = await scenario.leased(message_id)
        await scenario.begin(lease, number)
        await scenario.settle(lease, number, all_state=FAILED, reason="message_rejected")
    assert (await scenario.view(message_id)).requeues == 2


async def test_a_requeue_is_an_event(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.FAILED)
    await scenario.advance(SECOND)
    await scenario.requeue(message_id)
    events = (await scenario.view(message_id)).events
    assert [(event.type, event.at, event.attempt) for event in events[-2:]] == [
        ("message.failed", START, 1),
        ("message.queued", START + SECOND, 1),
    ]


async def test_a_late_acceptance_ends_what_was_requeued(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(LEASE_MS)
    await scenario.reap(max_rounds=1)
    await scenario.requeue(lease.id)
    assert (await scenario.settle(lease)).status == "late"


async def test_a_message_of_another_tenant_is_missing(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.EXPIRED, tenant=OTHER_TENANT)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.requeue([message_id]) == [OwnerResult(message_id, Done.MISSING, None)]
    assert await scenario.keyspace() == before


async def test_each_message_of_a_call_is_judged_for_itself(scenario: Scenario) -> None:
    first = await scenario.message_in(State.FAILED)
    queued = await scenario.submit()
    second = await scenario.message_in(State.EXPIRED, ttl_ms=DAY)
    results = await scenario.queue.owners.requeue([first, queued, second])
    assert [result.done for result in results] == [Done.DONE, Done.UNCHANGED, Done.DONE]
