"""What the scheduler shows of the queue as a whole, of what is paused, of the processes, and of Redis.

What cannot be read is not shown: a gauge that stood still would wake somebody for nothing, or nobody at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import Gauge

from shared.domain.errors import QueueError
from shared.domain.message import Priority
from shared.domain.states import DEAD, LIVE
from shared.queue.condition import Condition
from shared.queue.pauses import Pause, Scale
from shared.queue.processes import Process
from shared.queue.views import Depths
from shared.runtime.metrics import ROLES, Metrics
from shared.runtime.series import Family


@contextmanager
def shown_while_known(*families: Family[Gauge]) -> Iterator[None]:
    """Show nothing of these metrics from an error of the queue in this block on, until they are set again."""
    try:
        yield
    except QueueError:
        for family in families:
            family.keep(())
        raise


def show(metrics: Metrics, depths: Depths) -> None:
    """Set the queue's gauges to what was just read."""
    for priority in Priority:
        flows = [flow for flow in depths.flows if flow.priority is priority]
        for state in (*LIVE, *DEAD):
            metrics.queue_depth[state, priority].set(sum(flow.states.get(state, 0) for flow in flows))
        waits_since = min((flow.oldest_ready_at for flow in flows if flow.oldest_ready_at is not None), default=None)
        age = 0.0 if waits_since is None else max(0, depths.as_of - waits_since) / 1000
        metrics.oldest_ready_age_seconds[priority].set(age)
    for shard, live in enumerate(depths.live):
        metrics.shard_depth[str(shard)].set(live)


def show_stranded(metrics: Metrics, found: Mapping[tuple[str, Priority], int]) -> None:
    """Set how many messages of each pool and priority no provider takes; pools that are gone are not shown."""
    for flow, number in found.items():
        metrics.stranded_messages[flow].set(number)
    metrics.stranded_messages.keep(found)


def show_pauses(metrics: Metrics, pauses: Iterable[Pause]) -> None:
    """Set how many pauses of each scale stand, 0 where none does."""
    found = Counter(pause.scale for pause in pauses)
    for scale in Scale:
        metrics.pauses[scale].set(found[scale])


def show_processes(metrics: Metrics, processes: Iterable[Process]) -> None:
    """Set how many processes of each role are there, 0 where there is none."""
    found = Counter(process.role for process in processes)
    for role in ROLES:
        metrics.processes[role].set(found[role])


def show_redis(metrics: Metrics, conditions: Sequence[Condition], *, is_trusted: bool) -> None:
    """Set what each primary was just found to be; what is not known, or no primary any more, is not shown.

    `is_trusted` says that Redis is believed to keep what it acknowledges by other means than its file: then a file
    that is off is no fault.
    """
    for one in conditions:
        metrics.redis_up[one.server].set(one.is_up)
        _show(metrics.redis_aof_ok, one.server, _is_aof_ok(one, is_trusted=is_trusted))
        _show(metrics.redis_replicas, one.server, one.replicas)
        _show(metrics.redis_memory_used_bytes, one.server, one.memory_used_bytes)
        _show(metrics.redis_memory_limit_bytes, one.server, one.memory_limit_bytes)
    present = {one.server for one in conditions}
    for family in (
        metrics.redis_up,
        metrics.redis_aof_ok,
        metrics.redis_replicas,
        metrics.redis_memory_used_bytes,
        metrics.redis_memory_limit_bytes,
    ):
        family.keep(present)


def _is_aof_ok(one: Condition, *, is_trusted: bool) -> bool | None:
    if not one.is_aof_on:
        return None if is_trusted else one.is_aof_on
    return one.is_aof_written


def _show(family: Family[Gauge], server: str, value: float | None) -> None:
    if value is None:
        family.forget(server)
    else:
        family[server].set(value)
