"""The queue as clients see it: how much lies where, how fast it moves, who works on it. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.frontend.cluster import Cluster
from services.frontend.instants import instant
from services.frontend.pausing import pause_view
from services.frontend.views import View
from shared.domain.message import DEFAULT_POOL, Priority
from shared.domain.states import DEAD, LIVE, State
from shared.queue.views import Depths, FlowDepth

_WINDOW_SECONDS: Final = 60


def queue_view(depths: Depths, cluster: Cluster, configured: Iterable[str]) -> View:
    """Return `GET /v1/queue`: every pool that is configured, told of by a sender, paused, or was ever used."""
    pools = {*configured, *depths.pools, *cluster.pools, *cluster.pauses.pools}
    return {
        "as_of": instant(depths.as_of),
        "paused": pause_view(cluster.pauses.everything),
        "totals": {state.value: depths.total(state) for state in (*LIVE, *DEAD)},
        "rates": {
            "window_seconds": _WINDOW_SECONDS,
            "accepted_per_second": round(depths.accepted_per_second, 2),
            "sent_per_second": round(depths.sent_per_second, 2),
        },
        "pools": [_pool_view(pool, depths, cluster) for pool in sorted(pools, key=pool_order)],
        "processes": dict(cluster.processes),
    }


def pool_order(pool: str) -> tuple[bool, str]:
    """Return a key that sorts `default` first and the others by name."""
    return pool != DEFAULT_POOL, pool


def _pool_view(pool: str, depths: Depths, cluster: Cluster) -> View:
    flows = {flow.priority: flow for flow in depths.flows if flow.pool == pool}
    return {
        "name": pool,
        "providers": list(cluster.pools.get(pool, ())),
        "available": cluster.is_available(pool),
        "paused": pause_view(cluster.pauses.pools.get(pool)),
        "priorities": [_priority_view(priority, flows.get(priority), depths.as_of) for priority in Priority],
    }


def _priority_view(priority: Priority, flow: FlowDepth | None, as_of: int) -> View:
    states: dict[State, int] = flow.states if flow is not None else {}
    since = flow.oldest_ready_at if flow is not None else None
    return {
        "priority": priority.value,
        **{state.value: states.get(state, 0) for state in LIVE},
        "oldest_queued_age_seconds": 0.0 if since is None else max(0, as_of - since) / 1_000,
    }
