"""`reliable-email simulate`, as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from reliable_email.cli.app import app
from tests.unit.simulate.lives import OUTAGE

runner = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(OUTAGE)
    return path


def simulate(*arguments: str | Path) -> tuple[int, str, str]:
    result = runner.invoke(app, ["simulate", *map(str, arguments), "--processes", "1"])
    return result.exit_code, result.stdout, result.stderr


def test_it_prints_a_table_with_a_line_for_each_policy(file: Path) -> None:
    code, out, _ = simulate(file, "--seeds", "1", "--policies", "fixed order,reliable-email")

    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert code == 0
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["fixed order", "**reliable-email**"]


def test_it_prints_numbers_as_json(file: Path) -> None:
    _, out, _ = simulate(file, "--seeds", "1", "--policies", "reliable-email", "--json")

    assert list(json.loads(out)["lives"]["two"]["policies"]) == ["reliable-email"]


def test_it_draws_a_picture(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "shares.svg"

    simulate(file, "--seeds", "1", "--policies", "reliable-email", "--picture", picture)

    assert ET.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file


def test_it_knows_its_own_lives_by_name() -> None:
    code, out, _ = simulate("t09-one-a-minute", "--seeds", "1", "--policies", "fixed order", "--stretch", "0.2")

    assert code == 0
    assert "### t09-one-a-minute" in out


def test_it_names_every_fault_of_a_life_and_plays_nothing(file: Path) -> None:
    file.write_text(OUTAGE.replace("error", "eror").replace("weight = 3", "weight = 0"))

    code, out, err = simulate(file)

    assert (code, out) == (2, "")
    assert f"{file}: changes[0].eror: there is no such key: did you mean error?" in err
    assert f"{file}: providers[0].weight: must be above 0, not 0" in err


def test_an_unknown_policy_is_told_with_those_there_are(file: Path) -> None:
    code, _, err = simulate(file, "--policies", "best")

    assert code == 2
    assert err.startswith("there is no policy 'best'; there are: fixed order, ")


def test_a_missing_file_is_told() -> None:
    code, _, err = simulate("nowhere.toml")

    assert code == 2
    assert err.startswith("nowhere.toml: cannot be read")
