"""What INFO says of a server, and what it is taken for."""

from __future__ import annotations

import pytest

from shared.queue.condition import Condition, condition_of

GIVEN = """\
# Persistence\r
aof_enabled:1\r
aof_last_bgrewrite_status:ok\r
aof_last_write_status:ok\r
# Replication\r
role:master\r
connected_slaves:2\r
slave0:ip=10.0.0.2,port=6379,state=online,offset=14,lag=0,type=replica\r
slave1:ip=10.0.0.3,port=6379,state=online,offset=14,lag=1,type=replica\r
# Memory\r
used_memory:1915640\r
maxmemory:4000000\r
"""


def condition(*changes: tuple[str, str]) -> Condition:
    """Return what is made of the answer with some words replaced."""
    info = GIVEN
    for old, new in changes:
        assert old in info
        info = info.replace(old, new)
    return condition_of("10.0.0.1:6379", info)


def test_a_healthy_primary_is_read_whole() -> None:
    assert condition() == Condition(
        "10.0.0.1:6379",
        is_up=True,
        is_aof_on=True,
        is_aof_written=True,
        replicas=2,
        memory_used_bytes=1_915_640,
        memory_limit_bytes=4_000_000,
    )


def test_what_has_become_a_replica_is_not_up_and_nothing_else_counts() -> None:
    assert condition(("role:master", "role:slave")) == Condition("10.0.0.1:6379", is_up=False)


def test_a_file_that_is_off_is_told() -> None:
    assert condition(("aof_enabled:1", "aof_enabled:0")).is_aof_on is False


@pytest.mark.parametrize("what", ["aof_last_write_status", "aof_last_bgrewrite_status"])
def test_a_file_that_could_not_be_written_is_told(what: str) -> None:
    assert condition((f"{what}:ok", f"{what}:err")).is_aof_written is False


@pytest.mark.parametrize("what", ["aof_last_write_status", "aof_last_bgrewrite_status"])
def test_a_file_of_which_half_is_hidden_is_not_known(what: str) -> None:
    assert condition((f"{what}:ok\r\n", "")).is_aof_written is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("state=online,offset=14,lag=1", "state=wait_bgsave,offset=0,lag=0"),
        ("lag=1", "lag=11"),
        ("lag=1", "lag=-1"),
    ],
    ids=["still copying", "silent", "never heard"],
)
def test_a_replica_that_holds_nothing_new_does_not_count(old: str, new: str) -> None:
    assert condition((old, new)).replicas == 1


def test_a_replica_that_was_silent_for_a_moment_counts() -> None:
    assert condition(("lag=1", "lag=10")).replicas == 2


def test_no_replica_is_a_number() -> None:
    assert condition_of("a:1", "role:master\r\nconnected_slaves:0\r\n").replicas == 0


def test_replicas_that_are_named_only_in_part_are_not_counted() -> None:
    assert condition(("connected_slaves:2", "connected_slaves:3")).replicas is None


def test_what_a_managed_service_hides_is_not_known() -> None:
    assert condition_of("a:1", "# Memory\r\nused_memory_human:1M\r\n") == Condition("a:1", is_up=True)


def test_no_limit_of_memory_is_0() -> None:
    assert condition(("maxmemory:4000000", "maxmemory:0")).memory_limit_bytes == 0
