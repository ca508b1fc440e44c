"""An adapter joined with a transport: build the request, carry it, read the reply, and ask again where it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from shared.domain.errors import ReliableEmailError
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.providers.interface import (
    Adapter,
    BatchAdapter,
    KeyedAdapter,
    LookupAdapter,
    Parcel,
    Phase,
    Reply,
    Request,
    Unsendable,
)
from shared.runtime import tracing
from shared.runtime.tracing import Kind, Span
from shared.settings.model import ProviderSettings

_R = TypeVar("_R", bound=Request)

#: Rendering takes about 10 ms for each MiB of attachments; from here on it leaves the event loop alone.
_LARGE_BYTES: Final = 256 << 10

#: The pauses before a request whose answer was lost is sent again under its key, and for how long after the first
#: time that is done: a service that stays silent should not hold the message for longer.
_REPEAT_AFTER_SECONDS: Final = (0.2, 2.0)
_REPEAT_WITHIN_SECONDS: Final = 45.0

#: What a repetition may come to so that it holds for the first time too. A service that is busy, down or
#: does not know us any more says nothing of what it did before.
_CONCLUSIVE: Final = frozenset({Outcome.ACCEPTED, Outcome.PARTIAL, Outcome.REJECTED})

#: A question is asked for the sake of an attempt that waits for it.
_ASK_SECONDS: Final = 15.0


class Transport(Protocol):
    """What carries one kind of request; failures are replies, never raised."""

    async def exchange(self, request: Any) -> Reply:  # noqa: ANN401 - each carries its own kind of request
        """Carry one request and return how far it came."""
        ...

    async def close(self) -> None:
        """Let go of what is held; nothing may be carried afterwards."""
        ...


class JoinedChannel:
    """An adapter and the transport that understands its requests."""

    def __init__(self, adapter: Adapter, provider: ProviderSettings, transport: Transport) -> None:
        self._adapter = adapter
        self._options = provider.options
        self._name = provider.name
        self._return_path = provider.return_path
        self._transport = transport
        # Such a question costs Python 30 µs each time.
        self._batches = adapter if isinstance(adapter, BatchAdapter) else None
        self._lookups = adapter if isinstance(adapter, LookupAdapter) else None
        keyed = adapter if isinstance(adapter, KeyedAdapter) and adapter.is_keyed else None
        self._repeat_seconds = min(_REPEAT_WITHIN_SECONDS, keyed.remembers_seconds(self._options)) if keyed else 0.0

    @property
    def batch_limit(self) -> int:
        """How many messages go in one request."""
        return self._batches.max_batch if self._batches else 1

    @property
    def max_batch_bytes(self) -> int:
        """The size of the envelopes in one request together."""
        return self._batches.max_batch_bytes if self._batches else 0

    def may_join(self, parcel: Parcel) -> bool:
        """Return whether the parcel may go with others in one request.

        Where a key tells repetitions it goes alone: after a lost answer the batch could only be asked
        for as the very same batch, and by then its messages go their own ways, perhaps by other senders.
        """
        if self._batches is None or self._repeat_seconds:
            return False
        return self._batches.may_join(self._addressed(parcel), self._options)

    async def deliver(self, parcel: Parcel) -> Verdict:
        """Hand the parcel over and return what came of it."""
        parcel = self._addressed(parcel)
        try:
            request = await self._request_of(parcel)
        except ReliableEmailError as error:
            return _unsendable(error)
        (verdict,) = await self._carry(request, (parcel,), lambda reply: (self._adapter.classify(request, reply),))
        return verdict

    async def deliver_batch(self, parcels: Sequence[Parcel]) -> list[Verdict]:
        """Hand over parcels that may join, and return the verdict of each in their order."""
        batches = self._batches
        if batches is None or len(parcels) <= 1:
            return [await self.deliver(parcel) for parcel in parcels]
        parcels = [self._addressed(parcel) for parcel in parcels]
        try:
            size_bytes = sum(parcel.envelope.size_bytes for parcel in parcels)
            request = await _built(partial(batches.build_batch, parcels, self._options), size_bytes)
        except ReliableEmailError:
            return await self._deliver_sendable(parcels)
        return await self._carry(request, parcels, lambda reply: batches.classify_batch(request, reply, len(parcels)))

    async def ask(self, parcel: Parcel) -> Verdict | None:
        """Return what became of a parcel whose answer was lost."""
        if self._lookups is None:
            return None
        parcel = self._addressed(parcel)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                request = self._lookups.build_lookup(parcel, self._options)
                reply = await self._exchange(request, (parcel,))
        except (ReliableEmailError, TimeoutError):
            return None
        verdict = self._lookups.classify_lookup(request, reply)
        return verdict and _numbered(verdict, parcel)

    async def close(self) -> None:
        """Let every connection of this provider's own go."""
        await self._transport.close()

    async def _deliver_sendable(self, parcels: Sequence[Parcel]) -> list[Verdict]:
        """Deliver a batch with parcels in it that cannot be written: each that can goes with the others like it."""
        refused: dict[int, Verdict] = {}
        for position, parcel in enumerate(parcels):
            try:
                await self._request_of(parcel)
            except ReliableEmailError as error:
                refused[position] = _unsendable(error)
        rest = [parcel for position, parcel in enumerate(parcels) if position not in refused]
        if refused:
            delivered = iter(await self.deliver_batch(rest))
        else:  # only together they cannot be written
            delivered = iter([await self.deliver(parcel) for parcel in rest])
        return [refused.get(position) or next(delivered) for position in range(len(parcels))]

    async def _carry(
        self, request: Request, parcels: Sequence[Parcel], read: Callable[[Reply], Sequence[Verdict]]
    ) -> list[Verdict]:
        """Return the verdict of each parcel in a request."""
        began = asyncio.get_running_loop().time()
        verdicts = read(await self._exchange(request, parcels))
        if self._repeat_seconds and all(parcel.deduplication_key for parcel in parcels):
            until = began + self._repeat_seconds
            verdicts = await self._without_doubt(verdicts, request, parcels, read, until)
        return [_numbered(verdict, parcel) for verdict, parcel in zip(verdicts, parcels, strict=True)]

    async def _exchange(self, request: Request, parcels: Sequence[Parcel]) -> Reply:
        """Carry one request, and show it in the traces of the messages that it is for."""
        if not tracing.is_on():
            return await self._transport.exchange(request)
        span = tracing.start_inner(
            "exchange",
            Kind.CLIENT,
            messaging__message__id=parcels[0].id,
            messaging__batch__message_count=len(parcels),
            reliable_email__provider=self._name,
        )
        reply = Reply(Phase.CONNECT, "broken off")
        try:
            reply = await self._transport.exchange(request)
        finally:
            _tell(span, reply)
        return reply

    async def _without_doubt(
        self,
        verdicts: Sequence[Verdict],
        request: Request,
        parcels: Sequence[Parcel],
        read: Callable[[Reply], Sequence[Verdict]],
        until: float,
    ) -> Sequence[Verdict]:
        """Return the verdicts with as few ambiguous ones as repetitions can leave."""
        for pause in _REPEAT_AFTER_SECONDS:
            in_doubt = any(verdict.outcome is Outcome.AMBIGUOUS for verdict in verdicts)
            if not in_doubt or asyncio.get_running_loop().time() + pause >= until:
                break
            await asyncio.sleep(pause)
            again = read(await self._exchange(request, parcels))
            verdicts = [_surer(first, second) for first, second in zip(verdicts, again, strict=True)]
        return verdicts

    async def _request_of(self, parcel: Parcel) -> Request:
        return await _built(partial(self._adapter.build, parcel, self._options), parcel.envelope.size_bytes)

    def _addressed(self, parcel: Parcel) -> Parcel:
        if self._return_path and not parcel.return_path:
            return replace(parcel, return_path=self._return_path)
        return parcel


async def _built(build: Callable[[], _R], size_bytes: int) -> _R:
    if size_bytes > _LARGE_BYTES:
        return await asyncio.to_thread(build)
    return build()


def _tell(span: Span, reply: Reply) -> None:
    """Say how far an exchange came, and end it."""
    span.tell(reliable_email__phase=reply.phase.value)
    if reply.status:
        span.tell(http__response__status_code=reply.status)
    if reply.final is not None:
        span.tell(reliable_email__smtp_code=reply.final.code, reliable_email__smtp_stage=reply.stage)
    if reply.error_kind:
        span.tell(error__type=reply.error_kind)
    span.end(reply.error_kind or ("broken off" if reply.error else ""))


def _surer(first: Verdict, second: Verdict) -> Verdict:
    is_settled = first.outcome is Outcome.AMBIGUOUS and second.outcome in _CONCLUSIVE
    return second if is_settled else first


def _unsendable(error: ReliableEmailError) -> Verdict:
    # Any other error is an envelope that came around validation.
    scope = error.scope if isinstance(error, Unsendable) else Scope.MESSAGE
    return Verdict(Outcome.REJECTED, str(error), scope)


def _numbered(verdict: Verdict, parcel: Parcel) -> Verdict:
    """Return the verdict with the recipients' numbers in the place of their positions in the parcel."""
    if not verdict.recipients:
        return verdict
    numbers = parcel.recipients
    return replace(
        verdict,
        recipients=tuple(replace(share, index=numbers[share.index]) for share in verdict.recipients),
    )
