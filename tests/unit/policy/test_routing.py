from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Priority
from shared.policy.breaker import BreakerState
from shared.policy.routing import Choice, choose, is_trickle_due
from shared.policy.views import MessageView, ProviderView, RouteCode, WaitingCode
from shared.providers.interface import Capabilities

NOW = 100.0
MESSAGE = MessageView(1_000)
OPEN = BreakerState.OPEN


def a(name: str = "a", **changes: object) -> ProviderView:
    view = ProviderView(name)
    for field, value in changes.items():
        setattr(view, field, value)
    return view


def pick(*providers: ProviderView, message: MessageView = MESSAGE, draw: float = 0.5) -> Choice:
    return choose(message, providers, NOW, draw)


def shares(providers: Sequence[ProviderView], message: MessageView = MESSAGE) -> dict[str | None, float]:
    drawn = Counter(choose(message, providers, NOW, i / 1_000).provider for i in range(1_000))
    return {name: count / 1_000 for name, count in drawn.items()}


def codes(choice: Choice) -> dict[str, str]:
    return {step.provider: step.code for step in choice.steps}


# Who carries it


def test_chance_follows_the_weights_of_healthy_equals() -> None:
    assert shares([a("a", weight=3), a("b"), a("c")]) == pytest.approx({"a": 0.6, "b": 0.2, "c": 0.2}, abs=0.01)


def test_chance_follows_health_within_the_good_class() -> None:
    assert shares([a("a"), a("b", health=0.95)])["a"] == pytest.approx(1 / 1.95, abs=0.01)


def test_less_than_half_of_the_slots_free_costs_chance() -> None:
    assert shares([a("a"), a("b", free_slots=5)])["a"] == pytest.approx(1 / 1.5, abs=0.01)
    assert shares([a("a"), a("b", free_slots=10)])["a"] == pytest.approx(0.5, abs=0.01)


def test_the_lowest_tier_is_used() -> None:
    choice = pick(a("b", tier=2, weight=100), a("a"))

    assert (choice.provider, choice.code) == ("a", RouteCode.BEST)


@pytest.mark.parametrize(
    "upper",
    [
        a("a", breaker=OPEN),
        a("a", blocked_until=NOW + 1),
        a("a", quota_until=NOW + 1),
        a("a", paused_until=math.inf),
        a("a", health=0.5),
        a("a", free_slots=0),
        a("a", tokens=0),
        a("a", capabilities=Capabilities(max_bytes=999)),
        a("a", capabilities=Capabilities(max_recipients=0)),
    ],
    ids=["open", "blocked", "quota", "paused", "unhealthy", "slots", "tokens", "large", "recipients"],
)
def test_the_next_tier_takes_over_what_the_upper_cannot_take(upper: ProviderView) -> None:
    choice = pick(upper, a("b", tier=2))

    assert (choice.provider, choice.code) == ("b", RouteCode.LOWER_TIER)


def test_a_message_has_some_patience_with_a_full_tier() -> None:
    full, lower = a("a", tokens=0, next_token_at=NOW + 50), a("b", tier=2)
    choice = pick(full, lower, message=MessageView(1_000, waited_seconds=5.0))

    assert (choice.provider, choice.waiting, choice.until) == (None, WaitingCode.TURN, NOW + 1)
    assert pick(full, lower, message=MessageView(1_000, waited_seconds=6.0)).provider == "b"


@pytest.mark.parametrize("failing", [a("a", breaker=OPEN), a("a", health=0.5)])
def test_a_failing_tier_gets_no_patience(failing: ProviderView) -> None:
    impatient = MessageView(1_000, waited_seconds=0.0)

    assert pick(failing, a("b", tier=2), message=impatient).provider == "b"


def test_a_tried_provider_is_not_tried_again_in_this_lease() -> None:
    choice = pick(a("a"), a("b", tier=2), message=MessageView(1_000, tried=("a",)))

    assert (choice.provider, choice.code) == ("b", RouteCode.FAILOVER)


def test_a_lost_answer_is_asked_for_where_it_was_lost() -> None:
    choice = pick(a("a"), a("b", tier=2), message=MessageView(1_000, prefer="b"))

    assert (choice.provider, choice.code) == ("b", RouteCode.SAME_PROVIDER)


def test_a_preferred_provider_that_cannot_take_it_is_not_waited_for() -> None:
    assert pick(a("a"), a("b", breaker=OPEN), message=MessageView(1_000, prefer="b")).provider == "a"


def test_a_provider_that_is_not_good_gets_nothing_but_a_trickle() -> None:
    assert shares([a("a"), a("b", health=0.89)]) == {"a": 1.0}

    choice = pick(a("a"), a("b", health=0.5, trickle_due=True))
    assert (choice.provider, choice.code) == ("b", RouteCode.LOWER_SCORE)


@pytest.mark.parametrize(
    "message",
    [
        MessageView(1, priority=Priority.CRITICAL),
        MessageView(1, priority=Priority.HIGH),
        MessageView(1, tried=("c",)),
    ],
)
def test_no_urgent_or_unlucky_message_is_used_as_a_trickle(message: MessageView) -> None:
    assert pick(a("a"), a("b", health=0.5, trickle_due=True), message=message).provider == "a"


def test_a_lower_tier_gets_no_trickle() -> None:
    assert pick(a("a"), a("b", tier=2, health=0.5, trickle_due=True)).provider == "a"


def test_a_provider_that_is_not_good_helps_out_when_the_good_are_full() -> None:
    full, worse = a("a", tokens=0, next_token_at=NOW + 50), a("b", health=0.5)

    assert pick(full, worse).code is RouteCode.LOWER_SCORE
    assert pick(full, worse, message=MessageView(1, waited_seconds=29.0)).until == NOW + 1


def test_a_hardly_working_provider_helps_nobody() -> None:
    assert pick(a("a", free_slots=0), a("b", health=0.2)).provider is None


def test_the_reserve_is_open_to_critical_messages_alone() -> None:
    almost_full = a("a", free_slots=2, reserved_slots=2)

    assert pick(almost_full).provider is None
    assert pick(almost_full, message=MessageView(1, priority=Priority.CRITICAL)).provider == "a"


# Probes


def test_a_due_probe_goes_before_everything_good() -> None:
    choice = pick(a("a"), a("b", breaker=OPEN, probe_due=True))

    assert (choice.provider, choice.code) == ("b", RouteCode.PROBE)


@pytest.mark.parametrize(
    ("message", "others_closed", "all_open"),
    [
        (MessageView(1, priority=Priority.BULK), True, True),
        (MessageView(1, priority=Priority.HIGH, waited_seconds=0.9), False, True),
        (MessageView(1, priority=Priority.HIGH, waited_seconds=1.0), True, True),
        (MessageView(1, priority=Priority.HIGH, nothing_else_waits=False), False, False),
        (MessageView(1, priority=Priority.CRITICAL), False, True),
        (MessageView(1, priority=Priority.CRITICAL, nothing_else_waits=False), False, False),
    ],
)
def test_urgent_messages_are_probes_only_where_nothing_better_is_left(
    message: MessageView, *, others_closed: bool, all_open: bool
) -> None:
    due = a("b", breaker=OPEN, probe_due=True, probe_due_if_all_open=True)

    assert (pick(a("a"), due, message=message).code is RouteCode.PROBE) is others_closed
    assert (pick(due, message=message).code is RouteCode.PROBE) is all_open


@pytest.mark.parametrize(
    "hindrance",
    [
        {"breaker": BreakerState.PROBING},
        {"blocked_until": NOW + 1},
        {"paused_until": NOW + 1},
        {"quota_until": NOW + 1},
        {"free_slots": 0},
        {"tokens": 0},
        {"capabilities": Capabilities(max_bytes=1)},
    ],
)
def test_a_probe_needs_all_that_another_attempt_needs(hindrance: dict[str, object]) -> None:
    assert pick(a("b", **{"breaker": OPEN, "probe_due_if_all_open": True, **hindrance})).provider is None


def test_a_paused_provider_is_no_alternative_to_a_probe() -> None:
    due = a("b", breaker=OPEN, probe_due_if_all_open=True)

    assert pick(a("a", paused_until=math.inf), due).code is RouteCode.PROBE
    assert pick(a("a", paused_until=math.inf), due).all_open


def test_a_provider_that_cannot_carry_it_is_no_alternative_to_a_probe() -> None:
    due = a("b", breaker=OPEN, probe_due_if_all_open=True)

    assert pick(a("a", capabilities=Capabilities(max_bytes=1)), due).code is RouteCode.PROBE


@pytest.mark.parametrize(
    ("elsewhere", "since", "in_flight", "expected"),
    [(30, 1.0, 1, True), (29, 9.0, 0, False), (99, 0.9, 0, False), (99, 9.0, 2, False)],
)
def test_a_trickle_is_seldom(elsewhere: int, since: float, in_flight: int, *, expected: bool) -> None:
    assert is_trickle_due(elsewhere, since, in_flight) is expected


# Why it waits


@pytest.mark.parametrize(
    ("providers", "waiting", "until"),
    [
        ([a(blocked_until=NOW + 3)], WaitingCode.RATE_LIMITED, NOW + 3),
        ([a(tokens=0, next_token_at=NOW + 0.1)], WaitingCode.RATE_LIMITED, NOW + 0.1),
        ([a(quota_until=NOW + 900)], WaitingCode.QUOTA_SPENT, NOW + 900),
        ([a(paused_until=math.inf)], WaitingCode.PAUSED, None),
        ([a(paused_until=NOW + 60)], WaitingCode.PAUSED, NOW + 60),
        ([a(breaker=OPEN, next_probe_at=NOW + 4)], WaitingCode.NO_PROVIDER_AVAILABLE, NOW + 4),
        ([a(breaker=OPEN, next_probe_at=NOW - 4)], WaitingCode.NO_PROVIDER_AVAILABLE, None),
        ([a(breaker=BreakerState.PROBING, next_probe_at=NOW)], WaitingCode.NO_PROVIDER_AVAILABLE, None),
        ([a(breaker=OPEN, is_misconfigured=True)], WaitingCode.NO_PROVIDER_AVAILABLE, None),
        ([a(free_slots=0)], WaitingCode.TURN, None),
        ([], WaitingCode.NO_PROVIDER_AVAILABLE, None),
        ([a(paused_until=math.inf), a("b", blocked_until=NOW + 9)], WaitingCode.RATE_LIMITED, NOW + 9),
        ([a(quota_until=NOW + 9), a("b", blocked_until=NOW + 3)], WaitingCode.RATE_LIMITED, NOW + 3),
    ],
)
def test_a_message_that_nobody_takes_waits_for_the_obstacle_that_ends_first(
    providers: list[ProviderView], waiting: WaitingCode, until: float | None
) -> None:
    choice = pick(*providers)

    assert (choice.provider, choice.waiting, choice.until, choice.is_impossible) == (None, waiting, until, False)


def test_a_message_that_every_provider_refused_or_cannot_hold_is_impossible() -> None:
    choice = pick(
        a("a", paused_until=math.inf),
        a("b", capabilities=Capabilities(max_bytes=999)),
        message=MessageView(1_000, refused=frozenset({"a"})),
    )

    assert choice.is_impossible
    assert choice.waiting is None


def test_a_provider_that_is_merely_down_leaves_it_possible() -> None:
    down = a("a", breaker=OPEN, is_misconfigured=True)

    assert not pick(down, a("b"), message=MessageView(1, refused=("b",))).is_impossible


def test_where_all_were_tried_nothing_stands_in_the_way() -> None:
    assert pick(a("a"), message=MessageView(1, tried=("a",))) == Choice(None)


def test_a_tried_provider_that_asked_for_a_pause_is_waited_for() -> None:
    choice = pick(a("a", blocked_until=NOW + 3), message=MessageView(1, tried=("a",)))

    assert (choice.waiting, choice.until) == (WaitingCode.RATE_LIMITED, NOW + 3)


# Explanations


def test_every_provider_gets_its_reason_in_the_order_of_the_pool() -> None:
    providers = [
        a("tried"),
        a("large", capabilities=Capabilities(max_bytes=1)),
        a("many", capabilities=Capabilities(max_recipients=0)),
        a("refused"),
        a("paused", paused_until=math.inf),
        a("throttled", blocked_until=NOW + 1.25),
        a("spent", quota_until=NOW + 60),
        a("open", breaker=OPEN, next_probe_at=NOW + 4.2),
        a("wrong", breaker=OPEN, is_misconfigured=True),
        a("full", free_slots=1, reserved_slots=1),
        a("dry", tokens=0),
        a("worse", health=0.5),
        a("chosen", weight=3, free_slots=5),
        a("backup", tier=2),
    ]
    message = MessageView(1_000, tried=("tried",), refused=("refused",))

    steps = choose(message, providers, NOW, 0.5, explain=True).steps

    assert [(step.provider, step.chosen, step.code, step.detail) for step in steps] == [
        ("tried", False, "already_tried", "tried in this round"),
        ("large", False, "too_large", "takes 1 bytes, the message has 1000"),
        ("many", False, "unsupported", "takes 0 recipients, the message has 1"),
        ("refused", False, "unsupported", "refused this message as one that it cannot carry"),
        ("paused", False, "paused", "until it is resumed"),
        ("throttled", False, "throttled", "asked to be left alone, may be used again in 1.2 s"),
        ("spent", False, "quota_spent", "frees in 60.0 s"),
        ("open", False, "breaker_open", "next probe in 4.2 s"),
        ("wrong", False, "misconfigured", "refuses the account; next probe nobody knows when"),
        ("full", False, "no_capacity", "1 of 20 slots free, 1 kept for critical"),
        ("dry", False, "no_capacity", "its rate is used up"),
        ("worse", False, "lower_score", "tier 1, weight 1 \u00d7 health 0.50 \u00d7 headroom 1.00"),
        ("chosen", True, "failover", "tier 1, weight 3 \u00d7 health 1.00 \u00d7 headroom 0.50"),
        ("backup", False, "lower_tier", "tier 2, weight 1 \u00d7 health 1.00 \u00d7 headroom 1.00"),
    ]


def test_a_wait_has_its_reasons_too() -> None:
    impatient = MessageView(1, waited_seconds=0.0)

    choice = choose(impatient, [a("a", tokens=0), a("b", tier=2), a("c", health=0.5)], NOW, 0.5, explain=True)

    assert codes(choice) == {"a": "no_capacity", "b": "lower_tier", "c": "lower_score"}
    assert not any(step.chosen for step in choice.steps)


@pytest.mark.parametrize(
    ("provider", "message", "detail"),
    [
        (a(breaker=OPEN, probe_due_if_all_open=True), MESSAGE, "to learn whether it works again; "),
        (a(), MessageView(1, prefer="a"), "its answer to the last try was lost; "),
    ],
)
def test_an_unusual_choice_says_what_it_is_for(provider: ProviderView, message: MessageView, detail: str) -> None:
    assert choose(message, [provider], NOW, 0.5, explain=True).steps[0].detail.startswith(detail)


@pytest.mark.parametrize(
    ("provider", "detail"),
    [
        (a(breaker=BreakerState.PROBING), "a probe is under way"),
        (a(breaker=OPEN, next_probe_at=NOW), "next probe with the next message that can bear it"),
        (a(paused_until=NOW + 5), "resumes in 5.0 s"),
    ],
)
def test_an_obstacle_says_how_long_it_lasts(provider: ProviderView, detail: str) -> None:
    assert choose(MESSAGE, [provider], NOW, 0.5, explain=True).steps[0].detail == detail


def test_without_need_nothing_is_explained() -> None:
    assert pick(a()).steps == ()


views = st.builds(
    ProviderView,
    name=st.sampled_from("abc"),
    tier=st.integers(1, 3),
    weight=st.floats(0, 100),
    health=st.floats(0, 1),
    slots=st.integers(0, 50),
    free_slots=st.integers(0, 50),
    reserved_slots=st.integers(0, 5),
    tokens=st.none() | st.integers(0, 3),
    blocked_until=st.floats(0, 200),
    breaker=st.sampled_from(list(BreakerState)),
    probe_due=st.booleans(),
    probe_due_if_all_open=st.booleans(),
    trickle_due=st.booleans(),
)
messages = st.builds(
    MessageView,
    size_bytes=st.just(1),
    priority=st.sampled_from(list(Priority)),
    tried=st.frozensets(st.sampled_from("abc")),
    refused=st.frozensets(st.sampled_from("abc")),
    prefer=st.none() | st.sampled_from("abc"),
    waited_seconds=st.floats(0, 1_000),
)


@given(messages, st.lists(views, max_size=3, unique_by=lambda view: view.name), st.floats(0, 1, exclude_max=True))
def test_whatever_stands_the_choice_is_allowed_and_every_provider_explained(
    message: MessageView, providers: list[ProviderView], draw: float
) -> None:
    choice = choose(message, providers, NOW, draw, explain=True)

    assert [step.provider for step in choice.steps] == [provider.name for provider in providers]
    assert [step.provider for step in choice.steps if step.chosen] == [choice.provider] * (choice.provider is not None)
    if choice.provider is None:
        assert choice.until is None or choice.until > NOW
        return
    chosen = next(provider for provider in providers if provider.name == choice.provider)
    assert choice.provider not in {*message.tried, *message.refused}
    assert chosen.blocked_until <= NOW
    assert chosen.has_room_for(message.priority)
    assert (choice.code is RouteCode.PROBE) == (chosen.breaker is BreakerState.OPEN)
