"""settle: what an attempt came to is written once, decides what the message does next, and is never lost."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.message import Priority, Reason, RecipientStatus, RouteStep
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided, Lease, Settled, Settlement
from shared.queue.owners import Done
from tests.queue.scenario import (
    DAY,
    HOUR,
    LEASE_MS,
    MAX_AGE_MS,
    MAX_ROUNDS,
    MINUTE,
    SECOND,
    START,
    Scenario,
    attempt,
)

SENT, FAILED, PENDING = RecipientState.SENT, RecipientState.FAILED, RecipientState.PENDING
TEMPORARY: dict[str, Any] = {"delay_ms": MINUTE, "counts_round": True, "waiting": "backoff"}


async def retried(scenario: Scenario, lease: Lease, delay_ms: int = MINUTE) -> Lease:
    """Return the next lease of a message that waits for its next round."""
    await scenario.advance(delay_ms)
    await scenario.promote()
    return await scenario.leased(lease.id)


async def reaped(scenario: Scenario) -> None:
    """Let a begun lease run out."""
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.RETRYING]


# Ends


async def test_accepted_for_all_is_sent(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.advance(SECOND)
    assert await scenario.settle(lease) == Settled("settled", State.SENT)
    record = await scenario.view(lease.id)
    assert (record.state, record.finished_at, record.reason) == (State.SENT, START + SECOND, None)
    assert await scenario.members("finished") == {lease.id: START + SECOND}


async def test_nothing_is_stored_for_each_recipient_where_all_fare_alike(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    closed = attempt(recipients=(0, 1), provider_message_id="id-1")
    await scenario.settle(lease, attempt=closed)
    assert "recipients" not in await scenario.kinds_left()
    record = await scenario.view(lease.id)
    assert record.recipients == (RecipientStatus(SENT, "relay", "id-1", START + 12),) * 2


async def test_rejected_for_all_is_failed_with_its_reason(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    closed = attempt(1, Outcome.REJECTED, detail="550 no", smtp_code=550)
    await scenario.settle(lease, attempt=closed, all_state=FAILED, reason="message_rejected")
    record = await scenario.view(lease.id)
    assert record.state is State.FAILED
    assert record.reason == Reason("message_rejected", "550 no", "relay", 550)
    assert await scenario.members("failed") == {lease.id: START}


async def test_the_attempt_is_kept_as_it_was_told(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    closed = attempt(detail="250 ok", recipients=(0, 1), route=(RouteStep("relay", True, "best", "tier 1"),))
    await scenario.settle(lease, attempt=closed)
    assert (await scenario.view(lease.id)).attempts == (closed,)


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        (SENT, SENT, State.SENT),
        (SENT, FAILED, State.PARTLY_SENT),
        (FAILED, SENT, State.PARTLY_SENT),
        (FAILED, FAILED, State.FAILED),
    ],
)
async def test_the_state_follows_from_the_recipients(
    scenario: Scenario, first: RecipientState, second: RecipientState, state: State
) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    decided = (Decided(0, first), Decided(1, second))
    reason = None if state is State.SENT else "recipients_rejected"
    assert await scenario.settle(lease, decided=decided, reason=reason) == Settled("settled", state)
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [first, second]


async def test_where_the_last_were_served_the_reason_is_that_others_were_refused(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, FAILED, "relay"), Decided(1, SENT)))
    reason = (await scenario.view(lease.id)).reason
    assert reason == Reason("recipients_rejected", "1 of 2 recipients was refused for good", "relay")


async def test_where_all_failed_without_a_reason_they_were_refused(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, all_state=FAILED)
    assert await scenario.stored_field(lease.id, "reason") == "recipients_rejected"


async def test_where_the_last_were_served_and_nobody_was_refused_others_were_cancelled(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, FAILED),), delay_ms=MINUTE)
    await scenario.cancel(lease.id)
    await scenario.requeue(lease.id)
    again = await scenario.leased(lease.id)
    await scenario.begin(again, 2)
    assert (await scenario.settle(again, 2)).state is State.PARTLY_SENT
    assert await scenario.stored_field(lease.id, "reason") == "cancelled"


async def test_each_recipients_end_is_told_in_full(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    reason = Reason("recipient_rejected", "550 5.1.1 unknown", None, 550, "5.1.1")
    decided = (Decided(0, SENT, "relay", "id-0"), Decided(1, FAILED, "relay", None, reason))
    await scenario.settle(lease, decided=decided, reason="recipients_rejected")
    first, second = (await scenario.view(lease.id)).recipients
    assert (first.state, first.provider, first.provider_message_id, first.at) == (SENT, "relay", "id-0", START + 12)
    assert (second.state, second.provider, second.reason) == (FAILED, "relay", reason)


async def test_a_recipients_first_end_is_its_last(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, SENT),), delay_ms=MINUTE)
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, decided=(Decided(0, FAILED), Decided(1, SENT)))
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [SENT, SENT]


async def test_what_is_accepted_last_is_all_sent(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=MINUTE)
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    assert await scenario.settle(again, 2) == Settled("settled", State.SENT)


async def test_the_rest_fails_with_the_code_given(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    settled = await scenario.settle(lease, decided=(Decided(0, SENT),), fail_rest="no_provider_can_carry")
    assert settled.state is State.PARTLY_SENT
    record = await scenario.view(lease.id)
    assert [one.state for one in record.recipients] == [SENT, FAILED]
    assert record.recipients[1].reason == Reason("no_provider_can_carry")
    assert record.reason is not None
    assert record.reason.code == "no_provider_can_carry"


async def test_all_fail_with_the_code_given_where_nothing_was_decided(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    assert (await scenario.settle(lease, fail_rest="no_provider_can_carry")).state is State.FAILED
    assert await scenario.stored_field(lease.id, "reason") == "no_provider_can_carry"


async def test_an_end_leaves_nothing_of_the_lease_nor_of_the_rounds(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=DAY)
    await scenario.settle(lease, **TEMPORARY, prefer="relay")
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2)
    stored = await scenario.stored(lease.id)
    assert stored.keys() == {
        *("tenant", "flow", "recipients", "bytes", "created", "state", "place", "expires", "ttl"),
        *("attempts", "rounds", "started", "settled", "finished"),
    }
    assert await scenario.members("expiring") == {}


@pytest.mark.parametrize(("all_state", "counted"), [(SENT, b"1"), (FAILED, None)])
async def test_sent_messages_are_counted_in_slots_of_ten_seconds(
    scenario: Scenario, all_state: RecipientState, counted: bytes | None
) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(20 * SECOND)
    await scenario.settle(lease, all_state=all_state, reason="message_rejected")
    assert await scenario.redis("HGET", f"{scenario.tag}:rate:{scenario.now // 10_000}", "sent") == counted


async def test_partly_sent_messages_count_as_sent(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, SENT),), fail_rest="recipients_rejected")
    assert await scenario.redis("HGET", f"{scenario.tag}:rate:{START // 10_000}", "sent") == b"1"


# Another round


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
    again = await retried(scenario, lease)
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
            lease = await retried(scenario, lease)
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
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    await scenario.advance(MAX_AGE_MS - MINUTE - early)
    assert (await scenario.settle(again, 2, **TEMPORARY)).state is state


async def test_age_is_not_judged_where_no_round_is_counted(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY)
    again = await retried(scenario, lease, 2 * MAX_AGE_MS)
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
    await reaped(scenario)
    again = await retried(scenario, lease, HOUR)
    assert again.strikes == 1
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, delay_ms=MINUTE)
    assert (await retried(scenario, lease)).strikes == 0


# Attempts and history


async def test_the_first_five_and_the_last_forty_five_attempts_are_kept(scenario: Scenario) -> None:
    route = (RouteStep("relay", True, "best"),)
    lease = await scenario.submit_and_begin()
    for number in range(2, 61):
        await scenario.begin(lease, number, closed=attempt(number - 1, Outcome.THROTTLED, route=route))
    await scenario.settle(lease, 60, attempt=attempt(60, route=route))
    record = await scenario.view(lease.id)
    assert [one.number for one in record.attempts] == [1, 2, 3, 4, 5, *range(16, 61)]
    assert [one.number for one in record.attempts if one.route] == [1, 58, 59, 60]
    assert record.attempts_total == 60


@pytest.mark.parametrize(("total", "routed"), [(3, [1, 2, 3]), (4, [1, 2, 3, 4]), (5, [1, 3, 4, 5]), (6, [1, 4, 5, 6])])
async def test_the_first_and_the_last_three_attempts_keep_their_routes(
    scenario: Scenario, total: int, routed: list[int]
) -> None:
    route = (RouteStep("relay", True, "best"),)
    lease = await scenario.submit_and_begin()
    for number in range(2, total + 1):
        await scenario.begin(lease, number, closed=attempt(number - 1, Outcome.THROTTLED, route=route))
    await scenario.settle(lease, total, attempt=attempt(total, route=route))
    assert [one.number for one in (await scenario.view(lease.id)).attempts if one.route] == routed


async def test_fifty_attempts_are_all_kept(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    for number in range(2, 51):
        await scenario.begin(lease, number, closed=attempt(number - 1, Outcome.THROTTLED))
    await scenario.settle(lease, 50)
    assert [one.number for one in (await scenario.view(lease.id)).attempts] == list(range(1, 51))


async def test_a_change_of_state_is_an_event_with_time_and_attempt(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(SECOND)
    await scenario.settle(lease, **TEMPORARY)
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2)
    assert [(event.type, event.at, event.attempt) for event in (await scenario.view(lease.id)).events] == [
        ("message.queued", START, None),
        ("message.retrying", START + SECOND, 1),
        ("message.queued", START + SECOND + MINUTE, 1),
        ("message.sent", START + SECOND + MINUTE, 2),
    ]


async def test_an_event_has_the_same_id_at_every_reading(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    first = (await scenario.view(message_id)).events
    await scenario.advance(SECOND)
    await scenario.cancel(message_id)
    second = (await scenario.view(message_id)).events
    assert second[:1] == first
    assert len({event.id for event in second}) == 2


async def test_the_last_hundred_events_are_kept(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    for _ in range(51):
        await scenario.advance(1)
        await scenario.release(lease, delay_ms=0)
        await scenario.promote()
        (lease,) = await scenario.lease()
    events = (await scenario.view(lease.id)).events
    assert [event.at for event in events] == sorted([*range(START + 2, START + 52)] * 2)
    assert await scenario.redis("LLEN", f"{scenario.tag}:history:{lease.id}") == 100


# The same call again, and stale tokens


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
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **TEMPORARY) == Settled("already", State.SENDING)
    assert await scenario.keyspace() == before


async def test_an_older_settlement_again_is_stale(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, **TEMPORARY)
    again = await retried(scenario, lease)
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
    again = await retried(scenario, lease)
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
    await reaped(scenario)
    before = await scenario.keyspace()
    assert await scenario.settle(lease, **TEMPORARY) == Settled("stale", State.RETRYING)
    assert await scenario.keyspace() == before


async def test_a_stale_token_that_brings_a_rejection_settles_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await reaped(scenario)
    before = await scenario.keyspace()
    assert (await scenario.settle(lease, all_state=FAILED, reason="message_rejected")).status == "stale"
    assert (await scenario.settle(lease, decided=(Decided(0, FAILED),), delay_ms=0)).status == "stale"
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_ends_what_waits_for_its_retry(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    closed = attempt(detail="250 ok", recipients=(0,))
    assert await scenario.settle(lease, attempt=closed) == Settled("late", State.SENT)
    record = await scenario.view(lease.id)
    assert (record.attempts, record.attempts_total) == ((closed,), 1)
    assert await scenario.members("retry:normal") == {}


async def test_a_late_acceptance_ends_what_is_ready(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    await scenario.advance(HOUR)
    await scenario.promote()
    assert await scenario.settle(lease) == Settled("late", State.SENT)


async def test_a_late_acceptance_ends_what_was_scheduled_anew(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    await scenario.call("change", operation="o", tenant="default", id=lease.id, send=scenario.now + DAY)
    assert await scenario.settle(lease) == Settled("late", State.SENT)


async def test_a_late_acceptance_revokes_a_lease_that_has_not_begun(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    again = await retried(scenario, lease, HOUR)
    assert await scenario.settle(lease) == Settled("late", State.SENT)
    assert (await scenario.begin(again, 2)).status == "stale"


async def test_a_late_acceptance_is_stale_once_a_newer_attempt_began(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    again = await retried(scenario, lease, HOUR)
    await scenario.begin(again, 2)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_is_stale_once_a_newer_attempt_was_made(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    again = await retried(scenario, lease, HOUR)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, delay_ms=MINUTE)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("stale", State.RETRYING)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_of_a_message_that_ended_is_stale(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    await scenario.cancel(lease.id)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("stale", State.CANCELLED)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_again_is_already_written(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await reaped(scenario)
    await scenario.settle(lease)
    before = await scenario.keyspace()
    assert await scenario.settle(lease) == Settled("already", State.SENT)
    assert await scenario.keyspace() == before


async def test_a_late_acceptance_of_some_decides_those(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=3)
    await reaped(scenario)
    settled = await scenario.settle(lease, decided=(Decided(1, FAILED), Decided(2, SENT)), delay_ms=0)
    assert settled == Settled("late", State.RETRYING)
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [PENDING, FAILED, SENT]


async def test_a_late_acceptance_of_the_last_ends_the_message(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await reaped(scenario)
    decided = (Decided(0, FAILED), Decided(1, SENT))
    settled = await scenario.settle(lease, decided=decided, reason="recipients_rejected")
    assert settled == Settled("late", State.PARTLY_SENT)
    assert await scenario.stored_field(lease.id, "reason") == "recipients_rejected"


async def test_a_late_acceptance_of_some_takes_the_lease_from_whoever_would_send_again(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await reaped(scenario)
    again = await retried(scenario, lease, HOUR)
    assert await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=0) == Settled("late", State.QUEUED)
    assert (await scenario.begin(again, 2)).status == "stale"
    assert (await scenario.leased(lease.id)).pending == (0,)


async def test_a_late_acceptance_of_some_keeps_the_place_in_the_flow(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await reaped(scenario)
    again = await retried(scenario, lease, HOUR)
    await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=0)
    assert await scenario.members("ready:default:normal") == {lease.id: again.ready_at}


async def test_a_late_verdict_clears_the_strikes(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await reaped(scenario)
    await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=0)
    assert await scenario.stored_field(lease.id, "strikes") is None


async def test_a_late_acceptance_is_for_the_recipients_of_its_attempt(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(1, FAILED),), delay_ms=MINUTE)
    again = await retried(scenario, lease)
    await scenario.begin(again, 2)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap(max_rounds=1) == [State.FAILED]
    await scenario.requeue(lease.id)
    assert await scenario.settle(again, 2) == Settled("late", State.QUEUED)
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [SENT, PENDING]


async def test_a_settlement_is_written_however_late_it_reaches_redis(scenario: Scenario) -> None:
    call = scenario.queue.core.call("settle", scenario.tag, {"settlements": [], "max_rounds": 1, "max_age_ms": 1})
    assert b"not_after" not in call.command(0, 1, whole=False)[-1]
