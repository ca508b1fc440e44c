from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from shared.domain.errors import ConfigurationError
from shared.settings.load import load
from shared.settings.model import Settings


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Read a text as the configuration, from a folder of its own, under some variables."""
    monkeypatch.chdir(tmp_path)

    def read_text(
        text: str = "", environ: Mapping[str, str] | None = None, secrets_of: Collection[str] | None = None
    ) -> Settings:
        file = tmp_path / "written-by-the-test.toml"
        file.write_text(text, "utf-8")
        return load(str(file), environ or {}, secrets_of=secrets_of)

    return read_text


@pytest.fixture
def faults(read: Callable[..., Settings]) -> Callable[..., dict[str, str]]:
    """Return the faults of a configuration: where they stand, and what they say."""

    def faults_of(text: str = "", environ: Mapping[str, str] | None = None) -> dict[str, str]:
        with pytest.raises(ConfigurationError) as caught:
            read(text, environ)
        return {fault.where: fault.detail for fault in caught.value.faults}

    return faults_of
