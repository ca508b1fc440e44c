"""One provider as a sender knows it: its view, its blocks, and what it has learned."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.sender.account import Account
from shared.domain.outcome import Outcome, Verdict
from shared.policy.breaker import BreakerState, Change
from shared.providers.interface import Capabilities
from shared.providers.sandbox import Sandbox, SandboxOptions
from shared.queue.provider_state import Throttled
from shared.settings.model import ProviderSettings

NOW = 1_000.0


def account_of(**settings: Any) -> Account:
    """Return the account of a provider with twenty slots, of which two are for critical messages."""
    provider = ProviderSettings(**{"name": "relay", "kind": "sandbox", "options": SandboxOptions(), **settings})
    return Account(provider, 10.0, lambda: 0.5)


def test_a_new_provider_is_free_and_healthy() -> None:
    account = account_of()
    account.refresh(NOW)

    view = account.view
    assert (view.health, view.free_slots, view.reserved_slots, view.tokens) == (1.0, 20, 2, None)
    assert view.obstruction(NOW) is None
    assert account.in_flight == 0


def test_a_provider_sends_from_any_domain_unless_some_are_named() -> None:
    assert account_of().view.capabilities.sender_domains is None
    assert account_of(sender_domains=("Example.com",)).view.capabilities.sender_domains == frozenset({"example.com"})


def test_domains_that_are_named_add_none_to_those_that_the_kind_can(monkeypatch: pytest.MonkeyPatch) -> None:
    able = Capabilities(max_bytes=7, sender_domains=frozenset({"example.com", "example.org"}))
    monkeypatch.setattr(Sandbox, "capabilities", lambda _self, _options: able)

    found = account_of(sender_domains=("example.com", "other.test")).view.capabilities

    assert (found.sender_domains, found.max_bytes) == (frozenset({"example.com"}), 7)


def test_a_chosen_message_takes_a_slot_and_a_token() -> None:
    account = account_of(rate_per_second=100)
    account.view.tokens = 10
    account.reserve()

    assert (account.in_flight, account.view.tokens) == (1, 9)


@pytest.mark.parametrize(("token", "tokens"), [(True, 10), (False, 9)])
def test_a_token_comes_back_where_nothing_went_out(token: bool, tokens: int) -> None:
    account = account_of(rate_per_second=100)
    account.view.tokens = 10
    account.reserve()
    account.restore(token=token)

    assert (account.in_flight, account.view.tokens) == (0, tokens)


def test_a_throttled_answer_blocks_for_as_long_as_the_provider_asks() -> None:
    account = account_of()

    assert account.throttle(Verdict(Outcome.THROTTLED, retry_after_seconds=7), NOW) == 7
    assert account.view.obstruction(NOW + 6.9) == "throttled"
    assert account.view.obstruction(NOW + 7.1) is None
    assert account.throttled == Throttled(7, is_quota=False)


def test_a_throttled_answer_without_a_time_blocks_a_moment() -> None:
    account = account_of()

    assert account.throttle(Verdict(Outcome.THROTTLED), NOW) == 0.5
    assert account.throttled == Throttled(None, is_quota=False)


def test_a_throttled_answer_never_shortens_a_block() -> None:
    account = account_of()
    account.block(NOW + 60)
    account.throttle(Verdict(Outcome.THROTTLED, retry_after_seconds=1), NOW)

    assert account.view.obstruction(NOW + 59) == "throttled"


def test_who_asks_for_a_minute_means_a_quota() -> None:
    account = account_of()
    account.throttle(Verdict(Outcome.THROTTLED, retry_after_seconds=60), NOW)

    assert account.throttled == Throttled(60, is_quota=True)


def test_a_block_of_the_cluster_stops_this_sender_and_ends() -> None:
    account = account_of()
    account.block(NOW + 3)
    blocked = account.view.obstruction(NOW + 2.9)
    account.block(-math.inf)

    assert (blocked, account.view.obstruction(NOW)) == ("throttled", None)


def test_five_generic_refusals_in_a_row_blame_the_account() -> None:
    account = account_of()
    refused = Verdict(Outcome.REJECTED, is_generic=True)
    changes = [account.observe(refused, NOW, NOW + 0.1, is_probe=False, overdue_at=None) for _ in range(5)]
    account.refresh(NOW)

    assert changes == [None, None, None, None, Change.OPENED]
    assert account.view.obstruction(NOW) == "misconfigured"


def test_an_account_that_takes_a_message_and_no_other_is_left_at_once() -> None:
    account = account_of()
    taken = Verdict(Outcome.ACCEPTED, account_fault="the domain is paused")
    change = account.observe(taken, NOW, NOW + 0.1, is_probe=False, overdue_at=None)
    account.refresh(NOW)

    assert change is Change.OPENED
    assert account.view.obstruction(NOW) == "misconfigured"
    assert account.accepted == 1


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
    assert (account.closed_at, account.returns) == (now - 1 + 0.1, True)
    assert account.view.tokens == 0, "it begins slowly, with tokens of the cluster's"


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
