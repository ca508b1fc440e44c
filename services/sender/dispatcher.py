"""The dispatcher: leases from the shards what the providers can take now, and no more.

A message never waits in a sender's memory: what no provider can take is not leased. A shard whose
server does not answer is watched aside, so that it holds up no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from services.sender.account import Account
from services.sender.courier import Courier, Pool
from services.sender.delivery import Delivery
from services.sender.holdings import Bounds, Budget, Holdings
from services.sender.provider_actor import ProviderActor
from services.sender.rendezvous import hold_back_seconds
from services.sender.settler import Settler
from services.sender.works import Works
from shared.domain.errors import QueueError
from shared.domain.message import Priority
from shared.policy.priorities import newest_first, plan
from shared.policy.room import places_for
from shared.queue import Queue
from shared.queue.keys import slot
from shared.queue.leases import FlowRequest, Lease, Leased, Settled
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.wake import Bell
from shared.settings.model import Settings

#: A bell may be lost: the shards are looked at this often in any case.
_SWEEP_SECONDS: Final = 1.0
_MOST_AT_ONCE: Final = 125
#: How long a shard may take to answer before it is watched aside, and how often it is asked then.
_PATIENCE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.5
#: A bucket that cannot be asked: its pool waits for so short a time, and asks again so much later.
_DRAW_SECONDS: Final = 0.3
_DRAW_PAUSE_SECONDS: Final = 2.0

#: While messages are in flight, free places are gathered for so long before the next lease: a round and a
#: call for each place that becomes free would cost more than they bring.
_GATHER_SECONDS: Final = 0.003

log = get_logger()


class Dispatcher:
    """The actor that leases."""

    def __init__(self, queue: Queue, settings: Settings, metrics: Metrics) -> None:
        self._queue = queue
        self._settings = settings
        self._works = Works(queue.core.shards)
        self._bell = Bell()
        bounds = Bounds(
            messages=settings.sender.concurrency,
            size_bytes=int(settings.sender.buffer_megabytes * 1024 * 1024),
            critical_percent=settings.sender.critical_reserve_percent,
        )
        self.holdings = Holdings(bounds, settings.pools)
        size = 4 * settings.sender.concurrency + 1000
        self.settler = Settler(queue.leases, metrics, size, self._done)
        self.courier = Courier(queue, settings.retry, self.holdings, self._works, self.settler, metrics, self._bell)
        self._watches: dict[int, asyncio.Task[None]] = {}
        self._first_shard = 0
        self._leased_at = 0.0
        self._swept_at = 0.0
        self._is_leasing = False
        self._is_paused: Callable[[str], bool] = lambda _pool: False
        #: The names of all senders, as the census knows them.
        self.senders: frozenset[str] = frozenset()

    def employ(self, actors: Iterable[ProviderActor], is_paused: Callable[[str], bool]) -> None:
        """Work with these providers' actors; `is_paused` says of a pool that nothing of it may begin."""
        self._is_paused = is_paused
        self.courier.employ(actors, self._settings.pools)

    def take_over(self, settings: Settings, actors: Iterable[ProviderActor]) -> None:
        """Work with other providers' actors, and by other rules of retrying, from now on."""
        self._settings = settings
        self.holdings.share_among(settings.pools)
        self.courier.retry = settings.retry
        self.courier.employ(actors, settings.pools)
        self._works.suspect_all()
        self._bell.ring()

    @property
    def held(self) -> Collection[Delivery]:
        """The deliveries in this sender's hands."""
        return self.holdings.deliveries()

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

    # The loop

    async def act(self) -> None:
        """Lease, until cancelled."""
        try:
            while True:
                now = time.monotonic()
                if now - self._swept_at >= _SWEEP_SECONDS:
                    self._swept_at = now
                    self._works.suspect_all()
                seconds = await self._turn()
                if seconds <= _GATHER_SECONDS:
                    await asyncio.sleep(seconds)  # what rings meanwhile is seen by the next round
                else:
                    await self._bell.heard(seconds)
        finally:
            for watch in self._watches.values():
                watch.cancel()

    async def _turn(self) -> float:
        """Do one round over all shards; return after how many seconds the next should come by itself."""
        seconds = _SWEEP_SECONDS
        if self.courier.is_draining:
            return seconds
        now = time.monotonic()
        if (pause := self._gathering(now)) > 0:
            return pause
        for actor in self.courier.actors:
            actor.account.refresh(now)
        for shard in self._shards():
            try:
                waiting = self._works.in_shard(shard)
                if waiting is None:
                    await self._look(shard)
                    waiting = self._works.in_shard(shard) or {}
                if waiting:
                    seconds = min(seconds, await self._serve(shard, waiting))
            except QueueError as error:
                log.warning("chore_failed", chore="lease", shard=shard, error=str(error), kind=type(error).__name__)
                self._watch_aside(shard)
        return seconds

    def _gathering(self, now: float) -> float:
        """Return how long to gather free places still; critical messages wait for nobody."""
        if not len(self.holdings) or self._works.has(Priority.CRITICAL):
            return 0.0
        return self._leased_at + _GATHER_SECONDS - now

    def _shards(self) -> list[int]:
        count = self._queue.core.shards
        self._first_shard = (self._first_shard + 1) % count
        order = [(self._first_shard + step) % count for step in range(count)]
        return [shard for shard in order if shard not in self._watches]

    async def _look(self, shard: int) -> None:
        """Learn which flows of a shard hold messages, and take what a call whose answer was lost has leased."""
        if self._queue.leases.is_owed_an_answer(shard):
            await self._lease(shard, [], count=0)
        else:
            self._works.learned(shard, await self._queue.leases.look(shard, _PATIENCE_SECONDS))

    def _watch_aside(self, shard: int) -> None:
        """Leave out a shard, and those beside it on its server, until it answers again."""
        core = self._queue.core
        primary = core.servers.topology.primary_of(slot(core.tag(shard)))
        for other in range(core.shards):
            same = other == shard or core.servers.topology.primary_of(slot(core.tag(other))) == primary
            if same and other not in self._watches:
                self._watches[other] = asyncio.create_task(self._watch(other), name=f"watch shard {other}")

    async def _watch(self, shard: int) -> None:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._queue.leases.look(shard, _PATIENCE_SECONDS)
            except QueueError:
                continue  # the first failure is in the log, and every call's time in a metric
            break
        del self._watches[shard]
        self._works.suspect(shard)
        self._bell.ring()

    # Leasing

    async def _serve(self, shard: int, waiting: Mapping[str, Mapping[Priority, int]]) -> float:
        """Lease from one shard what the pools can take; return when to look again."""
        now = time.monotonic()
        requests: list[FlowRequest] = []
        seconds = _SWEEP_SECONDS
        size_bytes = 0
        for name, flows in waiting.items():
            pool = self.courier.pools.get(name)
            if pool is None or not pool.actors or self._is_paused(name):
                continue
            budget = self.holdings.budget(name)
            warm = {
                priority: since for priority, since in flows.items() if not self._works.is_cool(name, priority, now)
            }
            await self._draw_tokens(pool, warm, min(budget.critical, _MOST_AT_ONCE))
            seconds = min(seconds, _next_chance(pool.accounts, now), self._works.cools_for(name, now))
            asked = self._requests(shard, pool, warm, budget)
            requests.extend(asked)
            if asked:
                urgent = any(request.priority is Priority.CRITICAL for request in asked)
                size_bytes = max(size_bytes, budget.critical_bytes if urgent else budget.other_bytes)
        if not requests or size_bytes <= 0:
            return seconds
        self._leased_at = time.monotonic()
        await self._lease(shard, requests, held_bytes=size_bytes)
        return seconds

    async def _lease(
        self, shard: int, requests: Sequence[FlowRequest], *, count: int = _MOST_AT_ONCE, held_bytes: int = 0
    ) -> None:
        """Lease messages and send them on their way; those of an earlier call may come, whose answer was lost."""
        if self.courier.is_draining:
            return
        self._is_leasing = True
        try:
            leased = await self._queue.leases.lease(
                shard, requests, count=count, held_bytes=held_bytes, seconds=_PATIENCE_SECONDS
            )
            self._works.learned(shard, leased.work)
            if leased.leases:
                log.debug("messages_leased", shard=shard, count=len(leased.leases))
                self._take(leased)
                # There may be more, for other providers or for places that became free meanwhile.
                self._bell.ring()
        finally:
            self._is_leasing = False
            self._note_drained()

    def _take(self, leased: Leased) -> None:
        defects = [defect for lease in leased.leases if (defect := self._take_one(lease, leased.asked_at)) is not None]
        if defects:
            raise defects[0]

    def _take_one(self, lease: Lease, asked_at: float) -> Exception | None:
        delivery = Delivery.of(lease, asked_at, self._queue.leases.lease_ms / 1000)
        self.holdings.take(delivery)
        try:
            self.courier.route(delivery)
        except Exception as defect:  # noqa: BLE001 - raised when the others are on their way
            # What is held is renewed for ever: a defect here must let the lease run out.
            self.courier.forget(delivery)
            return defect
        return None

    def _requests(self, shard: int, pool: Pool, flows: Mapping[Priority, int], budget: Budget) -> list[FlowRequest]:
        """Return how much of each flow the pool's providers would take now, by routing's own rule."""
        now, now_ms = time.monotonic(), self._queue.core.now_ms(shard)
        views = [account.view for account in pool.accounts]
        places = {}
        for priority, since in flows.items():
            most = min(budget.critical if priority is Priority.CRITICAL else budget.others, _MOST_AT_ONCE)
            humbler = self._works.has_humbler(pool.name, priority)
            waited = max(0.0, (now_ms - since) / 1000)
            room = places_for(views, now, most, priority, waited, nothing_else_waits=not humbler)
            if room > 0:
                places[priority] = room
        if not places:
            return []
        shared = plan(max(places.values()), places, pool.turn)
        pool.turn = shared.turn
        return [
            FlowRequest(pool.name, priority, quota, newest_first(priority, int(now_ms - flows[priority])))
            for priority, quota in shared.quotas
        ]

    async def _draw_tokens(self, pool: Pool, flows: Mapping[Priority, int], most: int) -> None:
        # While critical messages wait, the plan shares what there is; else some is left for those that may come.
        urgent = Priority.CRITICAL in flows
        now = time.monotonic()
        thirsty = [
            (account, wanted)
            for account in pool.accounts
            if flows and (wanted := account.stock.wanted(now, most, urgent=urgent))
        ]
        await asyncio.gather(*(self._draw_for(account, wanted, urgent=urgent) for account, wanted in thirsty))

    async def _draw_for(self, account: Account, wanted: int, *, urgent: bool) -> None:
        stock, limits = account.stock, account.stock.limits
        try:
            drawn = await self._queue.providers.draw(
                account.settings.name,
                limits,
                wanted,
                reserve=0 if urgent else stock.reserve,
                seconds=_DRAW_SECONDS,
            )
        except QueueError as error:
            log.warning("chore_failed", chore="draw", error=str(error), kind=type(error).__name__)
            stock.stay_dry(time.monotonic() + _DRAW_PAUSE_SECONDS)
        else:
            now = time.monotonic()
            stock.take(drawn, now, urgent=urgent, by=limits)
            if drawn.blocked_until is not None:
                account.block(now + (drawn.blocked_until - drawn.now) / 1000)

    # The end

    def _done(self, delivery: Delivery, settled: Settled) -> None:
        self.courier.done(delivery, settled)

    def drain(self) -> None:
        """Lease nothing more, and hand back what has not begun."""
        self.courier.drain()
        self._note_drained()

    async def claim_debts(self) -> None:
        """Ask for the answers that are owed, so that what those calls leased can be handed back."""
        for shard in range(self._queue.core.shards):
            if self._queue.leases.is_owed_an_answer(shard):
                try:
                    self._take(await self._queue.leases.lease(shard, [], count=0, seconds=_PATIENCE_SECONDS))
                except QueueError as error:
                    log.warning("chore_failed", chore="lease", shard=shard, error=str(error), kind=type(error).__name__)

    def _note_drained(self) -> None:
        if self.courier.is_draining and not self._is_leasing:
            self.holdings.drain()


def _next_chance(accounts: Iterable[Account], now: float) -> float:
    """Return after how many seconds a provider that cannot take anything now may be able to."""
    seconds = _SWEEP_SECONDS
    for account in accounts:
        view = account.view
        for instant in (view.next_token_at, view.blocked_until, view.quota_until, view.next_probe_at):
            if now < instant < now + seconds:
                seconds = instant - now
    return max(0.001, seconds)
