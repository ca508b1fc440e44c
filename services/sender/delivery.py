"""A message in this sender's hands: its lease, and what has been tried under it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from shared.domain.message import Attempt, Envelope, RouteStep
from shared.policy.abilities import Inside
from shared.policy.views import MessageView
from shared.providers.interface import Parcel
from shared.queue.leases import Decided, Lease
from shared.runtime.tracing import SILENT, Span

_NOT_LOOKED: Final = Inside()


@dataclass(eq=False, slots=True)
class Delivery:
    """One leased message and the state of its lease.

    `until` is the local instant (monotonic seconds) at which the lease ends. `pending` are the
    recipients still to be served, `tried` the providers that had it under this lease. `closed`
    and `decided` are the last attempt and the recipients it decided, written by the next begin.
    `is_probe` says that its attempt finds out whether a provider is back, `has_right` that the cluster
    lets this sender do so. `counts_round` says whether some attempt ended so that the lease counts as a round,
    `may_have_begun` that a begin at the provider `asked_of` was asked for and its answer never came.
    `span` and `attempt_span` are its steps in the message's trace.
    """

    lease: Lease
    until: float
    leased_at: float
    pending: tuple[int, ...]
    attempts: int
    tried: tuple[str, ...] = ()
    route: tuple[RouteStep, ...] = ()
    closed: Attempt | None = None
    decided: tuple[Decided, ...] = ()
    refused: frozenset[str] = frozenset()
    counts_round: bool = False
    is_lost: bool = False
    may_have_begun: bool = False
    asked_of: str = ""
    envelope: Envelope | None = field(default=None, repr=False)
    is_probe: bool = False
    has_right: bool = False
    span: Span = SILENT
    attempt_span: Span = SILENT
    parcel: Parcel | None = field(default=None, repr=False)
    _inside: tuple[tuple[int, ...], Inside] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, lease: Lease, now: float, lease_seconds: float) -> Delivery:
        """Return the delivery that a fresh lease begins."""
        return cls(
            lease=lease,
            until=now + lease_seconds,
            leased_at=now,
            pending=lease.pending,
            attempts=lease.attempts,
            refused=lease.refused,
        )

    def view(
        self,
        providers: tuple[str, ...],
        waited_seconds: float,
        *,
        nothing_else_waits: bool,
        looked_inside: bool = False,
    ) -> MessageView:
        """Return what routing sees of it among these providers; `looked_inside` where one looks at more than size."""
        refused = self.refused
        inside = self._look_inside() if looked_inside else _NOT_LOOKED
        return MessageView(
            size_bytes=self.lease.envelope.size_bytes,
            recipients=len(self.pending),
            priority=self.lease.priority,
            tried=self.tried,
            refused=[name for name in providers if short_hash(name) in refused] if refused else (),
            prefer=self.lease.prefer if self.lease.is_doubtful and not self.tried else None,
            only=self.lease.envelope.pinned_to or None,
            waited_seconds=waited_seconds,
            nothing_else_waits=nothing_else_waits,
            sender_domain=inside.sender_domain,
            extensions=inside.extensions,
            is_ascii=inside.is_ascii,
        )

    def _look_inside(self) -> Inside:
        if self._inside is None or self._inside[0] != self.pending:
            self._inside = self.pending, Inside.of(self.lease.envelope, self.pending)
        return self._inside[1]

    def deduplication_key(self) -> str:
        """Return what tells providers that two requests are the same try: id, requeues and recipients."""
        lease = self.lease
        if len(self.pending) == len(lease.envelope.recipients):
            return f"{lease.id}-{lease.requeues}"
        recipients = sha256(",".join(map(str, self.pending)).encode()).hexdigest()[:16]
        return f"{lease.id}-{lease.requeues}-{recipients}"


def short_hash(provider: str) -> str:
    """Return the name under which a record remembers a provider that cannot carry it."""
    return sha256(provider.encode()).hexdigest()[:6]
