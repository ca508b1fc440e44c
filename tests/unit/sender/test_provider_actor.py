"""A provider's actor alone: one attempt that Redis refuses holds up no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from services.sender.account import Account
from services.sender.delivery import Delivery
from services.sender.provider_actor import ProviderActor
from shared.domain.errors import ScriptDefect
from shared.domain.message import Attempt
from shared.domain.outcome import Outcome, Verdict
from shared.providers.interface import Parcel
from shared.queue.leases import Begin, Begun, Leases
from shared.runtime.metrics import SENDER, Metrics
from shared.settings.model import ProviderSettings
from tests.unit.sender.leases import delivery_of

POISON = 2


class Register(Leases):
    """Begins whatever it is asked, but for one message that its script fails on."""

    def __init__(self) -> None:
        self.lease_ms = 60_000

    async def begin(self, shard: int, attempts: Sequence[Begin]) -> list[Begun]:
        if any(attempt.lease.id == delivery_of(POISON).lease.id for attempt in attempts):
            raise ScriptDefect(f"`begin` failed in shard {shard}")
        return [Begun("begun", 0, 0) for _ in attempts]


class Channel:
    """Takes everything."""

    async def deliver(self, parcel: Parcel) -> Verdict:
        return Verdict(Outcome.ACCEPTED, provider_message_id=parcel.id)

    async def close(self) -> None:
        pass


class Outlet:
    """Remembers what came back, and tells when it is all."""

    def __init__(self, expected: int) -> None:
        self.outcomes: dict[Delivery, str] = {}
        self.complete = asyncio.Event()
        self._expected = expected

    def tried(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
        assert attempt.outcome is verdict.outcome
        self._note(delivery, verdict.outcome)

    def unused(self, delivery: Delivery, status: str) -> None:
        self._note(delivery, status)

    def changed(self) -> None:
        pass

    def _note(self, delivery: Delivery, what: str) -> None:
        self.outcomes[delivery] = what
        if len(self.outcomes) == self._expected:
            self.complete.set()


async def test_an_attempt_that_redis_refuses_is_given_up_and_its_neighbours_go_out() -> None:
    outlet = Outlet(4)
    account = Account(ProviderSettings("relay", "sandbox"), 10, lambda: 0.5)
    actor = ProviderActor(account, Channel(), Register(), outlet, Metrics(SENDER), 10)
    deliveries = [delivery_of(number, until=time.monotonic() + 60) for number in range(4)]
    for delivery in deliveries:
        account.reserve()
        actor.mailbox.put(delivery)

    acting = asyncio.create_task(actor.act())
    async with asyncio.timeout(10):
        await outlet.complete.wait()
    acting.cancel()

    assert [outlet.outcomes[delivery] for delivery in deliveries] == ["accepted", "accepted", "stale", "accepted"]
    assert account.in_flight == 0
