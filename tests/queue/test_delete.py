"""delete: a final message leaves nothing behind but its idempotency record."""

from __future__ import annotations

import pytest

from shared.domain.states import FINAL, RecipientState, State
from shared.queue.leases import Decided
from shared.queue.owners import Done, OwnerResult
from tests.queue.scenario import MINUTE, OTHER_TENANT, SECOND, Scenario, large_envelope

#: What a shard keeps when its last message is gone.
REST = {"pools", "counts", "rate", "log"}


@pytest.mark.parametrize("state", sorted({*FINAL} - {State.SUPPRESSED}))
async def test_a_final_message_leaves_nothing_behind(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    assert await scenario.queue.owners.delete([message_id]) == [OwnerResult(message_id, Done.DONE, state)]
    assert await scenario.kinds_left() == REST
    assert await scenario.queue.views.read(message_id) is None


async def test_a_message_with_everything_leaves_nothing_behind(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(large_envelope(), ttl_ms=MINUTE, idempotency_key="k", fingerprint="f")
    await scenario.release(lease, delay_ms=0)
    await scenario.promote()
    lease = await scenario.leased(lease.id)
    await scenario.begin(lease)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),))
    assert {"piece", "attempts", "recipients", "history", "content"} <= await scenario.kinds_left()
    await scenario.delete(lease.id)
    assert await scenario.kinds_left() == {*REST, "idempotency"}


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING])
async def test_what_may_still_be_sent_is_not_deleted(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.delete([message_id]) == [OwnerResult(message_id, Done.LIVE, state)]
    assert await scenario.keyspace() == before


async def test_only_the_message_named_is_deleted(scenario: Scenario) -> None:
    kept = await scenario.message_in(State.SENT)
    gone = await scenario.message_in(State.SENT)
    await scenario.delete(gone)
    assert await scenario.state(kept) is State.SENT


async def test_what_is_gone_is_missing(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.SENT)
    await scenario.delete(message_id)
    await scenario.advance(SECOND)
    assert await scenario.queue.owners.delete([message_id]) == [OwnerResult(message_id, Done.MISSING, None)]


@pytest.mark.parametrize("times", [{}, {"delay_ms": MINUTE, "ttl_ms": MINUTE}])
async def test_a_submission_that_arrives_once_more_is_answered_alike_and_stores_nothing(
    scenario: Scenario, times: dict[str, int]
) -> None:
    prepared = scenario.prepare(**times)
    (first,) = await scenario.submit_raw(prepared)
    await scenario.cancel(prepared.id)
    await scenario.delete(prepared.id)
    before, writes = await scenario.keyspace(), await scenario.writes()
    assert await scenario.submit_raw(prepared) == [["repeated", *first[1:]]]
    assert await scenario.keyspace() == before
    assert await scenario.writes() > writes


async def test_what_was_deleted_is_remembered_for_a_minute_from_the_last_time_it_was_asked_for(
    scenario: Scenario,
) -> None:
    prepared = scenario.prepare()
    await scenario.send(prepared)
    await scenario.cancel(prepared.id)
    await scenario.delete(prepared.id)
    assert 55 * SECOND < await scenario.remaining_ms(f"operation:{prepared.id}") <= MINUTE
    await scenario.redis("PEXPIRE", f"{scenario.tag}:operation:{prepared.id}", SECOND)
    await scenario.send(prepared)
    assert 55 * SECOND < await scenario.remaining_ms(f"operation:{prepared.id}") <= MINUTE


async def test_a_deleted_submission_with_a_key_is_answered_by_its_key(scenario: Scenario) -> None:
    prepared = scenario.prepare(idempotency_key="k", fingerprint="f")
    first = await scenario.send(prepared)
    await scenario.cancel(prepared.id)
    await scenario.delete(prepared.id)
    assert await scenario.send(prepared) == first


async def test_a_message_named_twice_is_deleted_once(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.SENT)
    arguments = {"operation": "o", "tenant": "default", "ids": [message_id, message_id]}
    assert await scenario.call("delete", **arguments) == ["done", "sent", "missing", ""]


async def test_a_message_of_another_tenant_is_missing(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.EXPIRED, tenant=OTHER_TENANT)
    before = await scenario.keyspace()
    assert await scenario.queue.owners.delete([message_id]) == [OwnerResult(message_id, Done.MISSING, None)]
    assert await scenario.keyspace() == before
