"""What the scheduler shows of the queue as a whole."""

from __future__ import annotations

from shared.domain.message import Priority
from shared.domain.states import DEAD, LIVE
from shared.queue.views import Depths
from shared.runtime.metrics import Metrics


def show(metrics: Metrics, depths: Depths) -> None:
    """Set the queue's gauges to what was just read."""
    for priority in Priority:
        flows = [flow for flow in depths.flows if flow.priority is priority]
        for state in (*LIVE, *DEAD):
            metrics.queue_depth[state, priority].set(sum(flow.states.get(state, 0) for flow in flows))
        waits_since = min((flow.oldest_ready_at for flow in flows if flow.oldest_ready_at is not None), default=None)
        age = 0.0 if waits_since is None else max(0, depths.as_of - waits_since) / 1000
        metrics.oldest_ready_age_seconds[priority].set(age)
