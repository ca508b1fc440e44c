"""Rules between keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.secret import Secret
from shared.settings.checks import check, is_loopback
from shared.settings.model import (
    FrontendSettings,
    KeySettings,
    LimitsSettings,
    ProviderSettings,
    QuotaSettings,
    RedisSettings,
    RetentionSettings,
    RetrySettings,
    RouteSettings,
    SenderSettings,
    Settings,
)

DEFAULTS = Settings()
PLAY = ProviderSettings("play", "sandbox")


def test_the_defaults_break_no_rule() -> None:
    assert check(DEFAULTS) == ()


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (Settings(frontend=FrontendSettings(host="0.0.0.0")), "frontend.host"),  # noqa: S104 - nothing listens
        (Settings(frontend=FrontendSettings(host="example.com")), "frontend.host"),
        (
            Settings(
                frontend=FrontendSettings(keys=(KeySettings("a-b", Secret("x")), KeySettings("a-b", Secret("y"))))
            ),
            "frontend.keys.a-b.name",
        ),
        (
            Settings(frontend=FrontendSettings(keys=(KeySettings("a", Secret("x")), KeySettings("b", Secret("x"))))),
            "frontend.keys.b.secret",
        ),
        (Settings(limits=LimitsSettings(request_megabytes=20)), "limits.attachments_megabytes"),
        (Settings(sender=SenderSettings(buffer_megabytes=24)), "sender.buffer_megabytes"),
        (Settings(redis=RedisSettings(url="redis://db:65536")), "redis.url"),
        (Settings(retry=RetrySettings(base_seconds=10, max_seconds=9)), "retry.max_seconds"),
        (Settings(retention=RetentionSettings(sent_days=0.9)), "retention.sent_days"),
        (Settings(retention=RetentionSettings(failed_days=0.9)), "retention.failed_days"),
        (Settings(providers=(PLAY, PLAY)), "providers.play.name"),
        (Settings(providers=(replace(PLAY, burst=2.0),)), "providers.play.burst"),
        (
            Settings(providers=(replace(PLAY, quotas=(QuotaSettings(1, zone="Europe/Berlin"),)),)),
            "providers.play.quotas.0.zone",
        ),
        (Settings(routes=(RouteSettings("nowhere"),)), "routes.0.pool"),
    ],
)
def test_a_broken_rule_is_one_fault_at_the_key_to_change(settings: Settings, where: str) -> None:
    assert [fault.where for fault in check(settings)] == [where]


def test_a_frontend_with_a_key_may_listen_anywhere() -> None:
    frontend = FrontendSettings(host="0.0.0.0", keys=(KeySettings("shop", Secret("x")),))  # noqa: S104 - nothing listens

    assert check(Settings(frontend=frontend)) == ()


def test_records_kept_exactly_as_long_as_idempotency_keys_are_enough() -> None:
    assert check(Settings(retention=RetentionSettings(sent_days=1, failed_days=1))) == ()


def test_names_that_a_variable_cannot_tell_apart_are_the_same() -> None:
    [fault] = check(Settings(providers=(PLAY, replace(PLAY, name="pl-ay"), replace(PLAY, name="pl_ay"))))

    assert fault.detail == "2 have the name 'pl-ay' or 'pl_ay', which a variable cannot tell apart"


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://worker@[::1]:6379",
        "rediss://redis.example.com",
        "redis-sentinel://user@h1:26379,h2:26379/main/0",
        "redis-cluster://h1:6379,h2:6379",
        "rediss-cluster://h1:6379",
    ],
)
def test_a_url_of_redis_is_taken(url: str) -> None:
    assert check(Settings(redis=RedisSettings(url=url))) == ()


@pytest.mark.parametrize(
    "url", ["http://localhost", "localhost:6379", "redis://", "redis:/x", "redis://[::1", "valkey://hunter2@h"]
)
def test_another_url_is_a_fault_that_does_not_show_it(url: str) -> None:
    [fault] = check(Settings(redis=RedisSettings(url=url)))

    assert fault.where == "redis.url"
    assert "hunter2" not in fault.detail


@pytest.mark.parametrize("url", ["redis://:hunter2@h", "redis://u:hunter2@h", "redis://h/0?password=hunter2"])
def test_a_password_in_a_url_is_a_fault_that_does_not_show_it(url: str) -> None:
    [fault] = check(Settings(redis=RedisSettings(url=url)))

    assert fault.detail == "A password does not stand in the URL: give it as redis.password"


def test_secrets_that_were_not_read_are_not_taken_for_the_same() -> None:
    keys = (KeySettings("a", Secret("")), KeySettings("b", Secret("")))

    assert check(Settings(frontend=FrontendSettings(keys=keys))) == ()


@pytest.mark.parametrize("faulty", ["frontend.host", "frontend.keys", "frontend.keys.shop.secret", "frontend"])
def test_a_rule_is_silent_where_a_key_it_is_judged_by_is_faulty(faulty: str) -> None:
    settings = Settings(frontend=FrontendSettings(host="0.0.0.0"))  # noqa: S104 - nothing listens

    assert check(settings, [faulty]) == ()


@pytest.mark.parametrize("faulty", ["frontend.port", "frontend.hosts", "ops.host"])
def test_a_rule_speaks_where_another_key_is_faulty(faulty: str) -> None:
    settings = Settings(frontend=FrontendSettings(host="0.0.0.0"))  # noqa: S104 - nothing listens

    assert len(check(settings, [faulty])) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LOCALHOST."])
def test_loopback_is_known_by_address_and_name(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "db"])  # noqa: S104 - nothing listens
def test_anything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_zone_that_this_machine_does_not_know_is_a_fault() -> None:
    quota = QuotaSettings(1, window="calendar", zone="Mars/Olympus")
    settings = Settings(providers=(replace(PLAY, quotas=(quota,)),))

    assert [fault.where for fault in check(settings, is_zone=lambda _: False)] == ["providers.play.quotas.0.zone"]


def test_a_place_that_a_missing_table_has_moved_is_not_named() -> None:
    """The route at 0 was left out, so that the one at 1 seems to stand there."""
    assert check(Settings(routes=(RouteSettings("nowhere"),)), ["routes.0.pool"]) == ()
