"""The sender, joined: the actors, their supervisor, and an orderly end."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from reliable_email import __version__
from services.sender import lease_keeper, telling
from services.sender.account import Account
from services.sender.dispatcher import Dispatcher
from services.sender.provider_actor import ProviderActor
from services.sender.roster import Roster
from services.sender.sharing import SHARE_SECONDS, Sharing
from services.sender.supervisor import supervise
from services.sender.transport.channel import open_channel
from services.sender.transport.http import HttpConnections
from shared.queue import Queue
from shared.queue.bells import listen
from shared.queue.processes import BEAT_SECONDS
from shared.runtime import joining, run_file
from shared.runtime.dice import draw
from shared.runtime.metrics import SENDER, Metrics
from shared.runtime.ops import Ops
from shared.runtime.process import Lifetime
from shared.runtime.reloading import Load, obey_hangups
from shared.runtime.tasks import TaskScope, periodically
from shared.settings.model import ProviderSettings, Settings, config_revision

_FLIGHTS_SECONDS: Final = 0.1
#: All is written by then, and the grace period may be over.
_GOODBYE_SECONDS: Final = 1.0


class Sender:
    """The actors of one sender."""

    def __init__(self, queue: Queue, settings: Settings, metrics: Metrics) -> None:
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._revision = config_revision(settings)
        self._http = HttpConnections()
        self._acts: dict[ProviderActor, asyncio.Task[None]] = {}
        #: Those that were taken out, and still have something under way.
        self._leaving: list[ProviderActor] = []
        self._scope: TaskScope | None = None
        self.dispatcher = Dispatcher(queue, settings, metrics)
        metrics.leases_held.set_function(lambda: len(self.dispatcher.holdings))
        metrics.show_revision(self._revision)
        self.sharing = Sharing(queue, self.dispatcher.courier.changed)
        self.roster = Roster().successor(settings.providers, self._account, self._actor)
        self.sharing.employ(self.roster.accounts)
        self.dispatcher.employ(self.roster.actors, self.sharing.is_paused)

    def _account(self, provider: ProviderSettings) -> Account:
        return Account(provider, self._settings.sender.critical_reserve_percent, draw)

    def _actor(self, account: Account, provider: ProviderSettings) -> ProviderActor:
        size = max(1000, 2 * self._settings.sender.concurrency)
        channel = open_channel(provider, self._http)
        outlet = self.dispatcher.courier
        actor = ProviderActor(account, channel, self._queue.leases, outlet, self.sharing, self._metrics, size)
        actor.on_begin = self._began
        telling.introduce(self._metrics, provider.name)
        return actor

    def start(self, scope: TaskScope) -> None:
        """Start the actors under the supervisor."""
        self._scope = scope
        for name, act in (("dispatcher", self.dispatcher.act), ("settler", self.dispatcher.settler.act)):
            scope.keep(name, supervise(name, act, self._metrics))
        for actor in self.roster.actors:
            self._acts[actor] = self._set_to_work(actor, scope)
        lease_seconds = self._settings.sender.lease_seconds
        scope.keep("bells", listen(self._queue.core, "wake", self.dispatcher.hear))
        scope.keep("leases", periodically("extend", self._renew, lease_seconds / lease_keeper.LOOKS_PER_LEASE))
        scope.keep("flights", periodically("flights", self._look_at_flights, _FLIGHTS_SECONDS))
        scope.keep("share", periodically("share", self._share, SHARE_SECONDS))
        scope.keep("census", periodically("census", self._count_senders, BEAT_SECONDS))
        scope.keep("beat", joining.beat(self._queue, SENDER, self._queue.leases.name, self.tell))

    def _set_to_work(self, actor: ProviderActor, scope: TaskScope) -> asyncio.Task[None]:
        name = f"provider {actor.name}"
        return scope.keep(name, supervise(name, actor.act, self._metrics))

    def take_over(self, settings: Settings) -> None:
        """Work with other providers, and by other rules of retrying, from now on.

        Raises ConfigurationError, and then nothing has changed.
        """
        if self._scope is None:
            raise RuntimeError("a sender that was not started has nothing to change")
        roster, before = self.roster.successor(settings.providers, self._account, self._actor), self.roster
        self._settings, self._revision, self.roster = settings, config_revision(settings), roster
        self._metrics.show_revision(self._revision)
        for account, provider in zip(roster.accounts, settings.providers, strict=True):
            account.change(provider)
        joining.bound_retries(self._queue.leases, settings.retry)
        self.sharing.employ(roster.accounts)
        self.dispatcher.take_over(settings, roster.actors)
        for actor in roster.without(before):
            self._acts[actor] = self._set_to_work(actor, self._scope)
        for actor in before.without(roster):
            actor.hand_back()
            self._leaving.append(actor)
            self._scope.spawn(f"leave {actor.name}", self._let_go(actor))

    async def _let_go(self, actor: ProviderActor) -> None:
        """Let an actor that was taken out finish what is under way, then close its connections."""
        while not actor.is_idle:  # noqa: ASYNC110 - what it holds ends in many places, and nobody waits for this
            await asyncio.sleep(_FLIGHTS_SECONDS)
        self._acts.pop(actor).cancel()
        await actor.close()
        self._leaving.remove(actor)
        if actor.name not in {account.settings.name for account in self.roster.accounts}:
            telling.forget(self._metrics, actor.name)
        if not any(actor.account is account for account in self.roster.accounts):
            await self.sharing.part(actor.account)

    @property
    def _all_actors(self) -> list[ProviderActor]:
        return [*self.roster.actors, *self._leaving]

    async def _renew(self) -> None:
        await lease_keeper.renew(self._queue.leases, self.dispatcher.held)

    async def _count_senders(self) -> None:
        census = await self._queue.processes.census()
        self.dispatcher.senders = frozenset(process.name for process in census if process.role == SENDER)

    async def _look_at_flights(self) -> None:
        now = time.monotonic()
        for actor in self._all_actors:
            actor.look_at_flights(now)

    async def _share(self) -> None:
        """Learn what other senders know of each provider, and show what this one knows."""
        now = time.monotonic()
        telling.show(self._metrics, self.roster.accounts, now)
        for actor in self.roster.actors:
            self._metrics.actor_mailbox_depth[f"provider {actor.name}"].set(len(actor.mailbox))
        self._metrics.actor_mailbox_depth["settler"].set(len(self.dispatcher.settler.mailbox))
        await self.sharing.exchange()
        await self.sharing.give_back()
        await self.sharing.look_at_quotas()

    def _began(self, provider: str) -> None:
        for account in self.roster.accounts:
            if account.settings.name != provider:
                account.begin_elsewhere()

    def tell(self) -> dict[str, Any]:
        """Return what the census shows of this sender."""
        now, wall_ms = time.monotonic(), int(self._queue.core.now_ms())
        for account in self.roster.accounts:
            account.refresh(now)
        return {
            "config_revision": self._revision,
            "pools": {
                pool: [provider.name for provider in self._settings.providers if pool in provider.pools]
                for pool in self._settings.pools
            },
            "providers": [telling.row(account, self._revision, now, wall_ms) for account in self.roster.accounts],
        }

    async def drain(self, lifetime: Lifetime) -> None:
        """Hand back what has not begun, wait for what has, and write everything down."""
        self.dispatcher.drain()
        await self.dispatcher.claim_debts()
        await lifetime.within_grace(self.dispatcher.holdings.emptied)
        for actor in self._all_actors:
            await actor.land()
        await self.dispatcher.holdings.emptied.wait()

    async def close(self) -> None:
        """Give back the tokens that nobody used, and close the connections to all providers."""
        try:
            for account in self.roster.accounts:
                await self.sharing.part(account)
            for actor in self._all_actors:
                await actor.close()
        finally:
            await self._http.close()


async def run(settings: Settings, lifetime: Lifetime, load: Load | None = None) -> None:
    """Run a sender until its lifetime drains."""
    metrics = Metrics(SENDER, __version__)
    ops = Ops(SENDER, settings.ops.host, settings.ops.port, metrics, lifetime.draining)
    await ops.start()
    queue = joining.connect(settings, SENDER, metrics)
    try:
        run_file.announce(SENDER, {"ops": ops.port})
        if not await joining.join(queue, settings, lifetime):
            return
        sender = Sender(queue, settings, metrics)
        async with TaskScope(SENDER, lifetime.draining) as scope:
            await sender.sharing.exchange()  # nothing begins before what the others know is known here
            sender.start(scope)
            scope.keep("reload", obey_hangups(lifetime, settings, load, sender.take_over))
            ops.ready()
            await lifetime.draining.wait()
            await sender.drain(lifetime)
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await sender.close()
        except TimeoutError:
            pass  # a provider that does not take leave; nothing is left to be said to it
    finally:
        await queue.close()
        await ops.stop()
