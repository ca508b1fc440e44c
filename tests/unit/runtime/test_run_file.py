from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from shared.runtime.run_file import RUN_FILE_VARIABLE, announce, run_file, withdraw


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `up` asked for; its folder does not exist yet."""
    path = tmp_path / "run" / "sender-2.json"
    monkeypatch.setenv(RUN_FILE_VARIABLE, str(path))
    return path


def test_a_child_of_up_writes_its_pid_and_ports(path: Path) -> None:
    announce("sender", {"ops": 9527})

    assert orjson.loads(path.read_bytes()) == {"role": "sender", "pid": os.getpid(), "ports": {"ops": 9527}}


def test_nothing_unfinished_is_left_beside_the_file(path: Path) -> None:
    announce("sender", {"ops": 9527})

    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_taken_away_at_the_end(path: Path) -> None:
    announce("sender", {"ops": 9527})
    withdraw()

    assert not path.exists()


@pytest.mark.usefixtures("path")
def test_taking_away_what_was_never_written_is_no_error() -> None:
    withdraw()


def test_a_process_started_by_itself_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUN_FILE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    announce("sender", {"ops": 9527})
    withdraw()

    assert run_file() is None
    assert list(tmp_path.iterdir()) == []


def test_the_variable_is_no_configuration() -> None:
    assert "__" not in RUN_FILE_VARIABLE
