"""lease: ready messages go to one sender, flow by flow, up to a count and two sizes, and again if it asks again."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.errors import AnswerLost, Unavailable
from shared.domain.message import Priority
from shared.domain.states import RecipientState, State
from shared.queue.core import Core
from shared.queue.leases import Decided, FlowRequest, Work
from tests.queue.scenario import (
    DAY,
    HOUR,
    LEASE_MS,
    MINUTE,
    OTHER_TENANT,
    SECOND,
    START,
    TRACE,
    Scenario,
    envelope,
    large_envelope,
)


def call(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the arguments of a lease call of the sender `s`."""
    return {
        "sender": "s",
        "number": number,
        "token": f"token-{number}",
        "lease_ms": LEASE_MS,
        "count": 250,
        "reply_bytes": 1_000_000,
        "held_bytes": 1_000_000,
        "flows": [{"flow": "default:normal", "quota": 250, "newest": False}],
        **changes,
    }


def ids(answer: list[Any]) -> list[str]:
    """Return the ids of the messages that a lease call gave."""
    return [entry[0] for entry in answer[1:]]


async def test_an_empty_flow_gives_nothing(scenario: Scenario) -> None:
    assert await scenario.lease() == []


async def test_a_lease_tells_all_that_its_sender_needs(scenario: Scenario) -> None:
    content = envelope(2)
    message_id = await scenario.submit(content, priority=Priority.HIGH, pool="fast", ttl_ms=HOUR)
    await scenario.advance(SECOND)
    (lease,) = await scenario.lease(pool="fast", priority=Priority.HIGH)
    assert (lease.id, lease.shard, lease.pool, lease.priority) == (message_id, 0, "fast", Priority.HIGH)
    assert (lease.envelope, lease.pending, lease.pieces) == (content, (0, 1), 0)
    assert (lease.ready_at, lease.waits_since, lease.expires_at) == (START, START, START + HOUR)
    assert (lease.attempts, lease.rounds, lease.requeues, lease.strikes) == (0, 0, 0, 0)
    assert (lease.refused, lease.prefer, lease.is_doubtful) == (frozenset(), None, False)
    assert lease.size_bytes == int(await scenario.stored_field(message_id, "bytes") or 0)


async def test_a_leased_message_lies_in_leased_until_its_deadline(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    assert await scenario.members("leased") == {lease.id: START + LEASE_MS}
    assert await scenario.members("ready:default:normal") == {}


async def test_a_leased_message_remembers_since_when_it_was_ready(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    await scenario.advance(MINUTE)
    lease = await scenario.leased(message_id)
    stored = await scenario.stored(message_id)
    assert (stored["state"], stored["lease"]) == ("sending", f"{lease.token} {START}")


async def test_what_waited_for_its_send_time_is_counted_from_then(scenario: Scenario) -> None:
    message_id = await scenario.submit(delay_ms=HOUR)
    await scenario.advance(2 * HOUR)
    await scenario.promote()
    assert (await scenario.leased(message_id)).waits_since == START + HOUR


async def test_the_longest_ready_come_first(scenario: Scenario) -> None:
    first = await scenario.submit()
    await scenario.advance(1)
    second = await scenario.submit()
    assert [lease.id for lease in await scenario.lease()] == [first, second]


async def test_the_newest_come_first_where_that_is_asked_for(scenario: Scenario) -> None:
    await scenario.submit()
    await scenario.advance(1)
    newest = await scenario.submit()
    request = FlowRequest("default", Priority.NORMAL, 1, newest_first=True)
    leased = await scenario.queue.leases.lease(0, [request])
    assert [lease.id for lease in leased.leases] == [newest]


async def test_flows_are_served_in_the_order_of_the_call(scenario: Scenario) -> None:
    bulk = await scenario.submit(priority=Priority.BULK)
    critical = await scenario.submit(priority=Priority.CRITICAL)
    requests = [FlowRequest("default", priority, 10) for priority in (Priority.CRITICAL, Priority.BULK)]
    leased = await scenario.queue.leases.lease(0, requests)
    assert [lease.id for lease in leased.leases] == [critical, bulk]


async def test_no_flow_gives_more_than_its_quota(scenario: Scenario) -> None:
    for priority in (Priority.HIGH, Priority.HIGH, Priority.NORMAL, Priority.NORMAL):
        await scenario.submit(priority=priority)
    requests = [FlowRequest("default", Priority.HIGH, 1), FlowRequest("default", Priority.NORMAL, 2)]
    leased = await scenario.queue.leases.lease(0, requests)
    assert [lease.priority for lease in leased.leases] == [Priority.HIGH, Priority.NORMAL, Priority.NORMAL]


async def test_a_quota_of_nothing_gives_nothing_and_the_next_flow_its_share(scenario: Scenario) -> None:
    await scenario.submit(priority=Priority.HIGH)
    normal = await scenario.submit()
    requests = [FlowRequest("default", Priority.HIGH, 0), FlowRequest("default", Priority.NORMAL, 1)]
    leased = await scenario.queue.leases.lease(0, requests)
    assert [lease.id for lease in leased.leases] == [normal]


async def test_the_count_bounds_the_whole_call(scenario: Scenario) -> None:
    for priority in (Priority.HIGH, Priority.NORMAL, Priority.NORMAL, Priority.BULK):
        await scenario.submit(priority=priority)
    requests = [FlowRequest("default", priority, 10) for priority in (Priority.HIGH, Priority.NORMAL, Priority.BULK)]
    leased = await scenario.queue.leases.lease(0, requests, count=2)
    assert [lease.priority for lease in leased.leases] == [Priority.HIGH, Priority.NORMAL]


@pytest.mark.parametrize("bound", ["reply_bytes", "held_bytes"])
@pytest.mark.parametrize(("sizes", "given"), [(2.0, 2), (1.9, 1), (0.1, 1), (10.0, 3)])
async def test_a_call_gives_what_fits_and_at_least_one(
    scenario: Scenario, bound: str, sizes: float, given: int
) -> None:
    batch = [scenario.prepare() for _ in range(3)]
    await scenario.queue.submissions.submit(batch)
    size = batch[0].arguments["bytes"]
    assert len(ids(await scenario.call("lease", **call(**{bound: int(size * sizes)})))) == given


async def test_what_does_not_fit_ends_the_call_and_stays_ready(scenario: Scenario) -> None:
    small = await scenario.submit(priority=Priority.HIGH)
    large = await scenario.submit(envelope(text="x" * 1000))
    await scenario.submit(priority=Priority.BULK)
    flows = [{"flow": f"default:{priority}", "quota": 9, "newest": False} for priority in ("high", "normal", "bulk")]
    answer = await scenario.call("lease", **call(held_bytes=900, flows=flows))
    assert ids(answer) == [small]
    assert await scenario.state(large) is State.QUEUED


async def test_a_content_in_pieces_fills_the_sender_but_not_the_reply(scenario: Scenario) -> None:
    batch = [scenario.prepare(large_envelope()) for _ in range(3)]
    for prepared in batch:
        await scenario.queue.submissions.write_pieces(prepared)
    await scenario.queue.submissions.submit(batch)
    size = batch[0].arguments["bytes"]
    answer = await scenario.call("lease", **call(reply_bytes=1000, held_bytes=2 * size))
    assert len(ids(answer)) == 2


async def test_a_large_content_is_not_in_the_reply(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease(large_envelope())
    assert (lease.pieces, lease.envelope.text, lease.envelope.attachments[0].content) == (2, None, b"")


async def test_decided_recipients_are_not_pending(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=3)
    await scenario.settle(lease, decided=(Decided(1, RecipientState.SENT),), delay_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.promote()
    assert (await scenario.leased(lease.id)).pending == (0, 2)


async def test_the_flows_that_still_have_work_are_told_with_their_heads_time(scenario: Scenario) -> None:
    await scenario.submit(priority=Priority.HIGH)
    await scenario.advance(MINUTE)
    await scenario.submit()
    await scenario.submit()
    leased = await scenario.queue.leases.lease(0, [FlowRequest("default", Priority.NORMAL, 1)])
    assert sorted(leased.work, key=str) == [
        Work("default", Priority.HIGH, START),
        Work("default", Priority.NORMAL, START + MINUTE),
    ]


async def test_a_flow_that_was_emptied_has_no_work(scenario: Scenario) -> None:
    await scenario.submit()
    leased = await scenario.queue.leases.lease(0, [FlowRequest("default", Priority.NORMAL, 5)])
    assert leased.work == ()


async def test_taking_the_head_of_a_flow_moves_its_turn(scenario: Scenario) -> None:
    await scenario.submit()
    await scenario.advance(MINUTE)
    await scenario.submit()
    await scenario.lease(quota=1)
    assert await scenario.members("work") == {"default:normal": START + MINUTE}


async def test_a_lease_is_no_event(scenario: Scenario) -> None:
    lease = await scenario.submit_and_lease()
    assert len((await scenario.view(lease.id)).events) == 1


async def test_a_look_shows_the_work_and_takes_nothing(scenario: Scenario) -> None:
    await scenario.submit(priority=Priority.HIGH)
    before, writes = await scenario.keyspace(), await scenario.writes()
    assert await scenario.queue.leases.look(0) == (Work("default", Priority.HIGH, START),)
    assert (await scenario.keyspace(), await scenario.writes()) == (before, writes)


# The same call again


async def test_the_same_number_again_gives_the_same_messages(scenario: Scenario) -> None:
    message_id = await scenario.submit()
    first = await scenario.call("lease", **call())
    await scenario.submit()
    again = await scenario.call("lease", **call())
    assert ids(again) == [message_id]
    assert [entry[1:3] for entry in again[1:]] == [entry[1:3] for entry in first[1:]]


async def test_the_same_number_again_leases_nothing_and_tells_the_work(scenario: Scenario) -> None:
    await scenario.submit()
    await scenario.call("lease", **call())
    await scenario.submit()
    before = await scenario.keyspace()
    assert (await scenario.call("lease", **call(token="another")))[0] == ["default:normal", str(START)]
    assert await scenario.keyspace() == before


async def test_the_same_number_again_gives_only_what_is_still_leased_under_its_token(scenario: Scenario) -> None:
    released, ended, reaped, kept, gone = [await scenario.submit() for _ in range(5)]
    await scenario.call("lease", **call())
    await scenario.call("release", releases=[{"id": released, "token": "token-1"}])
    await scenario.cancel(ended)
    await scenario.cancel(gone)
    await scenario.delete(gone)
    await scenario.call("extend", lease_ms=HOUR, leases=[{"id": kept, "token": "token-1"}])
    await scenario.advance(LEASE_MS)
    await scenario.reap()
    await scenario.lease()
    assert ids(await scenario.call("lease", **call())) == [kept]
    assert await scenario.state(reaped) is State.SENDING


async def test_the_same_number_again_shows_decided_recipients(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(1, RecipientState.SENT),), delay_ms=SECOND)
    await scenario.advance(SECOND)
    await scenario.promote()
    first = await scenario.call("lease", **call())
    again = await scenario.call("lease", **call())
    assert first[1][4] == again[1][4] == ["1"]


async def test_a_lower_number_is_stale_and_leases_nothing(scenario: Scenario) -> None:
    await scenario.call("lease", **call(number=2))
    await scenario.submit()
    before = await scenario.keyspace()
    assert await scenario.call("lease", **call(number=1)) == ["stale"]
    assert await scenario.keyspace() == before


async def test_a_higher_number_leases_anew(scenario: Scenario) -> None:
    first, second = await scenario.submit(), await scenario.submit()
    flows = [{"flow": "default:normal", "quota": 1, "newest": False}]
    given = [ids(await scenario.call("lease", **call(number, flows=flows))) for number in (1, 2)]
    assert sorted(given) == sorted([[first], [second]])


async def test_each_sender_counts_for_itself(scenario: Scenario) -> None:
    await scenario.call("lease", **call(number=5))
    message_id = await scenario.submit()
    assert ids(await scenario.call("lease", **call(sender="t", number=1))) == [message_id]


async def test_a_senders_newest_call_is_kept_for_a_day(scenario: Scenario) -> None:
    await scenario.call("lease", **call())
    flat = await scenario.redis("HGETALL", f"{scenario.tag}:sender:s")
    assert dict(zip(flat[::2], flat[1::2], strict=True)) == {b"number": b"1", b"token": b"token-1", b"ids": b""}
    assert DAY - MINUTE < await scenario.remaining_ms("sender:s") <= DAY


async def test_leases_of_one_sender_are_numbered_by_its_client(scenario: Scenario) -> None:
    await scenario.submit()
    await scenario.submit()
    assert len(await scenario.lease(quota=1)) == 1
    assert len(await scenario.lease(quota=1)) == 1


async def test_a_call_whose_answer_was_lost_is_made_again_by_the_next(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = await scenario.submit()
    run = Core.run

    async def run_and_lose(core: Core, *arguments: Any, **more: Any) -> None:
        await run(core, *arguments, **more)
        raise AnswerLost

    with monkeypatch.context() as broken:
        broken.setattr(Core, "run", run_and_lose)
        with pytest.raises(AnswerLost):
            await scenario.lease()
    assert scenario.queue.leases.is_owed_an_answer(0)
    assert [lease.id for lease in await scenario.lease(priority=Priority.BULK)] == [message_id]
    assert not scenario.queue.leases.is_owed_an_answer(0)
    assert await scenario.lease() == []


async def test_a_call_that_was_refused_is_not_made_again(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk = await scenario.submit(priority=Priority.BULK)
    await scenario.submit()

    async def refuse(_: Core, *_arguments: Any, **_more: Any) -> None:
        raise Unavailable

    with monkeypatch.context() as broken:
        broken.setattr(Core, "run", refuse)
        with pytest.raises(Unavailable):
            await scenario.lease()
    assert [lease.id for lease in await scenario.lease(priority=Priority.BULK)] == [bulk]


async def test_a_lease_tells_whose_the_message_is_and_where_it_stands_in_a_trace(scenario: Scenario) -> None:
    await scenario.submit(trace=TRACE, tenant=OTHER_TENANT)
    await scenario.submit()
    told = {(lease.trace, lease.tenant) for lease in await scenario.lease()}
    assert told == {(TRACE, OTHER_TENANT), (None, "default")}
