"""read, page, depths: what is known of a message, of those that ended, and of the whole."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from shared.domain.message import Priority, Reason, Record, Waiting
from shared.domain.states import DEAD, FINAL, RecipientState, State
from shared.queue import Queue
from shared.queue.leases import Decided
from shared.queue.views import Page, Position
from tests.queue.conftest import OpenQueue
from tests.queue.scenario import DAY, HOUR, MINUTE, OTHER_TENANT, SECOND, START, Scenario, attempt, envelope

# One record


async def test_a_new_message_reads_as_it_was_submitted(scenario: Scenario) -> None:
    content = envelope(2, tags=("receipt",), metadata={"order": "1042"})
    message_id = await scenario.submit(content, priority=Priority.HIGH, pool="fast", delay_ms=HOUR, ttl_ms=HOUR)
    record = await scenario.view(message_id)
    assert (record.id, record.tenant, record.state) == (message_id, "default", State.SCHEDULED)
    assert (record.priority, record.pool, record.created_at) == (Priority.HIGH, "fast", START)
    assert (record.send_at, record.expires_at, record.finished_at) == (START + HOUR, START + 2 * HOUR, None)
    assert (record.envelope.recipients, record.envelope.text) == (content.recipients, None)
    assert (record.attempts, record.attempts_total, record.rounds, record.requeues) == ((), 0, 0, 0)
    assert [one.state for one in record.recipients] == [RecipientState.PENDING] * 2
    assert not record.is_final


async def test_a_message_on_its_way_reads_with_all_that_happened(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    closed = attempt(recipients=(0, 1))
    decided = (Decided(1, RecipientState.FAILED, "relay", None, Reason("recipient_rejected", "no")),)
    await scenario.settle(lease, attempt=closed, decided=decided, delay_ms=MINUTE, counts_round=True, waiting="backoff")
    record = await scenario.view(lease.id)
    assert (record.waiting, record.rounds, record.attempts) == (Waiting("backoff", START + MINUTE), 1, (closed,))
    assert [one.state for one in record.recipients] == [RecipientState.PENDING, RecipientState.FAILED]
    assert [event.type for event in record.events] == ["message.queued", "message.retrying"]


@pytest.mark.parametrize("message_id", ["nonsense", "msg_" + "0" * 28, "msg_" + "0" * 26 + "zz"])
async def test_what_is_no_message_reads_as_nothing(queue: Queue, message_id: str) -> None:
    assert await queue.views.read(message_id) is None


async def test_a_message_of_another_tenant_reads_as_nothing(scenario: Scenario) -> None:
    message_id = await scenario.submit_for(OTHER_TENANT)
    assert await scenario.queue.views.read(message_id) is None


async def test_a_missing_message_is_left_out_of_an_answer(scenario: Scenario) -> None:
    first, second = await scenario.submit(), await scenario.submit()
    assert [entry[0] for entry in await scenario.call("read", ids=[first, "gone", second])] == [first, second]


# Pages


async def pages(scenario: Scenario, states: Collection[State], limit: int, pool: str | None = None) -> list[list[str]]:
    """Return the ids of all pages."""
    found, after = [], None
    for _ in range(1000):
        page = await scenario.queue.views.page(states, limit, after, pool)
        found.append([record.id for record in page.records])
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages do not end")


async def ended(scenario: Scenario, number: int, state: State = State.FAILED) -> list[str]:
    """Return messages that ended one millisecond after the other, the newest first."""
    ids: list[str] = []
    for _ in range(number):
        await scenario.advance(1)
        ids = [await scenario.message_in(state), *ids]
    return ids


async def test_an_empty_place_has_one_empty_page(scenario: Scenario) -> None:
    assert await scenario.queue.views.page(DEAD, 10) == Page((), None)


async def test_the_newest_end_comes_first(scenario: Scenario) -> None:
    ids = await ended(scenario, 3)
    assert await pages(scenario, DEAD, 10) == [ids]


async def test_a_row_is_the_record_without_attempts_and_events_but_with_its_recipients(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.PARTLY_SENT)
    whole = await scenario.view(message_id)
    (row,) = (await scenario.queue.views.page(DEAD, 10)).records
    assert (row.id, row.state, row.finished_at, row.envelope) == (message_id, State.PARTLY_SENT, START, whole.envelope)
    assert [one.state for one in row.recipients] == [one.state for one in whole.recipients]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_show_everything_once_in_order(scenario: Scenario, limit: int) -> None:
    ids = await ended(scenario, 5)
    shown = await pages(scenario, DEAD, limit)
    assert [message_id for page in shown for message_id in page] == ids
    assert all(len(page) == limit for page in shown[:-1])


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_ties_are_shown_by_id_the_greatest_first(scenario: Scenario, limit: int) -> None:
    ids = [await scenario.message_in(State.FAILED) for _ in range(5)]
    shown = await pages(scenario, DEAD, limit)
    assert [message_id for page in shown for message_id in page] == sorted(ids, reverse=True)


@pytest.mark.parametrize("limit", [1, 2])
async def test_what_began_last_may_have_ended_first(scenario: Scenario, limit: int) -> None:
    ids = [await scenario.submit() for _ in range(4)]
    for message_id in reversed(ids):
        await scenario.advance(1)
        await scenario.cancel(message_id)
    shown = await pages(scenario, [State.CANCELLED], limit)
    assert [message_id for page in shown for message_id in page] == ids


async def test_a_call_gives_no_more_rows_than_its_limit_and_tells_where_it_stopped(scenario: Scenario) -> None:
    ids = await ended(scenario, 3)
    arguments = {"tenant": "default", "place": "failed", "states": ["failed"], "limit": 2, "look": 1000}
    more, finished, last, *rows = await scenario.call("page", **arguments, before=scenario.now, before_id="~")
    assert (more, finished, last, [row[0] for row in rows]) == (1, str(scenario.now - 1), ids[1], ids[:2])


async def test_pages_go_on_where_they_stopped_while_others_end(scenario: Scenario) -> None:
    ids = await ended(scenario, 4)
    first = await scenario.queue.views.page(DEAD, 2)
    await ended(scenario, 2)
    second = await scenario.queue.views.page(DEAD, 2, first.next)
    assert [record.id for record in (*first.records, *second.records)] == ids


async def test_only_the_states_asked_for_are_shown(scenario: Scenario) -> None:
    by_state = {state: await scenario.message_in(state) for state in FINAL if state is not State.SUPPRESSED}
    for state, message_id in by_state.items():
        assert await pages(scenario, [state], 10) == [[message_id]]


async def test_states_of_several_places_are_merged(scenario: Scenario) -> None:
    sent, failed = await ended(scenario, 1, State.SENT), await ended(scenario, 1)
    assert await pages(scenario, [State.SENT, State.FAILED], 10) == [[*failed, *sent]]


async def test_only_the_pool_asked_for_is_shown(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.FAILED, pool="fast")
    for pool in ("default", "fast-2"):
        await scenario.message_in(State.FAILED, pool=pool)
    assert await pages(scenario, DEAD, 10, "fast") == [[message_id]]


async def test_other_tenants_are_not_shown(scenario: Scenario) -> None:
    await scenario.message_in(State.EXPIRED, tenant=OTHER_TENANT)
    assert await pages(scenario, [State.EXPIRED], 10) == [[]]


async def test_matching_rows_are_found_behind_many_others(scenario: Scenario) -> None:
    (wanted,) = await ended(scenario, 1, State.CANCELLED)
    await scenario.queue.submissions.submit([scenario.prepare(expires_at=START) for _ in range(230)])
    await scenario.queue.chores.expire(0)
    shown = await pages(scenario, [State.CANCELLED], 10)
    assert [message_id for page in shown for message_id in page] == [wanted]


@pytest.mark.parametrize("look", [100, 200, 300])
async def test_a_call_looks_at_so_many_and_tells_where_it_stopped(scenario: Scenario, look: int) -> None:
    await scenario.queue.submissions.submit([scenario.prepare(expires_at=START) for _ in range(250)])
    await scenario.queue.chores.expire(0)
    by_id = sorted(await scenario.members("finished"), reverse=True)
    arguments = {"tenant": "default", "place": "finished", "states": ["sent"], "limit": 10, "look": look}
    answer = await scenario.call("page", **arguments, before=START, before_id="~")
    expected = [1, str(START), by_id[look - 1]] if look < 250 else [0, str(START), by_id[-1]]
    assert answer == expected


async def test_a_place_of_whole_steps_ends_with_an_empty_look(scenario: Scenario) -> None:
    await scenario.queue.submissions.submit([scenario.prepare(expires_at=START) for _ in range(100)])
    await scenario.queue.chores.expire(0)
    arguments = {"tenant": "default", "place": "finished", "states": ["sent"], "limit": 10, "look": 1000}
    assert (await scenario.call("page", **arguments, before=START, before_id="~"))[0] == 0


async def test_a_place_that_was_seen_to_its_end_has_no_more(scenario: Scenario) -> None:
    await ended(scenario, 3)
    arguments = {"tenant": "default", "place": "failed", "states": ["sent"], "limit": 10, "look": 3}
    assert (await scenario.call("page", **arguments, before=scenario.now, before_id="~"))[0] == 0


async def test_behind_a_position_nothing_of_it_is_shown_again(scenario: Scenario) -> None:
    ids = await ended(scenario, 3)
    finished_at = (await scenario.view(ids[1])).finished_at or 0
    page = await scenario.queue.views.page(DEAD, 10, Position(finished_at, ids[1]))
    assert [record.id for record in page.records] == ids[2:]


@pytest.mark.parametrize("limit", [1, 3, 5, 100])
async def test_shards_are_merged(open_queue: OpenQueue, limit: int) -> None:
    scenario = await Scenario.of(await open_queue(shards=3))
    records: list[Record] = []
    for number in range(12):
        await scenario.advance(number % 2)
        prepared = scenario.prepare(expires_at=START, idempotency_key=f"k{number}", fingerprint="f")
        await scenario.send(prepared)
        await scenario.queue.chores.expire(prepared.shard)
        records.append(await scenario.view(prepared.id))
    newest = sorted(records, key=lambda record: (record.finished_at, record.id), reverse=True)
    shown = await pages(scenario, [State.EXPIRED], limit)
    assert [message_id for page in shown for message_id in page] == [record.id for record in newest]


# Depths


async def test_an_empty_queue_has_no_flows(scenario: Scenario) -> None:
    depths = await scenario.queue.views.depths()
    assert (depths.as_of, depths.flows, depths.pools) == (START, (), ())
    assert (depths.accepted_per_second, depths.sent_per_second) == (0, 0)


async def test_every_state_is_counted_by_pool_and_priority(scenario: Scenario) -> None:
    states = sorted({*State} - {State.SUPPRESSED}, key=lambda state: state is State.QUEUED)
    for state in states:
        await scenario.message_in(state, pool="fast", priority=Priority.HIGH)
    (flow,) = (await scenario.queue.views.depths()).flows
    assert (flow.pool, flow.priority) == ("fast", Priority.HIGH)
    assert {state: number for state, number in flow.states.items() if number} == dict.fromkeys(states, 1)


async def test_totals_are_over_all_flows_and_shards(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=3))
    for number in range(9):
        pool = ("default", "fast")[number % 2]
        await scenario.submit(pool=pool, idempotency_key=f"k{number}", fingerprint="f")
    depths = await scenario.queue.views.depths()
    assert (depths.total(State.QUEUED), depths.total(State.SENT), depths.pools) == (9, 0, ("default", "fast"))


async def test_the_oldest_that_waits_is_told(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=2))
    batch = [scenario.prepare(idempotency_key=f"k{number}", fingerprint="f") for number in range(8)]
    assert len({prepared.shard for prepared in batch}) == 2
    for prepared in batch:
        await scenario.send(prepared)
        await scenario.advance(1)
    (flow,) = (await scenario.queue.views.depths()).flows
    assert flow.oldest_ready_at == START


async def test_rates_are_of_the_last_six_whole_slots(scenario: Scenario) -> None:
    for _ in range(2):
        await scenario.submit()
        await scenario.message_in(State.SENT, priority=Priority.HIGH)
    rates = []
    for seconds in (0, 10, 50, 10):
        await scenario.advance(seconds * SECOND)
        depths = await scenario.queue.views.depths()
        rates.append((depths.accepted_per_second * 60, depths.sent_per_second * 60))
    assert rates == [(0, 0), (4, 2), (4, 2), (0, 0)]


async def test_rates_add_up_over_slots_and_shards(open_queue: OpenQueue) -> None:
    scenario = await Scenario.of(await open_queue(shards=2))
    for number in range(8):
        await scenario.submit(idempotency_key=f"k{number}", fingerprint="f")
        await scenario.advance(5 * SECOND)
    assert (await scenario.queue.views.depths()).accepted_per_second * 60 == 8


async def test_the_instant_of_the_counts_is_told(scenario: Scenario) -> None:
    await scenario.advance(DAY)
    assert (await scenario.queue.views.depths()).as_of == START + DAY


async def test_a_row_gives_the_reason_that_the_record_gives(scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.FAILED)
    record = await scenario.queue.views.read(message_id)
    page = await scenario.queue.views.page([State.FAILED], 10)

    assert record is not None
    assert record.attempts
    assert page.records[0].reason == record.reason
