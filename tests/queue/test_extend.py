"""extend: a lease is renewed by whoever holds its token, and by nobody else."""

from __future__ import annotations

from tests.queue.scenario import LEASE_MS, MINUTE, START, Scenario


async def test_a_holder_renews_its_lease_from_now_on(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.advance(MINUTE // 2)
    assert await scenario.queue.leases.extend(0, [lease]) == [True]
    assert await scenario.members("leased") == {lease.id: START + MINUTE // 2 + LEASE_MS}


async def test_renewing_changes_nothing_but_the_deadline(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    before = await scenario.keyspace()
    await scenario.queue.leases.extend(0, [lease])
    assert await scenario.keyspace() == before


async def test_a_stale_token_renews_nothing(scenario: Scenario) -> None:
    stale = await scenario.submit_and_lease()
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    await scenario.leased(stale.id)
    before = await scenario.keyspace()
    await scenario.advance(1)
    assert await scenario.queue.leases.extend(0, [stale]) == [False]
    assert await scenario.keyspace() == before


async def test_what_is_not_leased_is_not_renewed(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin()
    await scenario.settle(lease)
    assert await scenario.queue.leases.extend(0, [lease]) == [False]
    assert await scenario.members("leased") == {}


async def test_each_lease_of_a_call_is_judged_for_itself(scenario: Scenario) -> None:
    first, gone, second = [await scenario.submit_and_lease() for _ in range(3)]
    await scenario.cancel(gone.id)
    await scenario.delete(gone.id)
    assert await scenario.queue.leases.extend(0, [first, gone, second]) == [True, False, True]
