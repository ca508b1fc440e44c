"""The scheduler's chores, one function each: a bounded step of one shard, and when to look again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from services.scheduler.contact import Contact
from shared.domain.states import FINAL, State
from shared.queue import Queue
from shared.runtime import tracing
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.tracing import SILENT, Kind, Span
from shared.settings.model import Settings

_DAY_MS: Final = 86_400_000

log = get_logger()


@dataclass(slots=True)
class Means:
    """What every chore works with; a chore that has begun ends with the settings that it began with."""

    queue: Queue
    settings: Settings
    metrics: Metrics
    contact: Contact


#: Does one step of one shard; returns the seconds after which the shard wants the next one
#: (0: there is more to do now, None: nothing is known).
Chore = Callable[[Means, int], Awaitable[float | None]]


async def promote(means: Means, shard: int) -> float | None:
    """Make ready what is due, and return when the next is."""
    promoted = await means.queue.chores.promote(shard)
    for due in promoted.messages:
        means.metrics.promoted["retry" if due.state_before is State.RETRYING else "scheduled"].inc()
        late_seconds = max(0, due.late_ms) / 1000
        span = _step("promote", due.id, due.trace, late_seconds)
        means.metrics.promotion_lateness_seconds.observe(late_seconds, span.exemplar)
        span.end()
    if promoted.messages:
        log.info("messages_promoted", shard=shard, count=len(promoted.messages))
    if promoted.next_due_at is None:
        return None
    return max(0.0, (promoted.next_due_at - promoted.now) / 1000)


async def expire(means: Means, shard: int) -> float | None:
    """End what nobody wants any more."""
    expired = await means.queue.chores.expire(shard)
    for state in expired.states:
        means.metrics.messages_finished[state].inc()
    if expired.states:
        log.info("messages_expired", shard=shard, count=len(expired.states))
    return 0.0 if expired.states else None


async def reap(means: Means, shard: int) -> float | None:
    """Take back leases that ran out, once living senders had the time to renew theirs."""
    if not means.contact.is_steady(shard):
        return None
    retry = means.settings.retry
    reaped = await means.queue.chores.reap(
        shard,
        ambiguous_delay_ms=int(retry.ambiguous_delay_seconds * 1000),
        max_rounds=retry.max_rounds,
        max_age_ms=int(retry.max_age_hours * 3_600_000),
    )
    for lease in reaped:
        means.metrics.leases_reclaimed["true" if lease.had_begun else "false"].inc()
        if lease.state in FINAL:
            means.metrics.messages_finished[lease.state].inc()
        log.warning(
            "lease_reclaimed", message_id=lease.id, tenant=lease.tenant, begun=lease.had_begun, state=lease.state
        )
        _step("take back", lease.id, lease.trace).end("its sender was lost" if lease.had_begun else "")
    return 0.0 if reaped else None


async def drop_content(means: Means, shard: int) -> float | None:
    """Forget bodies that retention no longer keeps."""
    keep_ms = int(means.settings.retention.content_days * _DAY_MS)
    dropped = await means.queue.chores.drop_content(shard, keep_ms=keep_ms)
    if dropped:
        log.info("content_dropped", shard=shard, count=dropped)
    return 0.0 if dropped else None


async def trim(means: Means, shard: int) -> float | None:
    """Drop messages that retention no longer keeps."""
    retention = means.settings.retention
    trimmed = await means.queue.chores.trim(
        shard, finished_ms=int(retention.sent_days * _DAY_MS), failed_ms=int(retention.failed_days * _DAY_MS)
    )
    if trimmed:
        log.info("messages_trimmed", shard=shard, count=trimmed)
    return 0.0 if trimmed else None


def _step(name: str, message_id: str, trace: str | None, seconds_ago: float = 0.0) -> Span:
    """Return a step in the trace of a message that began so long ago; a message without a trace has none."""
    if trace is None:
        return SILENT
    return tracing.start(name, Kind.INTERNAL, trace, seconds_ago=seconds_ago, messaging__message__id=message_id)
