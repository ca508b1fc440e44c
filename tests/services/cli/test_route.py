"""`reliable-email route --explain` against a real frontend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.frontend.instants import instant
from tests.services.cli.conftest import Command, Done
from tests.services.frontend.running import Running, message
from tests.services.frontend.test_views import LATER, row, tell

ABLE = row("x")["capabilities"]
DOWN = {"state": "open", "opened_at": LATER, "next_probe_at": LATER, "reason": "provider_down"}


def steps(done: Done) -> dict[str, str]:
    assert done.exit_code == 0, done.stderr
    return {step["provider"]: step["code"] for step in json.loads(done.stdout)["steps"]}


def write(content: str) -> None:
    Path("message.json").write_text(content)


async def explain(command: Command, *options: str, **fields: Any) -> Done:
    write(json.dumps(message(**fields)))
    return await command("route", "--explain", "message.json", *options)


async def test_every_provider_has_its_reason(command: Command, frontend: Running) -> None:
    await tell(
        frontend,
        "one",
        row("best"),
        row("reserve", tier=2),
        row("down", state="open", available=False, breaker=DOWN),
        row("slow", state="throttled", available=False, available_at=LATER),
        row("spent", state="quota_spent", available=False, available_at=LATER),
    )
    await frontend.post("/v1/providers/reserve/pause")

    assert steps(await explain(command, "--json")) == {
        "best": "best",
        "down": "breaker_open",
        "reserve": "paused",
        "slow": "throttled",
        "spent": "quota_spent",
    }


async def test_the_one_that_is_chosen_is_marked(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("a", tier=2), row("b"))

    lines = (await explain(command)).stdout.splitlines()

    assert lines[0] == "pool default"
    assert lines[2].split()[:2] == ["a", "lower_tier"]
    assert lines[3].split()[:3] == ["→", "b", "best"]


@pytest.mark.parametrize(
    ("able", "fields", "code"),
    [
        ({"max_bytes": 5}, {}, "too_large"),
        ({"max_recipients": 1}, {"to": ["a@example.org", "b@example.org"]}, "unsupported"),
        ({"sender_domains": ["other.example"]}, {}, "unsupported"),
        ({"sender_domains": ["example.com"]}, {}, "best"),
        ({"refused_extensions": ["exe"]}, {"attachments": [{"filename": "a.EXE", "content": ""}]}, "unsupported"),
        ({"known_extensions": ["pdf"]}, {"attachments": [{"filename": "a.pdf", "content": ""}]}, "best"),
        ({"ascii_only": True}, {"to": "grå@example.org"}, "unsupported"),
    ],
)
async def test_what_a_provider_cannot_carry_is_known_beforehand(
    command: Command, frontend: Running, able: dict[str, Any], fields: dict[str, Any], code: str
) -> None:
    await tell(frontend, "one", row("a", capabilities={**ABLE, **able}))

    assert steps(await explain(command, "--json", **fields)) == {"a": code}


async def test_only_the_providers_of_its_pool_are_asked(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("a"), row("b", pools=["news"]))

    assert steps(await explain(command, "--json")) == {"a": "best"}


async def test_a_message_that_waits_says_until_when(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("a", state="throttled", available=False, available_at=LATER))

    done = await explain(command, "--json")

    assert json.loads(done.stdout)["waiting"] == {"code": "rate_limited", "until": instant(LATER)}
    assert "It would wait: rate_limited, until" in (await explain(command)).stdout


async def test_a_message_that_nobody_can_carry_says_so(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("a", capabilities={**ABLE, "max_bytes": 5}))

    assert "None of them can ever carry it" in (await explain(command)).stdout


async def test_a_pause_of_the_pool_is_told_beside_the_choice(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("a"))
    await frontend.post("/v1/pools/default/pause", {"reason": "A bad template."})

    assert "  paused until it is resumed: A bad template.; nothing" in (await explain(command)).stdout


async def test_a_message_that_is_not_valid_names_its_faults(command: Command) -> None:
    done = await explain(command, to="ada@")

    assert done.exit_code == 1
    assert "#/to: 'ada@' has no domain" in done.stderr


async def test_a_message_comes_from_standard_input_too(command: Command, frontend: Running) -> None:
    await tell(frontend, "one", row("a"))

    done = await command("route", "--explain", "-", "--json", stdin=json.dumps(message()))

    assert steps(done) == {"a": "best"}


async def test_nothing_is_sent(command: Command, frontend: Running) -> None:
    await explain(command)

    assert (await frontend.get("/v1/queue")).body["totals"]["queued"] == 0


@pytest.mark.parametrize("content", ["{", "[]", None])
async def test_what_is_no_message_is_a_usage_error(command: Command, content: str | None) -> None:
    if content is not None:
        write(content)

    assert (await command("route", "--explain", "message.json")).exit_code == 2
