"""settle: what may still be sent waits for another round, as long as rounds, age and owner allow."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.message import Priority, Reason
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided, Settled
from shared.queue.owners import Done
from tests.queue.scenario import (
    HOUR,
    MAX_AGE_MS,
    MAX_ROUNDS,
    MINUTE,
    START,
    TEMPORARY,
    Scenario,
)

SENT, FAILED = RecipientState.SENT, RecipientState.FAILED


async def test_what_may_still_be_sent_waits_for_its_delay(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(priority=Priority.HIGH)
    assert await scenario.settle(lease, **TEMPORARY) == Settled("settled", State.RETRYING)
    assert await scenario.members("retry:high") == {lease.id: START + MINUTE}
    assert await scenario.members("leased") == {}


async def test_a_round_is_written_with_all_that_the_next_one_needs(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    refused = frozenset({"b", "a"})
    await scenario.settle(lease, **TEMPORARY, prefer="relay", refused=refused, is_doubtful=True)
    stored = await scenario.stored(lease.id)
    assert {name: stored[name] for name in ("rounds", "since", "waiting", "prefer", "refused", "doubt")} == {
        "rounds": "1",
        "since": str(START),
        "waiting": "backoff",
        "prefer": "relay",
        "refused": "a b",
        "doubt": "1",
    }


async def test_a_lease_that_is_over_leaves_nothing_of_itself(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(recipients=2)
    await scenario.begin(lease, recipients=(0,))
    await scenario.settle(lease, delay_ms=MINUTE)
    assert (await scenario.stored(lease.id)).keys() == {
        *("tenant", "flow", "recipients", "bytes", "created", "state", "place"),
        *("attempts", "started", "settled"),
    }


async def test_what_a_settlement_does_not_say_is_forgotten_but_the_refusals(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY, prefer="relay", refused=frozenset({"a"}), is_doubtful=True)
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, delay_ms=MINUTE)
    stored = await scenario.stored(lease.id)
    assert (stored["refused"], stored["doubt"]) == ("a", "1")
    assert not {"waiting", "prefer"} & stored.keys()


async def test_why_a_message_waited_before_is_forgotten(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease, waiting="paused")
    lease = await scenario.leased(lease.id)
    await scenario.begin(lease)
    await scenario.settle(lease, delay_ms=MINUTE)
    assert (await scenario.view(lease.id)).waiting is None


async def test_a_message_that_waits_again_expires_by_itself_again(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=HOUR)
    assert await scenario.members("expiring") == {}
    await scenario.settle(lease, delay_ms=MINUTE)
    assert await scenario.members("expiring") == {lease.id: START + HOUR}


async def test_a_round_is_counted_only_where_it_counts(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=MINUTE)
    stored = await scenario.stored(lease.id)
    assert not {"rounds", "since"} & stored.keys()


async def test_rounds_end_when_they_are_spent(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    states = []
    for number in range(1, MAX_ROUNDS + 1):
        states.append((await scenario.settle(lease, number, **TEMPORARY)).state)
        if number < MAX_ROUNDS:
            lease = await scenario.retried(lease)
            await scenario.begin(lease, number + 1)
    assert states == [State.RETRYING, State.RETRYING, State.FAILED]
    record = await scenario.view(lease.id)
    assert record.rounds == MAX_ROUNDS
    assert record.reason is not None
    assert record.reason.code == "attempts_exhausted"


@pytest.mark.parametrize(("early", "state"), [(1, State.RETRYING), (0, State.FAILED)])
async def test_age_runs_from_the_first_counted_round(scenario: Scenario, early: int, state: State) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.advance(2 * MAX_AGE_MS)
    await scenario.begin(lease)
    assert (await scenario.settle(lease, **TEMPORARY)).state is State.RETRYING
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    await scenario.advance(MAX_AGE_MS - MINUTE - early)
    assert (await scenario.settle(again, 2, **TEMPORARY)).state is state


async def test_age_is_not_judged_where_no_round_is_counted(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY)
    again = await scenario.retried(lease, 2 * MAX_AGE_MS)
    await scenario.begin(again, 2)
    assert (await scenario.settle(again, 2, delay_ms=MINUTE)).state is State.RETRYING


async def test_spent_rounds_fail_only_pending_recipients(scenario: Scenario) -> None:
    scenario.queue.leases.max_rounds = 1
    lease = await scenario.submit_and_begin(recipients=2)
    settled = await scenario.settle(lease, decided=(Decided(0, SENT),), **TEMPORARY)
    assert settled.state is State.PARTLY_SENT
    record = await scenario.view(lease.id)
    assert [one.state for one in record.recipients] == [SENT, FAILED]
    assert record.recipients[1].reason == Reason("attempts_exhausted")
    assert record.recipients[1].at == START


async def test_an_attempt_in_flight_is_not_aborted_by_expiry_but_ends_with_it(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=MINUTE)
    await scenario.advance(MINUTE)
    assert (await scenario.settle(lease, **TEMPORARY)).state is State.EXPIRED
    assert await scenario.stored_field(lease.id, "reason") == "expired"


async def test_expiry_is_due_at_its_millisecond(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=MINUTE)
    await scenario.advance(MINUTE - 1)
    assert (await scenario.settle(lease, **TEMPORARY)).state is State.RETRYING


async def test_what_was_accepted_in_time_is_sent_whatever_the_expiry(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=MINUTE)
    await scenario.advance(HOUR)
    assert (await scenario.settle(lease)).state is State.SENT


async def test_expiry_ends_only_pending_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2, ttl_ms=MINUTE)
    await scenario.advance(MINUTE)
    assert (await scenario.settle(lease, decided=(Decided(0, FAILED),), **TEMPORARY)).state is State.FAILED
    states = [one.state for one in (await scenario.view(lease.id)).recipients]
    assert states == [FAILED, RecipientState.EXPIRED]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        (TEMPORARY, State.CANCELLED),
        ({"fail_rest": "no_provider_can_carry"}, State.CANCELLED),
        ({"all_state": SENT}, State.SENT),
        ({"all_state": FAILED, "reason": "message_rejected"}, State.FAILED),
    ],
)
async def test_a_cancel_in_flight_ends_what_the_attempt_left_pending(
    scenario: Scenario, fields: dict[str, Any], state: State
) -> None:
    lease = await scenario.submit_and_begin()
    assert await scenario.cancel(lease.id) is Done.NOTED
    assert (await scenario.settle(lease, **fields)).state is state


async def test_a_cancel_goes_before_expiry(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=MINUTE)
    await scenario.cancel(lease.id)
    await scenario.advance(HOUR)
    assert (await scenario.settle(lease, **TEMPORARY)).state is State.CANCELLED


async def test_a_cancel_in_flight_spares_decided_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=3)
    await scenario.cancel(lease.id)
    await scenario.settle(lease, decided=(Decided(0, FAILED),), **TEMPORARY)
    record = await scenario.view(lease.id)
    assert record.state is State.FAILED
    assert [one.state for one in record.recipients] == [FAILED, RecipientState.CANCELLED, RecipientState.CANCELLED]


async def test_expired_beside_cancelled_recipients_make_an_expired_message(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.cancel(lease.id)
    settled = await scenario.settle(lease, decided=(Decided(1, RecipientState.EXPIRED),), **TEMPORARY)
    assert settled.state is State.EXPIRED


async def test_a_verdict_clears_the_strikes(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.lose_sender()
    again = await scenario.retried(lease, HOUR)
    assert again.strikes == 1
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, delay_ms=MINUTE)
    assert (await scenario.retried(lease)).strikes == 0
