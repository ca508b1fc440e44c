"""Bells: the flow that was empty rings, and the instant that is earlier than all before; nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.domain.message import Priority, Submission
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided
from shared.queue.owners import Change
from tests.queue.bells import Bells, Ear
from tests.queue.conftest import OpenQueue
from tests.queue.scenario import AMBIGUOUS_DELAY_MS, DAY, HOUR, LEASE_MS, MINUTE, SECOND, START, Scenario, envelope

WAKE = "wake default:normal"


@pytest.fixture
async def ear(scenario: Scenario) -> AsyncIterator[Ear]:
    async with Ear(scenario.queue.core, "wake") as listening:
        yield listening


# Those who listen


async def test_who_listens_looks_at_everything_first_and_then_hears(scenario: Scenario, ear: Ear) -> None:
    assert await ear.heard() == (None, "")
    await scenario.submit()
    assert await ear.heard() == (0, "default:normal")


async def test_who_lost_its_connection_looks_at_everything_again(scenario: Scenario, ear: Ear) -> None:
    assert await ear.heard() == (None, "")
    await scenario.redis("CLIENT", "KILL", "TYPE", "pubsub")
    assert await ear.heard() == (None, "")
    await scenario.submit()
    assert await ear.heard() == (0, "default:normal")


async def test_bells_of_all_shards_are_heard(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=3))
    async with Ear(scenario.queue.core, "due") as ear:
        assert await ear.heard() == (None, "")
        for shard in range(3):
            await scenario.send(scenario.queue.submissions.prepare(Submission(envelope(), delay_ms=HOUR), shard))
            assert await ear.heard() == (shard, str(START + HOUR))


# Wake


async def test_a_message_in_an_empty_flow_rings_with_the_flows_name(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit(pool="fast", priority=Priority.HIGH)
    assert await bells.rung() == ["wake fast:high"]


async def test_a_message_in_a_flow_that_waits_rings_nothing(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit()
    await bells.rung()
    await scenario.submit()
    assert await bells.rung() == []


async def test_many_messages_of_one_call_ring_once_for_each_flow(scenario: Scenario, bells: Bells) -> None:
    batch = [scenario.prepare(priority=priority) for priority in (Priority.HIGH, Priority.NORMAL) for _ in range(2)]
    await scenario.queue.submissions.submit(batch)
    assert sorted(await bells.rung()) == ["wake default:high", WAKE]


async def test_a_flow_that_was_emptied_rings_again(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit_and_lease()
    await bells.rung()
    await scenario.submit()
    assert await bells.rung() == [WAKE]


async def test_a_flow_that_was_not_emptied_does_not_ring(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit()
    await scenario.submit()
    await scenario.lease(quota=1)
    await bells.rung()
    await scenario.submit()
    assert await bells.rung() == []


async def test_a_promotion_rings(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit(delay_ms=MINUTE)
    await scenario.advance(MINUTE)
    await bells.rung()
    await scenario.promote()
    assert await bells.rung() == [WAKE]


async def test_a_lease_handed_back_rings(scenario: Scenario, bells: Bells) -> None:
    lease = await scenario.submit_and_lease()
    await bells.rung()
    await scenario.release(lease)
    assert await bells.rung() == [WAKE]


async def test_a_lease_taken_back_rings(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit_and_lease()
    await scenario.advance(LEASE_MS)
    await bells.rung()
    await scenario.reap()
    assert await bells.rung() == [WAKE]


async def test_a_requeue_rings(scenario: Scenario, bells: Bells) -> None:
    message_id = await scenario.message_in(State.FAILED)
    await bells.rung()
    await scenario.requeue(message_id)
    assert await bells.rung() == [WAKE]


async def test_a_move_rings_for_the_new_flow(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit(priority=Priority.CRITICAL)
    await bells.rung()
    await scenario.queue.owners.move("default", "spare")
    assert await bells.rung() == ["wake spare:critical"]


async def test_a_change_rings_for_the_new_flow(scenario: Scenario, bells: Bells) -> None:
    message_id = await scenario.submit()
    await bells.rung()
    await scenario.queue.owners.change(message_id, Change(priority=Priority.CRITICAL))
    assert await bells.rung() == ["wake default:critical"]


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING])
async def test_a_cancel_rings_nothing(scenario: Scenario, bells: Bells, state: State) -> None:
    message_id = await scenario.message_in(state)
    await scenario.submit()
    await bells.rung()
    await scenario.cancel(message_id)
    assert await bells.rung() == []


async def test_a_submission_again_rings_nothing(scenario: Scenario, bells: Bells) -> None:
    prepared = scenario.prepare()
    await scenario.send(prepared)
    await scenario.lease()
    await bells.rung()
    await scenario.send(prepared)
    assert await bells.rung() == []


async def test_begin_extend_and_an_acceptance_ring_nothing(scenario: Scenario, bells: Bells) -> None:
    lease = await scenario.submit_and_lease()
    await bells.rung()
    await scenario.begin(lease)
    await scenario.queue.leases.extend(0, [lease])
    await scenario.settle(lease)
    assert await bells.rung() == []


# Due


async def test_a_first_schedule_rings_with_its_instant(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit(delay_ms=HOUR)
    assert await bells.rung() == [f"due {START + HOUR}"]


@pytest.mark.parametrize(("delay", "rung"), [(MINUTE, [f"due {START + MINUTE}"]), (2 * HOUR, [])])
async def test_only_an_earlier_schedule_rings(scenario: Scenario, bells: Bells, delay: int, rung: list[str]) -> None:
    await scenario.submit(delay_ms=HOUR)
    await bells.rung()
    await scenario.submit(delay_ms=delay)
    assert await bells.rung() == rung


@pytest.mark.parametrize("delays", [(2 * HOUR, HOUR), (HOUR, 2 * HOUR)])
async def test_many_schedules_of_one_call_ring_once_with_the_earliest(
    scenario: Scenario, bells: Bells, delays: tuple[int, int]
) -> None:
    await scenario.queue.submissions.submit([scenario.prepare(delay_ms=delay) for delay in delays])
    assert await bells.rung() == [f"due {START + HOUR}"]


@pytest.mark.parametrize(("first", "second"), [(Priority.BULK, Priority.CRITICAL), (Priority.CRITICAL, Priority.BULK)])
async def test_the_earliest_is_told_over_all_priorities(
    scenario: Scenario, bells: Bells, first: Priority, second: Priority
) -> None:
    batch = [scenario.prepare(priority=first, delay_ms=HOUR), scenario.prepare(priority=second, delay_ms=MINUTE)]
    await scenario.queue.submissions.submit(batch)
    assert await bells.rung() == [f"due {START + MINUTE}"]


async def test_an_end_to_come_is_due_too(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit(ttl_ms=DAY)
    assert await bells.rung() == [WAKE, f"due {START + DAY}"]


async def test_a_retry_is_due(scenario: Scenario, bells: Bells) -> None:
    lease = await scenario.submit_and_begin()
    await bells.rung()
    await scenario.settle(lease, delay_ms=MINUTE)
    assert await bells.rung() == [f"due {START + MINUTE}"]


async def test_a_lost_attempt_is_due_again(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit_and_begin()
    await scenario.advance(LEASE_MS)
    await bells.rung()
    await scenario.reap()
    assert await bells.rung() == [f"due {scenario.now + AMBIGUOUS_DELAY_MS}"]


async def test_a_lease_handed_back_for_later_is_due(scenario: Scenario, bells: Bells) -> None:
    lease = await scenario.submit_and_lease()
    await bells.rung()
    await scenario.release(lease, delay_ms=SECOND)
    assert await bells.rung() == [f"due {START + SECOND}"]


async def test_an_earlier_send_time_is_due(scenario: Scenario, bells: Bells) -> None:
    message_id = await scenario.submit(delay_ms=HOUR)
    await bells.rung()
    await scenario.queue.owners.change(message_id, Change(send_at=START + MINUTE))
    assert await bells.rung() == [f"due {START + MINUTE}"]


async def test_an_earlier_end_is_due(scenario: Scenario, bells: Bells) -> None:
    message_id = await scenario.submit(ttl_ms=HOUR)
    await bells.rung()
    await scenario.queue.owners.change(message_id, Change(expires_at=START + MINUTE))
    assert await bells.rung() == [f"due {START + MINUTE}"]


async def test_a_later_end_is_not_due_before_another(scenario: Scenario, bells: Bells) -> None:
    await scenario.submit(ttl_ms=HOUR)
    message_id = await scenario.submit(ttl_ms=HOUR)
    await bells.rung()
    await scenario.queue.owners.change(message_id, Change(expires_at=START + DAY))
    assert await bells.rung() == []


async def test_an_end_takes_its_instants_with_it(scenario: Scenario, bells: Bells) -> None:
    lease = await scenario.submit_and_begin(recipients=2, ttl_ms=DAY)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=MINUTE)
    await bells.rung()
    await scenario.cancel(lease.id)
    assert await bells.rung() == []


async def test_what_leaves_the_same_call_that_brought_it_is_not_due(scenario: Scenario, bells: Bells) -> None:
    message_id = await scenario.submit(delay_ms=HOUR)
    await bells.rung()
    await scenario.queue.owners.change(message_id, Change(send_at=None))
    assert await bells.rung() == [WAKE]
