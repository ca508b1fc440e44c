"""The kinds of provider, built in and plugged in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from shared.domain.errors import ConfigurationError
from shared.providers import registry
from shared.providers.sandbox import Sandbox
from shared.settings.model import Settings


class Pigeon(Sandbox):
    kind = "pigeon"


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three entry points: a good one, a broken one, and one that poses as a built-in kind."""
    here = f"{__name__}:Pigeon"
    found = {
        name: EntryPoint(name, value, registry.GROUP)
        for name, value in {"pigeon": here, "broken": "no_such_module:Adapter", "smtp": here}.items()
    }
    registry._load.cache_clear()
    monkeypatch.setattr(registry, "_plug_ins", lambda: found)
    yield
    registry._load.cache_clear()


@pytest.mark.parametrize("kind", ["outbox", "smtp", "sandbox"])
def test_a_built_in_kind_has_an_adapter_of_its_name(kind: str) -> None:
    assert registry.adapter(kind).kind == kind


def test_an_unknown_kind_is_a_fault_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="There is no kind 'smpt'; there are outbox, smtp, sandbox"):
        registry.adapter("smpt")


@pytest.mark.usefixtures("plug_ins")
class TestPlugIns:
    def test_one_adds_a_kind(self) -> None:
        assert isinstance(registry.adapter("pigeon"), Pigeon)

    def test_they_stand_after_the_built_in_kinds(self) -> None:
        kinds = registry.kinds()
        assert kinds[:3] == ("outbox", "smtp", "sandbox")
        assert kinds[-2:] == ("broken", "pigeon")

    def test_one_that_cannot_be_imported_is_a_fault(self) -> None:
        with pytest.raises(ConfigurationError, match="The plug-in no_such_module:Adapter of kind 'broken'"):
            registry.adapter("broken")

    def test_none_replaces_a_built_in_kind(self) -> None:
        assert not isinstance(registry.adapter("smtp"), Pigeon)


def test_the_default_configuration_loads_no_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_plug_ins", lambda: pytest.fail("looked for plug-ins"))

    assert Settings().providers[0].kind == "outbox"
