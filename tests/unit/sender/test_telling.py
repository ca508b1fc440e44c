"""What a sender shows of its providers, and what it stops showing."""

from __future__ import annotations

from typing import Any

import pytest

from services.sender import telling
from services.sender.account import Account
from shared.domain.outcome import Outcome
from shared.policy.opening import OpenReason
from shared.providers.sandbox import SandboxOptions
from shared.runtime.metrics import SENDER, Metrics
from shared.settings.model import ProviderSettings, QuotaSettings

NOW = 1_000.0
#: Beside the counters, which stay.
GAUGES = (
    *("health", "breaker_state", "tokens", "misconfigured", "paused", "rate_per_second", "quota_left"),
    *("quota_limit", "info", "in_flight", "concurrency"),
)


def fake(**settings: Any) -> ProviderSettings:
    return ProviderSettings(**{"name": "relay", "kind": "sandbox", "options": SandboxOptions(), **settings})


def account_of(settings: ProviderSettings) -> Account:
    return Account(settings, 10.0, lambda: 0.5)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"reliable_email_{name}", {"provider": "relay", **labels})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(SENDER)


def test_a_provider_is_shown_with_its_kind_and_tier(metrics: Metrics) -> None:
    telling.show(metrics, [account_of(fake(tier=2))], NOW)

    assert value(metrics, "provider_info", kind="sandbox", tier="2") == 1


@pytest.mark.parametrize("change", [{"tier": 2}, {"kind": "outbox"}], ids=["tier", "kind"])
def test_a_provider_that_was_changed_is_shown_once(metrics: Metrics, change: dict[str, Any]) -> None:
    telling.show(metrics, [account_of(fake())], NOW)
    changed = fake(**change)
    telling.show(metrics, [account_of(changed)], NOW)

    assert list(metrics.provider_info) == [("relay", changed.kind, str(changed.tier))]


def test_another_provider_stays_what_it_is(metrics: Metrics) -> None:
    telling.show(metrics, [account_of(fake()), account_of(fake(name="other"))], NOW)
    telling.show(metrics, [account_of(fake(tier=2)), account_of(fake(name="other"))], NOW)

    assert set(metrics.provider_info) == {("relay", "sandbox", "2"), ("other", "sandbox", "1")}


def test_what_is_in_flight_is_shown_beside_what_may_be(metrics: Metrics) -> None:
    account = account_of(fake(concurrency=7))
    account.reserve()
    account.reserve()
    telling.show(metrics, [account], NOW)

    assert (value(metrics, "provider_in_flight"), value(metrics, "provider_concurrency")) == (2, 7)


def test_a_quota_is_shown_with_its_limit(metrics: Metrics) -> None:
    telling.show(metrics, [account_of(fake(quotas=(QuotaSettings(messages=100),)))], NOW)

    assert value(metrics, "provider_quota_limit", quota="day:rolling") == 100


def test_a_limit_that_was_raised_is_shown(metrics: Metrics) -> None:
    account = account_of(fake(quotas=(QuotaSettings(messages=100),)))
    telling.show(metrics, [account], NOW)
    account.change(fake(quotas=(QuotaSettings(messages=500),)))
    telling.show(metrics, [account], NOW)

    assert value(metrics, "provider_quota_limit", quota="day:rolling") == 500


def test_the_limit_of_a_quota_that_was_taken_out_is_shown_no_longer(metrics: Metrics) -> None:
    account = account_of(fake(quotas=(QuotaSettings(messages=100),)))
    telling.show(metrics, [account], NOW)
    account.change(fake())
    telling.show(metrics, [account], NOW)

    assert list(metrics.provider_quota_limit) == []


@pytest.mark.parametrize("gauge", GAUGES)
def test_no_gauge_shows_a_provider_that_was_taken_out(metrics: Metrics, gauge: str) -> None:
    telling.show(metrics, [account_of(fake(rate_per_second=9, quotas=(QuotaSettings(messages=9),)))], NOW)
    assert list(getattr(metrics, f"provider_{gauge}"))
    telling.forget(metrics, "relay")

    assert list(getattr(metrics, f"provider_{gauge}")) == []


def test_the_counters_of_a_provider_are_there_before_it_is_used(metrics: Metrics) -> None:
    telling.introduce(metrics, "relay")

    assert [value(metrics, "attempts_total", outcome=outcome) for outcome in Outcome] == [0] * len(Outcome)
    assert [value(metrics, "breaker_openings_total", reason=one) for one in OpenReason] == [0] * len(OpenReason)


def test_the_counters_of_a_provider_that_was_taken_out_can_still_be_read(metrics: Metrics) -> None:
    telling.introduce(metrics, "relay")
    telling.forget(metrics, "relay")

    assert value(metrics, "attempts_total", outcome="accepted") == 0
