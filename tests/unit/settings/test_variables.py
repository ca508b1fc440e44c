"""Environment variables over the file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.domain.message import Priority
from shared.domain.secret import Secret
from shared.settings.model import Settings
from shared.settings.variables import Variable

Read = Callable[..., Settings]
Faults = Callable[..., dict[str, str]]

RELAY = """
[[providers]]
name = "ses-eu"
kind = "smtp"
host = "smtp.example.com"
tier = 2
"""


def test_a_variable_wins_over_the_file(read: Read) -> None:
    assert read("[frontend]\nport = 1", {"RELIABLE_EMAIL_FRONTEND__PORT": "2"}).frontend.port == 2


def test_keys_that_no_variable_names_stay_as_the_file_has_them(read: Read) -> None:
    settings = read("[frontend]\nport = 1", {"RELIABLE_EMAIL_FRONTEND__HOST": "::1"})

    assert (settings.frontend.port, settings.frontend.host) == (1, "::1")


@pytest.mark.parametrize(
    "name", ["RELIABLE_EMAIL_PORT", "RELIABLE_EMAIL_URL", "RELIABLE_EMAIL_API_KEY", "FRONTEND__PORT", "OTHER__THING"]
)
def test_a_name_without_two_underscores_or_our_prefix_is_not_ours(read: Read, name: str) -> None:
    assert read("", {name: "tcp://10.0.0.1:8525"}).frontend == Settings().frontend


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("OPS__PORT", "1_000", 1000),
        ("OPS__HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - nothing listens
        ("RETRY__BASE_SECONDS", "0.5", 0.5),
        ("RETRY__MAX_SECONDS", "1e4", 10_000.0),
        ("LOGGING__LEVEL", "debug", "debug"),
        ("REDIS__PASSWORD", "hunter2", Secret("hunter2")),
        ("REDIS__URL", "", None),
        ("PROVIDERS__SES_EU__RATE_PER_SECOND", "", None),
        ("PROVIDERS__SES_EU__RATE_PER_SECOND", "20", 20.0),
        ("PROVIDERS__SES_EU__POOLS", "default, bulk", ("default", "bulk")),
        ("PROVIDERS__SES_EU__POOLS", '["default"]', ("default",)),
        ("ROUTES__0__MATCH__PRIORITY", "bulk,normal", (Priority.BULK, Priority.NORMAL)),
    ],
)
def test_a_text_is_read_as_the_type_of_its_key(read: Read, name: str, text: str, value: object) -> None:
    settings = read(f'{RELAY}[[routes]]\npool = "default"', {f"RELIABLE_EMAIL_{name}": text})

    found: object = settings
    for part in name.lower().split("__"):
        found = found[0] if isinstance(found, tuple) else found
        found = found if part in {"0", "ses_eu"} else getattr(found, part)
    assert found == value


def test_a_provider_is_found_by_its_name_in_capitals_with_underscores(read: Read) -> None:
    [provider] = read(RELAY, {"RELIABLE_EMAIL_PROVIDERS__SES_EU__WEIGHT": "7"}).providers

    assert (provider.name, provider.weight, provider.tier) == ("ses-eu", 7, 2)


def test_the_keys_of_a_kind_can_be_variables_too(read: Read) -> None:
    environ = {
        "RELIABLE_EMAIL_PROVIDERS__SES_EU__PORT": "465",
        "RELIABLE_EMAIL_PROVIDERS__SES_EU__TLS": "tls",
        "RELIABLE_EMAIL_PROVIDERS__SES_EU__USERNAME": "mail",
        "RELIABLE_EMAIL_PROVIDERS__SES_EU__PASSWORD": "hunter2",
    }
    [provider] = read(RELAY, environ).providers

    assert (provider.options.port, provider.options.password) == (465, Secret("hunter2"))


def test_variables_alone_make_a_provider_whose_kind_is_its_name(read: Read) -> None:
    [provider] = read("", {"RELIABLE_EMAIL_PROVIDERS__OUTBOX__DIRECTORY": "/mail"}).providers

    assert (provider.name, provider.kind, provider.options.directory) == ("outbox", "outbox", "/mail")


def test_variables_alone_make_a_provider_of_another_name(read: Read) -> None:
    environ = {
        "RELIABLE_EMAIL_PROVIDERS__MY_RELAY__KIND": "smtp",
        "RELIABLE_EMAIL_PROVIDERS__MY_RELAY__HOST": "smtp.example.com",
    }
    [provider] = read("", environ).providers

    assert (provider.name, provider.kind, provider.options.host) == ("my-relay", "smtp", "smtp.example.com")


def test_tables_without_a_name_are_counted_from_0_and_added_at_the_end(read: Read) -> None:
    environ = {f"RELIABLE_EMAIL_PROVIDERS__SES_EU__QUOTAS__{n}__MESSAGES": str(n + 1) for n in range(11)}
    [provider] = read(f"{RELAY}quotas = [{{messages = 99, per = 'hour'}}]", environ).providers

    assert [quota.messages for quota in provider.quotas] == list(range(1, 12))
    assert provider.quotas[0].per == "hour"


def test_a_list_of_tables_can_be_given_as_toml(read: Read) -> None:
    environ = {"RELIABLE_EMAIL_FRONTEND__KEYS": '[{name = "shop", secret = {env = "K"}}]', "K": "a-long-enough-secret"}
    [key] = read("", environ).frontend.keys

    assert (key.name, key.secret) == ("shop", Secret("a-long-enough-secret"))


def test_a_variable_can_say_where_a_secret_stands(read: Read) -> None:
    environ = {"RELIABLE_EMAIL_REDIS__PASSWORD__ENV": "PW", "PW": "hunter2"}

    assert read('[redis]\npassword = {file = "nowhere"}', environ).redis.password == Secret("hunter2")


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("FRONTENT__PORT", "1", "There is no key 'frontent' here. Did you mean 'frontend'?"),
        ("OPS__PROT", "1", "There is no key 'prot' here. Did you mean 'port'?"),
        ("PROVIDERS__SES_EU__HOTS", "h", "There is no key 'hots' here. Did you mean 'host'?"),
        ("OPS__PORT", "many", "It must be a whole number, not 'many'"),
        ("OPS__PORT", "", "It must be a whole number, not ''"),
        ("OPS__PORT", "70000", "It must be at least 0 and at most 65535, not 70000"),
        ("OPS__PORT__X", "1", "It must be a whole number, not a table"),
        ("RETRY__BASE_SECONDS", "inf", "It must be a number, not 'inf'"),
        ("PROVIDERS__SES_EU", "1", "It names no key: it ends at a table or inside a key, or leaves out a position"),
        ("ROUTES__1__POOL", "x", "It names no key: it ends at a table or inside a key, or leaves out a position"),
        ("ROUTES__X__POOL", "x", "It names no key: it ends at a table or inside a key, or leaves out a position"),
        ("FRONTEND__KEYS", "shop", 'It must be a list of tables as TOML writes it: [{name = "…"}]'),
        ("PROVIDERS__SES_EU__QUOTAS", "[{messages = ]", "It begins like a list of TOML and is none: Invalid value"),
        ("PROVIDERS__OTHER__TIER", "1", "It is required and missing"),
        ("PROVIDERS__SES_EU__BURST", "5", "It has no meaning without rate_per_second"),
    ],
)
def test_a_variable_that_fits_nowhere_is_a_fault_under_its_own_name(
    faults: Faults, name: str, text: str, detail: str
) -> None:
    found = faults(RELAY, {f"RELIABLE_EMAIL_{name}": text})

    where = "providers.other.kind" if "OTHER" in name else f"RELIABLE_EMAIL_{name}"
    assert list(found) == [where]
    assert found[where].startswith(detail)


def test_a_variable_inside_another_one_is_a_fault(faults: Faults) -> None:
    found = faults("", {"RELIABLE_EMAIL_OPS__PORT": "1", "RELIABLE_EMAIL_OPS__PORT__X": "2"})

    assert found.keys() == {"RELIABLE_EMAIL_OPS__PORT"}


def test_a_variable_over_a_file_that_has_no_table_there_leaves_the_file_its_fault(faults: Faults) -> None:
    assert faults("ops = 1", {"RELIABLE_EMAIL_OPS__PORT": "1"}) == {"ops": "It must be a table, not 1"}


def test_the_text_of_a_variable_is_not_shown() -> None:
    assert "hunter2" not in repr(Variable("RELIABLE_EMAIL_REDIS__PASSWORD", "hunter2"))


def test_a_secret_that_a_variable_gives_is_not_in_its_fault(faults: Faults) -> None:
    found = faults("", {"RELIABLE_EMAIL_FRONTEND__KEYS__SHOP__SECRET": "hunter2"})

    assert list(found) == ["RELIABLE_EMAIL_FRONTEND__KEYS__SHOP__SECRET"]
    assert "hunter2" not in str(found)
