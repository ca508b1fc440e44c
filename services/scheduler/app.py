"""The scheduler, joined: one loop for each shard, woken by the shard's own bell."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from reliable_email import __version__
from services.scheduler import chores, gauges
from services.scheduler.chores import Chore, Means
from services.scheduler.contact import Contact
from services.scheduler.stranded import stranded
from services.scheduler.wakeup import next_look
from shared.domain.errors import QueueError, ScriptDefect
from shared.queue.bells import listen
from shared.queue.condition import conditions
from shared.queue.keys import slot
from shared.runtime import joining, run_file
from shared.runtime.logs import get_logger
from shared.runtime.metrics import SCHEDULER, Metrics
from shared.runtime.ops import Ops
from shared.runtime.process import Lifetime
from shared.runtime.reloading import Load, obey_hangups
from shared.runtime.tasks import TaskScope, periodically
from shared.runtime.wake import Bell
from shared.settings.model import Settings, config_revision

#: Done at every look, in this order: what is due, then what is over.
_AT_EVERY_LOOK: Final[tuple[Chore, ...]] = (chores.expire, chores.promote)
#: Each with its interval: nobody waits for these.
_NOW_AND_THEN: Final[tuple[tuple[Chore, float], ...]] = (
    (chores.reap, 1.0),
    (chores.drop_content, 10.0),
    (chores.trim, 10.0),
)
_GAUGES_SECONDS: Final = 2.0
_REDIS_SECONDS: Final = 5.0
#: After a failed look; the error is in the log, and Redis needs no more of the same.
_PAUSE_SECONDS: Final = 0.5

log = get_logger()


class Scheduler:
    """All the loops of one scheduler."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._bells = [Bell() for _ in range(means.queue.core.shards)]

    def start(self, scope: TaskScope) -> None:
        """Start all loops."""
        queue = self._means.queue
        scope.keep("bells", listen(queue.core, "due", self.hear))
        scope.keep("beat", joining.beat(queue, SCHEDULER, joining.process_name(), dict))
        scope.keep("gauges", periodically("gauges", self.show_gauges, _GAUGES_SECONDS))
        scope.keep("service", periodically("service", self.show_service, _GAUGES_SECONDS))
        scope.keep("redis", periodically("redis", self.show_redis, _REDIS_SECONDS))
        for shard in range(queue.core.shards):
            scope.keep(f"shard {shard}", self.watch(shard))

    def hear(self, shard: int | None, _instant: str) -> None:
        """Look at a shard now, or at all of them."""
        for bell in self._bells if shard is None else (self._bells[shard],):
            bell.ring()

    async def watch(self, shard: int) -> None:
        """Look at one shard whenever something is due in it, until cancelled."""
        next_turn = {chore: 0.0 for chore, _ in _NOW_AND_THEN}
        while True:
            now = time.monotonic()
            try:
                wishes = [await self._do(chore, shard) for chore in _AT_EVERY_LOOK]
                await self._note_contact(shard)
                for chore, seconds in _NOW_AND_THEN:
                    if next_turn[chore] <= now:
                        wish = await self._do(chore, shard)
                        wishes.append(wish)
                        next_turn[chore] = now if wish == 0.0 else now + seconds
            except QueueError as error:
                self._means.contact.lost(shard)
                log.warning("chore_failed", chore="look", shard=shard, error=str(error), kind=type(error).__name__)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            await self._bells[shard].heard(next_look(now, wishes) - time.monotonic())

    async def _do(self, chore: Chore, shard: int) -> float | None:
        """Do one chore; a defect of one script must not end the others."""
        try:
            return await chore(self._means, shard)
        except ScriptDefect as defect:
            log.exception("script_failed", script=chore.__name__, shard=shard, error=str(defect))
            return None

    async def _note_contact(self, shard: int) -> None:
        core = self._means.queue.core
        server = await core.servers.primary_of(slot(core.tag(shard)))
        self._means.contact.answered(shard, server.address, core.now_ms(shard) / 1000)

    def take_over(self, settings: Settings) -> None:
        """Do every chore by another configuration from now on."""
        self._means.settings = settings
        self._means.metrics.show_revision(config_revision(settings))

    async def show_gauges(self) -> None:
        """Publish the queue's depths and ages, and which mail no provider takes.

        Raises QueueError; then what could not be read is not shown.
        """
        metrics, queue = self._means.metrics, self._means.queue
        of_depths = (metrics.queue_depth, metrics.oldest_ready_age_seconds, metrics.shard_depth)
        with gauges.shown_while_known(metrics.stranded_messages):
            with gauges.shown_while_known(*of_depths):
                depths = await queue.views.depths()
                gauges.show(metrics, depths)
            census, pauses = await queue.processes.census(), await queue.pauses.all()
            gauges.show_stranded(metrics, stranded(depths, census, pauses))

    async def show_service(self) -> None:
        """Publish what is paused and which processes are there, which no shard that is away hides.

        Raises QueueError; then neither is shown.
        """
        metrics, queue = self._means.metrics, self._means.queue
        with gauges.shown_while_known(metrics.processes, metrics.pauses):
            gauges.show_processes(metrics, await queue.processes.census())
            gauges.show_pauses(metrics, await queue.pauses.all())

    async def show_redis(self) -> None:
        """Publish how each primary is."""
        found = await conditions(self._means.queue.core)
        gauges.show_redis(self._means.metrics, found, is_trusted=self._means.settings.durability.mode == "trusted")


async def run(settings: Settings, lifetime: Lifetime, load: Load | None = None) -> None:
    """Run a scheduler until its lifetime drains."""
    metrics = Metrics(SCHEDULER, __version__)
    metrics.show_revision(config_revision(settings))
    metrics.redis_replicas_wanted.set(settings.durability.replicas)
    ops = Ops(SCHEDULER, settings.ops.host, settings.ops.port, metrics, lifetime.draining)
    await ops.start()
    queue = joining.connect(settings, SCHEDULER, metrics)
    try:
        run_file.announce(SCHEDULER, {"ops": ops.port})
        if not await joining.join(queue, settings, lifetime):
            return
        contact = Contact(settings.sender.lease_seconds, time.monotonic)
        scheduler = Scheduler(Means(queue, settings, metrics, contact))
        async with TaskScope(SCHEDULER, lifetime.draining) as scope:
            scheduler.start(scope)
            scope.keep("reload", obey_hangups(lifetime, settings, load, scheduler.take_over))
            ops.ready()
            await lifetime.draining.wait()
    finally:
        await queue.close()
        await ops.stop()
