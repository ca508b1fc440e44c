"""settle: what an attempt came to ends the message, or what is still pending of it."""

from __future__ import annotations

import pytest

from shared.domain.message import Reason, RecipientStatus, RouteStep
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided, Settled
from tests.queue.scenario import (
    DAY,
    MINUTE,
    SECOND,
    START,
    TEMPORARY,
    Scenario,
    attempt,
)

SENT, FAILED = RecipientState.SENT, RecipientState.FAILED


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
    again = await scenario.retried(lease)
    await scenario.begin(again, 2)
    await scenario.settle(again, 2, decided=(Decided(0, FAILED), Decided(1, SENT)))
    assert [one.state for one in (await scenario.view(lease.id)).recipients] == [SENT, SENT]


async def test_what_is_accepted_last_is_all_sent(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(1, SENT),), delay_ms=MINUTE)
    again = await scenario.retried(lease)
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
    again = await scenario.retried(lease)
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
