"""Leases and deliveries out of thin air."""

from __future__ import annotations

from typing import Any

from services.sender.delivery import Delivery
from shared.domain.message import Address, Envelope, Priority
from shared.queue.leases import Lease


def lease_of(number: int = 0, *, recipients: int = 1, **fields: Any) -> Lease:
    """Return a lease of a message to so many recipients."""
    envelope = Envelope(
        sender=Address("shop@example.com"),
        to=tuple(Address(f"r{index}@example.org") for index in range(recipients)),
        message_id_domain="example.com",
        size_bytes=1_000,
    )
    defaults: dict[str, Any] = {
        "id": f"msg_{number:028}",
        "shard": 0,
        "token": f"token-{number}",
        "priority": Priority.NORMAL,
        "pool": "default",
        "envelope": envelope,
        "pending": tuple(range(recipients)),
        "size_bytes": 1_000,
        "pieces": 0,
        "ready_at": 0,
        "waits_since": 0,
        "attempts": 0,
        "rounds": 0,
        "requeues": 0,
        "strikes": 0,
        "refused": frozenset(),
        "prefer": None,
        "is_doubtful": False,
        "expires_at": None,
    }
    return Lease(**{**defaults, **fields})


def delivery_of(number: int = 0, *, until: float = 60.0, **fields: Any) -> Delivery:
    """Return the delivery of such a lease, which ends at `until`."""
    delivery = Delivery.of(lease_of(number, **fields), now=0.0, lease_seconds=60.0)
    delivery.until = until
    return delivery
