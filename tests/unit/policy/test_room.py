"""What is leased must find a provider: the room of a pool is counted by routing's own rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Priority
from shared.policy.breaker import BreakerState
from shared.policy.room import places_for
from shared.policy.routing import choose
from shared.policy.views import MessageView, ProviderView

NOW = 100.0


def places(*providers: ProviderView, priority: Priority = Priority.NORMAL, waited: float = 0.0, most: int = 200) -> int:
    return places_for(providers, NOW, most, priority, waited)


def test_a_pool_has_room_for_what_its_slots_and_tokens_take() -> None:
    assert places(ProviderView("a", free_slots=7), ProviderView("b", free_slots=9, tokens=4)) == 11


def test_no_more_is_asked_for_than_the_sender_may_hold() -> None:
    assert places(ProviderView("a", free_slots=20), most=5) == 5


def test_what_is_kept_for_critical_messages_is_room_for_them_alone() -> None:
    provider = ProviderView("a", free_slots=10, reserved_slots=2)

    assert places(provider) == 8
    assert places(provider, priority=Priority.CRITICAL) == 10


@pytest.mark.parametrize("waited", [0.0, 5.9])
def test_a_lower_tier_is_no_room_before_patience_ends(waited: float) -> None:
    assert places(ProviderView("a", free_slots=0), ProviderView("b", tier=2), waited=waited) == 0


def test_a_lower_tier_is_room_after_patience() -> None:
    assert places(ProviderView("a", free_slots=0), ProviderView("b", tier=2), waited=6.0) == 20


def test_a_provider_that_is_not_good_is_room_only_after_patience() -> None:
    providers = ProviderView("a", free_slots=0), ProviderView("b", health=0.5)

    assert places(*providers, waited=29.0) == 0
    assert places(*providers, waited=30.0) == 20


def test_a_provider_that_hardly_works_is_never_room_beside_a_good_one() -> None:
    assert places(ProviderView("a", free_slots=0), ProviderView("b", health=0.2), waited=1e9) == 0


@pytest.mark.parametrize("obstacle", [{"blocked_until": NOW + 1}, {"paused_until": NOW + 1}, {"quota_until": NOW + 1}])
def test_a_provider_that_takes_nothing_is_no_room(obstacle: dict[str, float]) -> None:
    assert places(replace(ProviderView("a"), **obstacle)) == 0  # type: ignore[arg-type]  # fields by name


def test_an_open_provider_that_is_due_takes_one_message_to_find_out() -> None:
    shut = ProviderView("a", breaker=BreakerState.OPEN, probe_due=True, probe_due_if_all_open=True)

    assert places(shut) == 1
    assert places(replace(shut, probe_due=False, probe_due_if_all_open=False)) == 0


def test_a_critical_message_is_no_probe_while_another_may_be() -> None:
    shut = ProviderView("a", breaker=BreakerState.OPEN, probe_due=True, probe_due_if_all_open=True)

    assert places_for([shut], NOW, 200, Priority.CRITICAL, 0.0, nothing_else_waits=False) == 0


VIEWS = st.builds(
    ProviderView,
    name=st.sampled_from("abcdef"),
    tier=st.integers(1, 3),
    health=st.floats(0, 1),
    free_slots=st.integers(0, 3),
    reserved_slots=st.integers(0, 1),
    tokens=st.none() | st.integers(0, 3),
    blocked_until=st.sampled_from([0.0, NOW + 1]),
    breaker=st.sampled_from(BreakerState),
    probe_due=st.booleans(),
    probe_due_if_all_open=st.booleans(),
)


@given(
    st.lists(VIEWS, max_size=4, unique_by=lambda view: view.name),
    st.sampled_from(Priority),
    st.sampled_from([0.0, 0.1, 10.0, 1e6]),
    st.booleans(),
    st.floats(0, 1, exclude_max=True),
)
def test_what_room_is_granted_routing_takes(
    providers: list[ProviderView], priority: Priority, waited: float, nothing_else_waits: bool, draw: float
) -> None:
    granted = places_for(providers, NOW, 200, priority, waited, nothing_else_waits=nothing_else_waits)
    message = MessageView(0, priority=priority, waited_seconds=waited, nothing_else_waits=nothing_else_waits)

    chosen = choose(message, providers, NOW, draw)

    assert (chosen.provider is not None) >= (granted > 0)
