"""`reliable-email config`, as its user sees it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reliable_email.cli.config import config_app
from shared.settings.template import template

runner = CliRunner()


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder, without a file elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shared.settings.load.USUAL_PLACES", ("./reliable-email.toml",))


class TestInit:
    def test_it_writes_the_template(self) -> None:
        result = runner.invoke(config_app, ["init"])

        assert result.exit_code == 0
        assert Path("reliable-email.toml").read_text("utf-8") == template()

    def test_it_replaces_no_file(self) -> None:
        Path("reliable-email.toml").write_text("mine")
        result = runner.invoke(config_app, ["init"])

        assert result.exit_code == 1
        assert result.stderr == "reliable-email.toml is there already; --force replaces it\n"
        assert Path("reliable-email.toml").read_text() == "mine"

    def test_it_replaces_a_file_by_force(self) -> None:
        Path("other.toml").write_text("mine")
        result = runner.invoke(config_app, ["init", "other.toml", "--force"])

        assert result.exit_code == 0
        assert Path("other.toml").read_text("utf-8") == template()

    def test_a_folder_that_is_not_there_is_a_failure_in_words(self) -> None:
        result = runner.invoke(config_app, ["init", "nowhere/file.toml"])

        assert (result.exit_code, result.stderr) == (
            1,
            "nowhere/file.toml cannot be written: No such file or directory\n",
        )

    def test_what_it_writes_is_ok(self) -> None:
        runner.invoke(config_app, ["init"])
        result = runner.invoke(config_app, ["check"])

        assert (result.exit_code, result.stdout) == (0, "ok\n")


class TestCheck:
    def test_it_says_ok_and_where_it_looked(self) -> None:
        Path("reliable-email.toml").write_text("[ops]\nport = 1")
        result = runner.invoke(config_app, ["check"])

        assert (result.exit_code, result.stdout) == (0, "ok\n")
        assert result.stderr == "read from ./reliable-email.toml\n"

    def test_it_names_every_fault_and_fails(self) -> None:
        Path("mine.toml").write_text('[ops]\nport = -1\n[logging]\nlevel = "loud"')
        result = runner.invoke(config_app, ["check", "--config", "mine.toml"])

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines() == [
            "ops.port: It must be at least 0 and at most 65535, not -1",
            "logging.level: It must be one of debug, info, warning, error, not 'loud'",
        ]

    def test_it_judges_the_variables_too(self) -> None:
        result = runner.invoke(config_app, ["check"], env={"RELIABLE_EMAIL_OPS__PROT": "1"})

        assert result.exit_code == 1
        assert "Did you mean 'port'?" in result.stderr


class TestShow:
    def test_it_prints_toml_with_file_and_variables_together(self) -> None:
        Path("reliable-email.toml").write_text("[ops]\nport = 1")
        result = runner.invoke(config_app, ["show"], env={"RELIABLE_EMAIL_OPS__HOST": "::1"})

        assert tomllib.loads(result.stdout)["ops"] == {"host": "::1", "port": 1}
        assert result.stdout.startswith("# read from ./reliable-email.toml\n")

    def test_it_prints_json_when_asked(self) -> None:
        shown = json.loads(runner.invoke(config_app, ["show", "--json"]).stdout)

        assert shown["source"] is None
        assert shown["frontend"]["port"] == 8_525
        assert shown["providers"][0]["directory"] == "data/outbox"

    @pytest.mark.parametrize("arguments", [["show"], ["show", "--json"]])
    def test_it_shows_no_secret(self, arguments: list[str]) -> None:
        result = runner.invoke(config_app, arguments, env={"RELIABLE_EMAIL_REDIS__PASSWORD": "hunter2"})

        assert "********" in result.stdout
        assert "hunter2" not in result.output


def test_schema_prints_json_schema() -> None:
    result = runner.invoke(config_app, ["schema"])

    assert json.loads(result.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
