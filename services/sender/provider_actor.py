"""A provider's actor: begins attempts in batches, hands messages over, and tells what came of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Final, Protocol

from services.sender import steps
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
from shared.queue.core import gather_all
from shared.queue.leases import Begin, Begun, Leases
from shared.runtime import tracing
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics

_BATCH: Final = 125
_PAUSE_SECONDS: Final = 0.2
_MOST_OVERDUE_SECONDS: Final = 10.0
#: How long to leave a probe to another sender before asking for the right again.
_OTHERS_PROBE_SECONDS: Final = 0.5
#: A pause that Redis knows of and this sender does not yet: soon it will.
_UNKNOWN_PAUSE_SECONDS: Final = 0.5

#: A provider that answers so works, whatever it thinks of the message.
_PROVES_WORK: Final = frozenset({Outcome.ACCEPTED, Outcome.PARTIAL, Outcome.REJECTED})

log = get_logger()


class Outlet(Protocol):
    """Where a provider's actor gives its deliveries back."""

    def tried(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
        """An attempt has ended."""

    def unused(self, delivery: Delivery, status: str) -> None:
        """Nothing was handed over: `stale`, `cancelled`, `expired`, `paused`, `late` (the lease is nearly over),
        `unreadable` (the content could not be read), `unprobed` (another sender finds out) or `draining`."""

    def changed(self) -> None:
        """The provider has room, or its state changed: other messages may go now."""


class Commons(Protocol):
    """What the senders of a provider have in common."""

    async def may_probe(self, account: Account) -> bool:
        """Return whether this sender, and no other, may find out whether the provider is back."""

    def probed(self, account: Account, *, failed: bool) -> None:
        """It has found out, or did not try."""

    def hurry(self, account: Account) -> None:
        """Tell the others at once what was learned."""


class ProviderActor:
    """The actor of one provider."""

    def __init__(
        self,
        account: Account,
        channel: Channel,
        leases: Leases,
        outlet: Outlet,
        commons: Commons,
        metrics: Metrics,
        size: int,
    ) -> None:
        self.account = account
        self.name = account.settings.name
        self.mailbox: Mailbox[Delivery] = Mailbox(self.name, size)
        self._channel = channel
        self._leases = leases
        self._outlet = outlet
        self._commons = commons
        self._metrics = metrics
        self._batch: set[Delivery] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._is_landed = False
        self._flights: dict[asyncio.Task[None], tuple[tuple[Delivery, ...], float]] = {}
        self._overdue: dict[Delivery, float] = {}
        self.on_begin: Callable[[str], None] = lambda _name: None

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
                self._aside(self._fetch_content(delivery), delivery)
            elif delivery.is_probe and not delivery.has_right:
                self._aside(self._claim(delivery), delivery)
            else:
                by_shard.setdefault(delivery.lease.shard, []).append(delivery)
        # A defect in one shard's call is raised when the others have ended: what a crash leaves is given up,
        # and must not fly all the same.
        await gather_all(self._begin_in(shard, deliveries) for shard, deliveries in by_shard.items())

    def _aside(self, errand: Coroutine[None, None, None], delivery: Delivery) -> None:
        """Let one delivery wait for what it needs before its attempt begins; the others do not wait for it."""
        self._batch.discard(delivery)
        task = asyncio.create_task(errand, name=f"errand for {delivery.lease.id}")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _claim(self, delivery: Delivery) -> None:
        if await self._commons.may_probe(self.account):
            delivery.has_right = True
            self.mailbox.put(delivery)
        else:
            self.account.breaker.abandon_probe(time.monotonic(), _OTHERS_PROBE_SECONDS)
            self._refuse(delivery, "unprobed")

    async def _fetch_content(self, delivery: Delivery) -> None:
        """Read a large content: trouble with Redis is no attempt of the provider's."""
        try:
            delivery.envelope = await self._leases.whole(delivery.lease)
        except QueueError as error:
            lease = delivery.lease
            log.warning("chore_failed", chore="read", message_id=lease.id, tenant=lease.tenant, error=str(error))
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
        ready = []
        for delivery, begun in zip(deliveries, answers, strict=True):
            if begun.status == "begun":
                ready.append((delivery, begun))
            else:
                self._refuse_begin(delivery, begun.status)
        self._launch(ready)

    def _refuse_begin(self, delivery: Delivery, status: str) -> None:
        if status == "stale":
            self._metrics.stale_writes["begin"].inc()
            lease = delivery.lease
            log.warning("stale_write_refused", script="begin", message_id=lease.id, tenant=lease.tenant)
        elif status == "paused":
            view = self.account.view
            view.paused_until = max(view.paused_until, time.monotonic() + _UNKNOWN_PAUSE_SECONDS)
        self._refuse(delivery, status)

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
        self._free(delivery, token=True)
        self._outlet.unused(delivery, status)

    def _free(self, delivery: Delivery, *, token: bool) -> None:
        self._stop_probing(delivery)
        self.account.restore(token=token)
        self._outlet.changed()

    def _stop_probing(self, delivery: Delivery) -> None:
        if delivery.is_probe:
            self.account.breaker.abandon_probe(time.monotonic())
        self._end_probe(delivery)

    def _end_probe(self, delivery: Delivery, *, failed: bool = False) -> None:
        delivery.is_probe = False
        if delivery.has_right:
            delivery.has_right = False
            self._commons.probed(self.account, failed=failed)

    # In flight

    def _launch(self, begun: Sequence[tuple[Delivery, Begun]]) -> None:
        """Let what has begun go out: together where the provider takes many in one request, else each alone."""
        together: list[tuple[Delivery, Begun]] = []
        for delivery, start in begun:
            if not self._take_off(delivery):
                continue
            if self._may_join(delivery, start):
                together.append((delivery, start))
            else:
                self._fly([(delivery, start)])
        for group in self._groups(together):
            self._fly(group)

    def _take_off(self, delivery: Delivery) -> bool:
        """Note that an attempt has begun; return whether it may still go out."""
        self._batch.discard(delivery)
        if self._is_landed:
            # The answer came when nothing may go out any more.
            delivery.may_have_begun, delivery.asked_of = True, self.name
            self._refuse(delivery, "draining")
            return False
        delivery.attempts += 1
        delivery.may_have_begun = False
        delivery.closed, delivery.decided = None, ()
        if delivery.lease.is_doubtful:
            self._metrics.possible_duplicates.inc()
        self.on_begin(self.name)
        steps.begin_attempt(delivery, self.name)
        lease, number = delivery.lease, delivery.attempts
        log.debug("attempt_begun", message_id=lease.id, tenant=lease.tenant, provider=self.name, attempt=number)
        return True

    def _may_join(self, delivery: Delivery, begun: Begun) -> bool:
        # Whoever was tried before goes alone: it may be what spoiled its batch, and a lost answer
        # to a request of one message puts no other in doubt.
        if self._channel.batch_limit == 1 or delivery.is_probe or delivery.attempts > 1:
            return False
        try:
            return self._channel.may_join(self._parcel(delivery, begun))
        except Exception as defect:
            # It flies alone, where a defect of its kind ends one attempt and strands no other message.
            log.exception("task_crashed", task=f"{self.name}/{delivery.lease.id}", error=repr(defect))
            return False

    def _groups(self, begun: Sequence[tuple[Delivery, Begun]]) -> Iterator[list[tuple[Delivery, Begun]]]:
        """Divide what goes together into requests that the provider takes."""
        group: list[tuple[Delivery, Begun]] = []
        size_bytes = 0
        for pair in begun:
            size = pair[0].lease.envelope.size_bytes
            if group and (len(group) == self._channel.batch_limit or size_bytes + size > self._channel.max_batch_bytes):
                yield group
                group, size_bytes = [], 0
            group.append(pair)
            size_bytes += size
        if group:
            yield group

    def _fly(self, begun: Sequence[tuple[Delivery, Begun]]) -> None:
        now = time.monotonic()
        self.account.begin(now)
        flight = asyncio.create_task(self._deliver(begun, now), name=f"{self.name}/{begun[0][0].lease.id}")
        self._flights[flight] = (tuple(delivery for delivery, _ in begun), now)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        deliveries, _ = self._flights.pop(flight)
        defect = None if flight.cancelled() else flight.exception()
        if defect is not None:
            log.error("task_crashed", task=flight.get_name(), error=repr(defect), exc_info=defect)
        if defect is not None or flight.cancelled():
            for delivery in deliveries:
                if flight.cancelled():  # before it took its first step
                    self._free(delivery, token=False)
                # Its lease runs out, and it is judged as what it is: begun, and its end unknown.
                self._outlet.unused(delivery, "stale")

    async def _deliver(self, begun: Sequence[tuple[Delivery, Begun]], began: float) -> None:
        is_providers = False
        try:
            with tracing.inside(*(delivery.attempt_span for delivery, _ in begun)):
                verdicts = await self._exchange(begun)
            is_providers = True
        except asyncio.CancelledError:
            # The grace period is over: whether the provider has it is unknown, and is written down so.
            lost = Verdict(Outcome.AMBIGUOUS, "the sender was stopped while it waited for the answer")
            verdicts = [lost] * len(begun)
        except Exception as defect:
            log.exception("task_crashed", task=f"{self.name}/{begun[0][0].lease.id}", error=repr(defect))
            verdicts = [Verdict(Outcome.AMBIGUOUS, f"a defect in the sender: {type(defect).__name__}")] * len(begun)
        for (delivery, start), verdict in zip(begun, verdicts, strict=True):
            try:
                self._end(delivery, start, began, legible(verdict), is_providers=is_providers)
            except Exception as defect:
                # The others of its request must not share its fate. Its lease runs out, and is judged ambiguous.
                log.exception("task_crashed", task=f"{self.name}/{delivery.lease.id}", error=repr(defect))
                self._stop_probing(delivery)
                self._outlet.unused(delivery, "stale")

    async def _exchange(self, begun: Sequence[tuple[Delivery, Begun]]) -> Sequence[Verdict]:
        parcels = [self._parcel(delivery, start) for delivery, start in begun]
        if len(parcels) > 1:
            return await self._channel.deliver_batch(parcels)
        (parcel,) = parcels
        lease = begun[0][0].lease
        if lease.is_doubtful and lease.prefer == self.name:
            found = await self._channel.ask(parcel)
            if found is not None:
                return [found]
        return [await self._channel.deliver(parcel)]

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
        self._metrics.attempt_seconds[self.name].observe(now - began, delivery.attempt_span.exemplar)
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
        self._end_probe(delivery, failed=outcome not in _PROVES_WORK)
        steps.end_attempt(delivery, attempt)
        log.debug(
            "attempt_finished",
            message_id=delivery.lease.id,
            tenant=delivery.lease.tenant,
            provider=self.name,
            attempt=attempt.number,
            outcome=outcome,
        )
        self._outlet.tried(delivery, attempt, verdict)
        self._outlet.changed()

    def _learn(
        self, delivery: Delivery, begun: Begun, began: float, verdict: Verdict, overdue_at: float | None
    ) -> None:
        now = time.monotonic()
        change = self.account.observe(verdict, began, now, is_probe=delivery.is_probe, overdue_at=overdue_at)
        if verdict.outcome is not Outcome.ACCEPTED:
            self._note_trouble(verdict, begun, now, began)
        if verdict.account_fault:
            log.error("provider_misconfigured", provider=self.name, detail=verdict.account_fault)
        if change is not None:
            self._tell(change, verdict.account_fault or verdict.detail)

    def _note_trouble(self, verdict: Verdict, begun: Begun, now: float, began: float) -> None:
        at = begun.at + round((now - began) * 1000)
        self.account.last_error = {"at": at, "outcome": verdict.outcome, "detail": verdict.detail[:200]}
        if verdict.outcome is Outcome.THROTTLED:
            seconds = self.account.throttle(verdict, now)
            log.warning("provider_throttled", provider=self.name, retry_after_seconds=seconds, detail=verdict.detail)
            self._commons.hurry(self.account)
        elif verdict.outcome is Outcome.MISCONFIGURED:
            log.error("provider_misconfigured", provider=self.name, detail=verdict.detail)

    def _tell(self, change: Change, detail: str) -> None:
        self._commons.hurry(self.account)
        if change is Change.CLOSED:
            log.info("breaker_closed", provider=self.name)
        elif change is Change.OPENED:
            log.warning("breaker_opened", provider=self.name, detail=detail)
            opening = self.account.breaker.opening
            if opening is not None:
                self._metrics.breaker_openings[self.name, opening.reason].inc()

    def look_at_flights(self, now: float) -> None:
        """Notice attempts that are overdue: a provider that hangs is left before its time-outs end."""
        patience = min(_MOST_OVERDUE_SECONDS, self.account.health.latency.overdue_after_seconds())
        oldest = now
        for deliveries, began in self._flights.values():
            oldest = min(oldest, began)
            if now - began > patience:
                for delivery in deliveries:
                    self._note_overdue(delivery, began, now)
        if self._flights:
            change = self.account.breaker.observe_silence(oldest, now, self.account.draw())
            if change is not None:
                self._tell(change, "no answer for a long time")

    def _note_overdue(self, delivery: Delivery, began: float, now: float) -> None:
        if delivery in self._overdue:
            return
        self._overdue[delivery] = now
        change = self.account.overdue(began, now, is_probe=delivery.is_probe)
        self._end_probe(delivery, failed=True)  # it has failed as a probe, whatever it comes to
        if change is not None:
            self._tell(change, "attempts are overdue")

    def hand_back(self) -> None:
        """Give back what waits in the mailbox: nothing new begins."""
        self._is_draining = True
        for delivery in self.mailbox.empty():
            if delivery.may_have_begun:
                self.mailbox.put(delivery)
            else:
                self._refuse(delivery, "draining")

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits here and nothing is under way."""
        return not (len(self.mailbox) or self._batch or self._errands or self._flights)

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
