"""How a process joins the cluster: it opens the queue, judges its durability, and says that it is there."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from shared.domain.errors import QueueError, ScriptDefect, Unsafe
from shared.queue import Queue, durability
from shared.queue.calls import KINDS, Replication, Watch
from shared.queue.core import Core
from shared.queue.leases import Leases
from shared.queue.processes import BEAT_SECONDS
from shared.queue.submissions import Bounds
from shared.queue.topology import Passwords
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.process import Lifetime
from shared.runtime.tasks import periodically
from shared.runtime.wake import happened
from shared.settings.model import LOCAL_REDIS, RetrySettings, Settings

_HOUR_MS: Final = 3_600_000
_RETRY_SECONDS: Final = 0.5

log = get_logger()


class _Counted(Watch):
    """Counts and times the calls of this process."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds = metrics.redis_seconds
        self._errors = metrics.redis_errors

    def exchanged(self, script: str, seconds: float) -> None:
        """Redis has answered."""
        if script not in self._seconds:
            self._begin(script)
        self._seconds[script].observe(seconds)

    def failed(self, script: str, kind: str) -> None:
        """A call has failed."""
        self._begin(script)
        self._errors[script, kind].inc()

    def _begin(self, script: str) -> None:
        for kind in KINDS:
            self._errors.begin((script, kind))


def connect(settings: Settings, role: str, metrics: Metrics | None = None) -> Queue:
    """Return the queue that the settings name; nothing is asked of Redis yet."""
    core = Core.connect(
        settings.redis.url or LOCAL_REDIS,
        prefix=settings.redis.prefix,
        passwords=Passwords.of(settings.redis),
        client_name=f"reliable-email-{role}",
        replication=Replication(settings.durability.replicas, settings.durability.replica_timeout_seconds),
        watch=_Counted(metrics) if metrics is not None else None,
    )
    leases = Leases(
        core,
        lease_ms=int(settings.sender.lease_seconds * 1000),
        name=process_name(),
    )
    bound_retries(leases, settings.retry)
    bounds = Bounds(settings.limits.queued_messages, settings.limits.idempotency_hours * _HOUR_MS)
    return Queue.join(core, bounds=bounds, wall_ms=lambda: int(time.time() * 1000), leases=leases)


def bound_retries(leases: Leases, retry: RetrySettings) -> None:
    """Let messages that fail for now be tried so often and so long, from now on."""
    leases.max_rounds = retry.max_rounds
    leases.max_age_ms = int(retry.max_age_hours * _HOUR_MS)


async def join(queue: Queue, settings: Settings, lifetime: Lifetime) -> bool:
    """Wait until Redis is there and learn the queue's shards; return False when a drain came first.

    Raises ScriptDefect where a newer version of the service wrote the queue.
    """
    complained = False
    while not lifetime.draining.is_set():
        try:
            await durability.versions(queue.core)
            shards = await queue.core.learn_shards(settings.redis.shards)
        except ScriptDefect:
            raise
        except QueueError as error:
            if not complained:
                log.warning("redis_lost", error=str(error))
                complained = True
            await happened(lifetime.draining, _RETRY_SECONDS)
            continue
        if shards != settings.redis.shards:
            log.warning("shards_ignored", shards=settings.redis.shards, used=shards)
        return True
    return False


async def require_durability(queue: Queue, settings: Settings, metrics: Metrics) -> None:
    """Refuse a Redis that could lose accepted messages.

    Raises Unsafe with the exact lines to change, Unavailable where Redis does not tell.
    """
    if settings.durability.mode == "trusted":
        metrics.durability_ok.set(1)
        return
    findings = await durability.inspect(queue.core)
    metrics.durability_ok.set(0 if findings.unsafe else 1)
    for line in findings.doubtful:
        log.warning("durability_doubted", detail=line)
    if findings.unsafe:
        raise Unsafe("Redis would lose accepted messages: " + "; ".join(findings.unsafe))


def process_name() -> str:
    """Return a name for this process that no other has, nor had."""
    return f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"


async def beat(queue: Queue, role: str, name: str, tell: Callable[[], dict[str, Any]]) -> None:
    """Tell the cluster of this process every two seconds, until cancelled."""
    started_at = int(time.time() * 1000)

    async def once() -> None:
        await queue.processes.beat(role, name, {"started_at": started_at, **tell()})

    try:
        await periodically("beat", once, BEAT_SECONDS, jitter=0)
    finally:
        try:
            await queue.processes.withdraw(role, name)
        except QueueError as error:
            # In ten seconds the others take it for gone without a word.
            log.warning("chore_failed", chore="withdraw", error=str(error), kind=type(error).__name__)
