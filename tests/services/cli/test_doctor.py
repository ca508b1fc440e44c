"""`reliable-email doctor`: what is wrong with a queue is found, named and mended."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from shared.domain.states import State
from shared.queue import Queue
from shared.queue.core import Core
from shared.queue.submissions import Bounds
from tests.queue.invariant import faults_of
from tests.queue.scenario import Scenario
from tests.redis_server import IN_MEMORY, RedisServer
from tests.services.cli.conftest import Done, reliable_email

_numbers = itertools.count()

Doctor = Callable[..., Awaitable[Done]]


@pytest.fixture
async def scenario(valkey: RedisServer) -> AsyncIterator[Scenario]:
    core = Core.connect(valkey.url, prefix=f"doc{next(_numbers)}")
    await core.learn_shards(2)
    queue = Queue.join(core, bounds=Bounds(), wall_ms=lambda: int(time.time() * 1000))
    yield Scenario(queue, now=int(time.time() * 1000))
    await queue.close()


@pytest.fixture
def doctor(scenario: Scenario, valkey: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELIABLE_EMAIL_REDIS__URL", valkey.url)
    monkeypatch.setenv("RELIABLE_EMAIL_REDIS__PREFIX", scenario.queue.core.prefix)

    async def run(*arguments: str) -> Done:
        return await reliable_email("doctor", *arguments)

    return run


async def test_a_sound_queue_is_called_sound(doctor: Doctor, scenario: Scenario) -> None:
    # What is queued comes last, for the scenario leases all that waits.
    for state in (*(set(State) - {State.SUPPRESSED, State.QUEUED}), State.QUEUED):
        await scenario.message_in(state)
    done = await doctor()

    assert done.exit_code == 0, done
    assert "queue       9 messages in 2 shards" in done.stdout
    assert "invariant   holds" in done.stdout


async def test_a_message_in_no_place_is_named_and_put_back(doctor: Doctor, scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.QUEUED)
    await scenario.redis("ZREM", f"{scenario.tag}:ready:default:normal", message_id)

    found = await doctor()
    assert found.exit_code == 1
    assert f"message     {message_id} lies in no place; its record names ready:default:normal" in found.stdout
    assert f"repaired    {message_id} put back to ready:default:normal" in (await doctor("--repair")).stdout
    assert (await doctor()).exit_code == 0


async def test_a_message_in_two_places_is_left_in_that_of_its_record(doctor: Doctor, scenario: Scenario) -> None:
    message_id = await scenario.message_in(State.QUEUED)
    await scenario.redis("ZADD", f"{scenario.tag}:failed", 1, message_id)

    assert "lies in failed and ready:default:normal" in (await doctor("--repair")).stdout
    assert await faults_of(scenario.queue.core) == []


async def test_an_entry_without_a_record_is_found_and_forgotten(doctor: Doctor, scenario: Scenario) -> None:
    await scenario.message_in(State.QUEUED)
    await scenario.redis("ZADD", f"{scenario.tag}:leased", 1, "msg_nothing")

    assert "msg_nothing lies in leased without a record" in (await doctor("--repair")).stdout
    assert await faults_of(scenario.queue.core) == []


async def test_a_body_without_a_record_is_found(doctor: Doctor, scenario: Scenario) -> None:
    await scenario.redis("SET", f"{scenario.tag}:body:msg_nothing", "x")

    assert "msg_nothing has a body without a record" in (await doctor()).stdout


async def test_counts_are_counted_anew_when_asked(doctor: Doctor, scenario: Scenario) -> None:
    await scenario.message_in(State.QUEUED)
    await scenario.redis("HINCRBY", f"{scenario.tag}:counts", "default:normal:queued", 5)
    done = await doctor("--recount")

    assert "default:normal:queued was 6 and is 1" in done.stdout
    assert await faults_of(scenario.queue.core) == []


async def test_nothing_is_counted_while_a_process_runs(doctor: Doctor, scenario: Scenario) -> None:
    await scenario.queue.processes.beat("sender", "one", {})
    done = await doctor("--recount")

    assert done.exit_code == 1
    assert "not counted: messages move while a sender runs" in done.stdout


async def test_settings_that_lose_mail_are_named_with_the_line_to_change(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(tmp_path / "unsafe", *IN_MEMORY) as unsafe:
        monkeypatch.setenv("RELIABLE_EMAIL_REDIS__URL", unsafe.url)
        done = await doctor()

    assert done.exit_code == 1
    assert "set `appendonly yes`" in done.stdout
    assert "queue       empty" in done.stdout


async def test_it_finds_the_server_that_up_runs(
    doctor: Doctor, valkey: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELIABLE_EMAIL_REDIS__URL")
    (tmp_path / "data/run").mkdir(parents=True)
    (tmp_path / "data/run/valkey.json").write_text(json.dumps({"ports": {"redis": valkey.port}}))

    assert (await doctor()).exit_code == 0


async def test_where_no_server_answers_it_fails_in_words(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELIABLE_EMAIL_REDIS__URL", "redis://127.0.0.1:9")
    done = await doctor()

    assert done.exit_code == 1
    assert "127.0.0.1:9" in done.stderr
