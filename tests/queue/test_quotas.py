"""draw: quotas of an hour, a day or a month, kept by all senders together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.domain.errors import AnswerLost
from shared.policy.quotas import Quota
from shared.queue.core import Core
from shared.queue.provider_state import Drawn, Limits, Throttled, Unused
from tests.queue.scenario import HOUR, MINUTE, RELAY, SECOND, START, Scenario

DAY = 24 * HOUR
#: What a unit stays counted beyond its window: it may lie in a sender's stock before it is used.
SLACK = 1_250
SLOT = 250

DAILY = Quota(100, "day")
CALENDAR = Quota(100, "day", zone="Europe/Berlin", is_rolling=False)


async def draw(scenario: Scenario, wanted: int, *quotas: Quota, rate: float | None = None) -> Drawn:
    return await scenario.queue.providers.draw(RELAY, Limits(rate, rate, quotas or (DAILY,)), wanted)


async def give_back(scenario: Scenario, units: int, drawn_at: int, *quotas: Quota, number: int = 1) -> None:
    limits = Limits(None, None, quotas or (DAILY,))
    await scenario.queue.providers.give_back(RELAY, limits, Unused(units, drawn_at, "s1", number))


async def stored(scenario: Scenario, command: str, *names: str) -> list[Any]:
    """Return what one plain command says of each of some keys of the provider."""
    tag = scenario.queue.core.provider_tag(RELAY)
    return await scenario.queue.core.plain(tag, [(command, f"{tag}:{name}") for name in names])


async def test_a_quota_grants_what_is_left_of_it(scenario: Scenario) -> None:
    assert [(await draw(scenario, 60)).granted for _ in range(3)] == [60, 40, 0]


async def test_the_use_of_each_quota_is_told(scenario: Scenario) -> None:
    assert (await draw(scenario, 7, DAILY, Quota(10, "hour"))).used == (7, 7)
    assert (await draw(scenario, 0, DAILY, Quota(10, "hour"))).used == (7, 7)


async def test_the_tightest_of_several_quotas_decides(scenario: Scenario) -> None:
    assert (await draw(scenario, 50, DAILY, Quota(10, "hour"))).granted == 10


async def test_a_rate_and_a_quota_hold_together(scenario: Scenario) -> None:
    assert (await draw(scenario, 50, DAILY, rate=20)).granted == 20
    await scenario.advance(HOUR)
    assert (await draw(scenario, 500, Quota(25, "day"), rate=20)).granted == 5


async def test_what_a_quota_refuses_costs_no_token(scenario: Scenario) -> None:
    await draw(scenario, 50, Quota(5, "hour"), rate=20)
    assert (await draw(scenario, 50, DAILY, rate=20)).granted == 15


async def test_a_spent_quota_says_when_it_frees(scenario: Scenario) -> None:
    assert (await draw(scenario, 60)).frees_at is None
    await scenario.advance(MINUTE)
    await draw(scenario, 40)
    first_slot_ends = (START // SLOT + 1) * SLOT
    assert (await draw(scenario, 1)).frees_at == first_slot_ends + DAY + SLACK


async def test_of_two_spent_quotas_the_later_instant_counts(scenario: Scenario) -> None:
    await draw(scenario, 10, Quota(10, "hour"), Quota(10, "day"))
    frees_at = (await draw(scenario, 1, Quota(10, "hour"), Quota(10, "day"))).frees_at
    assert frees_at is not None
    assert frees_at > START + DAY


async def test_a_unit_comes_back_once_it_has_left_the_window_and_not_before(scenario: Scenario) -> None:
    await draw(scenario, 60)
    await scenario.advance(MINUTE)
    await draw(scenario, 40)
    frees_at = (await draw(scenario, 1)).frees_at
    assert frees_at is not None
    await scenario.advance(frees_at - 1 - scenario.now)
    assert (await draw(scenario, 100)).granted == 0
    await scenario.advance(1)
    assert (await draw(scenario, 100)).granted == 60
    await scenario.advance(MINUTE)
    assert (await draw(scenario, 100)).granted == 40


async def test_no_window_ever_holds_more_than_the_quota(scenario: Scenario) -> None:
    """Whatever the pattern, and with every unit used as late as a sender may use it."""
    hourly = Quota(10, "hour")
    used: list[int] = []
    for step in range(200):
        drawn = await draw(scenario, 1 + step % 4, hourly)
        used += [scenario.now + 1_000] * drawn.granted
        await scenario.advance(3 * MINUTE + 17 * step)
    assert max(sum(instant <= at < instant + HOUR for at in used) for instant in used) == 10


async def test_units_that_were_not_used_can_be_given_back(scenario: Scenario) -> None:
    drawn = await draw(scenario, 100)
    await scenario.advance(2 * SECOND)
    await give_back(scenario, 30, drawn.now)
    assert (await draw(scenario, 100)).granted == 30


async def test_a_single_unit_can_be_given_back(scenario: Scenario) -> None:
    drawn = await draw(scenario, 100)
    await give_back(scenario, 1, drawn.now)
    assert (await draw(scenario, 100)).granted == 1


async def test_what_was_given_back_leaves_no_window_again(scenario: Scenario) -> None:
    drawn = await draw(scenario, 100)
    await give_back(scenario, 30, drawn.now)
    await scenario.advance(2 * DAY)
    assert (await draw(scenario, 200)).granted == 100


async def test_no_more_comes_back_than_was_drawn_then(scenario: Scenario) -> None:
    drawn = await draw(scenario, 5)
    await scenario.advance(MINUTE)
    await draw(scenario, 95)
    await give_back(scenario, 30, drawn.now)
    assert (await draw(scenario, 100)).granted == 5


async def test_what_was_forgotten_is_not_given_back(scenario: Scenario) -> None:
    drawn = await draw(scenario, 5)
    await scenario.advance(2 * DAY)
    await draw(scenario, 100)
    await give_back(scenario, 5, drawn.now)
    assert (await draw(scenario, 1)).granted == 0


async def test_a_larger_quota_counts_in_longer_slots(scenario: Scenario) -> None:
    monthly = Quota(1_000_000, "month")
    await draw(scenario, 1_000_000, monthly)
    frees_at = (await draw(scenario, 1, monthly)).frees_at
    assert frees_at == (START // monthly.slot_ms + 1) * monthly.slot_ms + 30 * DAY + SLACK


async def test_a_quota_that_was_raised_to_longer_slots_frees_what_was_counted(scenario: Scenario) -> None:
    raised = Quota(100_000, "day")
    assert raised.slot_ms > DAILY.slot_ms
    await draw(scenario, 100)
    assert (await draw(scenario, 0, raised)).used == (100,)
    await scenario.advance(DAY + SLACK + SLOT)
    assert (await draw(scenario, 0, raised)).used == (0,)


async def test_a_thousand_slots_free_in_a_call(scenario: Scenario) -> None:
    """Whatever there is to forget, no call of a script takes long."""
    tag = scenario.queue.core.provider_tag(RELAY)
    slots = range(1_001)
    fill = [
        ("HSET", f"{tag}:quota:{DAILY.name}", "used", 1_001, *(word for slot in slots for word in (slot, 1))),
        ("ZADD", f"{tag}:slots:{DAILY.name}", *(word for slot in slots for word in (START - 1, slot))),
        *(("PEXPIRE", f"{tag}:{kind}:{DAILY.name}", HOUR) for kind in ("quota", "slots")),
    ]
    await scenario.queue.core.plain(tag, fill)
    assert [(await draw(scenario, 0)).used for _ in range(2)] == [(1,), (0,)]


async def test_a_quota_that_was_raised_keeps_what_was_counted(scenario: Scenario) -> None:
    await draw(scenario, 100)
    assert (await draw(scenario, 100, Quota(150, "day"))).granted == 50


async def test_a_blocked_provider_uses_up_nothing(scenario: Scenario) -> None:
    await scenario.queue.providers.share(RELAY, sender="s1", word={}, rate=None, throttled=Throttled(60.0))
    assert (await draw(scenario, 100)).granted == 0
    await scenario.advance(MINUTE)
    assert (await draw(scenario, 100)).granted == 100


async def test_a_rolling_quota_leaves_nothing_behind_for_ever(scenario: Scenario) -> None:
    await draw(scenario, 10, Quota(10, "hour"))
    frees_at = (await draw(scenario, 1, Quota(10, "hour"))).frees_at
    assert await stored(scenario, "PEXPIRETIME", "quota:hour:rolling", "slots:hour:rolling") == [frees_at] * 2


async def test_what_draws_nothing_leaves_nothing_behind(scenario: Scenario) -> None:
    await draw(scenario, 0)
    await give_back(scenario, 5, START)
    assert await stored(scenario, "EXISTS", f"quota:{DAILY.name}", f"slots:{DAILY.name}") == [0, 0]


# Calendars

#: START lies on a day of Berlin's of which so much is over.
BERLIN_MIDNIGHT = START - (START + HOUR) % DAY


async def test_a_calendars_quota_starts_anew_at_midnight_of_its_zone(scenario: Scenario) -> None:
    await draw(scenario, 100, CALENDAR)
    spent = await draw(scenario, 1, CALENDAR)
    assert (spent.granted, spent.frees_at) == (0, BERLIN_MIDNIGHT + DAY)
    await scenario.advance(BERLIN_MIDNIGHT + DAY - scenario.now)
    assert (await draw(scenario, 100, CALENDAR)).granted == 100


async def test_nothing_is_granted_just_before_a_span_ends(scenario: Scenario) -> None:
    """It might be used in the next one, and not be counted there."""
    await scenario.advance(BERLIN_MIDNIGHT + DAY - scenario.now - SLACK)
    assert (await draw(scenario, 1, CALENDAR)).granted == 0


async def test_units_can_be_given_back_from_the_first_instant_of_a_span_on(scenario: Scenario) -> None:
    await scenario.advance(BERLIN_MIDNIGHT + DAY - scenario.now)
    drawn = await draw(scenario, 100, CALENDAR)
    await give_back(scenario, 10, drawn.now, CALENDAR)
    assert (await draw(scenario, 100, CALENDAR)).granted == 10


async def test_units_of_the_last_span_cannot_be_given_back(scenario: Scenario) -> None:
    drawn = await draw(scenario, 100, CALENDAR)
    await scenario.advance(DAY)
    await draw(scenario, 100, CALENDAR)
    await give_back(scenario, 10, drawn.now, CALENDAR)
    assert (await draw(scenario, 1, CALENDAR)).granted == 0


async def test_no_more_comes_back_in_a_calendars_span_than_was_drawn(scenario: Scenario) -> None:
    await give_back(scenario, 10, START, CALENDAR)
    await draw(scenario, 5, CALENDAR)
    await give_back(scenario, 10, START, CALENDAR, number=2)
    assert (await draw(scenario, 0, CALENDAR)).used == (0,)


async def test_a_calendars_quota_is_kept_to_the_end_of_its_span(scenario: Scenario) -> None:
    await draw(scenario, 1, CALENDAR)
    assert await stored(scenario, "PEXPIRETIME", f"quota:{CALENDAR.name}") == [BERLIN_MIDNIGHT + DAY]


@pytest.mark.parametrize("ahead", [True, False])
async def test_a_caller_whose_clock_shows_another_span_gets_nothing(scenario: Scenario, ahead: bool) -> None:
    """The span that was told last holds: a clock that lags must not count in the one before."""
    core, tag = scenario.queue.core, scenario.queue.core.provider_tag(RELAY)
    span = {"name": "day:UTC", "messages": 10}
    now = {**span, "from": START - HOUR, "until": START + HOUR}
    other = {**span, "from": START - 25 * HOUR, "until": START - HOUR}
    if ahead:
        await core.run("draw", tag, {"wanted": 0, "reserve": 0, "quotas": [now]})
        other["until"] = START + HOUR
    (granted, *_) = await core.run("draw", tag, {"wanted": 5, "reserve": 0, "quotas": [other]})
    assert int(granted) == 0


# Answers that are lost


async def lose_an_answer(scenario: Scenario, monkeypatch: pytest.MonkeyPatch, wanted: int, rate: float | None) -> None:
    """Draw, and never hear what was granted."""
    run = Core.run

    async def run_and_lose(core: Core, *arguments: Any, **more: Any) -> None:
        await run(core, *arguments, **more)
        raise AnswerLost

    with monkeypatch.context() as broken:
        broken.setattr(Core, "run", run_and_lose)
        with pytest.raises(AnswerLost):
            await draw(scenario, wanted, rate=rate)


async def test_what_was_granted_without_being_heard_goes_back_with_the_next_draw(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draw(scenario, 10)
    for _ in range(3):
        await lose_an_answer(scenario, monkeypatch, 50, None)
    assert (await draw(scenario, 0)).used == (60,)
    again = await draw(scenario, 100)
    assert (again.granted, again.used) == (90, (100,))


async def test_so_do_the_tokens_of_its_rate(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    await draw(scenario, 10, rate=20)
    await lose_an_answer(scenario, monkeypatch, 5, 20)
    assert (await draw(scenario, 20, rate=20)).granted == 10


async def test_what_was_heard_does_not_go_back(scenario: Scenario) -> None:
    assert [(await draw(scenario, 30)).used for _ in range(3)] == [(30,), (60,), (90,)]


async def raw_draw(scenario: Scenario, number: int, units: int) -> tuple[int, int]:
    """Draw as a sender whose earlier answers were all lost, and return what is granted, and when it was."""
    core = scenario.queue.core
    quota = {"name": DAILY.name, "messages": 100, "window_ms": DAY, "slot_ms": SLOT}
    arguments = {"wanted": units, "reserve": 0, "quotas": [quota], "draw": ["s", number, 0]}
    granted, *_, granted_at, _used = await core.run("draw", core.provider_tag(RELAY), arguments)
    return int(granted), int(granted_at)


async def test_a_draw_that_comes_after_the_next_one_is_granted_nothing(scenario: Scenario) -> None:
    assert [(await raw_draw(scenario, number, 5))[0] for number in (2, 1, 2)] == [5, 0, 5]
    assert (await draw(scenario, 0)).used == (5,)


async def test_the_same_draw_again_is_answered_as_it_was(scenario: Scenario) -> None:
    """With the instant of its grant: a unit must not count as younger than it is."""
    assert await raw_draw(scenario, 1, 30) == (30, START)
    await scenario.queue.providers.share(RELAY, sender="s", word={}, rate=None, throttled=Throttled(60))
    await scenario.advance(SECOND)
    assert [await raw_draw(scenario, 1, 30) for _ in range(2)] == [(30, START)] * 2
    assert (await draw(scenario, 0)).used == (30,)


async def test_under_other_limits_it_goes_back_to_the_quota_that_it_was_counted_in(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monthly = Quota(100, "month")
    await lose_an_answer(scenario, monkeypatch, 50, None)
    assert (await draw(scenario, 60, monthly)).used == (60,)
    assert (await draw(scenario, 0)).used == (0,)


async def test_what_is_owed_can_be_reclaimed_where_nothing_more_is_wanted(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lose_an_answer(scenario, monkeypatch, 50, None)
    for _ in range(2):
        await scenario.queue.providers.reclaim(RELAY)
        assert (await draw(scenario, 0)).used == (0,)


async def test_draws_at_the_same_time_do_not_take_back_each_other_s(scenario: Scenario) -> None:
    granted = await asyncio.gather(*(draw(scenario, 30) for _ in range(4)))
    assert sorted(one.granted for one in granted) == [10, 30, 30, 30]


async def test_the_memory_of_a_draw_ends(scenario: Scenario) -> None:
    await draw(scenario, 1)
    (names,) = await stored(scenario, "KEYS", "drawn:*")
    (remaining,) = await stored(scenario, "PTTL", "drawn:" + names[0].decode().partition("drawn:")[2])
    assert 0 < remaining <= 600_000
