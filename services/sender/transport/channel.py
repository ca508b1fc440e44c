"""A provider that can be sent through: build the request, carry it, read the reply."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from services.sender.transport.outbox import OutboxTransport
from services.sender.transport.rehearsal import RehearsalTransport
from services.sender.transport.smtp import SmtpTransport
from shared.domain.errors import ConfigurationError, Fault, ReliableEmailError
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.providers import registry
from shared.providers.interface import Adapter, Parcel, Reply, Unsendable
from shared.providers.outbox import OutboxOptions
from shared.providers.sandbox import SandboxOptions
from shared.providers.smtp import SmtpOptions
from shared.settings.model import ProviderSettings

#: Rendering takes about 10 ms for each MiB of attachments; from here on it leaves the event loop alone.
_LARGE_BYTES: Final = 256 << 10

#: How long to wait for an answer to a complete request where the configuration does not say.
#: RFC 5321, 4.5.3.2.6 asks for ten minutes after the final dot: whoever leaves earlier makes duplicates.
_ANSWER_SECONDS: Final = 30.0
_SMTP_ANSWER_SECONDS: Final = 600.0


class Channel(Protocol):
    """One provider, ready to take messages; any number of `deliver` may run at once."""

    async def deliver(self, parcel: Parcel) -> Verdict:
        """Hand the parcel over and return what came of it; failures of the provider are verdicts, never raised.

        Cancelled, it drops the connection in use at once: whether the provider took the message
        is then as unknown as after an `ambiguous` verdict.
        """
        ...

    async def close(self) -> None:
        """Say goodbye to the provider and let every connection go; nothing may be delivered afterwards."""
        ...


class _Transport(Protocol):
    async def exchange(self, request: Any) -> Reply: ...  # noqa: ANN401 - each carries its own kind of request

    async def close(self) -> None: ...


def open_channel(provider: ProviderSettings) -> Channel:
    """Return the channel of a configured provider; connections are made when they are needed.

    Raises ConfigurationError where the settings name something that is not there.
    """
    adapter = registry.adapter(provider.kind)
    return _JoinedChannel(adapter, provider.options, _transport(provider), provider.return_path)


def _transport(provider: ProviderSettings) -> _Transport:
    # The options tell, not the kind: those of a plug-in extend the ones of the kind whose way it shares.
    match provider.options:
        case OutboxOptions():
            return OutboxTransport()
        case SandboxOptions():
            return RehearsalTransport(answer_seconds=provider.answer_seconds or _ANSWER_SECONDS)
        case SmtpOptions() as options:
            return SmtpTransport(
                options,
                concurrency=provider.concurrency,
                connect_seconds=provider.connect_seconds,
                answer_seconds=provider.answer_seconds or _SMTP_ANSWER_SECONDS,
            )
        case _:
            detail = f"Nothing carries mail to the kind {provider.kind!r}: its options extend those of no other kind"
            raise ConfigurationError((Fault("kind", "unknown_kind", detail),))


@dataclass(frozen=True, slots=True)
class _JoinedChannel:
    """An adapter and the transport that understands its requests."""

    adapter: Adapter
    options: Any
    transport: _Transport
    return_path: str

    async def deliver(self, parcel: Parcel) -> Verdict:
        if self.return_path and not parcel.return_path:
            parcel = replace(parcel, return_path=self.return_path)
        try:
            if parcel.envelope.size_bytes > _LARGE_BYTES:
                request = await asyncio.to_thread(self.adapter.build, parcel, self.options)
            else:
                request = self.adapter.build(parcel, self.options)
        except Unsendable as error:
            return Verdict(Outcome.REJECTED, str(error), error.scope)
        except ReliableEmailError as error:  # an envelope that came around validation
            return Verdict(Outcome.REJECTED, str(error), Scope.MESSAGE)
        reply = await self.transport.exchange(request)
        return _numbered(self.adapter.classify(request, reply), parcel)

    async def close(self) -> None:
        await self.transport.close()


def _numbered(verdict: Verdict, parcel: Parcel) -> Verdict:
    """Return the verdict with the recipients' numbers in the place of their positions in the parcel."""
    if not verdict.recipients:
        return verdict
    numbers = parcel.recipients
    return replace(
        verdict,
        recipients=tuple(replace(share, index=numbers[share.index]) for share in verdict.recipients),
    )
