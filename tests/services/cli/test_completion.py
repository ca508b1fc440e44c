"""`reliable-email completion`: the scripts, and what they ask for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from reliable_email.cli.app import app

#: As the shells run the command; `-c` leaves the first argument of the process to us.
RUN = "import sys; sys.argv[0] = 'reliable-email'; from reliable_email.cli import main; main()"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    done = CliRunner().invoke(app, ["completion", shell])

    assert done.exit_code == 0
    assert f"_RELIABLE_EMAIL_COMPLETE=complete_{shell}" in done.stdout
    assert "reliable-email" in done.stdout


def test_another_shell_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["completion", "csh"]).exit_code == 2


def test_a_shell_gets_the_names_of_commands() -> None:
    asked = {
        "_RELIABLE_EMAIL_COMPLETE": "complete_bash",
        "COMP_WORDS": "reliable-email providers ",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )

    assert sorted(done.stdout.split()) == ["list", "pause", "resume", "test"]
