"""A provider's tokens in one sender: how many are drawn, kept, given up and given back."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.sender.stock import Stock
from shared.policy.views import ProviderView
from shared.providers.sandbox import SandboxOptions
from shared.queue.provider_state import Drawn
from shared.settings.model import ProviderSettings, QuotaSettings

NOW = 1_000.0
DAILY = QuotaSettings(messages=100)


class SeenStock(Stock):
    """A stock whose view can be looked at."""

    view: ProviderView


def stock_of(**settings: Any) -> SeenStock:
    """Return the stock of a provider with twenty slots."""
    provider = ProviderSettings(**{"name": "relay", "kind": "sandbox", "options": SandboxOptions(), **settings})
    view = ProviderView("relay", slots=provider.concurrency, free_slots=provider.concurrency)
    stock = SeenStock(view, provider, 10.0)
    stock.view = view
    return stock


def drawn(granted: int, *, next_in_ms: int = 0, frees_in_ms: int | None = None, at: int = 5_000) -> Drawn:
    """Return what a draw came to."""
    return Drawn(granted, at + next_in_ms, None, at, None if frees_in_ms is None else at + frees_in_ms, (7,))


def test_a_provider_without_a_rate_draws_no_tokens() -> None:
    assert stock_of().wanted(NOW, 250) == 0


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
    assert stock_of(**settings).wanted(NOW, most) == wanted


def test_what_is_in_stock_is_not_drawn_again() -> None:
    stock = stock_of(rate_per_second=100)
    stock.take(drawn(4), NOW)

    assert stock.wanted(NOW, 250) == 6


def test_an_empty_bucket_is_left_until_the_next_token_is_there() -> None:
    stock = stock_of(rate_per_second=100)
    stock.take(drawn(0, next_in_ms=250), NOW)

    assert stock.wanted(NOW + 0.249, 250) == 0
    assert stock.wanted(NOW + 0.251, 250) == 10


def test_a_critical_message_does_not_wait_for_a_token_because_others_must() -> None:
    """What is left in the bucket is kept for it."""
    stock = stock_of(rate_per_second=100)
    stock.take(drawn(0, next_in_ms=250), NOW)
    first = stock.wanted(NOW, 250, urgent=True)
    stock.take(drawn(0, next_in_ms=100), NOW, urgent=True)

    assert first == 10
    assert stock.wanted(NOW + 0.099, 250, urgent=True) == 0
    assert stock.wanted(NOW + 0.101, 250, urgent=True) == 10


def test_tokens_that_were_not_used_for_a_second_are_given_up() -> None:
    """Kept longer, they would add up to a burst that nobody allowed."""
    stock = stock_of(rate_per_second=100)
    stock.take(drawn(10), NOW)

    stock.expire(NOW + 1.0)
    kept = stock.view.tokens
    stock.expire(NOW + 1.01)

    assert (kept, stock.view.tokens) == (10, 0)


def test_what_is_given_up_is_given_back_to_the_draw_it_came_from() -> None:
    stock = stock_of(rate_per_second=100)
    stock.take(drawn(10, at=5_000), NOW)
    stock.take(drawn(4, at=6_000), NOW)
    stock.view.tokens = 7
    stock.empty()

    assert stock.returns == [(4, 6_000, stock.limits), (3, 5_000, stock.limits)]
    assert stock.view.tokens == 0


def test_a_stock_that_is_topped_up_grows_no_older_for_it() -> None:
    """A unit of a quota is counted where it was drawn: used long after that, it would be counted too early."""
    stock = stock_of(quotas=(DAILY,))
    stock.take(drawn(5), NOW)
    for step in range(1, 10):
        stock.view.tokens = 4
        stock.take(drawn(1), NOW + step / 10)
    stock.expire(NOW + 1.01)

    assert stock.view.tokens == 0


def test_used_tokens_are_not_given_back() -> None:
    stock = stock_of(rate_per_second=100)
    stock.take(drawn(10), NOW)
    stock.view.tokens = 0
    stock.empty()

    assert stock.returns == []


def test_a_quota_is_drawn_from_without_a_rate_too() -> None:
    stock = stock_of(quotas=(DAILY,))
    assert (stock.view.tokens, stock.wanted(NOW, 250)) == (0, 20)
    assert stock.wanted(NOW, 5) == 5


def test_a_spent_quota_stops_the_provider_until_it_frees() -> None:
    stock = stock_of(quotas=(DAILY,))
    stock.take(drawn(0, frees_in_ms=90_000), NOW)

    assert stock.view.obstruction(NOW + 89) == "quota_spent"
    assert stock.wanted(NOW + 89, 10) == 0
    assert stock.view.obstruction(NOW + 91) is None
    assert stock.wanted(NOW + 91, 10) == 10


def test_the_last_units_of_a_quota_are_used_before_it_counts_as_spent() -> None:
    stock = stock_of(quotas=(DAILY,))
    stock.take(drawn(3, frees_in_ms=90_000), NOW)

    assert stock.view.obstruction(NOW) is None
    assert (stock.view.tokens, stock.used) == (3, (7,))


def test_a_provider_without_limits_draws_tokens_while_it_comes_back() -> None:
    stock = stock_of()
    stock.ramp(is_ramping=True)
    ramping = stock.view.tokens, stock.wanted(NOW, 250)
    stock.ramp(is_ramping=False)

    assert (ramping, stock.view.tokens) == ((0, 20), None)


def test_the_end_of_a_ramp_leaves_a_rate_as_it_is() -> None:
    stock = stock_of(rate_per_second=100)
    stock.ramp(is_ramping=True)
    stock.take(drawn(5), NOW)
    stock.ramp(is_ramping=False)

    assert stock.view.tokens == 5


def test_a_bucket_that_cannot_be_asked_is_left_alone() -> None:
    stock = stock_of(rate_per_second=100)
    stock.stay_dry(NOW + 2)

    assert stock.wanted(NOW + 1.9, 250) == stock.wanted(NOW + 1.9, 250, urgent=True) == 0
    assert stock.wanted(NOW + 2, 250) == 10


@pytest.mark.parametrize("obstacle", ["paused_until", "blocked_until"])
def test_nothing_is_drawn_for_a_provider_that_may_not_be_used(obstacle: str) -> None:
    stock = stock_of(rate_per_second=100)
    setattr(stock.view, obstacle, math.inf)

    assert stock.wanted(NOW, 250) == 0


@pytest.mark.parametrize(
    ("settings", "burst"),
    [({"rate_per_second": 50}, 50), ({"rate_per_second": 0.5}, 1), ({"rate_per_second": 50, "burst": 7}, 7)],
)
def test_a_bucket_holds_a_second_s_messages_unless_told_otherwise(settings: dict[str, Any], burst: float) -> None:
    assert stock_of(**settings).limits.burst == burst
