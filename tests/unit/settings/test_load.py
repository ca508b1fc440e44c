"""From a file and the secrets it names to settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.errors import ConfigurationError
from shared.domain.message import Address, Priority
from shared.domain.secret import Secret
from shared.providers import registry
from shared.providers.outbox import OutboxOptions
from shared.providers.smtp import SmtpOptions
from shared.settings.load import load
from shared.settings.model import ProviderSettings, RouteMatch, Settings

Read = Callable[..., Settings]
Faults = Callable[..., dict[str, str]]

KEY = "a-key-of-24-characters--"


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shared.settings.load.USUAL_PLACES", ("./reliable-email.toml",))

    assert load(None, {}) == Settings()


def test_the_default_provider_is_an_outbox() -> None:
    assert Settings().providers == (ProviderSettings("outbox", "outbox", options=OutboxOptions()),)


def test_an_empty_list_of_providers_means_the_default_one(read: Read) -> None:
    assert read("providers = []").providers == Settings().providers


def test_one_configured_provider_replaces_the_default_one(read: Read) -> None:
    settings = read('[[providers]]\nname = "play"\nkind = "sandbox"')

    assert [provider.name for provider in settings.providers] == ["play"]


def test_the_file_is_the_source(read: Read, tmp_path: Path) -> None:
    assert read("").source == str(tmp_path / "written-by-the-test.toml")


@pytest.mark.parametrize("places", [3, 2, 1])
def test_the_named_file_comes_before_the_variable_before_the_working_directory(
    places: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for port, name in enumerate(("reliable-email.toml", "variable.toml", "named.toml"), start=1):
        Path(name).write_text(f"[ops]\nport = {port}")
    environ = {"RELIABLE_EMAIL_CONFIG": "variable.toml"} if places > 1 else {}

    assert load("named.toml" if places > 2 else None, environ).ops.port == places


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: The file cannot be read: No such file"):
        load("nowhere.toml", {})


def test_a_file_that_is_not_toml_is_one_fault_with_its_line(faults: Faults) -> None:
    [detail] = faults("[ops]\nport = = 3").values()

    assert "line 2" in detail


def test_a_file_that_is_not_utf_8_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes("# für".encode("latin-1"))

    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(str(tmp_path / "latin.toml"), {})


def test_a_byte_order_mark_is_no_fault(read: Read) -> None:
    assert read("\ufeff[ops]\nport = 1").ops.port == 1


def test_every_form_of_value_is_read(read: Read) -> None:
    settings = read("""
        [frontend]
        default_from = "Shop <shop@example.com>"
        grace_seconds = 1.5
        [durability]
        mode = "trusted"
        [[providers]]
        name = "ses-eu"
        kind = "smtp"
        host = "smtp.example.com"
        rate_per_second = 14
        pools = ["default", "bulk"]
        quotas = [{messages = 50_000, per = "month", window = "calendar", zone = "Europe/Berlin"}]
        [[routes]]
        pool = "bulk"
        match = {recipient_domain = ["example.test"], tag = "e2e", priority = ["bulk", "normal"]}
    """)

    assert settings.frontend.default_from == Address("shop@example.com", "Shop")
    assert settings.frontend.grace_seconds == 1.5
    assert settings.durability.mode == "trusted"
    [provider] = settings.providers
    assert provider.options == SmtpOptions(host="smtp.example.com")
    assert provider.rate_per_second == 14.0
    assert provider.pools == ("default", "bulk")
    assert (provider.quotas[0].messages, provider.quotas[0].zone) == (50_000, "Europe/Berlin")
    assert settings.routes[0].match == RouteMatch(
        recipient_domain=("example.test",), tag=("e2e",), priority=(Priority.BULK, Priority.NORMAL)
    )


def test_an_empty_text_stands_for_no_value_where_there_may_be_none(read: Read) -> None:
    settings = read('[frontend]\ndefault_from = ""\n[redis]\nurl = ""')

    assert (settings.frontend.default_from, settings.redis.url) == (None, None)


class TestSecrets:
    def test_one_comes_from_a_variable(self, read: Read) -> None:
        settings = read('[redis]\npassword = {env = "PW"}', {"PW": "hunter2"})

        assert settings.redis.password == Secret("hunter2")

    @pytest.mark.parametrize(("written", "meant"), [("pw", "pw"), ("pw\n", "pw"), ("pw\r\n", "pw"), (" pw ", " pw ")])
    def test_one_comes_from_a_file_without_its_last_line_break(
        self, read: Read, tmp_path: Path, written: str, meant: str
    ) -> None:
        (tmp_path / "secret").write_bytes(written.encode())

        assert read('[redis]\npassword = {file = "secret"}').redis.password == Secret(meant)

    @pytest.mark.parametrize(
        ("given", "detail"),
        [
            ('{env = "NOT_SET"}', "The variable NOT_SET is not set"),
            ('{env = "EMPTY"}', "The secret is empty"),
            ('{env = "LINES"}', "The secret holds a line break or another control character"),
            ('{file = "nowhere"}', "The file nowhere cannot be read: No such file or directory"),
            ('{env = "A", file = "b"}', 'A secret does not stand in the file: write {env = "NAME"} or {file = "path"}'),
            ('"hunter2"', 'A secret does not stand in the file: write {env = "NAME"} or {file = "path"}'),
        ],
    )
    def test_one_that_cannot_be_had_is_a_fault(self, faults: Faults, given: str, detail: str) -> None:
        found = faults(f"[redis]\npassword = {given}", {"EMPTY": "", "LINES": "a\nb"})

        assert found == {"redis.password": detail}

    def test_none_is_named_by_a_fault_of_its_key(self, faults: Faults) -> None:
        found = faults('[[frontend.keys]]\nname = "shop"\nsecret = {env = "KEY"}', {"KEY": "short-secret"})

        assert found == {
            "frontend.keys.shop.secret": "It must be at least 16 visible ASCII characters "
            "(`openssl rand -hex 32` makes one)"
        }

    def test_those_of_other_sections_are_neither_read_nor_needed(self, read: Read) -> None:
        text = """
            [redis]
            password = {env = "PW"}
            [[frontend.keys]]
            name = "shop"
            secret = {env = "NOT_SET"}
            [[frontend.keys]]
            name = "till"
            secret = {file = "/nowhere"}
        """
        settings = read(text, {"PW": "hunter2"}, secrets_of={"redis", "providers"})

        assert settings.redis.password == Secret("hunter2")
        assert [key.secret for key in settings.frontend.keys] == [Secret(""), Secret("")]


class TestFaults:
    def test_all_are_found_at_once_and_each_says_where(self, faults: Faults) -> None:
        found = faults(
            """
            [frontend]
            host = "0.0.0.0"
            port = 70_000
            [limits]
            recipients = "50"
            [retry]
            max_seconds = 1
            [[providers]]
            name = "relay"
            kind = "smtp"
            host = "smtp.example.com"
            port = 0
            tls = "none"
            username = "mail"
            password = {env = "PW"}
            tier = 0
            [[routes]]
            pool = "Upper"
        """,
            {"PW": "hunter2"},
        )

        assert found.keys() == {
            "frontend.host",
            "frontend.port",
            "limits.recipients",
            "retry.max_seconds",
            "providers.relay.port",
            "providers.relay.password",
            "providers.relay.tier",
            "routes.0.pool",
        }

    @pytest.mark.parametrize(
        ("text", "where", "detail"),
        [
            ("[frontendd]", "frontendd", "There is no key 'frontendd' here. Did you mean 'frontend'?"),
            ("[ops]\nprot = 1", "ops.prot", "There is no key 'prot' here. Did you mean 'port'?"),
            ("[ops]\nzzz = 1", "ops.zzz", "There is no key 'zzz' here. There are host, port."),
            ("source = 1", "source", "There is no key 'source' here. There are frontend, ops, limits, redis,"),
            (
                '[[providers]]\nname = "a"\nkind = "smtp"\nhost = "h"\nhots = "h"',
                "providers.a.hots",
                "There is no key 'hots' here. Did you mean 'host'?",
            ),
            (
                '[[providers]]\nname = "a"\nkind = "smtp"\nhost = "h"\nteir = 1',
                "providers.a.teir",
                "There is no key 'teir' here. Did you mean 'tier'?",
            ),
            ("[[providers]]\nname = 'a'\nkind = 'sandbox'\noptions = 1", "providers.a.options", "There is no key"),
        ],
    )
    def test_an_unknown_key_is_one_with_a_guess_at_what_was_meant(
        self, faults: Faults, text: str, where: str, detail: str
    ) -> None:
        found = faults(text)

        assert list(found) == [where]
        assert found[where].startswith(detail)

    @pytest.mark.parametrize(
        ("text", "detail"),
        [
            ('[ops]\nport = "1"', "It must be a whole number, not '1'"),
            ("[ops]\nport = 1.0", "It must be a whole number, not 1"),
            ("[ops]\nport = true", "It must be a whole number, not true"),
            ("[ops]\nport = -1", "It must be at least 0 and at most 65535, not -1"),
            ("[retry]\nbase_seconds = nan", "It must be a number, not nan"),
            ("[retry]\nbase_seconds = false", "It must be a number, not false"),
            ("[retry]\nbase_seconds = 0", "It must be above 0, not 0"),
            ("[ops]\nhost = 1", "It must be a text, not 1"),
            ('[ops]\nhost = "a\\u0007"', "It holds a control character"),
            ('[logging]\nlevel = "loud"', "It must be one of debug, info, warning, error, not 'loud'"),
            ('[frontend]\ndefault_from = "shop@"', "'shop@' has no domain after the @"),
            ('[frontend]\nmessage_id_domain = "a b"', "It must be empty or a domain in ASCII (xn--…), not 'a b'"),
            ("frontend = 1", "It must be a table, not 1"),
            ("providers = 1", "It must be a list, not 1"),
            ("providers = [1]", "It must be a table, not 1"),
            ("[[providers]]\nname = 'x'\nkind = 'sandbox'\npools = []", "It must name at least one, and none twice"),
            (
                "[[providers]]\nname = 'x'\nkind = 'sandbox'\npools = ['a', 'a']",
                "It must name at least one, and none twice",
            ),
            (
                "[[providers]]\nname = 'x'\nkind = 'no'",
                "There is no kind 'no'; there are " + ", ".join(registry.kinds()),
            ),
            ("[[providers]]\nname = 'x'", "It is required and missing"),
            ("[[providers]]\nname = 'x'\nkind = 'smtp'", "It is required and missing"),
            (
                """[[providers]]
                name = 'x'
                kind = 'sandbox'
                quotas = [{messages = 1, window = 'calendar', zone = 'No'}]""",
                "There is no time zone 'No' on this machine",
            ),
            (
                """[[providers]]
                name = 'x'
                kind = 'sandbox'
                quotas = [{messages = 1, window = 'calendar', zone = 'europe/Berln'}]""",
                "There is no time zone 'europe/Berln' on this machine. Did you mean 'Europe/Berlin'?",
            ),
            (
                """[[providers]]
                name = 'x'
                kind = 'sandbox'
                sender_domains = ['a b']""",
                "It must be a domain in ASCII (an international one as xn--…), not 'a b'",
            ),
        ],
    )
    def test_a_value_that_does_not_fit_is_one_that_says_what_would(
        self, faults: Faults, text: str, detail: str
    ) -> None:
        assert list(faults(text).values()) == [detail]

    def test_one_in_a_provider_does_not_hide_those_of_the_next(self, faults: Faults) -> None:
        found = faults("[[providers]]\nkind = 'sandbox'\n[[providers]]\nname = 'b'\nkind = 'sandbox'\nweight = 0")

        assert found.keys() == {"providers.0.name", "providers.b.weight"}

    def test_a_secret_that_is_missing_is_one_although_the_kind_misses_it_too(self, faults: Faults) -> None:
        found = faults("""
            [[providers]]
            name = "relay"
            kind = "smtp"
            host = "smtp.example.com"
            username = "mail"
            password = {env = "NOT_SET"}
        """)

        assert found == {"providers.relay.password": "The variable NOT_SET is not set"}

    def test_a_list_whose_value_is_faulty_is_not_judged_as_a_whole(self, faults: Faults) -> None:
        assert faults("[[providers]]\nname = 'x'\nkind = 'sandbox'\npools = ['A b']").keys() == {"providers.x.pools.0"}

    def test_a_faulty_key_makes_no_second_one_by_its_default(self, faults: Faults) -> None:
        """The default of idempotency_hours would contradict sent_days; the number meant may not."""
        assert faults("[limits]\nidempotency_hours = '1'\n[retention]\nsent_days = 0.5").keys() == {
            "limits.idempotency_hours"
        }


def test_reading_twice_gives_equal_settings(read: Read) -> None:
    text = '[[providers]]\nname = "relay"\nkind = "smtp"\nhost = "h"\nusername = "u"\npassword = {env = "PW"}'

    assert read(text, {"PW": KEY}) == replace(read(text, {"PW": KEY}))
