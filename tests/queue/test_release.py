"""release: a lease under which nothing was begun is handed back, at once, later, or to fail."""

from __future__ import annotations

import pytest

from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided, Release, Settled
from tests.queue.scenario import HOUR, LEASE_MS, MINUTE, SECOND, START, Scenario


async def test_a_lease_handed_back_at_once_is_ready_with_the_time_it_had(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.advance(SECOND)
    assert await scenario.release(lease) == Settled("released", State.QUEUED)
    assert await scenario.members("ready:default:normal") == {lease.id: START}
    assert await scenario.members("leased") == {}


async def test_a_lease_handed_back_leaves_the_message_as_it_was(scenario: Scenario) -> None:
    message_id = await scenario.submit(ttl_ms=HOUR)
    before = await scenario.keyspace()
    await scenario.release(await scenario.leased(message_id))
    assert await scenario.keyspace() == before


async def test_a_lease_handed_back_with_a_delay_waits(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    assert await scenario.release(lease, delay_ms=MINUTE, waiting="rate_limited") == Settled("released", State.RETRYING)
    record = await scenario.view(lease.id)
    assert record.waiting is not None
    assert (record.waiting.code, record.rounds, record.attempts_total) == ("rate_limited", 0, 0)
    assert await scenario.members("retry:normal") == {lease.id: START + MINUTE}
    assert "lease" not in await scenario.stored(lease.id)


async def test_a_delay_is_an_event_and_a_return_at_once_none(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease)
    lease = await scenario.leased(lease.id)
    await scenario.release(lease, delay_ms=MINUTE)
    types = [event.type for event in (await scenario.view(lease.id)).events]
    assert types == ["message.queued", "message.retrying"]


async def test_why_a_message_waits_is_told_anew_each_time(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease, waiting="paused")
    lease = await scenario.leased(lease.id)
    await scenario.release(lease)
    assert (await scenario.view(lease.id)).waiting is None


async def test_refusals_are_kept_until_others_are_told(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease, refused=frozenset({"a", "b"}))
    lease = await scenario.leased(lease.id)
    await scenario.release(lease)
    assert (await scenario.leased(lease.id)).refused == {"a", "b"}


async def test_a_release_may_fail_the_message(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND)
    assert await scenario.release(lease, fail="no_provider_can_carry") == Settled("released", State.FAILED)
    record = await scenario.view(lease.id)
    assert record.reason is not None
    assert record.reason.code == "no_provider_can_carry"
    assert [one.state for one in record.recipients] == [RecipientState.FAILED]


async def test_a_failed_release_remembers_who_refused(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease, fail="no_provider_can_carry", refused=frozenset({"a"}))
    assert await scenario.stored_field(lease.id, "refused") == "a"


async def test_a_failed_release_spares_decided_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.promote()
    released = await scenario.release(await scenario.leased(lease.id), fail="no_provider_can_carry")
    assert released.state is State.PARTLY_SENT


@pytest.mark.parametrize(("early", "state"), [(1, State.QUEUED), (0, State.EXPIRED)])
async def test_what_has_expired_meanwhile_ends(scenario: Scenario, early: int, state: State) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND - early)
    assert (await scenario.release(lease)).state is state


async def test_what_expired_tells_so(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(ttl_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.release(lease, delay_ms=MINUTE, waiting="paused")
    assert await scenario.stored_field(lease.id, "reason") == "expired"


async def test_a_begun_lease_is_not_released(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    before = await scenario.keyspace()
    assert await scenario.release(lease) == Settled("stale", None)
    assert await scenario.keyspace() == before


async def test_a_stale_token_releases_nothing(scenario: Scenario) -> None:
    stale = await scenario.submit_and_lease()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    await scenario.leased(stale.id)
    before = await scenario.keyspace()
    assert (await scenario.release(stale, fail="x")).status == "stale"
    assert await scenario.keyspace() == before


async def test_the_same_release_again_is_stale_and_changes_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.release(lease, delay_ms=MINUTE)
    before = await scenario.keyspace()
    await scenario.advance(2 * MINUTE)
    assert (await scenario.release(lease, delay_ms=MINUTE)).status == "stale"
    assert await scenario.keyspace() == before


async def test_a_message_that_is_gone_releases_nothing(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    await scenario.cancel(lease.id)
    await scenario.delete(lease.id)
    assert await scenario.release(lease) == Settled("stale", None)


async def test_each_release_of_a_call_is_judged_for_itself(scenario: Scenario) -> None:
    first, begun, second = [await scenario.submit_and_lease() for _ in range(3)]
    await scenario.begin(begun)
    releases = [Release(first), Release(begun), Release(second, MINUTE)]
    assert await scenario.queue.leases.release(0, releases) == [
        Settled("released", State.QUEUED),
        Settled("stale", None),
        Settled("released", State.RETRYING),
    ]
