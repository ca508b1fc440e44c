"""expire: what nobody wants any more ends, unless an attempt is in flight."""

from __future__ import annotations

import pytest

from shared.domain.message import Reason
from shared.domain.states import RecipientState, State
from shared.queue.chores import Expired
from shared.queue.leases import Decided
from tests.queue.scenario import DAY, HOUR, MINUTE, SECOND, START, Scenario


@pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING])
async def test_whatever_has_not_begun_ends(scenario: Scenario, state: State) -> None:
    message_id = await scenario.message_in(state, expires_at=START + MINUTE)
    await scenario.advance(MINUTE)
    assert (await scenario.queue.chores.expire(0)).states == (State.EXPIRED,)
    record = await scenario.view(message_id)
    assert (record.state, record.finished_at) == (State.EXPIRED, START + MINUTE)
    assert record.reason == Reason("expired")
    assert await scenario.members("finished") == {message_id: START + MINUTE}
    assert await scenario.members("expiring") == {}


async def test_an_expired_lease_is_revoked(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.queue.chores.expire(0)
    assert (await scenario.begin(lease)).status == "stale"


@pytest.mark.parametrize(("early", "states"), [(1, ()), (0, (State.EXPIRED,))])
async def test_the_end_is_at_its_millisecond(scenario: Scenario, early: int, states: tuple[State, ...]) -> None:
    await scenario.submit(ttl_ms=MINUTE)
    await scenario.advance(MINUTE - early)
    assert (await scenario.queue.chores.expire(0)).states == states


async def test_only_pending_recipients_expire(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2, ttl_ms=MINUTE)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=SECOND)
    await scenario.advance(MINUTE)
    assert (await scenario.queue.chores.expire(0)).states == (State.PARTLY_SENT,)
    record = await scenario.view(lease.id)
    assert [one.state for one in record.recipients] == [RecipientState.SENT, RecipientState.EXPIRED]
    assert (record.recipients[1].reason, record.recipients[1].at) == (Reason("expired"), scenario.now)


async def test_no_more_than_the_limit_ends_the_earliest_first(scenario: Scenario) -> None:
    await scenario.submit(ttl_ms=2 * MINUTE)
    first = await scenario.submit(ttl_ms=MINUTE)
    await scenario.advance(HOUR)
    expired = await scenario.queue.chores.expire(0, limit=1)
    assert expired == Expired((State.EXPIRED,), START + 2 * MINUTE)
    assert await scenario.state(first) is State.EXPIRED


async def test_the_next_due_instant_is_told(scenario: Scenario) -> None:
    assert await scenario.queue.chores.expire(0) == Expired((), None)
    await scenario.submit(delay_ms=HOUR, ttl_ms=DAY)
    assert await scenario.queue.chores.expire(0) == Expired((), START + HOUR)


async def test_expiring_again_changes_nothing(scenario: Scenario) -> None:
    await scenario.message_in(State.EXPIRED)
    before = await scenario.keyspace()
    assert (await scenario.queue.chores.expire(0)).states == ()
    assert await scenario.keyspace() == before
