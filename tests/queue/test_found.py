"""What the search beside the model came upon, each as a story of its own."""

from __future__ import annotations

from shared.domain.message import OnAmbiguous
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided, Lease, Settled
from shared.queue.owners import Change, Done
from tests.queue.scenario import HOUR, LEASE_MS, RELAY, SECOND, START, Scenario, attempt, envelope

REFUSED = Decided(0, RecipientState.FAILED)


async def leased_again(scenario: Scenario, message_id: str) -> Lease:
    """Return the lease of a message that waited for its next round."""
    await scenario.advance(SECOND)
    await scenario.promote()
    return await scenario.leased(message_id)


async def test_a_late_acceptance_is_of_those_that_its_attempt_was_for(scenario: Scenario) -> None:
    first = await scenario.submit_and_begin(envelope(2, on_ambiguous=OnAmbiguous.FAIL))
    await scenario.settle(first, decided=(REFUSED,), delay_ms=SECOND)
    second = await leased_again(scenario, first.id)
    await scenario.begin(second, 2)
    await scenario.advance(LEASE_MS)
    assert await scenario.reap() == [State.FAILED]
    assert await scenario.requeue(first.id) is Done.DONE
    assert await scenario.settle(second, 2, attempt=attempt(2, recipients=(1,))) == Settled("late", State.QUEUED)
    ends = [recipient.state for recipient in (await scenario.view(first.id)).recipients]
    assert ends == [RecipientState.PENDING, RecipientState.SENT]


async def test_a_late_acceptance_waits_for_the_attempt_that_is_under_way(scenario: Scenario) -> None:
    first = await scenario.submit_and_lease()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    second = await scenario.leased(first.id)
    await scenario.begin(second)
    before = await scenario.keyspace()
    assert await scenario.settle(first) == Settled("stale", State.SENDING)
    assert await scenario.keyspace() == before


async def test_an_acceptance_counts_though_its_begin_was_lost_with_a_primary(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    assert await scenario.settle(lease) == Settled("late", State.SENT)
    record = await scenario.view(lease.id)
    assert (record.attempts_total, [told.provider for told in record.attempts]) == (1, [RELAY])


async def test_who_was_cancelled_before_a_requeue_was_not_refused(scenario: Scenario) -> None:
    first = await scenario.submit_and_begin(recipients=3)
    assert await scenario.cancel(first.id) is Done.NOTED
    await scenario.settle(first, decided=(REFUSED, Decided(1, RecipientState.SENT)), delay_ms=SECOND)
    assert await scenario.requeue(first.id) is Done.DONE
    second = await scenario.leased(first.id)
    await scenario.begin(second, 2)
    await scenario.settle(second, 2, attempt=attempt(2, recipients=(0,)))
    record = await scenario.view(first.id)
    assert (record.state, record.reason and record.reason.code) == (State.PARTLY_SENT, "cancelled")


async def test_a_submission_that_arrives_again_does_not_bring_back_what_was_deleted(scenario: Scenario) -> None:
    prepared = scenario.prepare()
    ((*_, first),) = [(await scenario.submit_raw(prepared))[0]]
    assert await scenario.cancel(prepared.id) is Done.DONE
    assert await scenario.delete(prepared.id) is Done.DONE
    again = (await scenario.submit_raw(prepared))[0]
    assert (again[0], again[1], again[-1]) == ("repeated", prepared.id, first)
    assert await scenario.queue.views.read(prepared.id) is None


async def test_how_a_message_began_is_told_though_its_send_time_changes(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await scenario.queue.owners.change(message_id, Change(send_at=START + HOUR))
    assert [event.type for event in (await scenario.view(message_id)).events] == ["message.queued", "message.scheduled"]
