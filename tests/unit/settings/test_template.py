"""The commented file, `config show` and the JSON Schema: all held to the model."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.domain.message import Address
from shared.domain.secret import Secret
from shared.providers import registry
from shared.settings.model import FrontendSettings, KeySettings, Settings
from shared.settings.schema import json_schema
from shared.settings.shapes import keys_of
from shared.settings.show import plain, to_toml, toml_value, tree_of
from shared.settings.template import EXAMPLE, template

Read = Callable[..., Settings]

TEXT = template()

#: The template with every key and table active; a zone needs a calendar.
ACTIVE = re.sub(r"^#(?=[^ \n])", "", TEXT, flags=re.MULTILINE).replace('window = "rolling"', 'window = "calendar"')

#: The same without the lines that show no default.
DEFAULTS = re.sub(rf"^\w+ = .*# {EXAMPLE}$", "", ACTIVE, flags=re.MULTILINE)

#: A value for every variable that the template names.
SECRETS = dict.fromkeys(re.findall(r'env = "(\w+)"', TEXT), "a-long-enough-secret")


def keys_under(table: type[object], path: str = "") -> Iterator[str]:
    for key in keys_of(table).values():
        inner = key.shape.table or key.shape.item_table
        yield f"{path}{key.name}"
        if inner is not None:
            yield from keys_under(inner, f"{path}{key.name}.")


def paths_of(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        yield f"{path}{name}", value
        for table in value if isinstance(value, list) else [value]:
            if isinstance(table, dict) and name not in ("secret", "password"):
                yield from paths_of(table, f"{path}{name}.")


class TestTemplate:
    def test_as_it_is_it_means_what_no_file_means(self, read: Read) -> None:
        assert replace(read(TEXT), source=None) == Settings()

    def test_it_holds_every_key_of_the_model(self) -> None:
        assert {path for path, _ in paths_of(tomllib.loads(ACTIVE))} >= set(keys_under(Settings))

    def test_it_holds_every_key_of_every_kind_of_provider(self) -> None:
        written = {provider["kind"]: provider.keys() for provider in tomllib.loads(ACTIVE)["providers"]}

        for kind in registry.kinds():
            assert written[kind] >= keys_of(registry.adapter(kind).Options).keys()

    def test_it_shows_each_kind_once(self) -> None:
        assert re.findall(r'^#kind = "(.*)"$', TEXT, re.MULTILINE) == list(registry.kinds())

    @pytest.mark.parametrize("kind", registry.kinds()[1:])
    def test_a_line_above_a_kind_says_what_it_is_and_its_keys_follow_without_a_gap(self, kind: str) -> None:
        (block,) = [block.splitlines() for block in TEXT.split("\n\n") if f'\n#kind = "{kind}"' in block]

        assert block[0].startswith("# ")
        assert keys_of(registry.adapter(kind).Options).keys() <= {line[1:].partition(" = ")[0] for line in block}

    def test_the_kinds_are_named_before_they_come(self) -> None:
        before = " ".join(TEXT[: TEXT.index('#kind = "smtp"')].replace("\n#", " ").split())

        assert ", ".join(registry.kinds()[1:]) + "." in before

    @pytest.mark.parametrize("section", [key for key in keys_of(Settings) if key not in ("providers", "routes")])
    def test_what_is_no_example_is_the_default(self, section: str) -> None:
        defaults, written = tree_of(getattr(Settings(), section)), tomllib.loads(DEFAULTS)[section]

        assert {key: value for key, value in written.items() if key != "keys"} == {
            key: value for key, value in defaults.items() if key != "keys" and value is not None
        }

    def test_with_every_line_active_it_loads(self, read: Read, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("hunter2\n")
        text = re.sub(r'file = "[^"]+"', f'file = "{tmp_path / "password"}"', ACTIVE)
        settings = read(text, SECRETS)

        assert [provider.kind for provider in settings.providers] == list(registry.kinds())

    def test_its_lines_fit_a_screen(self) -> None:
        assert max(map(len, TEXT.splitlines())) <= 120


class TestShow:
    SETTINGS = Settings(
        frontend=FrontendSettings(
            default_from=Address("shop@example.com", 'The "Shop" <1>'), keys=(KeySettings("shop", Secret("hunter2")),)
        )
    )

    def test_secrets_are_masked(self) -> None:
        text = to_toml(tree_of(self.SETTINGS))

        assert "hunter2" not in text
        assert 'secret = "********"' in text

    def test_what_it_prints_is_read_as_the_same_settings(self, read: Read) -> None:
        settings = replace(self.SETTINGS, frontend=replace(self.SETTINGS.frontend, keys=()))

        assert replace(read(to_toml(tree_of(settings))), source=None) == settings

    def test_what_it_prints_of_the_whole_template_is_read_as_the_same_tree(
        self, read: Read, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.settings.load._Secrets.file", lambda _self, _path: "hunter2")
        settings = read(ACTIVE, SECRETS)
        shown = re.sub(r'"\*{8}"', '{env = "SHOP_KEY"}', to_toml(tree_of(settings)))

        assert tree_of(read(shown, SECRETS)) == tree_of(settings)

    def test_numbers_without_a_fraction_are_shown_without_one(self) -> None:
        assert (plain(20.0), plain(0.5)) == (20, 0.5)

    def test_the_digits_of_a_large_number_stand_in_groups(self) -> None:
        assert (toml_value(8_525), toml_value(5_000_000)) == ("8525", "5_000_000")

    def test_texts_are_escaped(self) -> None:
        assert tomllib.loads(to_toml({"key": 'a"\\\n😀'})) == {"key": 'a"\\\n😀'}


class TestSchema:
    SCHEMA = json_schema()

    def property_of(self, *path: str) -> dict[str, Any]:
        found = self.SCHEMA
        for name in path:
            found = found["properties"][name]
        return found

    def test_it_describes_every_section_with_every_key(self) -> None:
        for name, key in keys_of(Settings).items():
            if key.shape.table is not None:
                assert self.property_of(name)["properties"].keys() == keys_of(key.shape.table).keys()

    def test_unknown_keys_are_refused_everywhere(self) -> None:
        objects = str(self.SCHEMA).count("'type': 'object'")

        assert objects == str(self.SCHEMA).count("'additionalProperties': False")

    def test_a_bound_a_default_and_a_description_come_from_the_model(self) -> None:
        assert self.property_of("ops", "port") == {
            "type": "integer",
            "minimum": 0,
            "maximum": 65_535,
            "default": 9_525,
            "description": "The port to listen on; 0 takes any free one. `up` counts on from it: frontend, "
            "scheduler, senders.",
        }

    def test_a_closed_set_is_an_enumeration(self) -> None:
        assert self.property_of("logging", "format")["enum"] == ["auto", "json", "pretty"]

    def test_each_kind_of_provider_has_its_own_keys_beside_the_shared_ones(self) -> None:
        kinds = {one["properties"]["kind"]["const"]: one for one in self.property_of("providers")["items"]["oneOf"]}

        assert kinds.keys() == set(registry.kinds())
        assert kinds["smtp"]["properties"].keys() >= {"host", "tls", "tier", "quotas"}
        assert kinds["smtp"]["required"] == ["name", "kind", "host"]
        assert "host" not in kinds["outbox"]["properties"]

    def test_a_secret_is_a_reference(self) -> None:
        secret = self.property_of("redis", "password")["anyOf"][0]

        assert [one["required"] for one in secret["oneOf"]] == [["env"], ["file"]]
