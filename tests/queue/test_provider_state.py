"""draw: one bucket of tokens for all senders of a provider."""

from __future__ import annotations

from shared.queue.provider_state import Drawn, Limits, Unused
from tests.queue.scenario import HOUR, MINUTE, RELAY, SECOND, START, Scenario


async def draw(
    scenario: Scenario, wanted: int = 1, *, reserve: float = 0, rate: float | None = 2.0, burst: float = 10.0
) -> Drawn:
    return await scenario.queue.providers.draw(RELAY, Limits(rate, burst), wanted, reserve=reserve)


async def give_back(scenario: Scenario, units: int, number: int = 1, sender: str = "s1") -> Drawn:
    return await scenario.queue.providers.give_back(RELAY, Limits(2.0, 10.0), Unused(units, START, sender, number))


async def test_a_new_bucket_is_full(scenario: Scenario) -> None:
    assert (await draw(scenario, 20)).granted == 10


async def test_no_more_is_granted_than_is_wanted(scenario: Scenario) -> None:
    assert await draw(scenario, 3) == Drawn(3, START, None, START)


async def test_tokens_are_gone_once_they_are_granted(scenario: Scenario) -> None:
    assert [(await draw(scenario, 6)).granted for _ in range(3)] == [6, 4, 0]


async def test_tokens_come_back_at_the_rate(scenario: Scenario) -> None:
    await draw(scenario, 10)
    await scenario.advance(2 * SECOND)
    assert (await draw(scenario, 10)).granted == 4


async def test_parts_of_tokens_are_kept(scenario: Scenario) -> None:
    await draw(scenario, 10)
    granted = []
    for _ in range(4):
        await scenario.advance(250)
        granted.append((await draw(scenario, 10)).granted)
    assert granted == [0, 1, 0, 1]


async def test_no_more_than_the_burst_is_kept(scenario: Scenario) -> None:
    await draw(scenario, 10)
    await scenario.advance(HOUR)
    assert (await draw(scenario, 100)).granted == 10


async def test_the_instant_of_the_next_token_is_told(scenario: Scenario) -> None:
    assert (await draw(scenario, 10)).next_at == START + 500
    await scenario.advance(200)
    assert (await draw(scenario, 10)).next_at == START + 500


async def test_the_instant_of_the_next_token_is_rounded_up(scenario: Scenario) -> None:
    assert (await draw(scenario, 10, rate=3.0)).next_at == START + 334


async def test_with_tokens_left_the_next_is_there_now(scenario: Scenario) -> None:
    assert (await draw(scenario, 9)).next_at == START


async def test_a_reserve_stays_in_the_bucket(scenario: Scenario) -> None:
    drawn = await draw(scenario, 10, reserve=3)
    assert (drawn.granted, drawn.next_at) == (7, START + 500)
    assert (await draw(scenario, 10)).granted == 3


async def test_a_reserve_that_is_not_there_grants_nothing(scenario: Scenario) -> None:
    await draw(scenario, 10)
    drawn = await draw(scenario, 1, reserve=2)
    assert (drawn.granted, drawn.next_at) == (0, START + 1500)
    assert (await draw(scenario, 1)).next_at == START + 500


async def test_a_reserve_never_keeps_everything(scenario: Scenario) -> None:
    drawn = await draw(scenario, 10, reserve=50)
    assert (drawn.granted, drawn.next_at) == (1, START + 500)


async def test_a_bucket_holds_one_token_at_least(scenario: Scenario) -> None:
    assert (await draw(scenario, 10, rate=0.1, burst=0.1)).granted == 1


async def test_without_a_rate_everything_is_granted(scenario: Scenario) -> None:
    assert await draw(scenario, 1000, rate=None) == Drawn(1000, START, None, START)


async def test_a_rounding_error_costs_no_token(scenario: Scenario) -> None:
    await draw(scenario, 10)
    await scenario.advance(4)
    await draw(scenario, 0, rate=0.3)
    await scenario.advance(9_996)
    assert 0.0012 + 9_996 * 0.3 / 1_000 < 3  # which is 3
    assert (await draw(scenario, 10, rate=0.3)).granted == 3


async def test_a_clock_that_steps_backwards_neither_gives_nor_takes(scenario: Scenario) -> None:
    await draw(scenario, 5)
    await scenario.advance(-HOUR)
    assert (await draw(scenario, 10)).granted == 5
    await scenario.advance(SECOND)
    assert (await draw(scenario, 10)).granted == 2


async def test_tokens_that_were_not_used_can_be_given_back(scenario: Scenario) -> None:
    await draw(scenario, 10)
    await give_back(scenario, 4)
    assert (await draw(scenario, 10)).granted == 4


async def test_giving_back_never_fills_more_than_the_burst(scenario: Scenario) -> None:
    await give_back(scenario, 4)
    assert (await draw(scenario, 20)).granted == 10


async def test_what_is_given_back_twice_counts_once(scenario: Scenario) -> None:
    """The call is repeated where its answer was lost."""
    await draw(scenario, 10)
    await give_back(scenario, 3)
    await give_back(scenario, 3)
    await give_back(scenario, 3, sender="s2")
    assert (await draw(scenario, 10)).granted == 6
    await give_back(scenario, 1, number=2)
    assert (await draw(scenario, 10)).granted == 1


async def test_what_a_sender_gave_back_is_remembered_for_a_minute(scenario: Scenario) -> None:
    await give_back(scenario, 1)
    tag = scenario.queue.core.provider_tag(RELAY)
    (left,) = await scenario.queue.core.plain(tag, [("PTTL", f"{tag}:returned:s1")])
    assert MINUTE / 2 < left <= MINUTE
