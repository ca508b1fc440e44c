"""settle: an outcome is written once; a stale token changes nothing but by an acceptance that nobody else can bring."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided, Settled, Settlement
from tests.queue.scenario import (
    DAY,
    HOUR,
    LEASE_MS,
    MINUTE,
    START,
    TEMPORARY,
    Scenario,
    attempt,
)

SENT, FAILED, PENDING = RecipientState.SENT, RecipientState.FAILED, RecipientState.PENDING


@pytest.mark.parametrize("fields", [{"all_state": SENT}, TEMPORARY])
async def test_the_same_settlement_again_is_already_written(scenario: Scenario, fields: dict[str, Any]) -> None:
    lease = await scenario.submit_and_begin()
    state = (await scenario.settle(lease, **fields)).state
    before = await scenario.keyspace()
    await scenario.advance(5 * MINUTE)
    assert await scenario.settle(lease, **fields) == Settled("already", state)
    assert await scenario.keyspace() == before


async def test_the_same_settlement_again_is_harmless_when_the_message_went_on(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY)
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **TEMPORARY) == Settled("already", State.SENDING)
    assert await scenario.keyspace() == before


async def test_an_older_settlement_again_is_stale(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY)
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, **TEMPORARY)
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **TEMPORARY) == Settled("stale", State.RETRYING)
    assert await scenario.keyspace() == before


async def test_one_settlement_twice_in_a_call_is_written_once(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    settlement = Settlement(lease, attempt(), SENT)
    settled = await scenario.queue.leases.settle(0, [settlement, settlement])
    assert [one.status for one in settled] == ["settled", "already"]


async def test_a_message_that_is_gone_settles_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease)
    await scenario.delete(lease.id)
    settlement = Settlement(lease, attempt(), SENT)
    assert await scenario.queue.leases.settle(0, [settlement] * 2) == [Settled("gone", None)] * 2


async def test_what_did_not_begin_is_not_settled(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **TEMPORARY) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


async def test_an_acceptance_of_an_attempt_that_was_lost_with_another_primary_ends_the_message(
    scenario: Scenario,
) -> None:
    lease = await scenario.submit_and_lease()
    closed = attempt(1, recipients=(0,))
    assert await scenario.settle(lease, attempt=closed) == Settled("late", State.SENT)
    record = await scenario.view(lease.id)
    assert (record.attempts, record.attempts_total) == ((closed,), 1)
    assert (await scenario.begin(lease)).status == "stale"


async def test_an_attempt_of_an_earlier_lease_is_not_settled_under_a_new_one(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY)
    again = await scenario.retried(lease)
    before = await scenario.keyspace()
    assert await scenario.settle(again, 1, **TEMPORARY) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("fields", [{"all_state": SENT}, TEMPORARY])
async def test_what_another_sender_began_under_the_same_number_after_a_failover_is_its_own(
    scenario: Scenario, fields: dict[str, Any]
) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.redis("HSET", f"{scenario.tag}:message:{lease.id}", "lease", f"another {START}")
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **fields) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


async def test_an_attempt_that_its_lease_closed_is_not_settled(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.begin(lease, 2, closed=attempt(1, Outcome.TEMPORARY))
    before = await scenario.keyspace()
    assert await scenario.settle(lease, 1) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


async def test_a_stale_token_settles_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **TEMPORARY) == Settled("stale", State.RETRYING)
    assert await scenario.keyspace() == before


async def test_a_stale_token_that_brings_a_rejection_settles_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.lose_sender()
    before = await scenario.keyspace()
    assert (await scenario.settle(lease, all_state=FAILED, reason="message_rejected")).status == "stale"
    assert (await scenario.settle(lease, decided=(Decided(0, FAILED),), delay_ms=0)).status == "stale"
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_ends_what_waits_for_its_retry(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    closed = attempt(detail="250 ok", recipients=(0,))
    assert await scenario.settle(lease, attempt=closed) == Settled("late", State.SENT)
    record = await scenario.view(lease.id)
    assert (record.attempts, record.attempts_total) == ((closed,), 1)
    assert await scenario.members("retry:normal") == {}


async def test_a_late_acceptance_ends_what_is_ready(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    await scenario.advance(HOUR)
    await scenario.promote()
    assert await scenario.settle(lease) == Settled("late", State.SENT)


async def test_a_late_acceptance_ends_what_was_scheduled_anew(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    await scenario.call("change", operation="o", tenant="default", id=lease.id, send=scenario.now + DAY)
    assert await scenario.settle(lease) == Settled("late", State.SENT)


async def test_a_late_acceptance_revokes_a_lease_that_has_not_begun(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    again = await scenario.retried(lease, HOUR)
    assert await scenario.settle(lease) == Settled("late", State.SENT)
    assert (await scenario.begin(again, 2)).status == "stale"


async def test_a_late_acceptance_is_stale_once_a_newer_attempt_began(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    again = await scenario.retried(lease, HOUR)
    await scenario.begin(again, 2)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_is_stale_once_a_newer_attempt_was_made(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    again = await scenario.retried(lease, HOUR)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, delay_ms=MINUTE)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("stale", State.RETRYING)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_of_a_message_that_ended_is_stale(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    await scenario.cancel(lease.id)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("stale", State.CANCELLED)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_again_is_already_written(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    await scenario.settle(lease)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("already", State.SENT)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_of_some_decides_those(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=3)
    await scenario.lose_sender()
    settled = await scenario.settle(lease, decided=(Decided(1, FAILED), Decided(2, SENT)), delay_ms=0)
    assert settled == Settled("late", State.RETRYING)
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [PENDING, FAILED, SENT]


async def test_a_late_acceptance_of_the_last_ends_the_message(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.lose_sender()
    decided = (Decided(0, FAILED), Decided(1, SENT))
    settled = await scenario.settle(lease, decided=decided, reason="recipients_rejected")
    assert settled == Settled("late", State.PARTLY_SENT)
    assert await scenario.stored_field(lease.id, "reason") == "recipients_rejected"


async def test_a_late_acceptance_of_some_takes_the_lease_from_whoever_would_send_again(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.lose_sender()
    again = await scenario.retried(lease, HOUR)
    assert await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=0) == Settled("late", State.QUEUED)
    assert (await scenario.begin(again, 2)).status == "stale"
    assert (await scenario.leased(lease.id)).pending == (0,)


async def test_a_late_acceptance_of_some_keeps_the_place_in_the_flow(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.lose_sender()
    again = await scenario.retried(lease, HOUR)
    await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=0)
    assert await scenario.members("ready:default:normal") == {lease.id: again.ready_at}


async def test_a_late_verdict_clears_the_strikes(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.lose_sender()
    await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=0)
    assert await scenario.stored_field(lease.id, "strikes") is None


async def test_a_late_acceptance_is_for_the_recipients_of_its_attempt(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(1, FAILED),), delay_ms=MINUTE)
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap(max_rounds=1) == [State.FAILED]
    await scenario.requeue(lease.id)
    assert await scenario.settle(again, 2) == Settled("late", State.QUEUED)
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [SENT, PENDING]


async def test_a_settlement_is_written_however_late_it_reaches_redis(scenario: Scenario) -> None:
    call = scenario.queue.core.call("settle", scenario.tag, {"settlements": [], "max_rounds": 1, "max_age_ms": 1})
    assert b"not_after" not in call.command(0, 1, whole=False)[-1]
