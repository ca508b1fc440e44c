"""`reliable-email queue | pools | providers` against a real frontend, and the command as a whole."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from reliable_email.cli.app import app
from shared.domain.states import State
from tests.services.cli.conftest import Command
from tests.services.frontend.running import Running


async def test_queue_counts_what_waits(command: Command, frontend: Running) -> None:
    await frontend.scenario.message_in(State.QUEUED)
    done = await command("queue")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].split()[:4] == ["default", "normal", "0", "1"]


async def test_queue_prints_json_when_asked(command: Command) -> None:
    assert json.loads((await command("queue", "--json")).stdout)["totals"]["queued"] == 0


async def test_move_goes_on_until_nothing_is_left(command: Command, frontend: Running) -> None:
    for _ in range(3):
        await frontend.scenario.message_in(State.QUEUED, pool="other")
    done = await command("queue", "move", "other", "default")

    assert (done.exit_code, done.stdout) == (0, "3 moved from other to default\n")


async def test_pools_tell_whether_they_can_send(command: Command) -> None:
    done = await command("pools")

    assert [line.split() for line in done.stdout.splitlines()] == [
        ["pool", "can", "send", "waiting", "providers"],
        ["default", "no", "0", "none"],
    ]


@pytest.mark.parametrize("arguments", [("providers",), ("providers", "list")])
async def test_providers_are_a_table_even_where_no_sender_tells_of_any(
    command: Command, arguments: tuple[str, ...]
) -> None:
    done = await command(*arguments)

    assert (done.exit_code, done.stdout.split()[:2]) == (0, ["provider", "kind"])


def test_a_strange_service_is_told_as_one() -> None:
    done = CliRunner().invoke(app, ["queue", "--url", "no url at all"])

    assert done.exit_code == 1
    assert "is no URL" in done.stderr


@pytest.mark.parametrize(
    "name",
    ["up", "frontend", "scheduler", "sender", "send", "status", "cancel", "reschedule", "pools", "route", "doctor"],
)
def test_each_help_says_whom_the_command_speaks_to(name: str) -> None:
    said = " ".join(CliRunner().invoke(app, [name, "--help"]).stdout.split())

    assert "Speaks HTTP" in said or "Reads configuration and Redis" in said or "Reads the configuration" in said


def test_help_imports_no_service_and_no_client() -> None:
    code = (
        "import sys, reliable_email.cli; "
        "print([name for name in sys.modules if name.split('.')[0] in {'services', 'aiohttp', 'redis', 'uvloop'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_version_is_one_line() -> None:
    assert CliRunner().invoke(app, ["version"]).stdout == "reliable-email 0.1.0\n"
