"""Each chore: what one step of it does to a shard, and when it wants the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest

from services.scheduler import chores
from services.scheduler.app import Scheduler
from services.scheduler.chores import Means
from services.scheduler.contact import Contact
from shared.domain.message import Priority
from shared.domain.outcome import Outcome
from shared.domain.states import State
from shared.queue.leases import Begin, FlowRequest, Leases
from shared.runtime.metrics import SCHEDULER, Metrics
from shared.settings.model import RetentionSettings, Settings
from tests.services.sender.cluster import Cluster, letter
from tests.services.sender.journal import Journal
from tests.traces import SPAN_ID, TRACE_ID, TRACEPARENT, kept_traces, parent_of, trace_of

HOUR = 3_600_000


class Clock:
    """A steady clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def means(cluster: Cluster, clock: Clock) -> Means:
    settings = replace(Settings(), retention=RetentionSettings(sent_days=0, content_days=0, failed_days=0))
    return Means(cluster.queue, settings, Metrics(SCHEDULER), Contact(settings.sender.lease_seconds, clock))


async def due_message(cluster: Cluster, **fields: Any) -> None:
    """Submit a message, and wait until it is due."""
    send_at = await cluster.redis_now() + 200  # not past before it is stored
    await cluster.submit(send_at=send_at, **fields)
    await cluster.clock_reaches(send_at)


async def lose_lease(cluster: Cluster, *, begun: bool, **fields: Any) -> str:
    """Return a message whose lease has run out."""
    message_id = await cluster.submit(**fields)
    lost = Leases(cluster.queue.core, lease_ms=1)
    (lease,) = (await lost.lease(0, [FlowRequest("default", Priority.NORMAL, 1)])).leases
    if begun:
        await lost.begin(0, [Begin(lease, 1, "relay", lease.pending)])
    await cluster.clock_reaches(await cluster.redis_now() + 2)
    return message_id


async def end(cluster: Cluster, count: int = 1) -> list[str]:
    """Return messages that have ended."""
    ids = await cluster.submit_all([letter()] * count)
    await cluster.queue.owners.cancel(ids)
    return ids


async def test_promote_asks_to_come_again_when_the_next_message_is_due(means: Means, cluster: Cluster) -> None:
    await cluster.submit(send_at=await cluster.redis_now() + HOUR)

    seconds = await chores.promote(means, 0)

    assert seconds is not None
    assert 3_590 < seconds <= 3_600


async def test_promote_of_more_than_one_step_can_do_asks_to_come_again_at_once(means: Means, cluster: Cluster) -> None:
    send_at = await cluster.redis_now() + 200
    await cluster.submit_all([letter()] * 300, send_at=send_at)
    await cluster.submit(send_at=send_at + HOUR)
    await cluster.clock_reaches(send_at)

    first, second = await chores.promote(means, 0), await chores.promote(means, 0)

    assert first == 0.0
    assert second is not None
    assert second > 0
    assert means.metrics.promoted["scheduled"]._value.get() == 300


async def test_an_empty_shard_is_promised_nothing(means: Means) -> None:
    wishes = [await chore(means, 0) for chore in (chores.promote, chores.expire, chores.drop_content, chores.trim)]

    assert wishes == [None, None, None, None]


async def test_expire_ends_what_nobody_wants_any_more(means: Means, cluster: Cluster, journal: Journal) -> None:
    message_id = await cluster.submit(expires_at=await cluster.redis_now())

    assert await chores.expire(means, 0) == 0.0
    assert await chores.expire(means, 0) is None
    assert (await cluster.view(message_id)).state is State.EXPIRED
    assert means.metrics.messages_finished[State.EXPIRED]._value.get() == 1
    assert journal.told("messages_expired", count=1)


async def test_nothing_is_taken_back_before_a_whole_lease_of_contact(
    means: Means, cluster: Cluster, clock: Clock
) -> None:
    """After an outage every lease looks overdue, and each living sender needs the time to renew its own."""
    message_id = await lose_lease(cluster, begun=False)
    means.contact.answered(0, "primary", 0.0)
    clock.now = means.settings.sender.lease_seconds - 0.001

    wish = await chores.reap(means, 0)

    assert wish is None
    assert (await cluster.view(message_id)).state is State.SENDING


@pytest.mark.parametrize(("begun", "state"), [(False, State.QUEUED), (True, State.RETRYING)])
async def test_a_lease_that_ran_out_is_taken_back(
    begun: bool, state: State, means: Means, cluster: Cluster, clock: Clock, journal: Journal
) -> None:
    message_id = await lose_lease(cluster, begun=begun)
    means.contact.answered(0, "primary", 0.0)
    clock.now = means.settings.sender.lease_seconds

    wish = await chores.reap(means, 0)

    record = await cluster.view(message_id)
    assert (wish, record.state) == (0.0, state)
    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS] * begun
    assert journal.told("lease_reclaimed", message_id=message_id, begun=begun, state=state)
    assert means.metrics.leases_reclaimed["true" if begun else "false"]._value.get() == 1


@pytest.mark.parametrize(("chore", "step"), [(chores.drop_content, 50), (chores.trim, 100)])
async def test_retention_goes_on_while_there_is_more(
    chore: Callable[[Means, int], Awaitable[float | None]], step: int, means: Means, cluster: Cluster
) -> None:
    await end(cluster, step + 1)

    assert [await chore(means, 0) for _ in range(3)] == [0.0, 0.0, None]


async def test_retention_drops_the_content_first_and_keeps_the_record(means: Means, cluster: Cluster) -> None:
    (message_id,) = await end(cluster)

    await chores.drop_content(means, 0)

    record = await cluster.view(message_id)
    assert (record.state, record.content_dropped) == (State.CANCELLED, True)


async def test_retention_drops_the_record_at_last(means: Means, cluster: Cluster) -> None:
    (message_id,) = await end(cluster)

    await chores.trim(means, 0)

    assert await cluster.queue.views.read(message_id) is None


async def test_the_queue_s_depths_and_ages_are_shown(means: Means, cluster: Cluster) -> None:
    await cluster.submit_all([letter()] * 3, send_at=await cluster.redis_now() + HOUR)
    await cluster.submit_all([letter()] * 2, priority=Priority.BULK)
    await cluster.clock_reaches(await cluster.redis_now() + 2)

    await Scheduler(means).show_gauges()

    depth, age = means.metrics.queue_depth, means.metrics.oldest_ready_age_seconds
    assert depth[State.SCHEDULED, Priority.NORMAL]._value.get() == 3
    assert depth[State.QUEUED, Priority.BULK]._value.get() == 2
    assert depth[State.QUEUED, Priority.NORMAL]._value.get() == 0
    assert age[Priority.BULK]._value.get() >= 0.001
    assert age[Priority.NORMAL]._value.get() == 0


async def test_retention_keeps_what_is_not_over_yet(means: Means, cluster: Cluster) -> None:
    kept = replace(means, settings=Settings())
    await end(cluster)

    assert await chores.drop_content(kept, 0) is None
    assert await chores.trim(kept, 0) is None


async def test_a_promotion_is_a_step_of_its_message_s_trace_and_its_lateness_names_the_trace(
    means: Means, cluster: Cluster
) -> None:
    await due_message(cluster, trace=TRACEPARENT)
    async with kept_traces() as traces:
        await chores.promote(means, 0)
        promote = traces.one("promote")
    shown = generate_latest(means.metrics.registry).decode()  # type: ignore[no-untyped-call]  # the library has none
    assert (trace_of(promote), parent_of(promote)) == (TRACE_ID, SPAN_ID)
    assert f'# {{trace_id="{TRACE_ID}"}}' in shown


@pytest.mark.parametrize("begun", [True, False])
async def test_a_lease_that_is_taken_back_is_a_step_and_an_error_where_an_attempt_was_under_way(
    means: Means, cluster: Cluster, clock: Clock, begun: bool
) -> None:
    await lose_lease(cluster, begun=begun, trace=TRACEPARENT)
    means.contact.answered(0, "primary", 0.0)
    clock.now = means.settings.sender.lease_seconds
    async with kept_traces() as traces:
        await chores.reap(means, 0)
        (step,) = traces.spans
    assert (step.name, parent_of(step)) == ("take back", SPAN_ID)
    assert step.status.description == ("its sender was lost" if begun else None)


async def test_a_message_without_a_trace_makes_no_step_in_a_scheduler(means: Means, cluster: Cluster) -> None:
    await due_message(cluster)
    async with kept_traces() as traces:
        await chores.promote(means, 0)
    assert traces.spans == []
