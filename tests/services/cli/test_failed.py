"""`reliable-email failed`: dead letters, by id and by filter."""

from __future__ import annotations

import json

import pytest

from shared.domain.states import State
from tests.services.cli.conftest import Command
from tests.services.frontend.running import Running


@pytest.fixture
async def dead(frontend: Running) -> list[str]:
    """Three dead letters, one of them in another pool."""
    scenario = frontend.scenario
    return [
        await scenario.message_in(State.FAILED),
        await scenario.message_in(State.PARTLY_SENT),
        await scenario.message_in(State.FAILED, pool="other"),
    ]


async def test_list_prints_json_lines_when_asked(command: Command, dead: list[str]) -> None:
    done = await command("failed", "list", "--json")

    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == set(dead)


async def test_list_takes_states_and_a_limit(command: Command, dead: list[str]) -> None:
    partly = await command("failed", "list", "--state", "partly_sent", "--json")
    one = await command("failed", "list", "--limit", "1", "--json")

    assert [json.loads(line)["id"] for line in partly.stdout.splitlines()] == [dead[1]]
    assert len(one.stdout.splitlines()) == 1


async def test_list_is_a_table_for_people(command: Command, dead: list[str]) -> None:
    lines = (await command("failed", "list")).stdout.splitlines()

    assert lines[0].split() == ["id", "state", "finished_at", "pool", "reason", "subject"]
    assert len(lines) == 1 + len(dead)


async def test_requeue_by_id_tells_what_was_refused(command: Command, dead: list[str]) -> None:
    done = await command("failed", "requeue", dead[0], "msg_nothing")

    assert (done.exit_code, done.stdout) == (1, "1 requeued\n")
    assert done.stderr.startswith("msg_nothing: ")


async def test_requeue_by_filter_takes_all_that_match(command: Command, dead: list[str], frontend: Running) -> None:
    done = await command("failed", "requeue", "--all")

    assert (done.exit_code, done.stdout) == (0, "3 requeued\n")
    assert (await frontend.get(f"/v1/messages/{dead[2]}")).body["state"] == "queued"


async def test_drop_by_filter_asks_nobody_where_nobody_is(command: Command, dead: list[str], frontend: Running) -> None:
    done = await command("failed", "drop", "--pool", "other")

    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert (await frontend.get(f"/v1/messages/{dead[2]}")).status == 200


async def test_drop_by_filter_with_yes_deletes(command: Command, dead: list[str], frontend: Running) -> None:
    done = await command("failed", "drop", "--pool", "other", "--yes")

    assert (done.exit_code, done.stdout) == (0, "1 deleted\n")
    assert [(await frontend.get(f"/v1/messages/{id_}")).status for id_ in dead] == [200, 200, 404]


async def test_drop_by_id_asks_nobody(command: Command, dead: list[str]) -> None:
    assert (await command("failed", "drop", dead[0])).stdout == "1 deleted\n"


@pytest.mark.parametrize("arguments", [(), ("msg_x", "--all")])
async def test_neither_or_both_of_ids_and_filter_is_wrong_usage(command: Command, arguments: tuple[str, ...]) -> None:
    assert (await command("failed", "requeue", *arguments)).exit_code == 2
