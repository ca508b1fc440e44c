"""reap: leases that ran out are taken back; what had begun may have arrived, and what never began did not."""

from __future__ import annotations

import pytest

from shared.domain.message import Attempt, OnAmbiguous, Reason
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue.chores import Reaped
from shared.queue.leases import Decided, Lease
from tests.queue.scenario import (
    AMBIGUOUS_DELAY_MS,
    HOUR,
    LEASE_MS,
    MAX_AGE_MS,
    MAX_ROUNDS,
    MINUTE,
    SECOND,
    START,
    TRACE,
    Scenario,
    attempt,
    envelope,
)

LOST = "the sender was lost while it worked on this"


async def begun_again(scenario: Scenario, lease: Lease, number: int) -> Lease:
    """Return the next lease of a message that was taken back, begun."""
    await scenario.advance(AMBIGUOUS_DELAY_MS)
    await scenario.promote()
    again = await scenario.leased(lease.id)
    assert (await scenario.begin(again, number)).status == "begun"
    return again


@pytest.mark.parametrize(("early", "states"), [(1, []), (0, [State.QUEUED])])
async def test_a_lease_runs_out_at_its_millisecond(scenario: Scenario, early: int, states: list[State]) -> None:
    await scenario.submit_and_lease()
    await scenario.advance(LEASE_MS - early)
    assert await scenario.reap() == states


async def test_what_never_began_goes_back_as_it_was(scenario: Scenario) -> None:
    message_id = await scenario.submit(ttl_ms=HOUR)
    before = await scenario.keyspace()
    await scenario.leased(message_id)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.QUEUED]
    assert await scenario.keyspace() == before


async def test_what_had_begun_is_closed_as_ambiguous_and_waits(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2, ttl_ms=HOUR)
    await scenario.advance(LEASE_MS + SECOND)
    assert await scenario.reap() == [State.RETRYING]
    record = await scenario.view(lease.id)
    assert record.attempts == (
        Attempt(1, "relay", START, LEASE_MS + SECOND, Outcome.AMBIGUOUS, LOST, recipients=(0, 1)),
    )
    assert await scenario.members("retry:normal") == {lease.id: scenario.now + AMBIGUOUS_DELAY_MS}


async def test_a_lost_attempt_names_its_recipients_where_they_were_not_all(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(recipients=3)
    await scenario.begin(lease, recipients=(0, 2))
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    assert (await scenario.view(lease.id)).attempts[0].recipients == (0, 2)


async def test_what_had_begun_is_stored_with_all_that_follows(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    assert await scenario.stored(lease.id) == {
        "tenant": "default",
        "flow": "default:normal",
        "recipients": "1",
        "bytes": str(lease.size_bytes),
        "created": f"{START}-0",
        "state": "retrying",
        "place": "retry:normal",
        "attempts": "1",
        "started": str(START),
        "doubt": "1",
        "strikes": "1",
        "rounds": "1",
        "since": str(scenario.now),
        "prefer": "relay",
        "waiting": "ambiguous_delay",
    }


async def test_a_clock_that_stepped_backwards_makes_no_negative_duration(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.redis("ZADD", f"{scenario.tag}:leased", START - HOUR, lease.id)
    await scenario.advance(-MINUTE)
    await scenario.reap()
    assert (await scenario.view(lease.id)).attempts[0].duration_ms == 0


async def test_what_waits_again_expires_by_itself_again(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=HOUR)
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    assert await scenario.members("expiring") == {lease.id: START + HOUR}


async def test_a_try_after_a_lost_one_may_be_a_duplicate(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    await begun_again(scenario, lease, 2)
    assert (await scenario.view(lease.id)).possible_duplicate


async def test_a_message_that_lost_three_senders_fails(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    states = []
    for number in (2, 3, 4):
        await scenario.advance(LEASE_MS)
        states += await scenario.reap(max_rounds=100)
        if number < 4:
            await begun_again(scenario, lease, number)
    assert states == [State.RETRYING, State.RETRYING, State.FAILED]
    assert (await scenario.view(lease.id)).reason == Reason("sender_lost_three_times", LOST, "relay")


async def test_a_lost_sender_counts_a_round(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=0, counts_round=True)
    await begun_again(scenario, lease, 2)
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    assert (await scenario.view(lease.id)).rounds == 2


async def test_rounds_end_when_they_are_spent(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    for number in range(2, MAX_ROUNDS + 1):
        await scenario.settle(lease, number - 1, delay_ms=0, counts_round=True)
        lease = await begun_again(scenario, lease, number)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.FAILED]
    assert await scenario.stored_field(lease.id, "reason") == "attempts_exhausted"


@pytest.mark.parametrize(("early", "state"), [(1, State.RETRYING), (0, State.FAILED)])
async def test_age_runs_from_the_first_counted_round(scenario: Scenario, early: int, state: State) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=0, counts_round=True)
    lease = await begun_again(scenario, lease, 2)
    await scenario.set_clock(START + MAX_AGE_MS - early)
    assert await scenario.reap() == [state]


async def test_whose_owner_wants_no_doubt_fails(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(envelope(on_ambiguous=OnAmbiguous.FAIL))
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.FAILED]
    assert await scenario.stored_field(lease.id, "reason") == "ambiguous"


async def test_a_cancel_in_flight_ends_it(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(envelope(on_ambiguous=OnAmbiguous.FAIL))
    await scenario.cancel(lease.id)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.CANCELLED]
    assert await scenario.stored_field(lease.id, "reason") == "cancelled"


@pytest.mark.parametrize(("ttl", "state"), [(LEASE_MS, State.EXPIRED), (LEASE_MS + 1, State.RETRYING)])
async def test_expiry_is_judged_when_the_lease_is_over(scenario: Scenario, ttl: int, state: State) -> None:
    await scenario.submit_and_begin(ttl_ms=ttl)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap(max_rounds=100) == [state]


async def test_what_expired_tells_so(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=SECOND)
    await scenario.advance(LEASE_MS)
    await scenario.reap(max_rounds=1)
    assert await scenario.stored_field(lease.id, "reason") == "expired"


@pytest.mark.parametrize(
    ("owner", "ended", "code"),
    [("cancel", RecipientState.CANCELLED, "cancelled"), ("nobody", RecipientState.FAILED, "attempts_exhausted")],
)
async def test_an_end_spares_decided_recipients(
    scenario: Scenario, owner: str, ended: RecipientState, code: str
) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=0)
    again = await begun_again(scenario, lease, 2)
    if owner == "cancel":
        await scenario.cancel(again.id)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap(max_rounds=1) == [State.PARTLY_SENT]
    second = (await scenario.view(lease.id)).recipients[1]
    assert (second.state, second.reason) == (ended, Reason(code))


@pytest.mark.parametrize(
    ("reason", "changes"),
    [("sender_lost_three_times", {"max_rounds": 100}), ("ambiguous", {}), ("expired", {"max_rounds": 100})],
)
async def test_a_recipients_reason_is_that_of_the_end(scenario: Scenario, reason: str, changes: dict[str, int]) -> None:
    on_ambiguous = OnAmbiguous.FAIL if reason == "ambiguous" else OnAmbiguous.RETRY
    times = {"ttl_ms": HOUR} if reason == "expired" else {}
    lease = await scenario.submit_and_begin(envelope(2, on_ambiguous=on_ambiguous), **times)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=0)
    for number in range(2, 5 if reason == "sender_lost_three_times" else 3):
        await begun_again(scenario, lease, number)
        await scenario.advance(HOUR if reason == "expired" else LEASE_MS)
        await scenario.reap(**changes)
    record = await scenario.view(lease.id)
    assert (record.state, record.recipients[1].reason) == (State.PARTLY_SENT, Reason(reason))


async def test_the_answer_tells_which_had_begun(scenario: Scenario) -> None:
    idle = await scenario.submit_and_lease()
    busy = await scenario.submit_and_begin(trace=TRACE)
    await scenario.advance(LEASE_MS)
    reaped = await scenario.queue.chores.reap(0, ambiguous_delay_ms=0, max_rounds=9, max_age_ms=HOUR)
    assert sorted(reaped, key=lambda one: one.had_begun) == [
        Reaped(idle.id, False, State.QUEUED, "default"),
        Reaped(busy.id, True, State.RETRYING, "default", TRACE),
    ]


async def test_no_more_than_the_limit_is_taken_back_the_longest_over_first(scenario: Scenario) -> None:
    first = await scenario.submit_and_lease()
    await scenario.advance(1)
    await scenario.submit_and_lease()
    await scenario.advance(HOUR)
    reaped = await scenario.queue.chores.reap(0, ambiguous_delay_ms=0, max_rounds=9, max_age_ms=HOUR, limit=1)
    assert [one.id for one in reaped] == [first.id]


async def test_reaping_again_changes_nothing(scenario: Scenario) -> None:
    await scenario.submit_and_begin()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    before = await scenario.keyspace()
    assert await scenario.reap() == []
    assert await scenario.keyspace() == before


async def test_a_renewed_lease_is_not_taken_back(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(LEASE_MS - 1)
    await scenario.queue.leases.extend(0, [lease])
    await scenario.advance(1)
    assert await scenario.reap() == []


async def test_the_attempt_that_was_begun_last_is_the_one_that_is_closed(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(SECOND)
    await scenario.begin(lease, 2, provider="postmark", closed=attempt(1, Outcome.THROTTLED))
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    last = (await scenario.view(lease.id)).attempts[-1]
    assert (last.number, last.provider, last.started_at, last.duration_ms) == (2, "postmark", START + SECOND, LEASE_MS)
