"""A world keeps its word: repeatable, nothing lost, no slot used twice; and ours does better than a fixed order."""

from __future__ import annotations

import pytest

from reliable_email.simulate.metrics import Seen, seen
from reliable_email.simulate.play import Job, jobs, play
from reliable_email.simulate.policies import OURS, POLICIES, YARDSTICK
from reliable_email.simulate.world import Flight, World
from tests.unit.simulate.lives import HANG, OUTAGE, TWO, life


def played(text: str, policy: str, seed: int = 1) -> Seen:
    return seen(life(text), World(life(text), POLICIES[policy](), seed).play())


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_life_to_the_last_attempt(policy: str) -> None:
    first, second = (World(life(OUTAGE), POLICIES[policy](), 7).play() for _ in range(2))

    assert first.steps == second.steps
    assert (first.on_time, first.wasted) == (second.on_time, second.wasted)


def test_another_seed_gives_another_life() -> None:
    assert played(TWO, OURS, 1).arrived != played(TWO, OURS, 2).arrived


def test_every_policy_sees_the_same_arrivals() -> None:
    assert len({played(OUTAGE, policy).arrived for policy in POLICIES}) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_where_nothing_happens_everything_is_on_time(policy: str) -> None:
    result = played(TWO, policy)

    assert result.on_time == result.arrived
    assert (result.wasted, result.duplicates) == (0, 0)


def test_the_shares_follow_the_weights() -> None:
    a, b = played(TWO, OURS).attempts

    assert a / (a + b) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_uses_more_slots_than_there_are(policy: str) -> None:
    text = HANG.replace("median_ms = 80", "median_ms = 80\nconcurrency = 2")
    world = World(life(text), POLICIES[policy](), 1)
    begun, least = world._policy.begun, []

    def watch(flight: Flight) -> None:
        least.append(world.free[flight.sender][flight.provider])
        begun(flight)

    world._policy.begun = watch  # type: ignore[method-assign]
    world.play()

    assert min(least) >= 0


def test_a_lost_answer_of_a_provider_without_keys_makes_a_second_copy() -> None:
    assert played(TWO.replace("weight = 3", "weight = 3\nlost = 0.2"), "fixed order").duplicates > 0


def test_a_provider_that_fails_is_left_at_once_and_comes_back_soon() -> None:
    result = played(OUTAGE, OURS)

    assert result.leaves[0] <= 2
    assert result.returns[0] <= 15


def test_ours_wastes_less_than_a_fixed_order_where_a_provider_fails() -> None:
    assert played(OUTAGE, OURS).wasted < 0.2 * played(OUTAGE, "fixed order").wasted


def test_ours_delivers_more_critical_mail_on_time_than_a_fixed_order_where_a_provider_hangs() -> None:
    ours, fixed, best = (played(HANG, policy).on_time[0] for policy in (OURS, "fixed order", YARDSTICK))

    assert fixed < ours <= best


def test_while_everything_is_down_ours_asks_each_provider_once_a_second_and_not_more() -> None:
    change = '[[changes]]\nprovider = "{}"\nat = 10\nuntil = 20\nrefuse = 1.0\n'
    text = TWO + change.format("a") + change.format("b")

    assert played(text, OURS).wasted < 2 * 10 + 40  # the probes, and what was under way when the breakers opened


def test_a_burst_waits_for_room_and_is_delivered() -> None:
    text = TWO + '[[bursts]]\nat = 5\nmessages = 500\npriority = "bulk"\n'
    result = played(text, OURS)

    assert result.on_time == result.arrived


def test_a_job_plays_each_policy_and_keeps_the_steps_only_for_a_picture() -> None:
    result = play(Job(life(), 1, (OURS, YARDSTICK)))

    assert list(result.seen) == [OURS, YARDSTICK]
    assert result.steps == {}


def test_only_the_first_seed_is_drawn() -> None:
    assert [job.keeps_steps for job in jobs([life()], [4, 5], [OURS], picture=True)] == [True, False]
