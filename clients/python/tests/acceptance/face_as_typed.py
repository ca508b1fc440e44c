"""The client as a user types it. It is not run: a type checker reads it, strictly.

Where a wrong use must be refused stands an `ignore`, which a strict checker reports once it is not needed.
"""

# pyright: strict
from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta

from reliable_email_client import (
    Acceptance,
    Address,
    AsyncClient,
    Attachment,
    BatchOutcome,
    Client,
    Fault,
    InvalidMessage,
    Message,
    Provider,
    Queue,
    Record,
    ReliableEmailError,
    Retry,
    Row,
    Service,
    State,
)
from reliable_email_client.logging import EmailHandler


def blocking(client: Client, when: datetime) -> None:
    message = Message(
        to=["ada@example.org", Address("grace@example.net", "Grace")],
        subject="Hello",
        text="It works.",
        attachments=[Attachment.from_path("a.pdf"), Attachment("b", b"")],
        send_at=when,
        ttl=timedelta(days=1),
        priority="high",
        metadata={"order": "1042"},
    )
    acceptance: Acceptance = client.send(message)
    outcome: BatchOutcome = client.send_batch([message])
    results: Sequence[Acceptance | ReliableEmailError] = outcome
    ids: list[str] = [result.id for result in results if isinstance(result, Acceptance)]
    record: Record = client.wait(acceptance.id, timeout=5)
    state: State = record.state
    sent_at: datetime | None = record.recipients[0].sent_at
    rows: Iterator[Row] = client.messages(state=["failed", "partly_sent"])
    service: Service = client.service()
    queue: Queue = client.queue()
    providers: tuple[Provider, ...] = client.providers()
    client.change(record.id, send_at=None, priority="bulk")
    client.reschedule(record.id, when)
    nothing: None = client.delete(record.id)  # type: ignore[func-returns-value]
    print(ids, state, sent_at, rows, service, queue, providers, nothing)


async def asynchronous(client: AsyncClient, message: Message) -> None:
    async with client as same:
        acceptance: Acceptance = await same.send(message)
        outcome: BatchOutcome = await same.send_batch(iter([message]))
        rows: AsyncIterator[Row] = same.messages()
        record: Record = await same.get(acceptance.id)
        print(outcome, record, [row.recipients_by_state["failed"] async for row in rows])


def errors(client: Client, message: Message) -> tuple[Fault, ...]:
    try:
        client.send(message)
    except InvalidMessage as error:
        return error.errors
    return ()


def wrong(client: Client, record: Record) -> None:
    Message("Hello")  # type: ignore[call-arg]
    Message(subject="Hello", priority="urgent")  # type: ignore[arg-type]
    Message(subject="Hello", send_at="tomorrow")  # type: ignore[arg-type]
    Message(subject="Hello", sent_at=None)  # type: ignore[call-arg]
    client.messages(state="faild")  # type: ignore[arg-type]
    client.change(record.id, priority=None)  # type: ignore[arg-type]
    record.state = "sent"  # type: ignore[misc]


EmailHandler("ops@example.com", client=Client(retry=Retry(attempts=1)))
