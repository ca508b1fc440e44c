"""A provider's actor: begins attempts in batches, hands messages over, and tells what came of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from services.sender.account import Account
from services.sender.delivery import Delivery
from services.sender.judgement import attempt_of, legible
from services.sender.mailbox import Mailbox
from services.sender.transport.channel import Channel
from shared.domain.errors import QueueError, ScriptDefect
from shared.domain.message import Attempt
from shared.domain.outcome import Outcome, Verdict
from shared.policy.breaker import Change
from shared.providers.interface import Parcel
from shared.queue.leases import Begin, Begun, Leases
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics

_BATCH: Final = 125
_PAUSE_SECONDS: Final = 0.2
_MOST_OVERDUE_SECONDS: Final = 10.0

log = get_logger()


class Outlet(Protocol):
    """Where a provider's actor gives its deliveries back."""

    def tried(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
        """An attempt has ended."""

    def unused(self, delivery: Delivery, status: str) -> None:
        """Nothing was handed over: `stale`, `cancelled`, `expired`, `late` (the lease is nearly over), `unreadable`
        (the content could not be read) or `draining`."""

    def changed(self) -> None:
        """The provider has room, or its state changed: other messages may go now."""


class ProviderActor:
    """The actor of one provider."""

    def __init__(
        self, account: Account, channel: Channel, leases: Leases, outlet: Outlet, metrics: Metrics, size: int
    ) -> None:
        self.account = account
        self.name = account.settings.name
        self.mailbox: Mailbox[Delivery] = Mailbox(self.name, size)
        self._channel = channel
        self._leases = leases
        self._outlet = outlet
        self._metrics = metrics
        self._batch: set[Delivery] = set()
        self._fetches: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._is_landed = False
        self._flights: dict[asyncio.Task[None], tuple[Delivery, float]] = {}
        self._overdue: dict[Delivery, float] = {}
        self.on_begin: Callable[[str], None] = lambda _name: None
        self.on_throttle: Callable[[Account, int], None] = lambda _account, _block_ms: None

    async def act(self) -> None:
        """Serve the mailbox, until cancelled."""
        # What a crash left half done is given up: its leases run out, and what had begun is judged ambiguous.
        for delivery in self._batch:
            self._free(delivery, token=False)
            self._outlet.unused(delivery, "stale")
        self._batch.clear()
        while True:
            batch = await self.mailbox.take(_BATCH)
            self._batch.update(batch)
            await self._begin(batch)

    async def _begin(self, batch: Sequence[Delivery]) -> None:
        by_shard: dict[int, list[Delivery]] = {}
        now = time.monotonic()
        for delivery in batch:
            # Nothing begins with less than a third of its lease left: a pause shorter than that then does no harm.
            if delivery.is_lost or delivery.until - now < self._leases.lease_ms / 3000:
                self._refuse(delivery, "late")
            elif self._is_draining and not delivery.may_have_begun:
                self._refuse(delivery, "draining")
            elif delivery.lease.pieces and delivery.envelope is None:
                self._fetch(delivery)
            else:
                by_shard.setdefault(delivery.lease.shard, []).append(delivery)
        await asyncio.gather(*(self._begin_in(shard, deliveries) for shard, deliveries in by_shard.items()))

    def _fetch(self, delivery: Delivery) -> None:
        """Read a large content before its attempt begins: trouble with Redis is no attempt of the provider's."""
        self._batch.discard(delivery)
        fetch = asyncio.create_task(self._fetch_content(delivery), name=f"content of {delivery.lease.id}")
        self._fetches.add(fetch)
        fetch.add_done_callback(self._fetches.discard)

    async def _fetch_content(self, delivery: Delivery) -> None:
        try:
            delivery.envelope = await self._leases.whole(delivery.lease)
        except QueueError as error:
            log.warning("chore_failed", chore="read", message_id=delivery.lease.id, error=str(error))
            self._refuse(delivery, "unreadable")
        else:
            self.mailbox.put(delivery)

    async def _begin_in(self, shard: int, deliveries: Sequence[Delivery]) -> None:
        try:
            answers = await self._leases.begin(shard, [self._wish(delivery) for delivery in deliveries])
        except ScriptDefect as defect:
            await self._begin_singly(shard, deliveries, defect)
            return
        except QueueError as error:
            # It may have been written, and what has begun cannot be handed back. The same call says so,
            # for as long as the leases last.
            log.warning("chore_failed", chore="begin", shard=shard, count=len(deliveries), error=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)
            for delivery in deliveries:
                delivery.may_have_begun, delivery.asked_of = True, self.name
                self._batch.discard(delivery)
                self.mailbox.put(delivery)
            return
        for delivery, begun in zip(deliveries, answers, strict=True):
            if begun.status == "begun":
                self._launch(delivery, begun)
            else:
                if begun.status == "stale":
                    self._metrics.stale_writes["begin"].inc()
                    log.warning("stale_write_refused", script="begin", message_id=delivery.lease.id)
                self._refuse(delivery, begun.status)

    async def _begin_singly(self, shard: int, deliveries: Sequence[Delivery], defect: ScriptDefect) -> None:
        """Find the one that Redis refuses, so that the others can begin; its own lease runs out."""
        if len(deliveries) > 1:
            for delivery in deliveries:
                await self._begin_in(shard, [delivery])
            return
        (delivery,) = deliveries
        log.error("task_crashed", task=f"begin/{delivery.lease.id}", error=str(defect))
        self._refuse(delivery, "stale")

    def _wish(self, delivery: Delivery) -> Begin:
        return Begin(
            delivery.lease,
            delivery.attempts + 1,
            self.name,
            delivery.pending,
            delivery.closed,
            delivery.decided,
        )

    def _refuse(self, delivery: Delivery, status: str) -> None:
        self._batch.discard(delivery)
        if delivery.is_probe:
            self.account.breaker.abandon_probe(time.monotonic())
        self._free(delivery, token=True)
        self._outlet.unused(delivery, status)

    def _free(self, delivery: Delivery, *, token: bool) -> None:
        delivery.is_probe = False
        self.account.restore(token=token)
        self._outlet.changed()

    def _launch(self, delivery: Delivery, begun: Begun) -> None:
        self._batch.discard(delivery)
        if self._is_landed:
            # The answer came when nothing may go out any more.
            delivery.may_have_begun, delivery.asked_of = True, self.name
            self._refuse(delivery, "draining")
            return
        delivery.attempts += 1
        delivery.may_have_begun = False
        delivery.closed, delivery.decided = None, ()
        if delivery.lease.is_doubtful:
            self._metrics.possible_duplicates.inc()
        now = time.monotonic()
        self.account.begin(now)
        self.on_begin(self.name)
        log.debug("attempt_begun", message_id=delivery.lease.id, provider=self.name, attempt=delivery.attempts)
        flight = asyncio.create_task(self._fly(delivery, begun, now), name=f"{self.name}/{delivery.lease.id}")
        self._flights[flight] = (delivery, now)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        delivery, _ = self._flights.pop(flight)
        if not flight.cancelled() and (defect := flight.exception()) is not None:
            log.error("task_crashed", task=flight.get_name(), error=repr(defect), exc_info=defect)
            # Its lease runs out, and it is judged as what it is: begun, and its end unknown.
            self._outlet.unused(delivery, "stale")

    async def _fly(self, delivery: Delivery, begun: Begun, began: float) -> None:
        is_providers = False
        try:
            verdict = legible(await self._channel.deliver(self._parcel(delivery, begun)))
            is_providers = True
        except asyncio.CancelledError:
            # The grace period is over: whether the provider has it is unknown, and is written down so.
            verdict = Verdict(Outcome.AMBIGUOUS, "the sender was stopped while it waited for the answer")
        except Exception as defect:
            log.exception("task_crashed", task=f"{self.name}/{delivery.lease.id}", error=repr(defect))
            verdict = Verdict(Outcome.AMBIGUOUS, f"a defect in the sender: {type(defect).__name__}")
        self._end(delivery, begun, began, verdict, is_providers=is_providers)

    def _parcel(self, delivery: Delivery, begun: Begun) -> Parcel:
        if delivery.parcel is None:
            lease = delivery.lease
            envelope = delivery.envelope or lease.envelope
            delivery.parcel = Parcel(
                id=lease.id,
                envelope=envelope,
                recipients=delivery.pending,
                internet_message_id=f"<{lease.id}@{envelope.message_id_domain}>",
                date=begun.first_at or begun.at,
                deduplication_key=delivery.deduplication_key(),
            )
        elif delivery.parcel.recipients != delivery.pending:
            key = delivery.deduplication_key()
            delivery.parcel = replace(delivery.parcel, recipients=delivery.pending, deduplication_key=key)
        return delivery.parcel

    def _end(self, delivery: Delivery, begun: Begun, began: float, verdict: Verdict, *, is_providers: bool) -> None:
        self.account.restore(token=False)
        now = time.monotonic()
        outcome = verdict.outcome
        self._metrics.attempts[self.name, outcome].inc()
        self._metrics.attempt_seconds[self.name].observe(now - began)
        overdue_at = self._overdue.pop(delivery, None)
        if is_providers:
            self._learn(delivery, begun, began, verdict, overdue_at)
        elif delivery.is_probe:
            # What went wrong on our side says nothing about the provider.
            self.account.breaker.abandon_probe(now)
        attempt = attempt_of(
            verdict,
            number=delivery.attempts,
            provider=self.name,
            started_at=begun.at,
            duration_ms=round((now - began) * 1000),
            recipients=delivery.pending,
            route=delivery.route,
        )
        delivery.tried = (*delivery.tried, self.name)
        delivery.is_probe = False
        log.debug("attempt_finished", message_id=delivery.lease.id, provider=self.name, outcome=outcome)
        self._outlet.tried(delivery, attempt, verdict)
        self._outlet.changed()

    def _learn(
        self, delivery: Delivery, begun: Begun, began: float, verdict: Verdict, overdue_at: float | None
    ) -> None:
        now = time.monotonic()
        change = self.account.observe(verdict, began, now, is_probe=delivery.is_probe, overdue_at=overdue_at)
        if verdict.outcome is not Outcome.ACCEPTED:
            self._note_trouble(verdict, begun, now, began)
        if change is not None:
            self._tell(change, verdict.detail)

    def _note_trouble(self, verdict: Verdict, begun: Begun, now: float, began: float) -> None:
        at = begun.at + round((now - began) * 1000)
        self.account.last_error = {"at": at, "outcome": verdict.outcome, "detail": verdict.detail[:200]}
        if verdict.outcome is Outcome.THROTTLED:
            block_ms = self.account.throttle(verdict, now)
            log.warning(
                "provider_throttled", provider=self.name, retry_after_seconds=block_ms / 1000, detail=verdict.detail
            )
            self.on_throttle(self.account, block_ms)
        elif verdict.outcome is Outcome.MISCONFIGURED:
            log.error("provider_misconfigured", provider=self.name, detail=verdict.detail)

    def _tell(self, change: Change, detail: str) -> None:
        if change is Change.CLOSED:
            log.info("breaker_closed", provider=self.name)
        elif change is Change.OPENED:
            log.warning("breaker_opened", provider=self.name, detail=detail)

    def look_at_flights(self, now: float) -> None:
        """Notice attempts that are overdue: a provider that hangs is left before its time-outs end."""
        patience = min(_MOST_OVERDUE_SECONDS, self.account.health.latency.overdue_after_seconds())
        oldest = now
        for delivery, began in self._flights.values():
            oldest = min(oldest, began)
            if now - began > patience and delivery not in self._overdue:
                self._overdue[delivery] = now
                change = self.account.overdue(began, now, is_probe=delivery.is_probe)
                delivery.is_probe = False  # it has failed as a probe, whatever it comes to
                if change is not None:
                    self._tell(change, "attempts are overdue")
        if self._flights:
            change = self.account.breaker.observe_silence(oldest, now, self.account.draw())
            if change is not None:
                self._tell(change, "no answer for a long time")

    def hand_back(self) -> None:
        """Give back what waits in the mailbox: nothing new begins."""
        self._is_draining = True
        for delivery in self.mailbox.empty():
            if delivery.may_have_begun:
                self.mailbox.put(delivery)
            else:
                self._refuse(delivery, "draining")

    async def land(self) -> None:
        """Break off what is in flight, and see it judged."""
        self._is_landed = True
        flights = tuple(self._flights)
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._channel.close()
