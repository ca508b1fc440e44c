"""share: what senders tell one another of a provider, and the limit that holds for all of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shared.policy import limiter
from shared.queue.provider_state import KEPT_MS, Drawn, Limits, Shared, Throttled, Told
from tests.queue.scenario import MINUTE, RELAY, SECOND, START, Scenario

RATE = 100.0


async def share(
    scenario: Scenario,
    sender: str = "s1",
    *,
    word: str = "hello",
    rate: float | None = RATE,
    accepted: int = 0,
    throttled: Throttled | None = None,
    ramps: bool = False,
) -> Shared:
    return await scenario.queue.providers.share(
        RELAY, sender=sender, word={"says": word}, rate=rate, accepted=accepted, throttled=throttled, ramps=ramps
    )


async def draw(scenario: Scenario, wanted: int, rate: float | None = RATE) -> Drawn:
    return await scenario.queue.providers.draw(RELAY, Limits(rate, rate), wanted)


async def stored(scenario: Scenario, command: str, name: str) -> Any:
    """Return what one plain command says of a key of the provider."""
    tag = scenario.queue.core.provider_tag(RELAY)
    (reply,) = await scenario.queue.core.plain(tag, [(command, f"{tag}:{name}")])
    return reply


async def accept_for(scenario: Scenario, seconds: int, each_second: int) -> None:
    """Let so many messages be accepted in each of so many seconds."""
    for _ in range(seconds):
        await share(scenario, accepted=each_second)
        await scenario.advance(SECOND)


# Words


async def test_a_sender_hears_what_the_others_told_and_not_itself(scenario: Scenario) -> None:
    await share(scenario, "s1", word="one")
    await scenario.advance(5)
    heard = await share(scenario, "s2", word="two")
    assert heard.others == (Told("s1", START, {"says": "one"}),)
    assert (await share(scenario, "s1")).others == (Told("s2", START + 5, {"says": "two"}),)


async def test_the_latest_word_of_a_sender_counts(scenario: Scenario) -> None:
    await share(scenario, "s1", word="one")
    await share(scenario, "s1", word="more")
    assert [told.word for told in (await share(scenario, "s2")).others] == [{"says": "more"}]


async def test_the_word_of_a_sender_that_is_gone_is_kept_for_a_while(scenario: Scenario) -> None:
    await share(scenario, "s1")
    await scenario.advance(KEPT_MS)
    assert len((await share(scenario, "s2")).others) == 1
    await scenario.advance(1)
    assert (await share(scenario, "s2")).others == ()
    assert await stored(scenario, "HLEN", "senders") == 1


# 429


async def test_without_trouble_the_configured_rate_holds(scenario: Scenario) -> None:
    assert await share(scenario) == Shared(None, RATE, False, START)
    assert (await share(scenario, rate=None)).rate_now is None


@pytest.mark.parametrize(("asked", "seconds"), [(3.0, 3.0), (None, 0.5), (0.0, 0.0)])
async def test_a_429_blocks_everybody_for_as_long_as_it_asks(
    scenario: Scenario, asked: float | None, seconds: float
) -> None:
    told = await share(scenario, throttled=Throttled(asked))
    until = START + round(1000 * seconds)
    assert told.blocked_until == (until if seconds else None)
    blocked = await draw(scenario, 1)
    assert (blocked.granted, blocked.blocked_until) == ((0, until) if seconds else (1, None))
    await scenario.advance(round(1000 * seconds))
    assert (await share(scenario, "s2")).blocked_until is None


@pytest.mark.parametrize(("second", "until"), [(1.0, MINUTE), (120.0, 2 * MINUTE)])
async def test_the_longer_block_holds(scenario: Scenario, second: float, until: int) -> None:
    await share(scenario, throttled=Throttled(60.0, is_quota=True))
    told = await share(scenario, throttled=Throttled(second))
    assert told.blocked_until == START + until


async def test_a_blocked_draw_costs_no_tokens(scenario: Scenario) -> None:
    await share(scenario, throttled=Throttled(60.0, is_quota=True))
    await draw(scenario, 10)
    await scenario.advance(MINUTE)
    assert (await draw(scenario, 200)).granted == 100


async def test_a_block_holds_without_a_rate_too(scenario: Scenario) -> None:
    await share(scenario, rate=None, throttled=Throttled(60.0))
    assert (await draw(scenario, 1, rate=None)).granted == 0


async def test_a_429_that_means_a_quota_leaves_the_rate_as_it_is(scenario: Scenario) -> None:
    assert (await share(scenario, throttled=Throttled(60.0, is_quota=True))).rate_now == RATE


async def test_the_limit_moves_as_its_definition_says(scenario: Scenario) -> None:
    """The script and `shared.policy.limiter` tell the same story of one provider's bad day."""
    limit, now = limiter.Limit(), START
    story = [
        *((0, 50, None), (300, 30, Throttled()), (200, 0, Throttled()), (900, 10, Throttled(2.0))),
        *((2_500, 90, None), (1_000, 40, Throttled(0.25)), (9_000, 20, Throttled()), (10_001, 0, Throttled())),
        *((1_000, 0, Throttled(300.0, is_quota=True)), (4_000, 5, None), (30_000, 0, None)),
    ]
    accepted: list[tuple[int, int]] = []
    for pause, count, throttled in story:
        await scenario.advance(pause)
        now += pause
        accepted.append((now // 1000, count))
        told = await share(scenario, accepted=count, throttled=throttled)
        if throttled is not None:
            lately = sum(number for second, number in accepted if 0 <= now // 1000 - second <= 2) / 2
            limit = limiter.throttle(limit, RATE, lately, throttled.retry_after_seconds, now)
        assert told.rate_now == pytest.approx(limiter.rate_now(limit, RATE, now), abs=0.001)
        assert told.blocked_until == (limit.blocked_until if limit.blocked_until > now else None)


async def test_a_cut_rate_holds_at_the_next_draw_and_keeps_little_in_the_bucket(scenario: Scenario) -> None:
    await accept_for(scenario, 2, 40)
    told = await share(scenario, throttled=Throttled(0.0))
    assert told.rate_now == pytest.approx(0.85 * 1.2 * 40)
    assert (await draw(scenario, 100)).granted == 10  # a quarter of a second's


async def test_the_bucket_of_a_cut_rate_holds_one_token_at_least(scenario: Scenario) -> None:
    assert (await share(scenario, throttled=Throttled(0.0))).rate_now == 3
    assert (await draw(scenario, 100)).granted == 1


@pytest.mark.parametrize(("seconds", "rate"), [(2, 0.85 * 1.2 * 20), (3, 0.03 * RATE)])
async def test_a_cut_looks_back_over_two_whole_seconds(scenario: Scenario, seconds: int, rate: float) -> None:
    await share(scenario, accepted=40)
    await scenario.advance(seconds * SECOND)
    assert (await share(scenario, throttled=Throttled(0.0))).rate_now == pytest.approx(rate)


@pytest.mark.parametrize(("later", "rate", "block"), [(0, 85, 500), (999, 85, 500), (1_000, 51, 1_000)])
async def test_a_rate_is_cut_once_a_second_at_most(scenario: Scenario, later: int, rate: float, block: int) -> None:
    await accept_for(scenario, 2, 100)
    await share(scenario, throttled=Throttled())
    await scenario.advance(later)
    told = await share(scenario, throttled=Throttled())
    assert told.rate_now == pytest.approx(rate)
    assert told.blocked_until == scenario.now + block


async def test_each_429_that_follows_closely_blocks_twice_as_long_up_to_a_bound(scenario: Scenario) -> None:
    blocks = []
    for _ in range(7):
        told = await share(scenario, throttled=Throttled())
        blocks.append((told.blocked_until or 0) - scenario.now)
        await scenario.advance(10 * SECOND)
    assert blocks == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000]


async def test_a_429_after_ten_seconds_of_peace_is_the_first_again(scenario: Scenario) -> None:
    await share(scenario, throttled=Throttled())
    await scenario.advance(10 * SECOND + 1)
    assert (await share(scenario, throttled=Throttled())).blocked_until == scenario.now + 500


async def test_a_quota_that_tells_no_end_blocks_for_a_moment(scenario: Scenario) -> None:
    assert (await share(scenario, throttled=Throttled(None, is_quota=True))).blocked_until == START + 500


async def test_a_clock_that_goes_backwards_puts_off_no_cut(scenario: Scenario) -> None:
    await share(scenario, throttled=Throttled(0.0))
    await scenario.advance(-MINUTE)
    assert (await share(scenario, throttled=Throttled(0.0))).rate_now == 0.03 * RATE


async def test_what_the_clock_takes_back_was_never_accepted(scenario: Scenario) -> None:
    await share(scenario, accepted=40)
    await scenario.advance(-MINUTE)
    assert (await share(scenario, throttled=Throttled(0.0))).rate_now == 0.03 * RATE
    assert await stored(scenario, "EXISTS", "accepted") == 0


async def test_a_clock_that_goes_backwards_freezes_no_cut(scenario: Scenario) -> None:
    await share(scenario, throttled=Throttled(0.0))
    await scenario.advance(-MINUTE)
    assert (await share(scenario)).rate_now == RATE


async def test_a_rate_that_was_taken_out_of_the_settings_is_cut_no_longer(scenario: Scenario) -> None:
    await share(scenario, throttled=Throttled(0.0))
    assert (await share(scenario, rate=None)).rate_now is None


async def test_without_a_rate_nothing_is_cut(scenario: Scenario) -> None:
    assert (await share(scenario, rate=None, throttled=Throttled(0.0))).rate_now is None


# Coming back


async def test_a_provider_that_comes_back_ramps_up_as_its_definition_says(scenario: Scenario) -> None:
    await accept_for(scenario, 30, 80)
    start = scenario.now
    assert (await share(scenario, "s2", ramps=True)).is_ramping
    for _ in range(40):
        told = await share(scenario)
        ramp = limiter.ramp_rate(80, start, scenario.now)
        assert told.rate_now == pytest.approx(min(RATE, ramp or RATE), abs=0.2)
        assert told.is_ramping is (ramp is not None)
        await scenario.advance(100)


async def test_a_ramp_limits_a_provider_without_a_rate(scenario: Scenario) -> None:
    await accept_for(scenario, 30, 80)
    await share(scenario, rate=None, ramps=True)
    assert (await draw(scenario, 1_000, rate=None)).granted == 2
    await scenario.advance(MINUTE)
    assert (await draw(scenario, 1_000, rate=None)).granted == 1_000


@pytest.mark.parametrize(("later", "rate"), [(0, 2), (499, 2), (500, 4), (999, 4), (1_000, RATE)])
async def test_an_unknown_provider_ramps_from_two_a_second(scenario: Scenario, later: int, rate: float) -> None:
    await share(scenario, ramps=True)
    await scenario.advance(later)
    told = await share(scenario)
    assert (told.rate_now, told.is_ramping) == (rate, rate < RATE)


async def test_a_clock_that_goes_backwards_slows_no_ramp(scenario: Scenario) -> None:
    await share(scenario, ramps=True)
    await scenario.advance(-MINUTE)
    assert (await share(scenario)).rate_now == 2


async def test_a_ramp_from_a_time_that_is_yet_to_come_starts_anew(scenario: Scenario) -> None:
    await share(scenario, ramps=True)
    await scenario.advance(-MINUTE)
    await share(scenario, ramps=True)
    await scenario.advance(500)
    assert (await share(scenario)).rate_now == 4


async def test_several_senders_that_come_back_start_one_ramp(scenario: Scenario) -> None:
    await accept_for(scenario, 30, 80)
    first = await share(scenario, ramps=True)
    await scenario.advance(1_000)
    assert (await share(scenario, "s2", ramps=True)).rate_now == pytest.approx(4 * (first.rate_now or 0), abs=0.1)
    await scenario.advance(9_000)
    assert (await share(scenario, ramps=True)).rate_now == pytest.approx(first.rate_now, abs=0.1)


async def test_an_outage_does_not_make_a_provider_forget_its_usual_rate(scenario: Scenario) -> None:
    await accept_for(scenario, 60, 80)
    await scenario.advance(10 * MINUTE)
    assert (await share(scenario, ramps=True)).rate_now == pytest.approx(limiter.ramp_rate(80, START, START), abs=0.1)


async def test_accepted_messages_are_forgotten_after_some_seconds(scenario: Scenario) -> None:
    await accept_for(scenario, 20, 1)
    assert await stored(scenario, "HLEN", "accepted") == 11
    assert 10 * SECOND < await stored(scenario, "PTTL", "accepted") <= MINUTE


async def test_who_had_nothing_accepted_counts_nothing(scenario: Scenario) -> None:
    await share(scenario, accepted=0)
    assert await stored(scenario, "EXISTS", "accepted") == 0


async def use_little_after_much(scenario: Scenario, pause: int) -> float:
    """Let a rate of 80 become one of a half; return the ramp's first rate so many milliseconds later."""
    await accept_for(scenario, 11, 80)
    await scenario.advance(pause - 2 * SECOND)
    await share(scenario, accepted=5)
    await scenario.advance(SECOND)
    return (await share(scenario, ramps=True)).rate_now or 0


async def test_the_usual_rate_falls_slowly(scenario: Scenario) -> None:
    rate = await use_little_after_much(scenario, MINUTE)
    assert rate == pytest.approx(limiter.ramp_rate(0.5 + (80 - 0.5) / math.e, START, START), abs=0.001)


async def test_a_clock_that_goes_backwards_leaves_the_usual_rate(scenario: Scenario) -> None:
    rate = await use_little_after_much(scenario, -MINUTE)
    assert rate == pytest.approx(limiter.ramp_rate(80, START, START), abs=0.001)


# Probes


async def test_one_sender_in_the_whole_cluster_may_probe(scenario: Scenario) -> None:
    providers = scenario.queue.providers
    assert await providers.may_probe(RELAY, "s1")
    assert not await providers.may_probe(RELAY, "s2")
    assert await providers.may_probe(RELAY, "s1")
    assert await providers.may_probe("another", "s2")


async def test_the_right_to_probe_passes_on_once_it_is_given_up(scenario: Scenario) -> None:
    providers = scenario.queue.providers
    await providers.may_probe(RELAY, "s1")
    await providers.probed(RELAY, "s2")
    assert not await providers.may_probe(RELAY, "s2")
    await providers.probed(RELAY, "s1")
    assert await stored(scenario, "PTTL", "probe") <= 50
    assert await stored(scenario, "GET", "probe") in {None, b"-"}


async def test_nobody_gives_up_the_right_of_another(scenario: Scenario) -> None:
    await scenario.queue.providers.may_probe(RELAY, "s1")
    await scenario.queue.providers.probed(RELAY, "s2")
    assert await stored(scenario, "GET", "probe") == b"s1"


async def test_a_sender_that_dies_with_the_right_keeps_it_for_seconds_only(scenario: Scenario) -> None:
    await scenario.queue.providers.may_probe(RELAY, "s1")
    assert 10 * SECOND < await stored(scenario, "PTTL", "probe") <= 15 * SECOND
