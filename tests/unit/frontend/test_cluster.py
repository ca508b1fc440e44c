from __future__ import annotations

from typing import Any

import pytest

from services.frontend.cluster import Cluster, cluster_of
from services.frontend.views import View
from shared.domain.message import Waiting
from shared.queue.processes import Process

NOW = 1_795_518_127_114


def sender(name: str, *rows: dict[str, Any], at: int = NOW, started_at: int = 1) -> Process:
    pools: dict[str, list[str]] = {}
    for row in rows:
        for pool in row.get("pools", ["default"]):
            pools.setdefault(pool, []).append(row["name"])
    return Process("sender", name, at, {"started_at": started_at, "pools": pools, "providers": list(rows)})


def row(name: str = "relay", revision: str = "a", **fields: Any) -> dict[str, Any]:
    return {"name": name, "available": True, "state": "healthy", "config_revision": revision, **fields}


def only(cluster: Cluster) -> View:
    (shown,) = cluster.providers
    return shown


def test_processes_are_counted_by_role() -> None:
    census = [Process("frontend", "a", NOW, {}), sender("b"), sender("c")]

    assert cluster_of(census).processes == {"frontend": 1, "scheduler": 0, "sender": 2}


def test_one_row_a_name_says_how_many_see_it() -> None:
    assert only(cluster_of([sender("a", row()), sender("b", row())]))["seen_by"] == 2


def test_the_configuration_of_most_senders_is_shown() -> None:
    census = [
        sender("a", row(weight=1)),
        sender("b", row(weight=1)),
        sender("c", row(revision="b", weight=9), at=NOW + 1, started_at=9),
    ]

    assert (only(cluster_of(census))["weight"], only(cluster_of(census))["config_revision"]) == (1, "a")


def test_of_as_many_the_newest_start_is_shown() -> None:
    census = [
        sender("a", row(weight=1), at=NOW + 1, started_at=1),
        sender("b", row(revision="b", weight=9), started_at=2),
    ]

    assert only(cluster_of(census))["weight"] == 9


def test_the_state_is_the_one_that_was_told_last() -> None:
    census = [sender("a", row(state="open", health=0.1), at=NOW + 1), sender("b", row()), sender("c", row())]

    assert (only(cluster_of(census))["state"], only(cluster_of(census))["health"]) == ("open", 0.1)


def test_what_senders_count_by_themselves_is_added() -> None:
    census = [
        sender("a", row(usage={"tokens": 3, "in_flight": 4}, outcomes_1m={"accepted": 5})),
        sender("b", row(usage={"tokens": 2, "in_flight": 1}, outcomes_1m={"accepted": 1, "throttled": 2}), at=NOW + 1),
    ]

    assert only(cluster_of(census))["usage"] == {"tokens": 2, "in_flight": 5}
    assert only(cluster_of(census))["outcomes_1m"] == {"accepted": 6, "throttled": 2}


def test_instants_are_shown_as_text_wherever_they_stand() -> None:
    told = row(
        available_at=NOW + 1,
        breaker={"opened_at": NOW, "next_probe_at": None},
        limits={"quotas": [{"used": NOW, "frees_at": NOW}]},
    )
    shown = only(cluster_of([sender("a", told)]))
    text = "2026-11-24T11:02:07.114Z"

    assert shown["available_at"] == "2026-11-24T11:02:07.115Z"
    assert shown["breaker"] == {"opened_at": text, "next_probe_at": None}
    assert shown["limits"] == {"quotas": [{"used": NOW, "frees_at": text}]}


def test_pools_are_those_that_any_sender_knows() -> None:
    census = [sender("a", row("x")), sender("b", row("y"), row("z", pools=["sandbox"]))]

    assert cluster_of(census).pools == {"default": ("x", "y"), "sandbox": ("z",)}


def test_a_pool_is_available_while_one_provider_is() -> None:
    census = [sender("a", row("x", available=False), row("y"), row("z", pools=["sandbox"], available=False))]

    assert cluster_of(census).is_available("default")
    assert not cluster_of(census).is_available("sandbox")
    assert not cluster_of(census).is_available("elsewhere")


def test_nothing_has_to_be_said_of_a_pool_that_is_available() -> None:
    assert cluster_of([sender("a", row())]).waiting("default") is None


def test_a_pool_without_providers_has_none_available() -> None:
    assert cluster_of([]).waiting("default") == Waiting("no_provider_available")


def test_a_pool_waits_for_the_first_provider_that_comes_back() -> None:
    rows = [row(name, available=False, state="throttled", available_at=at) for name, at in (("x", 9), ("y", 7))]

    assert cluster_of([sender("a", *rows, at=6)]).waiting("default") == Waiting("rate_limited", 7)


@pytest.mark.parametrize(("told_at", "shown"), [(6, "1970-01-01T00:00:00.007Z"), (7, None), (8, None)])
def test_an_instant_that_has_passed_since_is_not_shown(told_at: int, shown: str | None) -> None:
    rows = [row("x", available=False, state="open", available_at=7)]
    census = cluster_of([sender("a", *rows, at=5), Process("frontend", "b", told_at, {})])

    assert only(census)["available_at"] == shown
    assert census.waiting("default") == Waiting("no_provider_available", None if shown is None else 7)


def test_providers_in_different_trouble_are_just_not_available() -> None:
    rows = [row(name, available=False, state=state) for name, state in (("x", "throttled"), ("y", "open"))]

    assert cluster_of([sender("a", *rows)]).waiting("default") == Waiting("no_provider_available")


def test_a_sender_that_tells_nothing_is_counted_all_the_same() -> None:
    assert cluster_of([Process("sender", "a", NOW, {})]).processes["sender"] == 1
