"""Which mail counts as stranded, and which does not."""

from __future__ import annotations

from typing import Any

import pytest

from services.scheduler.stranded import stranded
from shared.domain.message import Priority
from shared.domain.states import State
from shared.queue.pauses import Pause, Scale
from shared.queue.processes import Process
from shared.queue.views import Depths, FlowDepth

#: Two wait in the pool `shop`, one of them for its next attempt.
WAITING = {State.QUEUED: 1, State.RETRYING: 1}
OBSTRUCTIONS = ("throttled", "quota_spent", "open", "misconfigured")


def row(name: str, state: str, *pools: str) -> dict[str, Any]:
    """Return what a sender tells of a provider, as far as it matters here."""
    is_available = state in {"healthy", "degraded"}
    return {"name": name, "pools": list(pools or ("shop",)), "state": state, "available": is_available}


def sender(*rows: dict[str, Any], name: str = "a") -> Process:
    return Process("sender", name, 0, {"providers": list(rows)})


def depths(**pools: dict[State, int]) -> Depths:
    flows = tuple(FlowDepth(pool, Priority.HIGH, states, None) for pool, states in pools.items())
    return Depths(0, flows, 0, 0, tuple(pools))


def in_shop(*census: Process, pauses: tuple[Pause, ...] = (), states: dict[State, int] | None = None) -> int:
    """Return how many messages of the pool `shop` are stranded."""
    found = stranded(depths(shop=WAITING if states is None else states), census, pauses)
    return found["shop", Priority.HIGH]


# Providers


@pytest.mark.parametrize("state", ["healthy", "degraded"])
def test_a_pool_whose_provider_works_is_served(state: str) -> None:
    assert in_shop(sender(row("relay", state))) == 0


@pytest.mark.parametrize("state", OBSTRUCTIONS)
def test_a_pool_whose_only_provider_takes_nothing_is_not_served(state: str) -> None:
    assert in_shop(sender(row("relay", state))) == 2


@pytest.mark.parametrize("is_available", [True, False])
def test_a_provider_that_is_only_tried_serves_nobody(is_available: bool) -> None:
    assert in_shop(sender({**row("relay", "probing"), "available": is_available})) == 2


def test_one_provider_that_works_is_enough() -> None:
    assert in_shop(sender(row("relay", "open"), row("other", "healthy"))) == 0


def test_a_provider_of_another_pool_does_not_serve_this_one() -> None:
    assert in_shop(sender(row("relay", "open"), row("other", "healthy", "news"))) == 2


def test_a_provider_serves_each_of_its_pools() -> None:
    assert in_shop(sender(row("relay", "healthy", "news", "shop"))) == 0


# Senders


def test_one_sender_with_a_way_out_is_enough() -> None:
    lost, well = sender(row("relay", "open")), sender(row("relay", "healthy"), name="b")

    assert in_shop(lost, well) == in_shop(well, lost) == 0


def test_what_two_senders_tell_is_counted_once() -> None:
    assert in_shop(sender(row("relay", "open")), sender(row("relay", "open"), name="b")) == 2


@pytest.mark.parametrize(
    "census", [(), (sender(),), (sender(row("other", "healthy", "news")),)], ids=["no sender", "no provider", "others"]
)
def test_a_pool_of_which_no_sender_knows_a_provider_is_not_served(census: tuple[Process, ...]) -> None:
    assert in_shop(*census) == 2


@pytest.mark.parametrize("role", ["frontend", "scheduler"])
def test_only_senders_are_asked(role: str) -> None:
    assert in_shop(Process(role, "a", 0, {"providers": [row("relay", "healthy")]})) == 2


# Pauses


@pytest.mark.parametrize(
    "pause",
    [Pause(Scale.EVERYTHING), Pause(Scale.POOL, "shop"), Pause(Scale.PROVIDER, "relay")],
    ids=lambda pause: pause.what,
)
def test_what_an_operator_holds_up_is_not_stranded(pause: Pause) -> None:
    assert in_shop(sender(row("relay", "paused")), pauses=(pause,)) == 0


@pytest.mark.parametrize(
    "pause", [Pause(Scale.POOL, "news"), Pause(Scale.PROVIDER, "shop"), Pause(Scale.PROVIDER, "other")], ids=str
)
def test_the_pause_of_something_else_excuses_nothing(pause: Pause) -> None:
    assert in_shop(sender(row("relay", "open")), pauses=(pause,)) == 2


def test_a_pool_whose_providers_are_all_paused_is_held_up() -> None:
    pauses = (Pause(Scale.PROVIDER, "relay"), Pause(Scale.PROVIDER, "other"))

    assert in_shop(sender(row("relay", "paused"), row("other", "paused")), pauses=pauses) == 0


def test_a_pause_of_one_provider_does_not_excuse_the_other() -> None:
    census = sender(row("relay", "paused"), row("other", "open"))

    assert in_shop(census, pauses=(Pause(Scale.PROVIDER, "relay"),)) == 2


def test_a_provider_that_only_one_sender_knows_counts_too() -> None:
    census = (sender(row("relay", "paused")), sender(row("relay", "paused"), row("other", "open"), name="b"))

    assert in_shop(*census, pauses=(Pause(Scale.PROVIDER, "relay"),)) == 2


def test_a_pool_of_which_nobody_knows_a_provider_is_not_held_up_by_the_pause_of_one() -> None:
    assert in_shop(sender(), pauses=(Pause(Scale.PROVIDER, "relay"),)) == 2


# Messages


@pytest.mark.parametrize("state", State)
def test_only_what_waits_for_a_provider_counts(state: State) -> None:
    counts = int(state in {State.QUEUED, State.RETRYING})

    assert in_shop(sender(row("relay", "open")), states={state: 1}) == counts


def test_each_pool_and_priority_is_judged_for_itself() -> None:
    flows = tuple(
        FlowDepth(pool, priority, {State.QUEUED: number}, None)
        for pool, priority, number in (
            ("shop", Priority.CRITICAL, 3),
            ("shop", Priority.BULK, 4),
            ("news", Priority.BULK, 5),
        )
    )

    found = stranded(Depths(0, flows, 0, 0, ()), [sender(row("relay", "open"), row("other", "healthy", "news"))], ())

    assert found == {("shop", Priority.CRITICAL): 3, ("shop", Priority.BULK): 4, ("news", Priority.BULK): 0}


@pytest.mark.parametrize("states", [{}, {State.QUEUED: 0, State.SENT: 0}], ids=["never had", "has no longer"])
def test_of_a_pool_without_messages_nothing_is_told(states: dict[State, int]) -> None:
    assert stranded(depths(old=states), [], ()) == {}
