"""begin: an attempt is written down before anything goes out; what must not go out is refused."""

from __future__ import annotations

import pytest

from shared.domain.message import RecipientStatus
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue.leases import Begin, Begun, Decided
from shared.queue.owners import Done
from tests.queue.scenario import HOUR, LEASE_MS, MINUTE, SECOND, START, Scenario, attempt


async def test_a_begin_is_written_into_the_record(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.advance(SECOND)
    assert await scenario.begin(lease, provider="ses-eu") == Begun("begun", START + SECOND, START + SECOND)
    stored = await scenario.stored(lease.id)
    assert {name: stored[name] for name in ("attempts", "begun", "started")} == {
        "attempts": "1",
        "begun": f"ses-eu {START + SECOND} -",
        "started": str(START + SECOND),
    }


async def test_the_recipients_are_named_where_they_are_not_all(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(recipients=3)
    await scenario.begin(lease, recipients=(0, 2))
    assert await scenario.stored_field(lease.id, "begun") == f"relay {START} [0,2]"


async def test_the_next_attempt_names_its_own_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(recipients=3)
    await scenario.begin(lease, recipients=(0, 2))
    await scenario.begin(lease, 2, closed=attempt(1, Outcome.TEMPORARY))
    assert await scenario.stored_field(lease.id, "begun") == f"relay {START} -"


async def test_a_begun_message_no_longer_expires_by_itself(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=HOUR)
    await scenario.advance(HOUR)
    await scenario.queue.chores.expire(0)
    assert await scenario.state(lease.id) is State.SENDING


async def test_the_next_attempt_of_a_lease_closes_the_one_before(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(SECOND)
    closed = attempt(1, Outcome.THROTTLED, recipients=(0,), detail="429")
    assert await scenario.begin(lease, 2, provider="postmark", closed=closed) == Begun("begun", START, START + SECOND)
    record = await scenario.view(lease.id)
    assert (record.attempts, record.attempts_total) == ((closed,), 2)


async def test_recipients_that_the_attempt_before_decided_are_written_with_it(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    closed = attempt(1, Outcome.PARTIAL)
    decided = (Decided(0, RecipientState.SENT, "relay", "id-0"),)
    await scenario.begin(lease, 2, recipients=(1,), closed=closed, decided=decided)
    first, second = (await scenario.view(lease.id)).recipients
    assert first == RecipientStatus(RecipientState.SENT, "relay", "id-0", START + 12)
    assert second.state is RecipientState.PENDING


async def test_the_date_of_the_first_begin_is_kept_through_all_attempts(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=HOUR)
    await scenario.advance(HOUR)
    await scenario.promote()
    assert (await scenario.begin(await scenario.leased(lease.id), 2)).first_at == START


async def test_the_same_begin_again_is_answered_alike_and_changes_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(MINUTE)
    await scenario.begin(lease, 2, closed=attempt(1, Outcome.THROTTLED))
    before = await scenario.keyspace()
    await scenario.advance(5 * SECOND)
    assert await scenario.begin(lease, 2, closed=attempt(1, Outcome.THROTTLED)) == Begun("begun", START, scenario.now)
    assert await scenario.keyspace() == before


@pytest.mark.parametrize("number", [0, 1, 4])
async def test_any_number_but_the_next_is_stale(scenario: Scenario, number: int) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.begin(lease, 2, closed=attempt(1, Outcome.THROTTLED))
    before = await scenario.keyspace()
    assert await scenario.begin(lease, number, closed=attempt(9)) == Begun("stale", None, scenario.now)
    assert await scenario.keyspace() == before


async def test_a_number_that_an_earlier_lease_used_is_stale(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.promote()
    again = await scenario.leased(lease.id)
    assert again.attempts == 1
    assert (await scenario.begin(again, 1)).status == "stale"
    assert (await scenario.begin(again, 2)).status == "begun"


async def test_a_stale_token_begins_nothing(scenario: Scenario) -> None:
    stale = await scenario.submit_and_lease()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    await scenario.leased(stale.id)
    before = await scenario.keyspace()
    assert await scenario.begin(stale) == Begun("stale", None, scenario.now)
    assert await scenario.keyspace() == before


async def test_a_message_that_is_gone_begins_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.cancel(lease.id)
    await scenario.delete(lease.id)
    assert await scenario.begin(lease) == Begun("stale", None, scenario.now)


async def test_a_cancel_before_begin_revokes_the_lease(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    assert await scenario.cancel(lease.id) is Done.DONE
    assert (await scenario.begin(lease)).status == "stale"
    assert await scenario.state(lease.id) is State.CANCELLED


async def test_a_cancel_between_two_attempts_of_a_lease_lets_no_further_one_begin(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(ttl_ms=HOUR)
    assert await scenario.cancel(lease.id) is Done.NOTED
    closed = attempt(1, Outcome.TEMPORARY, recipients=(0,))
    assert (await scenario.begin(lease, 2, closed=closed)).status == "cancelled"
    record = await scenario.view(lease.id)
    assert (record.state, record.attempts, record.attempts_total) == (State.CANCELLED, (closed,), 1)
    assert record.reason is not None
    assert record.reason.code == "cancelled"


async def test_a_cancel_between_two_attempts_ends_only_pending_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.promote()
    again = await scenario.leased(lease.id)
    await scenario.begin(again, 2)
    await scenario.cancel(lease.id)
    await scenario.begin(again, 3, closed=attempt(2, Outcome.TEMPORARY))
    record = await scenario.view(lease.id)
    assert record.state is State.PARTLY_SENT
    assert [recipient.state for recipient in record.recipients] == [RecipientState.SENT, RecipientState.CANCELLED]
    assert record.recipients[1].reason is not None
    assert (record.recipients[1].reason.code, record.recipients[1].at) == ("cancelled", scenario.now)


@pytest.mark.parametrize(("early", "status"), [(1, "begun"), (0, "expired")])
async def test_what_has_expired_is_not_begun(scenario: Scenario, early: int, status: str) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND - early)
    assert (await scenario.begin(lease)).status == status


async def test_what_expired_before_begin_ends_so(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.begin(lease)
    record = await scenario.view(lease.id)
    assert (record.state, record.attempts_total, record.finished_at) == (State.EXPIRED, 0, START + SECOND)
    assert record.reason is not None
    assert record.reason.code == "expired"


async def test_a_refused_begin_asked_again_is_stale_and_changes_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.begin(lease)
    before = await scenario.keyspace()
    assert (await scenario.begin(lease)).status == "stale"
    assert await scenario.keyspace() == before


async def test_a_try_after_a_doubtful_one_may_be_a_duplicate(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=SECOND, is_doubtful=True)
    assert not (await scenario.view(lease.id)).possible_duplicate
    await scenario.advance(SECOND)
    await scenario.promote()
    again = await scenario.leased(lease.id)
    assert again.is_doubtful
    await scenario.begin(again, 2)
    assert (await scenario.view(lease.id)).possible_duplicate


async def test_a_try_after_one_without_doubt_is_no_duplicate(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.begin(lease, 2, closed=attempt(1, Outcome.TEMPORARY))
    assert not (await scenario.view(lease.id)).possible_duplicate


async def test_once_a_possible_duplicate_always_one(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease, delay_ms=0, is_doubtful=True)
    await scenario.promote()
    again = await scenario.leased(lease.id)
    await scenario.begin(again, 2)
    await scenario.begin(again, 3, closed=attempt(2, Outcome.TEMPORARY))
    assert (await scenario.view(lease.id)).possible_duplicate


async def test_each_attempt_of_a_call_is_judged_for_itself(scenario: Scenario) -> None:
    good, expired, cancelled = [await scenario.submit_and_lease(**times) for times in ({}, {"ttl_ms": SECOND}, {})]
    await scenario.cancel(cancelled.id)
    await scenario.advance(SECOND)
    wishes = [Begin(lease, 1, "relay", lease.pending) for lease in (good, cancelled, expired)]
    statuses = [begun.status for begun in await scenario.queue.leases.begin(0, wishes)]
    assert statuses == ["begun", "stale", "expired"]


async def test_one_message_twice_in_a_call_begins_both_attempts(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    wishes = [
        Begin(lease, 1, "relay", lease.pending),
        Begin(lease, 2, "postmark", lease.pending, attempt(1, Outcome.THROTTLED)),
    ]
    assert [begun.status for begun in await scenario.queue.leases.begin(0, wishes)] == ["begun", "begun"]
    assert await scenario.stored_field(lease.id, "attempts") == "2"
