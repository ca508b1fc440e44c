"""A provider that can be sent through, and which transport carries its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from services.sender.transport.http import HttpConnections, HttpTransport
from services.sender.transport.joined_channel import JoinedChannel, Transport
from services.sender.transport.outbox import OutboxTransport
from services.sender.transport.rehearsal import RehearsalTransport
from services.sender.transport.smtp import SmtpTransport
from shared.domain.errors import ConfigurationError, Fault
from shared.domain.outcome import Verdict
from shared.providers import registry
from shared.providers.http.options import HttpOptions
from shared.providers.interface import Parcel
from shared.providers.outbox import OutboxOptions
from shared.providers.sandbox import SandboxOptions
from shared.providers.smtp import SmtpOptions
from shared.settings.model import ProviderSettings

#: How long to wait for an answer to a complete request where the configuration does not say.
#: RFC 5321, 4.5.3.2.6 asks for ten minutes after the final dot: whoever leaves earlier makes duplicates.
_ANSWER_SECONDS: Final = 30.0
_SMTP_ANSWER_SECONDS: Final = 600.0


class Channel(Protocol):
    """One provider, ready to take messages; any number of exchanges may run at once."""

    @property
    def batch_limit(self) -> int:
        """How many messages go in one request at most; 1 where each goes alone."""
        ...

    @property
    def max_batch_bytes(self) -> int:
        """The size of the envelopes in one request together."""
        ...

    def may_join(self, parcel: Parcel) -> bool:
        """Return whether the parcel may go with others in one request."""
        ...

    async def deliver(self, parcel: Parcel) -> Verdict:
        """Hand the parcel over and return what came of it; failures of the provider are verdicts, never raised.

        Where the answer is lost and the provider knows a request by its key, it is asked by the same request
        again before the verdict is `ambiguous`. Cancelled, it drops the connection in use at once:
        whether the provider took the message is then as unknown as after an `ambiguous` verdict.
        """
        ...

    async def deliver_batch(self, parcels: Sequence[Parcel]) -> list[Verdict]:
        """Hand over parcels that may join, at most `batch_limit`, and return the verdict of each in their order.

        All else is as with `deliver`. A parcel that cannot be written is rejected, and the others go without it.
        """
        ...

    async def ask(self, parcel: Parcel) -> Verdict | None:
        """Return what became of a parcel whose answer was lost; None where it is not there, or nobody can tell."""
        ...

    async def close(self) -> None:
        """Say goodbye to the provider and let every connection go; nothing may be delivered afterwards."""
        ...


def open_channel(provider: ProviderSettings, http: HttpConnections | None = None) -> Channel:
    """Return the channel of a configured provider; connections are made when they are needed.

    `http` holds the connections of all providers over HTTP; those of other kinds do without it.
    Raises ConfigurationError where the settings name something that is not there.
    """
    return JoinedChannel(registry.adapter(provider.kind), provider, _transport(provider, http))


def _transport(provider: ProviderSettings, http: HttpConnections | None) -> Transport:
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
        case HttpOptions():
            if http is None:
                raise TypeError("A provider over HTTP is reached through connections that all share")
            return HttpTransport(
                http,
                connect_seconds=provider.connect_seconds,
                answer_seconds=provider.answer_seconds or _ANSWER_SECONDS,
            )
        case _:
            detail = f"Nothing carries mail to the kind {provider.kind!r}: its options extend those of no other kind"
            raise ConfigurationError((Fault("kind", "unknown_kind", detail),))
