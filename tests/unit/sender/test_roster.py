"""Who stays, comes and goes when the configuration changes, and what stays known of an account."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from services.sender import telling
from services.sender.account import Account
from services.sender.hearsay import Hearsay
from services.sender.provider_actor import ProviderActor
from services.sender.roster import Roster, is_carried_alike, is_same_account
from shared.domain.errors import ConfigurationError, Fault
from shared.domain.outcome import Outcome, Verdict
from shared.domain.secret import Secret
from shared.policy.breaker import BreakerState
from shared.providers.sandbox import SandboxOptions
from shared.providers.smtp import SmtpOptions
from shared.queue.provider_state import Drawn, Told
from shared.runtime.metrics import SENDER, Metrics
from shared.settings.model import ProviderSettings, QuotaSettings

NOW = 1_000.0
OPTIONS = SmtpOptions(host="mail.example.com", username="shop", password=Secret("one"))
RELAY = ProviderSettings("relay", "smtp", options=OPTIONS)

#: Another value for every key of a provider.
OTHERS: dict[str, Any] = {
    "name": "other",
    "kind": "sandbox",
    "tier": 2,
    "weight": 3,
    "rate_per_second": 5,
    "burst": 7,
    "concurrency": 9,
    "quotas": (QuotaSettings(messages=100),),
    "connect_seconds": 1,
    "answer_seconds": 2,
    "return_path": "bounces@example.com",
    "pools": ("news",),
    "sender_domains": ("example.com",),
    "options": replace(OPTIONS, password=Secret("two")),
}
IDENTITY = {"name", "kind", "return_path", "options"}
CARRIAGE = IDENTITY | {"concurrency", "connect_seconds", "answer_seconds"}


def account_of(settings: ProviderSettings) -> Account:
    return Account(settings, 10.0, lambda: 0.5)


def fake(**settings: Any) -> ProviderSettings:
    return ProviderSettings(**{"name": "relay", "kind": "sandbox", "options": SandboxOptions(), **settings})


class Office:
    """Hires actors that do nothing, and remembers for whom."""

    def __init__(self) -> None:
        self.hired: list[str] = []
        self.refused: set[str] = set()

    def hire(self, account: Account, provider: ProviderSettings) -> ProviderActor:
        if provider.name in self.refused:
            raise ConfigurationError((Fault("ca_file", "unreadable", "no"),))
        self.hired.append(provider.name)
        nothing: Any = None
        return ProviderActor(account, nothing, nothing, nothing, nothing, nothing, 10)

    def successor(self, roster: Roster, *providers: ProviderSettings) -> Roster:
        self.hired.clear()
        return roster.successor(providers, account_of, self.hire)


@pytest.fixture
def office() -> Office:
    return Office()


# Who is who


def test_every_key_is_tried() -> None:
    assert set(OTHERS) == {key.name for key in fields(ProviderSettings)}


@pytest.mark.parametrize("key", OTHERS)
def test_an_account_is_its_name_its_kind_and_what_the_kind_asks_for(key: str) -> None:
    assert is_same_account(RELAY, replace(RELAY, **{key: OTHERS[key]})) == (key not in IDENTITY)


@pytest.mark.parametrize("key", OTHERS)
def test_connections_serve_as_long_as_nothing_changes_that_they_were_made_with(key: str) -> None:
    assert is_carried_alike(RELAY, replace(RELAY, **{key: OTHERS[key]})) == (key not in CARRIAGE)


# Who stays, comes and goes


def test_who_is_not_concerned_stays(office: Office) -> None:
    before = office.successor(Roster(), fake(name="one"), fake(name="two"))
    after = office.successor(before, fake(name="two", weight=9), fake(name="three"))

    assert office.hired == ["three"]
    assert after.actors[0] is before.actors[1]
    assert [actor.name for actor in before.without(after)] == ["one"]
    assert [actor.name for actor in after.without(before)] == ["three"]


def test_other_connections_for_the_same_account_share_its_state(office: Office) -> None:
    before = office.successor(Roster(), fake())
    after = office.successor(before, fake(concurrency=3))

    assert after.actors[0] is not before.actors[0]
    assert after.accounts[0] is before.accounts[0]


def test_another_account_of_the_same_name_starts_afresh(office: Office) -> None:
    before = office.successor(Roster(), fake())
    after = office.successor(before, fake(return_path="bounces@example.com"))

    assert after.accounts[0] is not before.accounts[0]


def test_a_plan_changes_nothing_of_those_at_work(office: Office) -> None:
    before = office.successor(Roster(), fake())
    office.successor(before, fake(weight=9, concurrency=3))

    assert before.accounts[0].settings == fake()


def test_all_that_cannot_be_hired_are_named(office: Office) -> None:
    office.refused = {"one", "three"}
    with pytest.raises(ConfigurationError) as refused:
        office.successor(Roster(), fake(name="one"), fake(name="two"), fake(name="three"))

    assert [fault.where for fault in refused.value.faults] == ["providers.one.ca_file", "providers.three.ca_file"]


# What stays known of an account


def test_other_settings_show_in_the_view_and_what_is_in_flight_counts() -> None:
    account = account_of(fake(concurrency=20))
    for _ in range(8):
        account.reserve()
    account.change(fake(concurrency=5, tier=2, weight=4))

    view = account.view
    assert (view.tier, view.weight, view.slots, view.free_slots, view.reserved_slots) == (2, 4, 5, -3, 1)
    assert account.in_flight == 8


def test_what_is_in_flight_comes_to_an_end_under_other_settings() -> None:
    account = account_of(fake(concurrency=20))
    for _ in range(8):
        account.reserve()
    account.change(fake(concurrency=5))
    for _ in range(8):
        account.restore(token=False)

    assert (account.in_flight, account.view.free_slots) == (0, 5)


def test_a_block_and_a_breaker_outlive_other_settings() -> None:
    account = account_of(fake())
    account.block(NOW + 60)
    account.observe(Verdict(Outcome.MISCONFIGURED), NOW - 1, NOW, is_probe=False, overdue_at=None)
    account.change(fake(concurrency=5))

    assert (account.view.blocked_until, account.breaker.state) == (NOW + 60, BreakerState.OPEN)


def test_tokens_of_other_limits_go_back() -> None:
    account = account_of(fake(rate_per_second=100))
    limits = account.stock.limits
    account.stock.take(Drawn(8, 5_000, None, 5_000), NOW)
    account.change(fake(rate_per_second=200))

    assert (account.view.tokens, account.stock.returns, account.rate_now) == (0, [(8, 5_000, limits)], 200)


def test_tokens_stay_where_limits_do() -> None:
    account = account_of(fake(rate_per_second=100))
    account.stock.take(Drawn(8, 5_000, None, 5_000), NOW)
    account.change(fake(rate_per_second=100, weight=2))

    assert (account.view.tokens, account.stock.returns) == (8, [])


def test_without_a_limit_no_tokens_are_needed_any_more() -> None:
    account = account_of(fake(rate_per_second=100))
    account.change(fake())

    assert account.view.tokens is None


def test_a_quota_that_is_spent_holds_nothing_back_when_it_is_gone() -> None:
    """Also where the answer that says so comes after the change."""
    account = account_of(fake(quotas=(QuotaSettings(messages=100),)))
    limits = account.stock.limits
    spent = Drawn(0, 5_000, None, 5_000, frees_at=9_000_000, used=(100,))
    account.stock.take(spent, NOW, by=limits)
    before = account.view.quota_until
    account.change(fake())
    account.stock.take(spent, NOW, by=limits)

    assert (before, account.view.quota_until, account.stock.used) == (NOW + 8_995, -math.inf, ())


def test_what_was_drawn_by_limits_that_have_changed_since_goes_back() -> None:
    account = account_of(fake(rate_per_second=100))
    limits = account.stock.limits
    account.change(fake(rate_per_second=200))
    account.stock.take(Drawn(8, 5_000, None, 5_000), NOW, by=limits)

    assert (account.view.tokens, account.stock.returns) == (0, [(8, 5_000, limits)])


# What others say of it


def _misconfigured(account: Account) -> Told:
    account.observe(Verdict(Outcome.MISCONFIGURED), NOW - 1, NOW, is_probe=False, overdue_at=None)
    return Told("other", round(NOW * 1000), Hearsay(account).word(NOW, 0.0))


def test_senders_with_another_account_of_this_name_are_not_believed() -> None:
    account = account_of(fake(return_path="new@example.com"))
    Hearsay(account).hear([_misconfigured(account_of(fake(return_path="old@example.com")))], NOW, 0.0)

    assert (account.breaker.state, account.health.score(NOW)) == (BreakerState.CLOSED, 1.0)


def test_senders_with_other_limits_for_this_account_are_believed() -> None:
    account = account_of(fake(concurrency=3))
    Hearsay(account).hear([_misconfigured(account_of(fake()))], NOW, 0.0)

    assert account.breaker.state is BreakerState.OPEN


def test_a_sender_that_does_not_say_which_account_it_means_is_believed() -> None:
    account = account_of(fake())
    told = _misconfigured(account_of(fake()))
    word = {key: value for key, value in told.word.items() if key != "account"}
    Hearsay(account).hear([replace(told, word=word)], NOW, 0.0)

    assert account.breaker.state is BreakerState.OPEN


# What is shown of it


def test_a_quota_that_was_taken_out_is_shown_no_longer() -> None:
    metrics = Metrics(SENDER)
    account = account_of(fake(quotas=(QuotaSettings(messages=100), QuotaSettings(messages=9, per="hour"))))
    telling.show(metrics, [account], NOW)
    account.change(fake(quotas=(QuotaSettings(messages=100),)))
    telling.show(metrics, [account], NOW)

    assert list(metrics.provider_quota_left) == [("relay", "day:rolling")]


def test_nothing_is_shown_of_a_provider_that_was_taken_out() -> None:
    metrics = Metrics(SENDER)
    telling.show(metrics, [account_of(fake(rate_per_second=9, quotas=(QuotaSettings(messages=100),)))], NOW)
    telling.forget(metrics, "relay")

    assert b'provider="relay"' not in generate_latest(metrics.registry)
