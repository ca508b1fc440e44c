"""The client that does not block."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TypeVar

from reliable_email_client.answers import Acceptance, Provider, Queue, Record, Row, Service, State, Validation
from reliable_email_client.clock import AsyncClock, AsyncSystemClock
from reliable_email_client.core.batch import BatchOutcome
from reliable_email_client.core.calls import UNSET, Calls, Unset
from reliable_email_client.core.endpoint import Endpoint, endpoint
from reliable_email_client.core.retrying import Retry
from reliable_email_client.core.wire import Call, Exchange, Failure, Moment, Reply, Step
from reliable_email_client.message import Message, Priority
from reliable_email_client.transport import AsyncTransport
from reliable_email_client.version import __version__

T = TypeVar("T")


class AsyncClient:
    """Speaks to one service from one event loop; any number of its tasks may share it. Its calls are those of Client.

    It needs aiohttp, which `pip install 'reliable-email-client[async]'` brings.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        retry: Retry | None = None,
        connections: int = 16,
        ssl_context: ssl.SSLContext | None = None,
        transport: AsyncTransport | None = None,
        clock: AsyncClock | None = None,
    ) -> None:
        self._endpoint = endpoint(url, api_key, os.environ, __version__)
        self._transport = transport or _aiohttp_transport(self._endpoint, connections, ssl_context)
        self._clock = clock or AsyncSystemClock()
        self._calls = Calls(retry or Retry())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    async def __aenter__(self) -> AsyncClient:  # noqa: PYI034 - Self came with Python 3.11
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """The address of the service, without `/v1`."""
        return self._endpoint.url

    async def close(self) -> None:
        """Give back the connections."""
        await self._transport.close()

    async def send(self, message: Message) -> Acceptance:
        """Submit a message; once this returns, the service owes its delivery.

        Whatever happens on the way, the message is accepted once or not at all: every attempt
        carries the message's key. Raises AcceptanceUnknown where time ran out before that was settled.
        """
        return await self._run(self._calls.send(message))

    async def send_batch(self, messages: Iterable[Message]) -> BatchOutcome:
        """Submit many messages, in as many requests as they need, and tell what became of each.

        It raises nothing that the service or the network does: errors are values in the outcome,
        in the order of the messages. The deadline of `retry` holds for each request. An iterator
        is read as it goes.
        """
        return await self._run(self._calls.send_batch(messages))

    async def validate(self, message: Message) -> Validation:
        """Return what would become of a message, and send nothing."""
        return await self._run(self._calls.validate(message))

    async def get(self, message_id: str) -> Record:
        """Return everything that is known of a message."""
        return await self._run(self._calls.get(message_id))

    async def wait(self, message_id: str, timeout: float = 60.0) -> Record:
        """Return the record once its state is final. Raises StillWaiting after `timeout` seconds."""
        return await self._run(self._calls.wait(message_id, timeout))

    async def cancel(self, message_id: str) -> Record:
        """Send nothing more of a message and return its record.

        Where an attempt is under way its state is still `sending`, and no other attempt follows.
        Raises Conflict for a message that has ended.
        """
        return await self._run(self._calls.cancel(message_id))

    async def change(
        self,
        message_id: str,
        *,
        send_at: datetime | Unset | None = UNSET,
        expires_at: datetime | Unset | None = UNSET,
        priority: Priority | Unset = UNSET,
        pool: str | Unset = UNSET,
    ) -> Record:
        """Change a message that waits: `send_at=None` sends it now, `expires_at=None` never lets it expire."""
        changes = self._calls.change(message_id, send_at=send_at, expires_at=expires_at, priority=priority, pool=pool)
        return await self._run(changes)

    async def reschedule(self, message_id: str, send_at: datetime | None) -> Record:
        """Send a message that waits at another time, with None now."""
        return await self.change(message_id, send_at=send_at)

    async def requeue(self, message_id: str) -> Record:
        """Try the failed and expired recipients of a message again."""
        return await self._run(self._calls.requeue(message_id))

    async def delete(self, message_id: str) -> None:
        """Drop a message that has ended. Raises Conflict for one that has not."""
        await self._run(self._calls.delete(message_id))

    async def messages(self, state: State | Sequence[State] = (), *, page_size: int = 50) -> AsyncIterator[Row]:
        """Yield the dead letters, the newest first: those in `state` (`failed`, `partly_sent`), without it all.

        Pages are read as they are needed.
        """
        states = (state,) if isinstance(state, str) else state
        cursor = None
        while True:
            page = await self._run(self._calls.page(states, page_size, cursor))
            for row in page.data:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def service(self) -> Service:
        """Return what the service is, and its limits."""
        return await self._run(self._calls.service())

    async def queue(self) -> Queue:
        """Return how much waits where, and how fast it moves."""
        return await self._run(self._calls.queue())

    async def providers(self) -> tuple[Provider, ...]:
        """Return the providers as the senders see them."""
        return (await self._run(self._calls.providers())).data

    async def _run(self, call: Call[T]) -> T:
        try:
            step = next(call)
            while True:
                step = call.send(self._moment(await self._do(step)))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _do(self, step: Step) -> Reply | Failure | None:
        if isinstance(step, Exchange):
            return await self._transport.exchange(step.request, step.timeout_seconds)
        if step.seconds > 0:
            await self._clock.sleep(step.seconds)
        return None

    def _moment(self, result: Reply | Failure | None) -> Moment:
        return Moment(self._clock.now(), self._clock.draw(), result)


def _aiohttp_transport(where: Endpoint, connections: int, ssl_context: ssl.SSLContext | None) -> AsyncTransport:
    try:
        from reliable_email_client.aiohttp_transport import AiohttpTransport  # noqa: PLC0415 - it is optional
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("AsyncClient needs aiohttp: pip install 'reliable-email-client[async]'") from error
    return AiohttpTransport(where, connections, ssl_context)
