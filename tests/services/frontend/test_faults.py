"""What a client is told while Redis is away, slow, wrongly set, full, or alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from services.frontend import answers, app
from shared.domain.errors import Unsafe
from shared.settings.model import DurabilitySettings
from tests.fakes.tcp_proxy import Mode, TcpProxy
from tests.redis_server import RedisServer
from tests.services.frontend.running import Answer, Running, Start, eventually, message

#: What every client is promised, whatever Redis does.
PROMISED_SECONDS: Final = 3.0

SUBMIT: Final = b'"messages":'  # stands in the arguments of that script alone


def url_of(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@pytest.fixture
async def proxy(own_valkey: RedisServer) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(own_valkey.port) as running:
        yield running


@pytest.fixture
async def behind(proxy: TcpProxy, start: Start) -> Running:
    """A frontend that reaches its Redis through the proxy; the server knows the scripts already."""
    frontend = await start(url=url_of(proxy.port))
    await frontend.accepted()
    return frontend


@pytest.fixture
def replica(own_valkey: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    own_valkey.command("CONFIG", "SET", "repl-diskless-sync-delay", 0)
    with RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_valkey.port)) as running:
        yield running


async def every_call(frontend: Running, message_id: str) -> list[Answer]:
    """Ask for everything that needs Redis, at once."""
    path = f"/v1/messages/{message_id}"
    async with asyncio.timeout(PROMISED_SECONDS):
        return await asyncio.gather(
            frontend.submit(),
            frontend.post("/v1/messages/batch", {"messages": [message()]}),
            frontend.get(path),
            frontend.get("/v1/messages"),
            frontend.patch(path, {"priority": "high"}),
            frontend.post(f"{path}/cancel"),
            frontend.post(f"{path}/requeue"),
            frontend.call("DELETE", path),
            frontend.post("/v1/messages/requeue", {"ids": [message_id]}),
            frontend.post("/v1/messages/delete", {"filter": {"state": "failed"}}),
            frontend.get("/v1/queue"),
            frontend.post("/v1/queue/move", {"from": "old", "to": "default"}),
            frontend.get("/v1/providers"),
        )


async def test_while_redis_is_frozen_everything_is_answered_in_time(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    message_id = await frontend.accepted()

    own_valkey.freeze()
    given = await every_call(frontend, message_id)

    assert [answer.status for answer in given] == [503] * 13
    assert {answer.code for answer in given[:2]} <= {"acceptance_unknown", "unavailable"}
    assert {answer.code for answer in given[2:]} == {"unavailable"}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in given)


async def test_each_refusal_says_what_it_means_for_what_was_asked(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    message_id = await frontend.accepted()

    own_valkey.kill()
    given = await every_call(frontend, message_id)

    submissions, reads = given[:1], [given[2], given[3], given[10], given[12]]
    actions = [*given[4:10], given[11]]
    for some, words in ((submissions, "Nothing was stored"), (reads, "Nothing was done"), (actions, "not known")):
        assert [answer.body["detail"] for answer in some if words not in answer.body["detail"]] == []


async def test_calls_that_together_take_too_long_are_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    frontend = await start()
    message_id = await frontend.accepted()
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.0)

    answer = await frontend.post(f"/v1/messages/{message_id}/cancel")

    assert (answer.status, answer.code) == (503, "unavailable")
    assert "not known" in answer.body["detail"]


async def test_while_redis_is_frozen_the_process_is_ready(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)

    own_valkey.freeze()

    assert (await frontend.get("/readyz")).status == 200
    assert (await frontend.get("/v1")).status == 200


async def test_what_was_sent_to_a_frozen_redis_is_settled_by_its_key(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    own_valkey.freeze()
    assert (await frontend.submit(idempotency_key="k")).code == "acceptance_unknown"
    own_valkey.thaw()

    first, second = [await frontend.submit(idempotency_key="k") for _ in range(2)]

    assert (first.status, second.status) == (202, 202)
    assert first.body == second.body
    assert (await frontend.get("/v1/queue")).body["totals"]["queued"] == 1


async def test_while_redis_is_dead_nothing_is_accepted(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    message_id = await frontend.accepted()

    own_valkey.kill()
    given = await every_call(frontend, message_id)

    assert [answer.status for answer in given] == [503] * 13
    assert {answer.code for answer in given} <= {"unavailable", "acceptance_unknown"}


async def test_when_redis_is_back_messages_are_accepted_again(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    message_id = await frontend.accepted()
    own_valkey.kill()
    assert (await frontend.submit()).status == 503
    own_valkey.start()

    assert (await frontend.submit()).status == 202
    assert (await frontend.get(f"/v1/messages/{message_id}")).status == 200


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG, Mode.RESET, Mode.TRICKLE])
async def test_whatever_the_network_does_a_submission_is_answered_in_time(
    proxy: TcpProxy, behind: Running, mode: Mode
) -> None:
    await proxy.set_mode(mode)
    async with asyncio.timeout(PROMISED_SECONDS):
        answer = await behind.submit()

    assert answer.status == 503
    await proxy.set_mode(Mode.PASS)
    assert (await behind.submit()).status == 202


# The answer of Redis is lost


async def test_an_answer_that_is_lost_once_does_no_harm(proxy: TcpProxy, behind: Running) -> None:
    proxy.drop_replies_to, proxy.drops = SUBMIT, 1

    answer = await behind.submit()

    assert (answer.status, proxy.dropped) == (202, 1)
    assert (await behind.get("/v1/queue")).body["totals"]["queued"] == 1 + 1


async def test_an_acceptance_that_cannot_be_known_is_told_with_its_id(proxy: TcpProxy, behind: Running) -> None:
    proxy.drop_replies_to, proxy.drops = SUBMIT, 1_000

    answer = await behind.submit()

    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "acceptance_unknown", True)
    assert int(answer.headers["Retry-After"]) > 0
    assert (await behind.get(f"/v1/messages/{answer.body['message_id']}")).status == 200
    assert await behind.metric('submissions_total{priority="normal",result="unknown"}') == 1


async def test_an_acceptance_that_could_not_be_known_is_settled_by_its_key(proxy: TcpProxy, behind: Running) -> None:
    proxy.drop_replies_to, proxy.drops = SUBMIT, 1_000
    unknown = await behind.submit(idempotency_key="k")
    proxy.drops = 0

    answer = await behind.submit(idempotency_key="k")

    assert (answer.status, answer.body["id"]) == (202, unknown.body["message_id"])
    assert answer.headers["Idempotent-Replayed"] == "true"


async def test_a_batch_that_cannot_be_known_names_every_id(proxy: TcpProxy, behind: Running) -> None:
    proxy.drop_replies_to, proxy.drops = SUBMIT, 1_000

    answer = await behind.post("/v1/messages/batch", {"messages": [message(), message()]})

    assert (answer.status, answer.code) == (503, "acceptance_unknown")
    ids = [result["error"]["message_id"] for result in answer.body["results"]]
    assert [(await behind.get(f"/v1/messages/{each}")).status for each in ids] == [200, 200]


# The settings of Redis

UNSAFE: Final = {
    "appendonly": ("no", "appendonly yes"),
    "appendfsync": ("everysec", "appendfsync always"),
    "maxmemory-policy": ("allkeys-lru", "maxmemory-policy noeviction"),
}


@pytest.mark.parametrize("setting", UNSAFE)
async def test_a_redis_that_could_lose_messages_is_refused_with_the_cure(
    own_valkey: RedisServer, start: Start, setting: str
) -> None:
    own_valkey.command("CONFIG", "SET", setting, UNSAFE[setting][0])

    with pytest.raises(Unsafe, match=f"set `{UNSAFE[setting][1]}`"):
        await start(url=own_valkey.url)


async def test_a_trusted_redis_is_not_asked(own_valkey: RedisServer, start: Start) -> None:
    own_valkey.command("CONFIG", "SET", "appendfsync", "everysec")

    frontend = await start(url=own_valkey.url, durability=DurabilitySettings(mode="trusted"))

    assert (await frontend.submit()).status == 202
    assert await frontend.metric("durability_ok") == 1


async def test_a_redis_that_becomes_unsafe_gets_no_more_messages(
    own_valkey: RedisServer, start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.02)
    frontend = await start(url=own_valkey.url)
    message_id = await frontend.accepted()

    async def accepts(status: int) -> bool:
        return (await frontend.submit()).status == status

    own_valkey.command("CONFIG", "SET", "appendfsync", "everysec")
    await eventually(lambda: accepts(503))
    answer = await frontend.submit()

    assert (answer.code, "Retry-After" in answer.headers) == ("unavailable", True)
    assert (await frontend.post("/v1/messages/batch", {"messages": [message()]})).status == 503
    assert (await frontend.get(f"/v1/messages/{message_id}")).status == 200
    assert await frontend.metric("durability_ok") == 0
    assert "set `appendfsync always`" in capsys.readouterr().out
    own_valkey.command("CONFIG", "SET", "appendfsync", "always")
    await eventually(lambda: accepts(202))
    assert await frontend.metric("durability_ok") == 1


async def test_until_redis_was_there_everything_is_answered_with_503(own_valkey: RedisServer, start: Start) -> None:
    own_valkey.kill()
    frontend = await start(url=own_valkey.url, ready=False)

    for answer in (await frontend.submit(), await frontend.get("/v1"), await frontend.get("/v1/messages/x")):
        assert (answer.status, answer.code) == (503, "unavailable")
        assert "Nothing was done" in answer.body["detail"]
        assert int(answer.headers["Retry-After"]) > 0
    assert ((await frontend.get("/readyz")).status, (await frontend.get("/healthz")).status) == (503, 200)

    own_valkey.start()

    async def is_ready() -> bool:
        return (await frontend.get("/readyz")).status == 200

    await eventually(is_ready)
    assert (await frontend.submit()).status == 202


async def test_a_full_redis_takes_no_message_and_gives_out_what_it_has(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    message_id = await frontend.accepted()
    own_valkey.command("CONFIG", "SET", "maxmemory", "1")

    answer = await frontend.submit()

    assert (answer.status, answer.code) == (503, "unavailable")
    assert (await frontend.post(f"/v1/messages/{message_id}/cancel")).body["state"] == "cancelled"


# Replicas


async def test_a_message_that_a_replica_confirmed_is_accepted(
    own_valkey: RedisServer, replica: RedisServer, start: Start
) -> None:
    frontend = await start(url=own_valkey.url, durability=DurabilitySettings(replicas=1))
    await eventually(lambda: b"connected" in replica.command("ROLE"))

    message_id = await frontend.accepted()

    assert replica.command("EXISTS", f"{frontend.queue.core.tag(0)}:message:{message_id}") == 1


async def test_without_its_replica_nothing_is_accepted_not_even_a_replay(
    own_valkey: RedisServer, replica: RedisServer, start: Start
) -> None:
    durability = DurabilitySettings(replicas=1, replica_timeout_seconds=0.1)
    frontend = await start(url=own_valkey.url, durability=durability)
    await eventually(lambda: b"connected" in replica.command("ROLE"))
    assert (await frontend.submit()).status == 202

    replica.freeze()
    first, second = [await frontend.submit(idempotency_key="k") for _ in range(2)]
    replica.thaw()
    third = await frontend.submit(idempotency_key="k")

    assert (first.code, second.code) == ("acceptance_unknown", "acceptance_unknown")
    assert (third.status, third.body["id"]) == (202, first.body["message_id"])


async def test_without_its_replica_no_wish_is_granted_for_good(
    own_valkey: RedisServer, replica: RedisServer, start: Start
) -> None:
    durability = DurabilitySettings(replicas=1, replica_timeout_seconds=0.1)
    frontend = await start(url=own_valkey.url, durability=durability)
    await eventually(lambda: b"connected" in replica.command("ROLE"))
    message_id = await frontend.accepted()

    replica.freeze()
    answer = await frontend.post(f"/v1/messages/{message_id}/cancel")

    assert (answer.status, answer.code) == (503, "unavailable")
    assert "not known" in answer.body["detail"]
