"""The frontend, joined: the public port, the group commit behind it, and the watch over Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from reliable_email import __version__
from services.frontend.auth import Door
from services.frontend.commit import Commit
from services.frontend.edge import Edge
from services.frontend.guard import LOOK_SECONDS, Guard
from services.frontend.means import CENSUS_SECONDS, Census, Means, Schemas, rules_of
from services.frontend.routes import routes
from services.frontend.server import Api
from shared.runtime import joining, run_file
from shared.runtime.metrics import FRONTEND, Metrics
from shared.runtime.ops import Ops
from shared.runtime.process import Lifetime
from shared.runtime.reloading import Load, obey_hangups
from shared.runtime.tasks import TaskScope, periodically
from shared.settings.model import Settings, config_revision


async def run(settings: Settings, lifetime: Lifetime, load: Load | None = None) -> None:
    """Run a frontend until its lifetime drains.

    The port is open from the start and answers 503 until Redis was there once. Raises Unsafe
    where the settings of Redis could lose an accepted message, ConfigurationError where the
    port cannot be had.
    """
    metrics = Metrics(FRONTEND, __version__)
    metrics.show_revision(config_revision(settings))
    ops = Ops(FRONTEND, settings.ops.host, settings.ops.port, metrics, lifetime.draining)
    await ops.start()
    queue = joining.connect(settings, FRONTEND, metrics)
    commit = Commit(queue, metrics)
    guard = Guard(queue, settings, metrics)
    census = Census(queue, settings.providers)
    means = Means(settings, queue, metrics, commit, guard, census, Schemas.of(rules_of(settings)), wall_ms=_wall_ms)
    door = Door(settings.frontend.keys, time.monotonic)
    edge = Edge(door, guard, metrics, lifetime.draining)
    api = Api(settings.frontend, edge, [*ops.probes(), *routes(means)])

    def take_over(changed: Settings) -> None:
        door.know(changed.frontend.keys)
        means.take_over(changed)
        metrics.show_revision(config_revision(changed))

    try:
        await api.open()
        run_file.announce(FRONTEND, {"api": api.port, "ops": ops.port})
        if await guard.join(lifetime):
            await _work(lifetime, ops, means, partial(obey_hangups, lifetime, settings, load, take_over))
    finally:
        await api.close(lifetime)
        await commit.close()
        await queue.close()
        await ops.stop()


async def _work(lifetime: Lifetime, ops: Ops, means: Means, reload: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with TaskScope(FRONTEND, lifetime.draining) as scope:
        scope.keep("beat", joining.beat(means.queue, FRONTEND, joining.process_name(), dict))
        scope.keep("durability", periodically("durability", means.guard.look, LOOK_SECONDS))
        scope.keep("pools", periodically("pools", means.learn_pools, CENSUS_SECONDS))
        scope.keep("reload", reload())
        ops.ready()
        await lifetime.draining.wait()


def _wall_ms() -> int:
    return int(time.time() * 1000)  # noqa: TID251 - it bounds how far ahead a message may be scheduled, nothing else
