"""Every call against a real frontend, from both faces."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.fakes.tcp_proxy import Mode, TcpProxy
from tests.services.frontend.running import Running, Start

from reliable_email_client import (
    Acceptance,
    AcceptanceUnknown,
    Address,
    AsyncClient,
    Attachment,
    Client,
    Conflict,
    InvalidMessage,
    KeyReused,
    Message,
    NotFound,
    Retry,
    StillWaiting,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
)

SOON = Retry(deadline_seconds=5, attempt_seconds=2, base_seconds=0.01, max_seconds=0.1)
ONCE = Retry(attempt_seconds=5, attempts=1)


class Face:
    """Either client, spoken to as the asynchronous one is."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.client, name)

        async def made(*arguments: Any, **named: Any) -> Any:
            if inspect.iscoroutinefunction(call):
                return await call(*arguments, **named)
            return await asyncio.to_thread(call, *arguments, **named)

        return made

    async def rows(self, **named: Any) -> list[Any]:
        if isinstance(self.client, AsyncClient):
            return [row async for row in self.client.messages(**named)]
        blocking = self.client
        return await asyncio.to_thread(lambda: list(blocking.messages(**named)))


@pytest.fixture(params=[Client, AsyncClient])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextlib.asynccontextmanager
async def face(
    kind: Any, port: int, key: str | None = None, retry: Retry = SOON, host: str = "127.0.0.1"
) -> AsyncIterator[Face]:
    client = kind(f"http://{host}:{port}", key, retry=retry)
    try:
        yield Face(client)
    finally:
        closing = client.close()
        if closing is not None:
            await closing


@pytest.fixture
async def client(kind: Any, frontend: Running) -> AsyncIterator[Face]:
    async with face(kind, frontend.port) as one:
        yield one


def hello(**fields: Any) -> Message:
    return Message(
        **{"from_": "shop@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works.", **fields}
    )


async def test_a_message_with_everything_is_kept_as_it_was_given(client: Face) -> None:
    accepted = await client.send(
        hello(
            from_=Address("shop@example.com", "Shop"),
            to=["Ada <ada@example.org>", Address("grace@example.net")],
            bcc="archive@example.com",
            reply_to="help@example.com",
            html='<img src="cid:logo">',
            attachments=[Attachment("a.pdf", b"%PDF"), Attachment("logo.png", b"\x89PNG", content_id="logo")],
            headers={"X-Order": "1042"},
            tags=["receipt"],
            metadata={"order": "1042"},
            priority="high",
            delay=timedelta(hours=1),
            ttl=86_400,
            on_ambiguous="fail",
        )
    )
    record = await client.get(accepted.id)

    assert accepted.state == record.state == "scheduled"
    assert [(to.email, to.name) for to in record.to] == [("ada@example.org", "Ada"), ("grace@example.net", None)]
    assert [(file.filename, file.disposition) for file in record.attachments] == [
        ("a.pdf", "attachment"),
        ("logo.png", "inline"),
    ]
    assert (record.tags, record.metadata, record.on_ambiguous) == (("receipt",), {"order": "1042"}, "fail")
    assert record.expires_at - record.send_at == timedelta(days=1)
    assert record.waiting.code == "scheduled"


async def test_the_same_message_again_is_the_same_acceptance(client: Face) -> None:
    message = hello()
    first, second = await client.send(message), await client.send(message)

    assert (first.id, first.replayed) == (second.id, not second.replayed)


async def test_a_key_belongs_to_one_message(client: Face) -> None:
    await client.send(hello(idempotency_key="mine"))
    with pytest.raises(KeyReused):
        await client.send(hello(idempotency_key="mine", text="Something else."))


async def test_faults_have_their_places(client: Face) -> None:
    with pytest.raises(InvalidMessage) as caught:
        await client.send(hello(to=["ada@example.org", "grace@"], subject="a\nb"))

    assert {fault.pointer for fault in caught.value.errors} == {"#/to/1", "#/subject"}


async def test_a_message_is_judged_without_being_sent(client: Face) -> None:
    good, bad = await client.validate(hello()), await client.validate(hello(to="grace@"))

    assert (good.valid, good.pool, bad.valid, bad.errors[0].code) == (True, "default", False, "invalid_address")
    assert (await client.queue()).totals["queued"] == 0


async def test_a_message_is_rescheduled_changed_and_cancelled(client: Face) -> None:
    accepted = await client.send(hello(delay=3_600))
    later = accepted.send_at + timedelta(hours=1)
    moved = await client.reschedule(accepted.id, later)
    changed = await client.change(accepted.id, send_at=None, priority="critical", expires_at=later)
    cancelled = await client.cancel(accepted.id)

    assert moved.send_at == later
    assert (changed.state, changed.priority, changed.expires_at) == ("queued", "critical", later)
    assert (cancelled.state, cancelled.final) == ("cancelled", True)
    with pytest.raises(Conflict) as caught:
        await client.change(accepted.id, priority="bulk")
    assert caught.value.state == "cancelled"


async def test_waiting_sees_the_end_or_gives_up(client: Face) -> None:
    accepted = await client.send(hello(delay=3_600))
    with pytest.raises(StillWaiting):
        await client.wait(accepted.id, timeout=0.01)
    await client.cancel(accepted.id)

    assert (await client.wait(accepted.id)).state == "cancelled"


async def test_a_message_that_has_ended_is_deleted(client: Face) -> None:
    accepted = await client.send(hello())
    with pytest.raises(Conflict):
        await client.delete(accepted.id)
    await client.cancel(accepted.id)
    await client.delete(accepted.id)
    with pytest.raises(NotFound):
        await client.get(accepted.id)


async def test_dead_letters_are_listed_over_all_pages_and_requeued(client: Face, frontend: Running) -> None:
    letters = await frontend.letters("failed", "partly_sent", "failed", "failed", "failed")
    failed = [letters[4], letters[3], letters[2], letters[0]]

    assert [row.id for row in await client.rows(state="failed", page_size=2)] == failed
    assert [row.id for row in await client.rows()] == letters[::-1]
    assert (await client.requeue(letters[0])).state == "queued"


async def test_the_service_and_its_queue_are_shown(client: Face) -> None:
    await client.send(hello(priority="bulk"))
    service, queue, providers = await client.service(), await client.queue(), await client.providers()

    assert service.limits.batch_messages == 1_000
    assert queue.totals["queued"] == 1
    assert {depth.priority: depth.queued for depth in queue.pools[0].priorities}["bulk"] == 1
    assert providers == ()


async def test_each_message_of_a_batch_has_its_result(client: Face) -> None:
    outcome = await client.send_batch([hello(), hello(to="grace@"), hello()])

    assert [type(result) for result in outcome] == [Acceptance, InvalidMessage, Acceptance]
    assert outcome[1].errors[0].pointer == "#/to/0"


async def test_a_large_batch_takes_several_requests(client: Face) -> None:
    outcome = await client.send_batch(hello(to=f"ada-{i}@example.org") for i in range(1_203))

    assert len({acceptance.id for acceptance in outcome.accepted}) == 1_203


async def test_what_is_refused_as_a_whole_is_told_of_each(client: Face) -> None:
    outcome = await client.send_batch([hello(to="grace@"), hello(text=None)])

    assert [type(result) for result in outcome] == [InvalidMessage, InvalidMessage]


async def test_a_message_beyond_the_limit_of_a_request_is_too_large(client: Face) -> None:
    huge = hello(attachments=[Attachment("a.bin", bytes(24 << 20))])
    with pytest.raises(TooLarge):
        await client.send(huge)

    assert [type(result) for result in await client.send_batch([huge, hello()])] == [TooLarge, Acceptance]


async def test_large_attachments_arrive(client: Face) -> None:
    accepted = await client.send(hello(attachments=[Attachment("a.bin", bytes(17 << 20))]))

    assert (await client.get(accepted.id)).attachments[0].size_bytes == 17 << 20


async def test_a_key_is_asked_for(kind: Any, start: Start) -> None:
    frontend = await start(keys=["rmk_right"])
    async with face(kind, frontend.port, "rmk_right") as known, face(kind, frontend.port, "rmk_wrong") as unknown:
        assert (await known.send(hello())).state == "queued"
        with pytest.raises(Unauthenticated):
            await unknown.send(hello())


async def test_where_nobody_listens_nothing_was_sent(kind: Any, frontend: Running) -> None:
    async with TcpProxy(frontend.port) as proxy, face(kind, proxy.port, retry=ONCE) as client:
        await proxy.set_mode(Mode.REFUSE)
        with pytest.raises(Unreachable) as caught:
            await client.send(hello())

    assert not caught.value.in_doubt


async def test_a_name_that_is_unknown_is_nobody(kind: Any) -> None:
    async with face(kind, 1, retry=ONCE, host="mail.invalid") as client:
        with pytest.raises(Unreachable):
            await client.service()


@pytest.mark.parametrize("mode", [Mode.HANG, Mode.RESET, Mode.TRICKLE])
async def test_an_answer_that_does_not_come_is_lost_in_time(kind: Any, frontend: Running, mode: Mode) -> None:
    quick = Retry(deadline_seconds=1, attempt_seconds=0.3)
    async with TcpProxy(frontend.port) as proxy, face(kind, proxy.port, retry=quick) as client:
        await proxy.set_mode(mode)
        with pytest.raises(AcceptanceUnknown) as caught:
            await client.send(hello())

    assert caught.value.in_doubt


async def test_a_frontend_that_is_away_for_a_moment_is_not_noticed(kind: Any, frontend: Running) -> None:
    async with TcpProxy(frontend.port) as proxy, face(kind, proxy.port) as client:
        await proxy.set_mode(Mode.REFUSE)
        sending = asyncio.ensure_future(client.send(hello()))
        await asyncio.sleep(0)
        await proxy.set_mode(Mode.PASS)

        assert (await sending).state == "queued"


async def test_where_a_store_is_away_the_service_says_so(kind: Any, start: Start, own_valkey: Any) -> None:
    frontend = await start(url=own_valkey.url)
    async with face(kind, frontend.port, retry=ONCE) as client:
        own_valkey.kill()
        with pytest.raises(Unavailable) as caught:
            await client.queue()

    assert caught.value.retry_after_seconds
