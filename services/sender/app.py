"""The sender, joined: the actors, their supervisor, and an orderly end."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from services.sender import lease_keeper, telling
from services.sender.account import Account
from services.sender.dispatcher import Dispatcher
from services.sender.provider_actor import ProviderActor
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
from shared.runtime.tasks import TaskScope, periodically
from shared.settings.model import Settings, config_revision

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
        accounts = [
            Account(provider, settings.sender.critical_reserve_percent, draw) for provider in settings.providers
        ]
        self.dispatcher = Dispatcher(queue, settings, metrics)
        self.sharing = Sharing(queue, accounts, self.dispatcher.courier.changed)
        self.actors = [self._actor(account) for account in accounts]
        self.dispatcher.employ(self.actors, self.sharing.is_paused)

    def _actor(self, account: Account) -> ProviderActor:
        size = max(1000, 2 * self._settings.sender.concurrency)
        channel = open_channel(account.settings, self._http)
        outlet = self.dispatcher.courier
        actor = ProviderActor(account, channel, self._queue.leases, outlet, self.sharing, self._metrics, size)
        actor.on_begin = self._began
        return actor

    @property
    def accounts(self) -> list[Account]:
        """The state of every provider."""
        return [actor.account for actor in self.actors]

    def start(self, scope: TaskScope) -> None:
        """Start the actors under the supervisor."""
        acts = {"dispatcher": self.dispatcher.act, "settler": self.dispatcher.settler.act}
        acts |= {f"provider {actor.name}": actor.act for actor in self.actors}
        for name, act in acts.items():
            scope.keep(name, supervise(name, act, self._metrics))
        lease_seconds = self._settings.sender.lease_seconds
        scope.keep("bells", listen(self._queue.core, "wake", self.dispatcher.hear))
        scope.keep("leases", periodically("extend", self._renew, lease_seconds / lease_keeper.LOOKS_PER_LEASE))
        scope.keep("flights", periodically("flights", self._look_at_flights, _FLIGHTS_SECONDS))
        scope.keep("share", periodically("share", self._share, SHARE_SECONDS))
        scope.keep("census", periodically("census", self._count_senders, BEAT_SECONDS))
        scope.keep("beat", joining.beat(self._queue, SENDER, self._queue.leases.name, self.tell))

    async def _renew(self) -> None:
        await lease_keeper.renew(self._queue.leases, self.dispatcher.held)

    async def _count_senders(self) -> None:
        census = await self._queue.processes.census()
        self.dispatcher.senders = frozenset(process.name for process in census if process.role == SENDER)

    async def _look_at_flights(self) -> None:
        now = time.monotonic()
        for actor in self.actors:
            actor.look_at_flights(now)

    async def _share(self) -> None:
        """Learn what other senders know of each provider, and show what this one knows."""
        now = time.monotonic()
        telling.show(self._metrics, self.accounts, now)
        for actor in self.actors:
            self._metrics.actor_mailbox_depth[f"provider {actor.name}"].set(len(actor.mailbox))
        self._metrics.actor_mailbox_depth["settler"].set(len(self.dispatcher.settler.mailbox))
        await self.sharing.exchange()
        await self.sharing.give_back()

    def _began(self, provider: str) -> None:
        for account in self.accounts:
            if account.settings.name != provider:
                account.begin_elsewhere()

    def tell(self) -> dict[str, Any]:
        """Return what the census shows of this sender."""
        now, wall_ms = time.monotonic(), int(self._queue.core.now_ms())
        for account in self.accounts:
            account.refresh(now)
        return {
            "config_revision": self._revision,
            "pools": {
                pool: [provider.name for provider in self._settings.providers if pool in provider.pools]
                for pool in self._settings.pools
            },
            "providers": [telling.row(account, self._revision, now, wall_ms) for account in self.accounts],
        }

    async def drain(self, lifetime: Lifetime) -> None:
        """Hand back what has not begun, wait for what has, and write everything down."""
        self.dispatcher.drain()
        await self.dispatcher.claim_debts()
        await lifetime.within_grace(self.dispatcher.holdings.emptied)
        for actor in self.actors:
            await actor.land()
        await self.dispatcher.holdings.emptied.wait()

    async def close(self) -> None:
        """Close the connections to all providers."""
        try:
            for actor in self.actors:
                await actor.close()
        finally:
            await self._http.close()


async def run(settings: Settings, lifetime: Lifetime) -> None:
    """Run a sender until its lifetime drains."""
    metrics = Metrics(SENDER)
    ops = Ops(SENDER, settings.ops.host, settings.ops.port, metrics, lifetime.draining)
    await ops.start()
    queue = joining.connect(settings, SENDER, metrics)
    try:
        run_file.announce(SENDER, {"ops": ops.port})
        if not await joining.join(queue, settings, lifetime):
            return
        sender = Sender(queue, settings, metrics)
        async with TaskScope(SENDER, lifetime.draining) as scope:
            sender.start(scope)
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
