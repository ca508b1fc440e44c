"""Pauses as clients see them: fresher than what senders tell."""

from __future__ import annotations

from typing import Any

import pytest

from services.frontend.cluster import Cluster, cluster_of
from services.frontend.instants import instant
from services.frontend.pausing import Pauses, pause_view
from services.frontend.views import View
from shared.domain.message import Address, Envelope, Priority, Record, Waiting
from shared.domain.states import State
from shared.queue.pauses import Pause, Scale
from shared.settings.model import ProviderSettings
from tests.unit.frontend.test_cluster import NOW, row, sender

LATER = NOW + 60_000
EVERYTHING = Pause(Scale.EVERYTHING, since=NOW)


def of_pool(until: int | None = None) -> Pause:
    return Pause(Scale.POOL, "default", "a bad template", until, NOW)


def of_provider(name: str, until: int | None = None) -> Pause:
    return Pause(Scale.PROVIDER, name, "key rotation", until, NOW)


def cluster(*pauses: Pause, rows: tuple[dict[str, Any], ...] = (row("x"), row("y"))) -> Cluster:
    return cluster_of([sender("a", *rows)], pauses)


def shown(of: Cluster, name: str = "x") -> View:
    found = of.row(name)
    assert found is not None
    return found


def record(state: State, waiting: Waiting | None = None) -> Record:
    envelope = Envelope(sender=Address("a@example.com"), to=(Address("b@example.org"),), subject="")
    return Record("msg_1", "default", state, Priority.NORMAL, "default", envelope, created_at=0, waiting=waiting)


def test_a_pause_is_shown_with_its_instants_as_text() -> None:
    assert pause_view(of_pool(LATER)) == {
        "reason": "a bad template",
        "since": instant(NOW),
        "until": instant(LATER),
    }


def test_what_runs_shows_no_pause() -> None:
    assert pause_view(None) is None


def test_a_pause_is_found_by_what_it_holds_up() -> None:
    pauses = Pauses.of([EVERYTHING, of_pool(), of_provider("x")])

    assert [pauses.find(Scale.EVERYTHING), pauses.find(Scale.POOL, "default"), pauses.find(Scale.PROVIDER, "x")] == [
        EVERYTHING,
        of_pool(),
        of_provider("x"),
    ]
    assert pauses.find(Scale.POOL, "x") is None


# A provider


def test_a_provider_is_paused_before_its_senders_have_told_so() -> None:
    told = shown(cluster(of_provider("x", LATER)))

    assert (told["state"], told["available"], told["available_at"]) == ("paused", False, instant(LATER))
    assert told["paused"] == pause_view(of_provider("x", LATER))


@pytest.mark.parametrize(
    ("breaker", "state", "available"),
    [("closed", "healthy", True), ("open", "open", False), ("probing",) * 2 + (False,)],
)
def test_a_provider_is_resumed_before_its_senders_have_told_so(breaker: str, state: str, available: bool) -> None:
    stale = row("x", state="paused", available=False, paused={"until": None}, breaker={"state": breaker})
    told = shown(cluster(rows=(stale,)))

    assert (told["state"], told["available"], told["paused"]) == (state, available, None)


def test_the_pause_of_a_pool_is_none_of_its_providers() -> None:
    told = shown(cluster(of_pool()))

    assert (told["state"], told["paused"]) == ("healthy", None)


def test_a_paused_provider_of_which_no_sender_tells_is_shown_as_it_is_configured() -> None:
    settings = ProviderSettings(name="x", kind="smtp", tier=2)
    (told,) = cluster_of([], [of_provider("x")], [settings]).providers

    assert (told["name"], told["kind"], told["tier"], told["seen_by"]) == ("x", "smtp", 2, 0)
    assert told["state"] == "paused"


def test_a_pause_of_a_provider_that_nobody_knows_any_more_is_not_hidden() -> None:
    assert [told["name"] for told in cluster_of([], [of_provider("gone")]).providers] == ["gone"]


def test_a_configured_provider_of_which_no_sender_tells_has_a_row_but_is_not_listed() -> None:
    found = cluster_of([], (), [ProviderSettings(name="x", kind="smtp")])

    assert found.providers == ()
    assert shown(found)["state"] == "unknown"


# A pool


@pytest.mark.parametrize("pause", [EVERYTHING, of_pool()], ids=lambda pause: pause.what)
def test_a_pool_that_is_paused_is_not_available(pause: Pause) -> None:
    assert not cluster(pause).is_available("default")


def test_a_pool_is_available_while_one_of_its_providers_is_not_paused() -> None:
    assert cluster(of_provider("x")).is_available("default")


@pytest.mark.parametrize(
    ("pauses", "until"),
    [
        ([EVERYTHING], None),
        ([of_pool(LATER)], LATER),
        ([of_pool(LATER), EVERYTHING], None),
        ([of_provider("x"), of_provider("y", LATER)], LATER),
        ([of_provider("x"), of_provider("y")], None),
        ([of_provider("x", LATER), of_provider("y", LATER), of_pool(LATER + 1)], LATER + 1),
    ],
)
def test_a_message_waits_for_the_end_of_all_that_holds_up_its_pool(pauses: list[Pause], until: int | None) -> None:
    assert cluster(*pauses).waiting("default") == Waiting("paused", until)


def test_one_provider_that_is_not_paused_is_enough() -> None:
    assert cluster(of_provider("x")).paused("default") is None


def test_a_pool_without_providers_is_not_paused_for_that() -> None:
    assert cluster_of([]).waiting("default") == Waiting("no_provider_available")


# A message


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING])
@pytest.mark.parametrize("told", [None, Waiting("rate_limited"), Waiting("backoff", LATER - 1)])
def test_a_message_of_a_paused_pool_says_so_whatever_it_was_told(state: State, told: Waiting | None) -> None:
    assert cluster(of_pool(LATER)).explain(record(state, told)) == Waiting("paused", LATER)


def test_a_message_that_waits_longer_than_the_pause_keeps_its_own_reason() -> None:
    own = Waiting("backoff", LATER + 1)

    assert cluster(of_pool(LATER)).explain(record(State.RETRYING, own)) == own


def test_a_message_of_a_pool_that_runs_keeps_what_it_was_told() -> None:
    assert cluster().explain(record(State.QUEUED, Waiting("rate_limited"))) == Waiting("rate_limited")


def test_only_a_message_that_no_sender_has_seen_asks_its_providers() -> None:
    down = cluster(rows=(row("x", available=False, state="throttled"),))

    assert down.explain(record(State.QUEUED)) == Waiting("rate_limited")
    assert down.explain(record(State.RETRYING)) is None
