"""The real scripts, beside the model, through whatever a search for trouble comes upon.

A step is something that a frontend, a sender, a scheduler, an owner, an operator, the clock or the network
does. Every call that reaches a server is run by the model too and must be answered alike
(`watched.py`); after every step the whole keyspace must be what the model says, and the
invariant must hold. Leases and calls are never forgotten: any of them may come back at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.queue import calls, pieces
from tests.queue.machine import PIECE_BYTES
from tests.queue.machine_world import WorldMachine
from tests.redis_server import IN_MEMORY, RedisServer

#: A story needs so many steps to get anywhere.
STEPS: Final = 80


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Small pieces, so that the search need not carry megabytes, and no pauses; each machine adds its own clock."""
    monkeypatch.setattr(pieces, "INLINE_BYTES", PIECE_BYTES)
    monkeypatch.setattr(pieces, "PIECE_BYTES", PIECE_BYTES)
    monkeypatch.setattr(calls, "_PAUSE_SECONDS", 0.0)
    return monkeypatch


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One node that holds all slots refuses what a cluster refuses."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with RedisServer(folder, *IN_MEMORY, "--cluster-enabled", "yes") as node:
        node.command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        while b"cluster_state:ok" not in node.command("CLUSTER", "INFO"):
            pass
        yield f"redis-cluster://127.0.0.1:{node.port}"


def search(url: str, shards: int, patch: pytest.MonkeyPatch) -> type[WorldMachine]:
    """Run machines on one server, and return their class with what they came upon."""
    attributes = {"url": url, "shard_count": shards, "patch": patch, "moves": Counter(), "statuses": Counter()}
    machine = type("Machine", (WorldMachine,), attributes)
    examples = settings().max_examples * 7 // 10
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            suppress_health_check=[*HealthCheck],
            report_multiple_bugs=False,
        ),
    )
    return machine


def test_one_server_does_what_the_model_says(server: RedisServer, patch: pytest.MonkeyPatch) -> None:
    search(server.url, 1, patch)


def test_a_cluster_does_what_the_model_says(cluster: str, patch: pytest.MonkeyPatch) -> None:
    search(cluster, 3, patch)
