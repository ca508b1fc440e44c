"""Keeps leases alive while their messages are worked on: each is renewed when a third of it has passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Final

from services.sender.delivery import Delivery
from shared.domain.errors import QueueError
from shared.queue.core import MAX_MESSAGES
from shared.queue.leases import Leases
from shared.runtime.logs import get_logger

#: A lease is looked at so many times in its length: renewed at a third, it is never later than that by much.
LOOKS_PER_LEASE: Final = 12

log = get_logger()


async def renew(leases: Leases, held: Collection[Delivery]) -> None:
    """Renew what has less than two thirds left; a shard that does not answer holds up no other."""
    now = time.monotonic()
    lease_seconds = leases.lease_ms / 1000
    due: dict[int, list[Delivery]] = {}
    for delivery in held:
        if not delivery.is_lost and delivery.until - now < lease_seconds * 2 / 3:
            due.setdefault(delivery.lease.shard, []).append(delivery)
    calls = [
        _renew_some(leases, shard, deliveries[start : start + MAX_MESSAGES])
        for shard, deliveries in due.items()
        for start in range(0, len(deliveries), MAX_MESSAGES)
    ]
    await asyncio.gather(*calls)


async def _renew_some(leases: Leases, shard: int, deliveries: list[Delivery]) -> None:
    asked_at = time.monotonic()
    try:
        renewed = await leases.extend(shard, [delivery.lease for delivery in deliveries])
    except QueueError as error:
        log.warning("chore_failed", chore="extend", shard=shard, error=str(error), kind=type(error).__name__)
        return
    for delivery, is_ours in zip(deliveries, renewed, strict=True):
        if is_ours:
            delivery.until = asked_at + leases.lease_ms / 1000
        else:
            delivery.is_lost = True
            log.warning("lease_lost", message_id=delivery.lease.id, tenant=delivery.lease.tenant)
