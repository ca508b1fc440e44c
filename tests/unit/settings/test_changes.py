"""What a running process takes over from another configuration, and what it does not."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from shared.domain.errors import ConfigurationError
from shared.domain.secret import Secret
from shared.providers.outbox import OutboxOptions
from shared.settings.changes import differences, taken_over
from shared.settings.model import (
    FrontendSettings,
    KeySettings,
    LoggingSettings,
    ProviderSettings,
    RedisSettings,
    RetrySettings,
    RouteSettings,
    SenderSettings,
    Settings,
    account_revision,
)

ONE = ProviderSettings("one", "sandbox")
TWO = ProviderSettings("two", "sandbox")
KEY = KeySettings("shop", Secret("0123456789abcdef"))
RUNNING = Settings(providers=(ONE, TWO), frontend=FrontendSettings(host="0.0.0.0", keys=(KEY,)))  # noqa: S104 - nothing listens


@pytest.mark.parametrize(
    "change",
    [
        {"providers": (ONE,)},
        {"routes": (RouteSettings(pool="default"),)},
        {"retry": RetrySettings(max_rounds=3)},
        {"logging": LoggingSettings(level="debug")},
        {"frontend": replace(RUNNING.frontend, keys=(KEY, KeySettings("crm", Secret("fedcba9876543210"))))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_change_at_run_time_is_taken_over(change: dict[str, object]) -> None:
    loaded = replace(RUNNING, **change)  # type: ignore[arg-type]  # each is of its key's type

    assert taken_over(RUNNING, loaded) == loaded


@pytest.mark.parametrize(
    "table",
    [one.name for one in fields(Settings) if one.name not in {"providers", "routes", "retry", "logging", "source"}],
)
def test_nothing_else_is(table: str) -> None:
    kept = getattr(RUNNING, table)
    key = fields(kept)[0].name
    loaded = replace(RUNNING, **{table: replace(kept, **{key: object()})})

    assert taken_over(RUNNING, loaded) == RUNNING
    assert differences(RUNNING, loaded) == (f"{table}.{key}",)


def test_the_last_key_does_not_go_while_the_port_is_open_to_others() -> None:
    """The file may name loopback meanwhile, but the port of before is the one that is open."""
    loaded = replace(RUNNING, frontend=FrontendSettings(host="127.0.0.1"))

    with pytest.raises(ConfigurationError) as refused:
        taken_over(RUNNING, loaded)

    assert [(fault.where, fault.code) for fault in refused.value.faults] == [("frontend.host", "conflict")]


def test_a_file_without_providers_does_not_send_mail_into_the_outbox() -> None:
    """A file that is being written looks like that."""
    with pytest.raises(ConfigurationError) as refused:
        taken_over(RUNNING, replace(Settings(), frontend=RUNNING.frontend))

    assert [fault.where for fault in refused.value.faults] == ["providers"]


def test_the_outbox_that_runs_already_goes_on() -> None:
    assert taken_over(Settings(), Settings(retry=RetrySettings(max_rounds=2))).retry.max_rounds == 2


def test_a_configuration_does_not_differ_from_itself() -> None:
    assert differences(RUNNING, replace(RUNNING, source="another.toml")) == ()


def test_every_key_that_differs_is_named_once() -> None:
    other = replace(
        RUNNING,
        sender=SenderSettings(concurrency=9, lease_seconds=9),
        routes=(RouteSettings(pool="default"),),
        redis=RedisSettings(password=Secret("other")),
    )

    assert differences(RUNNING, other) == ("redis.password", "sender.concurrency", "sender.lease_seconds", "routes")


def test_providers_are_named_that_came_went_or_changed() -> None:
    other = replace(RUNNING, providers=(replace(ONE, weight=2), ProviderSettings("three", "sandbox")))

    assert differences(RUNNING, other) == ("providers.one", "providers.three", "providers.two")


def test_another_order_of_providers_is_a_difference() -> None:
    assert differences(RUNNING, replace(RUNNING, providers=(TWO, ONE))) == ("providers",)


@pytest.mark.parametrize(
    "change", [{"kind": "outbox"}, {"options": OutboxOptions(directory="elsewhere")}, {"return_path": "b@example.com"}]
)
def test_another_account_has_another_revision(change: dict[str, object]) -> None:
    outbox = ProviderSettings("one", "sandbox", options=OutboxOptions(directory="here"))

    assert account_revision(replace(outbox, **change)) != account_revision(outbox)  # type: ignore[arg-type]  # each is of its key's type


def test_other_limits_are_those_of_the_same_account() -> None:
    assert account_revision(replace(ONE, weight=9, rate_per_second=2, concurrency=3)) == account_revision(ONE)
