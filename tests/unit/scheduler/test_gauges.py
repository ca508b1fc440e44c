"""What the scheduler shows, and what it stops showing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.scheduler import gauges
from shared.domain.errors import Unavailable
from shared.domain.message import Priority
from shared.domain.states import State
from shared.queue.condition import Condition
from shared.queue.pauses import Pause, Scale
from shared.queue.processes import Process
from shared.queue.views import Depths, FlowDepth
from shared.runtime.metrics import SCHEDULER, Metrics

HEALTHY = Condition(
    "a:1",
    is_up=True,
    is_aof_on=True,
    is_aof_written=True,
    replicas=2,
    memory_used_bytes=100,
    memory_limit_bytes=0,
)
OF_REDIS = ("up", "aof_ok", "replicas", "memory_used_bytes", "memory_limit_bytes")


def shown(metrics: Metrics, server: str = "a:1") -> dict[str, float]:
    """Return what is shown of a server, by the ends of the metrics' names."""
    return {
        sample.removeprefix("reliable_email_redis_"): value
        for family in metrics.registry.collect()
        for sample, labels, value, *_ in family.samples
        if labels.get("server") == server
    }


def show(metrics: Metrics, *conditions: Condition, is_trusted: bool = False) -> None:
    gauges.show_redis(metrics, conditions, is_trusted=is_trusted)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(SCHEDULER)


# Redis


def test_a_primary_is_shown_whole(metrics: Metrics) -> None:
    show(metrics, HEALTHY)

    assert shown(metrics) == dict(zip(OF_REDIS, (1, 1, 2, 100, 0), strict=True))


def test_of_a_primary_that_is_away_nothing_is_shown_but_that(metrics: Metrics) -> None:
    show(metrics, HEALTHY)
    show(metrics, Condition("a:1", is_up=False))

    assert shown(metrics) == {"up": 0}


def test_a_server_that_is_no_primary_any_more_is_not_shown(metrics: Metrics) -> None:
    show(metrics, HEALTHY)
    show(metrics, replace(HEALTHY, server="b:1"))

    assert (shown(metrics), set(shown(metrics, "b:1"))) == ({}, set(OF_REDIS))


def test_what_a_server_hides_is_not_shown(metrics: Metrics) -> None:
    show(metrics, replace(HEALTHY, replicas=None, memory_limit_bytes=None))

    assert set(shown(metrics)) == {"up", "aof_ok", "memory_used_bytes"}


@pytest.mark.parametrize("change", [{"is_aof_on": False}, {"is_aof_written": False}], ids=["off", "failed"])
def test_a_file_that_keeps_nothing_is_not_ok(metrics: Metrics, change: Any) -> None:
    show(metrics, replace(HEALTHY, **change))

    assert shown(metrics)["aof_ok"] == 0


@pytest.mark.parametrize("change", [{"is_aof_on": None}, {"is_aof_written": None}], ids=["hidden", "half hidden"])
def test_a_file_of_which_nothing_is_known_is_not_judged(metrics: Metrics, change: Any) -> None:
    show(metrics, replace(HEALTHY, **change))

    assert "aof_ok" not in shown(metrics)


def test_of_a_service_that_is_trusted_a_file_that_is_off_is_no_fault(metrics: Metrics) -> None:
    show(metrics, replace(HEALTHY, is_aof_on=False), is_trusted=True)

    assert "aof_ok" not in shown(metrics)


def test_of_a_service_that_is_trusted_a_file_that_cannot_be_written_is_one(metrics: Metrics) -> None:
    show(metrics, replace(HEALTHY, is_aof_written=False), is_trusted=True)

    assert shown(metrics)["aof_ok"] == 0


# Processes


def test_processes_are_counted_by_role(metrics: Metrics) -> None:
    gauges.show_processes(metrics, [Process(role, str(n), 0, {}) for n, role in enumerate(["sender"] * 3)])

    assert metrics.registry.get_sample_value("reliable_email_processes", {"role": "sender"}) == 3


@pytest.mark.parametrize("role", ["frontend", "scheduler", "sender"])
def test_a_role_that_nobody_plays_is_shown_as_0(metrics: Metrics, role: str) -> None:
    gauges.show_processes(metrics, [Process(role, "last", 0, {})])
    gauges.show_processes(metrics, [])

    assert metrics.registry.get_sample_value("reliable_email_processes", {"role": role}) == 0


# Pauses


def paused(metrics: Metrics) -> dict[str, float | None]:
    """Return what is shown of each scale."""
    return {scale: metrics.registry.get_sample_value("reliable_email_pauses", {"scale": scale}) for scale in Scale}


def test_pauses_are_counted_by_scale(metrics: Metrics) -> None:
    gauges.show_pauses(metrics, [Pause(Scale.POOL, "news"), Pause(Scale.POOL, "default"), Pause(Scale.EVERYTHING)])

    assert paused(metrics) == {"everything": 1, "pool": 2, "provider": 0}


def test_what_is_resumed_is_shown_as_0(metrics: Metrics) -> None:
    gauges.show_pauses(metrics, [Pause(Scale.PROVIDER, "relay")])
    gauges.show_pauses(metrics, [])

    assert paused(metrics) == {"everything": 0, "pool": 0, "provider": 0}


def test_before_it_is_known_what_is_paused_nothing_is() -> None:
    assert paused(Metrics(SCHEDULER)) == {"everything": 0, "pool": 0, "provider": 0}


# Depths


def depths(*live: int) -> Depths:
    flow = FlowDepth("default", Priority.HIGH, {State.QUEUED: sum(live)}, 4_000)
    return Depths(9_000, (flow,), 0, 0, ("default",), live)


def test_each_shard_is_shown_with_what_is_unfinished_in_it(metrics: Metrics) -> None:
    gauges.show(metrics, depths(3, 0, 5))

    found = [metrics.registry.get_sample_value("reliable_email_shard_depth", {"shard": str(n)}) for n in range(3)]
    assert found == [3, 0, 5]


def test_the_age_of_a_flow_is_that_of_its_head(metrics: Metrics) -> None:
    gauges.show(metrics, depths(1))

    age = {"priority": "high"}
    assert metrics.registry.get_sample_value("reliable_email_oldest_ready_age_seconds", age) == 5


# What mail no provider takes


def test_a_pool_that_is_gone_is_shown_no_longer(metrics: Metrics) -> None:
    gauges.show_stranded(metrics, {("old", Priority.HIGH): 3, ("default", Priority.HIGH): 0})
    gauges.show_stranded(metrics, {("default", Priority.HIGH): 0})

    assert shown_of(metrics, "stranded_messages") == {("default", "high"): 0}


# What cannot be read


def shown_of(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return every series of a metric by its labels' values."""
    return {
        tuple(labels.values()): value
        for family in metrics.registry.collect()
        for sample, labels, value, *_ in family.samples
        if sample == f"reliable_email_{name}"
    }


def lose(metrics: Metrics) -> None:
    with pytest.raises(Unavailable), gauges.shown_while_known(metrics.shard_depth, metrics.pauses):
        raise Unavailable("nobody answers")


def test_what_cannot_be_read_any_more_is_not_shown(metrics: Metrics) -> None:
    gauges.show(metrics, depths(3, 0, 5))
    gauges.show_pauses(metrics, [Pause(Scale.EVERYTHING)])
    lose(metrics)

    assert (shown_of(metrics, "shard_depth"), shown_of(metrics, "pauses")) == ({}, {})


def test_what_is_read_otherwise_stays(metrics: Metrics) -> None:
    gauges.show_processes(metrics, [Process("sender", "a", 0, {})])
    lose(metrics)

    assert shown_of(metrics, "processes")["sender",] == 1


def test_what_can_be_read_again_is_shown_again(metrics: Metrics) -> None:
    lose(metrics)
    gauges.show_pauses(metrics, [Pause(Scale.EVERYTHING)])

    assert shown_of(metrics, "pauses") == {("everything",): 1, ("pool",): 0, ("provider",): 0}


def test_what_is_known_is_shown(metrics: Metrics) -> None:
    with gauges.shown_while_known(metrics.shard_depth):
        gauges.show(metrics, depths(3))

    assert shown_of(metrics, "shard_depth") == {("0",): 3}
