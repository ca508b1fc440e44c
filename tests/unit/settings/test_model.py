"""The model itself: complete, documented, and known by its revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest

from shared.domain.secret import Secret
from shared.providers import registry
from shared.providers.smtp import SmtpOptions
from shared.settings.documentation import documentation_of
from shared.settings.model import (
    LOCAL_REDIS,
    ProviderSettings,
    RedisSettings,
    RouteMatch,
    RouteSettings,
    Settings,
    config_revision,
)
from shared.settings.shapes import keys_of


def tables_under(table: type[object]) -> Iterator[type[object]]:
    yield table
    for key in keys_of(table).values():
        for inner in filter(None, (key.shape.table, key.shape.item_table)):
            yield from tables_under(inner)


TABLES = [*tables_under(Settings), *(registry.adapter(kind).Options for kind in registry.kinds())]


@pytest.mark.parametrize("table", TABLES[1:], ids=lambda table: table.__name__)
def test_every_key_is_documented(table: type[object]) -> None:
    assert keys_of(table).keys() <= documentation_of(table).keys()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_without_a_default_has_an_example(table: type[object]) -> None:
    texts = documentation_of(table)
    bare = {
        key.name
        for key in keys_of(table).values()
        if (key.is_required or key.default is None) and not texts[key.name].example
    }

    assert bare == set()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_units_stand_in_the_names_of_durations_and_sizes(table: type[object]) -> None:
    without_unit = re.compile(r"timeout|duration|interval|delay|size|(?<!mess)age|grace")
    unit = re.compile(r"_(seconds|hours|days|megabytes|bytes|percent)$|^(messages|message_id_domain)$|_messages$")

    assert [name for name in keys_of(table) if without_unit.search(name) and not unit.search(name)] == []


@pytest.mark.parametrize("kind", registry.kinds())
def test_no_kind_of_provider_gives_another_meaning_to_a_shared_key(kind: str) -> None:
    assert keys_of(registry.adapter(kind).Options).keys().isdisjoint(keys_of(ProviderSettings))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().frontend.port = 1  # type: ignore[misc]  # that it cannot is the claim


def test_a_secret_is_not_shown_by_what_holds_it() -> None:
    assert "hunter2" not in repr(RedisSettings(password=Secret("hunter2")))


def test_a_process_started_by_itself_looks_for_redis_on_this_machine() -> None:
    assert (RedisSettings().server, RedisSettings(url="redis://h").server) == (LOCAL_REDIS, "redis://h")


def test_pools_are_those_of_all_providers_the_default_one_first() -> None:
    providers = (ProviderSettings("a", "sandbox", pools=("zoo", "bulk")), ProviderSettings("b", "sandbox"))

    assert Settings(providers=providers).pools == ("default", "bulk", "zoo")


class TestRevision:
    RELAY = ProviderSettings("relay", "smtp", options=SmtpOptions(host="h", username="u", password=Secret("one")))

    def test_it_is_8_hexadecimal_digits_that_do_not_change_by_themselves(self) -> None:
        assert config_revision(Settings()) == config_revision(Settings())
        assert re.fullmatch("[0-9a-f]{8}", config_revision(Settings()))

    @pytest.mark.parametrize(
        "other",
        [
            Settings(providers=(replace(RELAY, weight=2),)),
            Settings(providers=(replace(RELAY, name="other"),)),
            Settings(providers=(replace(RELAY, options=replace(RELAY.options, password=Secret("two"))),)),
            Settings(providers=(RELAY, RELAY)),
            Settings(providers=(RELAY,), routes=(RouteSettings("default", RouteMatch(tag=("e2e",))),)),
        ],
    )
    def test_another_provider_secret_or_route_changes_it(self, other: Settings) -> None:
        assert config_revision(Settings(providers=(self.RELAY,))) != config_revision(other)

    def test_other_sections_do_not_change_it(self) -> None:
        assert config_revision(Settings(redis=RedisSettings(shards=4), source="x")) == config_revision(Settings())


def test_no_section_is_left_out_of_the_keys() -> None:
    assert list(keys_of(Settings)) == [part.name for part in fields(Settings) if part.name != "source"]
