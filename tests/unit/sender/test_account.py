"""One provider as a sender knows it: its view, its tokens, its blocks, and what it has learned."""

from __future__ import annotations

from typing import Any

import pytest

from services.sender.account import Account
from shared.domain.outcome import Outcome, Verdict
from shared.policy.breaker import BreakerState, Change
from shared.providers.sandbox import SandboxOptions
from shared.queue.provider_state import Drawn
from shared.settings.model import ProviderSettings

NOW = 1_000.0


def account_of(**settings: Any) -> Account:
    """Return the account of a provider with twenty slots, of which two are for critical messages."""
    provider = ProviderSettings(**{"name": "relay", "kind": "sandbox", "options": SandboxOptions(), **settings})
    return Account(provider, 10.0, lambda: 0.5)


def drawn(granted: int, *, next_in_ms: int = 0, blocked_in_ms: int | None = None) -> Drawn:
    """Return what a draw from the shared bucket came to."""
    blocked_until = None if blocked_in_ms is None else 5_000 + blocked_in_ms
    return Drawn(granted, 5_000 + next_in_ms, blocked_until, 5_000)


def test_a_new_provider_is_free_and_healthy() -> None:
    account = account_of()
    account.refresh(NOW)

    view = account.view
    assert (view.health, view.free_slots, view.reserved_slots, view.tokens) == (1.0, 20, 2, None)
    assert view.obstruction(NOW) is None
    assert account.in_flight == 0


def test_a_chosen_message_takes_a_slot_and_a_token() -> None:
    account = account_of(rate_per_second=100)
    account.take_tokens(drawn(10), NOW)
    account.reserve()

    assert (account.in_flight, account.view.tokens) == (1, 9)


@pytest.mark.parametrize(("token", "tokens"), [(True, 10), (False, 9)])
def test_a_token_comes_back_where_nothing_went_out(token: bool, tokens: int) -> None:
    account = account_of(rate_per_second=100)
    account.take_tokens(drawn(10), NOW)
    account.reserve()
    account.restore(token=token)

    assert (account.in_flight, account.view.tokens) == (0, tokens)


def test_a_provider_without_a_rate_draws_no_tokens() -> None:
    assert account_of().wanted_tokens(NOW, 250) == 0


@pytest.mark.parametrize(
    ("settings", "most", "wanted"),
    [
        ({"rate_per_second": 100}, 250, 10),  # a tenth of a second's
        ({"rate_per_second": 100}, 3, 3),
        ({"rate_per_second": 1}, 250, 1),
        ({"rate_per_second": 1_000, "concurrency": 5}, 250, 5),  # more could not be used
    ],
)
def test_so_many_tokens_are_drawn_as_can_soon_be_used(settings: dict[str, Any], most: int, wanted: int) -> None:
    assert account_of(**settings).wanted_tokens(NOW, most) == wanted


def test_what_is_in_stock_is_not_drawn_again() -> None:
    account = account_of(rate_per_second=100)
    account.take_tokens(drawn(4), NOW)

    assert account.wanted_tokens(NOW, 250) == 6


def test_an_empty_bucket_is_left_until_the_next_token_is_there() -> None:
    account = account_of(rate_per_second=100)
    account.take_tokens(drawn(0, next_in_ms=250), NOW)

    assert account.wanted_tokens(NOW + 0.249, 250) == 0
    assert account.wanted_tokens(NOW + 0.251, 250) == 10


def test_a_critical_message_does_not_wait_for_a_token_because_others_must() -> None:
    """What is left in the bucket is kept for it."""
    account = account_of(rate_per_second=100)
    account.take_tokens(drawn(0, next_in_ms=250), NOW)
    first = account.wanted_tokens(NOW, 250, urgent=True)
    account.take_tokens(drawn(0, next_in_ms=100), NOW, urgent=True)

    assert first == 10
    assert account.wanted_tokens(NOW + 0.099, 250, urgent=True) == 0
    assert account.wanted_tokens(NOW + 0.101, 250, urgent=True) == 10


def test_tokens_that_were_not_used_for_a_second_are_given_up() -> None:
    """Kept longer, they would add up to a burst that nobody allowed."""
    account = account_of(rate_per_second=100)
    account.take_tokens(drawn(10), NOW)

    account.refresh(NOW + 1.0)
    kept = account.view.tokens
    account.refresh(NOW + 1.01)

    assert (kept, account.view.tokens) == (10, 0)


def test_a_block_that_others_met_stops_this_sender_too() -> None:
    account = account_of(rate_per_second=100)
    account.learn_block(drawn(0, blocked_in_ms=3_000), NOW)

    assert account.view.obstruction(NOW + 2.9) == "throttled"
    assert account.view.obstruction(NOW + 3.1) is None
    assert account.wanted_tokens(NOW, 250) == 0


def test_a_throttled_answer_blocks_for_as_long_as_the_provider_asks() -> None:
    account = account_of()

    block_ms = account.throttle(Verdict(Outcome.THROTTLED, retry_after_seconds=7), NOW)

    assert block_ms == 7_000
    assert account.view.obstruction(NOW + 6.9) == "throttled"
    assert account.view.obstruction(NOW + 7.1) is None


def test_a_throttled_answer_without_a_time_blocks_a_moment() -> None:
    assert account_of().throttle(Verdict(Outcome.THROTTLED), NOW) == 500


def test_accepted_attempts_keep_a_provider_healthy() -> None:
    account = account_of()
    for step in range(20):
        account.observe(Verdict(Outcome.ACCEPTED), NOW + step, NOW + step + 0.1, is_probe=False, overdue_at=None)
    account.refresh(NOW + 20)

    assert account.view.health == 1.0
    outcomes, latencies = account.outcomes(NOW + 20)
    assert outcomes == {"accepted": 20}
    assert latencies == pytest.approx([0.1] * 20)


def test_a_server_that_is_down_opens_the_breaker() -> None:
    account = account_of()
    changes = [
        account.observe(Verdict(Outcome.PROVIDER_DOWN), NOW, NOW + 0.1, is_probe=False, overdue_at=None)
        for _ in range(3)
    ]
    account.refresh(NOW + 0.1)

    assert changes == [None, None, Change.OPENED]
    assert account.view.obstruction(NOW + 0.1) == "breaker_open"


def test_probes_that_succeed_close_the_breaker_and_forget_the_past() -> None:
    account = account_of()
    for _ in range(3):
        account.observe(Verdict(Outcome.PROVIDER_DOWN), NOW, NOW + 0.1, is_probe=False, overdue_at=None)
    now, change = NOW + 60, None
    while change is None:
        account.breaker.begin_probe()
        change = account.observe(Verdict(Outcome.ACCEPTED), now, now + 0.1, is_probe=True, overdue_at=None)
        now += 1
    account.refresh(now)

    assert change is Change.CLOSED
    assert (account.view.breaker, account.view.health) == (BreakerState.CLOSED, 1.0)


def test_only_the_last_minute_is_told() -> None:
    account = account_of()
    account.observe(Verdict(Outcome.TEMPORARY), NOW, NOW, is_probe=False, overdue_at=None)
    account.observe(Verdict(Outcome.ACCEPTED), NOW + 50, NOW + 50, is_probe=False, overdue_at=None)

    assert account.outcomes(NOW + 61) == ({"accepted": 1}, [0.0])


def test_a_provider_that_is_passed_over_gets_a_message_now_and_then() -> None:
    account = account_of()
    account.begin(NOW)
    for _ in range(30):
        account.begin_elsewhere()
    account.refresh(NOW + 5)
    due = account.view.trickle_due
    account.begin(NOW + 5)
    account.refresh(NOW + 10)

    assert (due, account.view.trickle_due) == (True, False)


@pytest.mark.parametrize(
    ("settings", "burst"),
    [({"rate_per_second": 50}, 50), ({"rate_per_second": 0.5}, 1), ({"rate_per_second": 50, "burst": 7}, 7)],
)
def test_a_bucket_holds_a_second_s_messages_unless_told_otherwise(settings: dict[str, Any], burst: float) -> None:
    assert account_of(**settings).burst == burst
