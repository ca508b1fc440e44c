"""drop_content and trim: what retention no longer keeps goes, and nothing before."""

from __future__ import annotations

import pytest

from shared.domain.codec import decode_head
from shared.domain.states import RecipientState, State
from shared.queue.leases import Decided
from tests.queue.scenario import DAY, HOUR, MINUTE, SECOND, START, Scenario, envelope, large_envelope

FINISHED = (State.SENT, State.CANCELLED, State.EXPIRED)
DEAD = (State.FAILED, State.PARTLY_SENT)


# The content


@pytest.mark.parametrize("state", FINISHED)
@pytest.mark.parametrize(("early", "dropped"), [(1, 0), (0, 1)])
async def test_content_is_dropped_when_it_was_kept_long_enough(
    scenario: Scenario, state: State, early: int, dropped: int
) -> None:
    message_id = await scenario.message_in(state)
    await scenario.advance(HOUR - early)
    assert await scenario.queue.chores.drop_content(0, keep_ms=HOUR) == dropped
    assert (await scenario.view(message_id)).content_dropped is bool(dropped)


@pytest.mark.parametrize("state", [*DEAD, State.QUEUED, State.SCHEDULED, State.RETRYING, State.SENDING])
async def test_what_may_be_sent_again_keeps_its_content(scenario: Scenario, state: State) -> None:
    await scenario.message_in(state)
    before = await scenario.keyspace()
    await scenario.advance(DAY)
    assert await scenario.queue.chores.drop_content(0, keep_ms=0) == 0
    assert await scenario.keyspace() == before


async def test_the_head_is_kept_without_the_content(scenario: Scenario) -> None:
    content = envelope(3, text="x" * 500, tags=("receipt",), metadata={"order": "1042"})
    message_id = await scenario.submit(content)
    await scenario.cancel(message_id)
    before = await scenario.view(message_id)
    await scenario.queue.chores.drop_content(0, keep_ms=0)
    body = await scenario.redis("GET", f"{scenario.tag}:body:{message_id}")
    assert b"xxx" not in body
    assert decode_head(body) == before.envelope
    assert (await scenario.view(message_id)).envelope == before.envelope


async def test_pieces_are_dropped_with_the_content(scenario: Scenario) -> None:
    message_id = await scenario.submit(large_envelope(3))
    await scenario.cancel(message_id)
    await scenario.queue.chores.drop_content(0, keep_ms=0)
    assert "piece" not in await scenario.kinds_left()
    assert await scenario.stored_field(message_id, "pieces") is None


async def test_no_more_than_the_limit_is_dropped_the_oldest_first(scenario: Scenario) -> None:
    first = await scenario.message_in(State.CANCELLED)
    await scenario.advance(1)
    second = await scenario.message_in(State.CANCELLED)
    assert await scenario.queue.chores.drop_content(0, keep_ms=0, limit=1) == 1
    assert (await scenario.view(first)).content_dropped
    assert not (await scenario.view(second)).content_dropped


async def test_dropping_again_changes_nothing(scenario: Scenario) -> None:
    await scenario.message_in(State.CANCELLED)
    await scenario.queue.chores.drop_content(0, keep_ms=0)
    before = await scenario.keyspace()
    assert await scenario.queue.chores.drop_content(0, keep_ms=0) == 0
    assert await scenario.keyspace() == before


# The whole message


@pytest.mark.parametrize("state", [*FINISHED, *DEAD])
@pytest.mark.parametrize(("early", "trimmed"), [(1, 0), (0, 1)])
async def test_a_message_goes_when_its_own_retention_is_over(
    scenario: Scenario, state: State, early: int, trimmed: int
) -> None:
    await scenario.message_in(state)
    own = {"finished_ms": HOUR, "failed_ms": DAY} if state in FINISHED else {"finished_ms": DAY, "failed_ms": HOUR}
    await scenario.advance(HOUR - early)
    assert await scenario.queue.chores.trim(0, **own) == trimmed


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED, State.RETRYING, State.SENDING])
async def test_nothing_unfinished_is_ever_trimmed(scenario: Scenario, state: State) -> None:
    await scenario.message_in(state)
    before = await scenario.keyspace()
    await scenario.advance(1000 * DAY)
    assert await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0) == 0
    assert await scenario.keyspace() == before


async def test_a_trimmed_message_leaves_nothing_but_its_idempotency_record(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(large_envelope(), ttl_ms=MINUTE, idempotency_key="k", fingerprint="f")
    await scenario.release(lease, delay_ms=0)
    await scenario.promote()
    lease = await scenario.leased(lease.id)
    await scenario.begin(lease)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),))
    await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0)
    assert await scenario.kinds_left() == {"idempotency", "pools", "counts", "rate", "log"}


async def test_no_more_than_the_limit_of_each_place_goes_the_oldest_first(scenario: Scenario) -> None:
    kept = []
    for state in (State.CANCELLED, State.FAILED):
        await scenario.message_in(state)
        await scenario.advance(1)
        kept.append(await scenario.message_in(state))
    assert await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0, limit=1) == 2
    assert [await scenario.state(message_id) for message_id in kept] == [State.CANCELLED, State.FAILED]


async def test_trimming_again_changes_nothing(scenario: Scenario) -> None:
    await scenario.message_in(State.SENT)
    await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0)
    before = await scenario.keyspace()
    assert await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0) == 0
    assert await scenario.keyspace() == before


async def test_the_log_forgets_what_is_gone(scenario: Scenario) -> None:
    kept = await scenario.submit()
    await scenario.message_in(State.CANCELLED)
    await scenario.advance(SECOND)
    await scenario.queue.chores.trim(0, finished_ms=0, failed_ms=0)
    log = await scenario.redis("XRANGE", f"{scenario.tag}:log", "-", "+")
    assert log == [[b"%d-0" % START, [b"id", kept.encode()]]]
