"""`pause`, `resume` and `providers test` against a real frontend."""

from __future__ import annotations

import json

import pytest

from services.frontend.instants import parse_instant
from shared.domain.message import Record
from shared.domain.states import State
from shared.queue.pauses import Pause, Scale
from tests.services.cli.conftest import Command
from tests.services.frontend.running import Running
from tests.services.frontend.test_views import row, tell

HOLDS = {"everything": ("queue",), "pool default": ("pools", "default"), "provider outbox": ("providers", "outbox")}
EACH = pytest.mark.parametrize(("what", "names"), HOLDS.items(), ids=HOLDS)


def command_for(verb: str, names: tuple[str, ...]) -> list[str]:
    group, *rest = names
    return [group, verb, *rest]


async def paused(frontend: Running) -> dict[str, Pause]:
    return {pause.what: pause for pause in await frontend.queue.pauses.all()}


@EACH
async def test_what_is_paused_says_until_when_and_why(
    command: Command, frontend: Running, what: str, names: tuple[str, ...]
) -> None:
    done = await command(*command_for("pause", names), "--reason", "An audit.", "--until", "2100-01-01T00:00:00Z")

    name = names[1] if names[1:] else "everything"
    assert done.stdout == f"{name}  paused until 2100-01-01T00:00:00.000Z: An audit.\n"
    assert list(await paused(frontend)) == [what]


@EACH
async def test_what_is_resumed_is_not_paused(
    command: Command, frontend: Running, what: str, names: tuple[str, ...]
) -> None:
    await command(*command_for("pause", names))
    done = await command(*command_for("resume", names))

    assert (done.exit_code, done.stdout.split("  ")[1]) == (0, "not paused\n")
    assert what not in await paused(frontend)


async def test_a_pause_without_an_end_says_so(command: Command) -> None:
    assert (await command("queue", "pause")).stdout == "everything  paused until it is resumed\n"


@pytest.mark.parametrize(("span", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)])
async def test_a_span_counts_by_the_clock_of_the_service(
    command: Command, frontend: Running, span: str, seconds: int
) -> None:
    before = parse_instant((await frontend.get("/v1")).body["time"])
    await command("queue", "pause", "--for", span)
    after = parse_instant((await frontend.get("/v1")).body["time"])

    until = (await paused(frontend))["everything"].until
    assert until is not None
    assert before <= until - seconds * 1_000 <= after


@pytest.mark.parametrize("arguments", [("--for", "soon"), ("--for", "2h", "--until", "2100-01-01T00:00:00Z")])
async def test_an_end_that_is_not_clear_is_a_usage_error(
    command: Command, frontend: Running, arguments: tuple[str, ...]
) -> None:
    done = await command("queue", "pause", *arguments)

    assert done.exit_code == 2
    assert await paused(frontend) == {}


async def test_an_end_without_an_offset_is_refused_by_the_service(command: Command) -> None:
    done = await command("pools", "pause", "default", "--until", "2100-01-01T00:00:00")

    assert done.exit_code == 1
    assert "#/until: A time needs its offset" in done.stderr


@pytest.mark.parametrize("group", ["pools", "providers"])
async def test_what_is_not_known_is_told(command: Command, group: str) -> None:
    done = await command(group, "pause", "nobody")

    assert done.exit_code == 1
    assert "There is no such" in done.stderr


@EACH
async def test_json_is_the_answer_itself(command: Command, what: str, names: tuple[str, ...]) -> None:
    done = await command(*command_for("pause", names), "--json")

    assert json.loads(done.stdout)["paused"]["until"] is None, what


# What shows a pause


async def test_the_queue_names_what_is_paused(command: Command) -> None:
    await command("queue", "pause", "--reason", "Maintenance.")
    await command("pools", "pause", "default")
    lines = (await command("queue")).stdout.splitlines()

    assert "everything is paused until it is resumed: Maintenance." in lines
    assert "pool default is paused until it is resumed" in lines


async def test_pools_show_that_one_is_paused(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("relay"))
    await command("pools", "pause", "default")

    assert (await command("pools")).stdout.splitlines()[1].split()[:2] == ["default", "paused"]


async def test_providers_show_state_rate_quota_and_why_one_is_paused(command: Command, frontend: Running) -> None:
    quota = {"messages": 50_000, "per": "day", "window": "rolling", "zone": None, "used": 31_877, "frees_at": None}
    limits = {"rate_per_second": 14, "rate_now_per_second": 11.2, "burst": 28, "concurrency": 20, "quotas": [quota]}
    await tell(frontend, "one", row("relay", limits=limits))
    await command("providers", "pause", "relay", "--reason", "Key rotation.")

    shown = (await command("providers", "list")).stdout.splitlines()[1]

    for words in ("relay", "paused", "11.2 of 14/s", "31,877 of 50,000 a day", "paused: Key rotation."):
        assert words in shown


async def test_status_says_that_mail_does_not_flow_because_it_is_paused(command: Command, frontend: Running) -> None:
    await frontend.scenario.message_in(State.QUEUED)
    await command("pools", "pause", "default", "--reason", "A bad template.")
    done = await command("status")

    assert done.exit_code == 1
    assert "pool default is paused until it is resumed: A bad template." in done.stdout


# A test


async def record(frontend: Running, message_id: str) -> Record:
    found = await frontend.queue.views.read(message_id)
    assert found is not None
    return found


TEST = ("providers", "test", "outbox", "--to", "me@example.com", "--from", "shop@example.com")


async def test_a_test_is_for_its_provider(command: Command, frontend: Running) -> None:
    done = await command(*TEST)

    message_id, state = done.stdout.split()
    assert (done.exit_code, state) == (0, "queued")
    assert (await record(frontend, message_id)).envelope.pinned_to == "outbox"


async def test_a_test_that_nobody_has_sent_in_time_may_be_tried_again(command: Command) -> None:
    done = await command(*TEST, "--wait=0.05")

    assert done.exit_code == 75
    assert "subject     Test of the provider outbox" in done.stdout


async def test_a_test_without_a_sender_says_what_is_missing(command: Command) -> None:
    done = await command("providers", "test", "outbox", "--to", "me@example.com")

    assert done.exit_code == 1
    assert "#/from: 'from' is required" in done.stderr


async def test_a_pause_of_a_provider_survives_that_nobody_knows_it(command: Command, frontend: Running) -> None:
    await frontend.queue.pauses.pause(Pause(Scale.PROVIDER, "gone"))

    assert (await command("providers")).stdout.splitlines()[1].split()[:2] == ["gone", "paused"]
