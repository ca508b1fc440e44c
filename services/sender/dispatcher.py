"""The dispatcher: leases what the providers can take now, routes it, and decides what follows each attempt.

A message never waits in a sender's memory: what no provider can take is not leased, and what
turns out to be unroutable goes back with the reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.sender.account import Account
from services.sender.delivery import Delivery, short_hash
from services.sender.judgement import Judgement, judge
from services.sender.provider_actor import ProviderActor
from services.sender.rendezvous import hold_back_seconds
from services.sender.settler import Settler
from services.sender.works import Works
from shared.domain.errors import QueueError
from shared.domain.message import Attempt, OnAmbiguous, Priority
from shared.domain.outcome import Next, Outcome, Verdict
from shared.policy.backoff import ambiguous_delay_ms, retry_delay_ms
from shared.policy.priorities import Turn, newest_first, plan
from shared.policy.room import Room, room_of
from shared.policy.routing import Choice, choose
from shared.policy.views import RouteCode, WaitingCode
from shared.queue import Queue
from shared.queue.leases import FlowRequest, Leased, Release, Settled, Settlement
from shared.runtime.dice import draw
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.wake import Bell
from shared.settings.model import Settings

#: A bell may be lost: the shards are looked at this often in any case.
_SWEEP_SECONDS: Final = 1.0
#: A flow of unknown depth counts as this many messages.
_MANY: Final = 10_000
_MOST_AT_ONCE: Final = 250
_PAUSE_SECONDS: Final = 0.5

#: While much is in flight, so many free places are gathered, at most so long, before the next lease.
_GATHERED_SHARE: Final = 0.25
_GATHER_SECONDS: Final = 0.004

#: What no provider can take now comes back after this, at least and at most.
_SHORTEST_WAIT_MS: Final = 200
_LONGEST_WAIT_MS: Final = 60_000
_UNKNOWN_WAIT_MS: Final = 1_000
#: How long a message with a strike waits while another one is in flight here.
_STRUCK_WAIT_MS: Final = 250

log = get_logger()


@dataclass(slots=True)
class Pool:
    """The providers of one pool, in this sender, and whose turn it is among its priorities."""

    name: str
    actors: tuple[ProviderActor, ...]
    turn: Turn = field(default_factory=Turn)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The state of each provider."""
        return tuple(actor.account for actor in self.actors)


class Dispatcher:
    """The actor that holds every delivery of this sender."""

    def __init__(self, queue: Queue, settings: Settings, metrics: Metrics, *, draw: Callable[[], float] = draw) -> None:
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._draw = draw
        self._pools: dict[str, Pool] = {}
        self._actors: dict[str, ProviderActor] = {}
        self.settler = Settler(queue.leases, metrics, size=4 * settings.sender.concurrency + 1000, done=self._done)
        self._works = Works(queue.core.shards)
        self._bell = Bell()
        self.held: dict[str, Delivery] = {}
        self._held_bytes = 0
        self._struck: str | None = None
        self._first_shard = 0
        self._leased_at = 0.0
        self._is_draining = False
        self._is_leasing = False
        #: The names of all senders, as the census knows them.
        self.senders: frozenset[str] = frozenset()
        #: Set when a drain has left no delivery in this sender's hands.
        self.emptied = asyncio.Event()

    def employ(self, actors: Iterable[ProviderActor]) -> None:
        """Work with these providers' actors."""
        for actor in actors:
            self._actors[actor.name] = actor
        for pool in self._settings.pools:
            members = tuple(actor for actor in self._actors.values() if pool in actor.account.settings.pools)
            self._pools[pool] = Pool(pool, members)

    # What wakes it

    def hear(self, shard: int | None, flow: str) -> None:
        """Look at a flow that has just been filled, or at every shard."""
        if shard is None:
            self._works.suspect_all()
        else:
            self._works.rang(shard, flow, self._queue.core.now_ms(shard))
            pause = hold_back_seconds(self._queue.leases.name, self.senders, shard)
            if pause > 0:
                asyncio.get_running_loop().call_later(pause, self._bell.ring)
                return
        self._bell.ring()

    def changed(self) -> None:
        """Look again: a provider has room or changed its state."""
        self._bell.ring()

    # The loop

    async def act(self) -> None:
        """Lease and route, until cancelled."""
        while True:
            seconds = _SWEEP_SECONDS
            try:
                seconds = await self._turn()
            except QueueError as error:
                log.warning("chore_failed", chore="lease", error=str(error), kind=type(error).__name__)
                self._works.suspect_all()
                await asyncio.sleep(_PAUSE_SECONDS)
            if not await self._bell.heard(seconds):
                self._works.suspect_all()

    async def _turn(self) -> float:
        """Do one round over all pools; return after how many seconds the next should come by itself."""
        if self._is_draining:
            return _SWEEP_SECONDS
        now = time.monotonic()
        for actor in self._actors.values():
            actor.account.refresh(now)
        seconds = _SWEEP_SECONDS
        for shard in self._shards():
            waiting = self._works.in_shard(shard)
            if waiting is None:
                await self._look(shard)
                waiting = self._works.in_shard(shard) or {}
            if waiting:
                seconds = min(seconds, await self._serve(shard, waiting))
        return seconds

    async def _look(self, shard: int) -> None:
        """Learn which flows of a shard hold messages, and take what a call whose answer was lost has leased."""
        if self._queue.leases.is_owed_an_answer(shard):
            await self._lease(shard, [], count=0)
        else:
            self._works.learned(shard, await self._queue.leases.look(shard))

    def _shards(self) -> list[int]:
        count = self._queue.core.shards
        self._first_shard = (self._first_shard + 1) % count
        return [(self._first_shard + step) % count for step in range(count)]

    async def _serve(self, shard: int, waiting: Mapping[str, Mapping[Priority, int]]) -> float:
        """Lease from one shard what the pools can take; return when to look again."""
        now = time.monotonic()
        requests: list[FlowRequest] = []
        seconds = _SWEEP_SECONDS
        budget = self._settings.sender.concurrency - len(self.held)
        for name, flows in waiting.items():
            pool = self._pools.get(name)
            if pool is None or not pool.actors or budget <= 0:
                continue
            await self._draw_tokens(pool, flows, min(budget, _MOST_AT_ONCE))
            room = room_of([account.view for account in pool.accounts], now, min(budget, _MOST_AT_ONCE))
            seconds = min(seconds, _next_chance(pool.accounts, now))
            asked = self._requests(shard, pool, flows, room)
            budget -= sum(request.quota for request in asked)
            requests.extend(asked)
        held_bytes = int(self._settings.sender.buffer_megabytes * 1024 * 1024) - self._held_bytes
        if not requests or held_bytes <= 0:
            return seconds
        if (pause := self._gathering(requests, now)) > 0:
            return min(seconds, pause)
        self._leased_at = time.monotonic()
        await self._lease(shard, requests, held_bytes=held_bytes)
        return seconds

    async def _lease(
        self, shard: int, requests: Sequence[FlowRequest], *, count: int = _MOST_AT_ONCE, held_bytes: int = 0
    ) -> None:
        """Lease messages and send them on their way; those of an earlier call may come, whose answer was lost."""
        if self._is_draining:
            return
        self._is_leasing = True
        try:
            leased = await self._queue.leases.lease(shard, requests, count=count, held_bytes=held_bytes)
            self._works.learned(shard, leased.work)
            if leased.leases:
                log.debug("messages_leased", shard=shard, count=len(leased.leases))
                self._take(leased)
                # There may be more, for other providers or for places that became free meanwhile.
                self._bell.ring()
        finally:
            self._is_leasing = False
            self._note_emptied()

    def _gathering(self, requests: Sequence[FlowRequest], now: float) -> float:
        """Return how long to wait for more free places: a call for each place that becomes free would cost
        more than it brings. Critical messages wait for nobody."""
        if not self.held or any(request.priority is Priority.CRITICAL for request in requests):
            return 0.0
        if sum(request.quota for request in requests) >= min(_MOST_AT_ONCE, len(self.held) * _GATHERED_SHARE):
            return 0.0
        return self._leased_at + _GATHER_SECONDS - now

    def _requests(self, shard: int, pool: Pool, flows: Mapping[Priority, int], room: Room) -> list[FlowRequest]:
        if room.total <= 0:
            return []
        shared = plan(room.total, dict.fromkeys(flows, _MANY), pool.turn, reserved=room.reserved)
        pool.turn = shared.turn
        now_ms = self._queue.core.now_ms(shard)
        return [
            FlowRequest(pool.name, priority, quota, newest_first(priority, int(now_ms - flows[priority])))
            for priority, quota in shared.quotas
        ]

    async def _draw_tokens(self, pool: Pool, flows: Mapping[Priority, int], most: int) -> None:
        now = time.monotonic()
        thirsty = [(account, wanted) for account in pool.accounts if (wanted := account.wanted_tokens(now, most))]
        # While critical messages wait, the plan shares what there is; else some is left for those that may come.
        urgent = Priority.CRITICAL in flows
        await asyncio.gather(*(self._draw_for(account, wanted, urgent=urgent) for account, wanted in thirsty))

    async def _draw_for(self, account: Account, wanted: int, *, urgent: bool) -> None:
        drawn = await self._queue.providers.draw(
            account.settings.name,
            rate=account.settings.rate_per_second,
            burst=account.burst,
            wanted=wanted,
            reserve=0 if urgent else account.bucket_reserve,
        )
        account.take_tokens(drawn, time.monotonic())

    # Deliveries

    def _take(self, leased: Leased) -> None:
        lease_seconds = self._queue.leases.lease_ms / 1000
        for lease in leased.leases:
            delivery = Delivery.of(lease, leased.asked_at, lease_seconds)
            self.held[lease.id] = delivery
            self._held_bytes += lease.size_bytes
            try:
                self._route(delivery)
            except Exception:
                # What is held is renewed for ever: a defect here must let the lease run out.
                self._forget(delivery)
                raise

    def _route(self, delivery: Delivery) -> None:
        """Send a fresh delivery on its way, or hand it back with the reason."""
        lease = delivery.lease
        if self._is_draining:
            self._release(delivery)
            return
        if lease.strikes and self._struck not in {None, lease.id}:
            self._release(delivery, delay_ms=_STRUCK_WAIT_MS, waiting=WaitingCode.TURN)
            return
        if lease.strikes:
            self._struck = lease.id
        choice = self._choose(delivery)
        if choice.provider is not None:
            self._send(delivery, choice)
        elif choice.is_impossible:
            self._release(delivery, fail="no_provider_can_carry")
        else:
            self._release(delivery, delay_ms=_wait_ms(choice), waiting=choice.waiting or WaitingCode.TURN)

    def _choose(self, delivery: Delivery) -> Choice:
        pool = self._pools[delivery.lease.pool]
        names = tuple(actor.name for actor in pool.actors)
        now = time.monotonic()
        waited = max(0.0, (self._queue.core.now_ms(delivery.lease.shard) - delivery.lease.ready_at) / 1000)
        view = delivery.view(names, waited, nothing_else_waits=not self._works.has_humbler(pool.name, delivery.lease))
        return choose(view, [account.view for account in pool.accounts], now, self._draw(), explain=True)

    def _send(self, delivery: Delivery, choice: Choice) -> None:
        actor = self._actors[choice.provider or ""]
        account = actor.account
        delivery.route = choice.steps
        if choice.code is RouteCode.PROBE:
            delivery.is_probe = True
            account.breaker.begin_probe()
            account.refresh(time.monotonic())
            log.info("breaker_probed", provider=actor.name)
        account.reserve()
        if delivery.tried:
            self._metrics.failovers[delivery.tried[-1], actor.name].inc()
        actor.mailbox.put(delivery)

    # What comes back

    def tried(self, delivery: Delivery, attempt: Attempt, verdict: Verdict) -> None:
        """Decide what follows an attempt that has ended."""
        judgement = judge(verdict, attempt.provider, delivery.pending)
        delivery.counts_round |= judgement.counts_round
        if judgement.refuses:
            delivery.refused |= {short_hash(attempt.provider)}
        if verdict.outcome in {Outcome.ACCEPTED, Outcome.PARTIAL}:
            self._measure(delivery, attempt)
        if judgement.next is Next.END:
            self._settle(delivery, attempt, judgement)
        elif judgement.next is Next.DELAY:
            self._settle_ambiguous(delivery, attempt, judgement)
        else:
            self._fail_over(delivery, attempt, judgement)

    def _measure(self, delivery: Delivery, attempt: Attempt) -> None:
        seconds = (attempt.started_at + attempt.duration_ms - delivery.lease.waits_since) / 1000
        self._metrics.end_to_end_seconds[delivery.lease.priority].observe(max(0.0, seconds))

    def _settle(self, delivery: Delivery, attempt: Attempt, judgement: Judgement) -> None:
        settlement = Settlement(
            delivery.lease,
            attempt,
            all_state=judgement.all_state,
            decided=judgement.decided,
            reason=judgement.reason,
        )
        self._put(delivery, settlement)

    def _settle_ambiguous(self, delivery: Delivery, attempt: Attempt, judgement: Judgement) -> None:
        fails = delivery.lease.envelope.on_ambiguous is OnAmbiguous.FAIL
        delay = ambiguous_delay_ms(self._settings.retry.ambiguous_delay_seconds, self._draw())
        self._put(
            delivery,
            Settlement(
                delivery.lease,
                attempt,
                decided=judgement.decided,
                fail_rest="ambiguous" if fails else None,
                delay_ms=delay,
                counts_round=True,
                waiting="ambiguous_delay",
                is_doubtful=True,
                refused=delivery.refused,
                prefer=attempt.provider,
            ),
        )

    def _fail_over(self, delivery: Delivery, attempt: Attempt, judgement: Judgement) -> None:
        """Go to the next provider inside the same lease; where there is none, wait."""
        delivery.pending = judgement.left
        choice = Choice(None)
        if not self._is_draining and not delivery.is_lost:
            self._actors[attempt.provider].account.refresh(time.monotonic())
            choice = self._choose(delivery)
        if choice.provider is not None:
            delivery.closed, delivery.decided = attempt, judgement.decided
            log.debug(
                "message_failed_over",
                message_id=delivery.lease.id,
                provider=attempt.provider,
                to=choice.provider,
                outcome=attempt.outcome,
            )
            self._send(delivery, choice)
            return
        delay, waiting = self._next_round(delivery, choice)
        self._put(
            delivery,
            Settlement(
                delivery.lease,
                attempt,
                decided=judgement.decided,
                reason=judgement.reason,
                fail_rest="no_provider_can_carry" if choice.is_impossible else None,
                delay_ms=delay,
                counts_round=delivery.counts_round,
                waiting=waiting,
                refused=delivery.refused,
            ),
        )

    def _next_round(self, delivery: Delivery, choice: Choice) -> tuple[int, str]:
        if delivery.counts_round:
            retry = self._settings.retry
            delay = retry_delay_ms(delivery.lease.rounds + 1, retry.base_seconds, retry.max_seconds, self._draw())
            return delay, "backoff"
        return _wait_ms(choice), choice.waiting or WaitingCode.NO_PROVIDER_AVAILABLE

    def unused(self, delivery: Delivery, status: str) -> None:
        """Take back a delivery under which nothing was begun at this provider."""
        if status in {"stale", "cancelled", "expired"}:
            # The queue has ended the lease itself.
            self._forget(delivery)
        elif delivery.closed is not None:
            # An attempt before this one is still to be written.
            delay, waiting = self._next_round(delivery, Choice(None))
            self._put(
                delivery,
                Settlement(
                    delivery.lease,
                    delivery.closed,
                    decided=delivery.decided,
                    delay_ms=delay,
                    counts_round=delivery.counts_round,
                    waiting=waiting,
                    refused=delivery.refused,
                ),
            )
        else:
            self._release(delivery)

    def _release(
        self, delivery: Delivery, *, delay_ms: int | None = None, waiting: str | None = None, fail: str | None = None
    ) -> None:
        self._put(delivery, Release(delivery.lease, delay_ms, waiting, delivery.refused, fail))

    def _put(self, delivery: Delivery, wish: Settlement | Release) -> None:
        self.settler.mailbox.put((delivery, wish))

    def _done(self, delivery: Delivery, settled: Settled) -> None:
        log.debug("message_settled", message_id=delivery.lease.id, state=settled.state)
        self._forget(delivery)

    def _forget(self, delivery: Delivery) -> None:
        if self.held.pop(delivery.lease.id, None) is not None:
            self._held_bytes -= delivery.lease.size_bytes
        if self._struck == delivery.lease.id:
            self._struck = None
        self._note_emptied()
        self._bell.ring()

    # Draining

    def drain(self) -> None:
        """Lease nothing more, and hand back what has not begun."""
        self._is_draining = True
        for actor in self._actors.values():
            actor.hand_back()
        self._note_emptied()

    def _note_emptied(self) -> None:
        if self._is_draining and not self.held and not self._is_leasing:
            self.emptied.set()


def _wait_ms(choice: Choice) -> int:
    if choice.until is None:
        return _UNKNOWN_WAIT_MS
    wait = int(1000 * (choice.until - time.monotonic())) + 1
    return min(_LONGEST_WAIT_MS, max(_SHORTEST_WAIT_MS, wait))


def _next_chance(accounts: Iterable[Account], now: float) -> float:
    """Return after how many seconds a provider that cannot take anything now may be able to."""
    seconds = _SWEEP_SECONDS
    for account in accounts:
        view = account.view
        for instant in (view.next_token_at, view.blocked_until, view.next_probe_at):
            if now < instant < now + seconds:
                seconds = instant - now
    return max(0.001, seconds)
