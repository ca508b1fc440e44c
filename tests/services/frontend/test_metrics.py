"""What a frontend shows of itself: its answers by route, what waits in it, and its configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest

from services.frontend.commit import Commit
from shared.domain.errors import AnswerLost
from shared.domain.message import Address, Envelope, Submission
from shared.queue import Queue
from shared.queue.submissions import Prepared
from shared.runtime.metrics import FRONTEND, Metrics
from shared.settings.model import ProviderSettings, config_revision
from tests.redis_server import RedisServer
from tests.services.frontend.running import Running, Start
from tests.services.sender.journal import Journal, kept_journal


@pytest.fixture
def journal() -> Iterator[Journal]:
    with kept_journal() as journal:
        yield journal


async def shown(frontend: Running, name: str) -> list[str]:
    """Return the lines that show one metric, without the probes by which its start was awaited."""
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{frontend.ops_port}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = [line.removeprefix("reliable_email_") for line in lines if line.startswith(f"reliable_email_{name}")]
    return [line for line in found if "/readyz" not in line]


# Answers


async def test_an_answer_counts_for_its_route_and_status(frontend: Running) -> None:
    await frontend.accepted()

    assert await shown(frontend, "http_requests") == ['http_requests_total{route="POST /v1/messages",status="202"} 1.0']


async def test_each_status_of_a_route_counts_for_itself(frontend: Running) -> None:
    message_id = await frontend.accepted()
    for path in ("unknown", "unknown", message_id, message_id, message_id):
        await frontend.get(f"/v1/messages/{path}")

    route = 'route="GET /v1/messages/{id}"'
    assert await frontend.metric(f'http_requests_total{{{route},status="404"}}') == 2
    assert await frontend.metric(f'http_requests_total{{{route},status="200"}}') == 3


async def test_no_id_stands_in_a_route(frontend: Running) -> None:
    await frontend.get(f"/v1/messages/{await frontend.accepted()}")

    assert await frontend.metric('http_requests_total{route="GET /v1/messages/{id}",status="200"}') == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/x", 404), ("GET", "/wp-login.php", 404), ("DELETE", "/v1/queue", 405), ("PUT", "/v1", 405)],
)
async def test_what_asks_for_no_route_of_ours_counts_as_other(
    frontend: Running, method: str, path: str, status: int
) -> None:
    await frontend.call(method, path)

    assert await shown(frontend, "http_requests") == [f'http_requests_total{{route="other",status="{status}"}} 1.0']


async def test_what_is_no_request_counts_as_other(frontend: Running) -> None:
    await frontend.raw(b"\x16\x03\x01 hello\r\n\r\n")

    assert await frontend.metric('http_requests_total{route="other",status="400"}') == 1


async def test_a_refusal_counts_for_the_route_that_was_asked(start: Start) -> None:
    frontend = await start(keys=["a-key-0123456789"])
    await frontend.submit()

    assert await frontend.metric('http_requests_total{route="POST /v1/messages",status="401"}') == 1


async def test_head_is_a_route_beside_get(frontend: Running) -> None:
    await frontend.get("/v1/queue")
    await frontend.call("HEAD", "/v1/queue")

    assert [line.partition(",")[0] for line in await shown(frontend, "http_requests")] == [
        'http_requests_total{route="GET /v1/queue"',
        'http_requests_total{route="HEAD /v1/queue"',
    ]


async def test_a_defect_counts_as_500(frontend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("shared.queue.views.Views.depths", defect)
    await frontend.get("/v1/queue")

    assert await frontend.metric('http_requests_total{route="GET /v1/queue",status="500"}') == 1


async def test_ten_requests_of_a_kind_count_as_ten(frontend: Running) -> None:
    await asyncio.gather(*(frontend.get("/v1") for _ in range(10)))

    assert await frontend.metric('http_requests_total{route="GET /v1",status="200"}') == 10


# What waits


class Gated:
    """A disk that is written only when the gate opens."""

    def __init__(self, queue: Queue) -> None:
        self.gate = asyncio.Event()
        self._submissions = queue.submissions
        self.flush_shard, self.prepare = self._submissions.flush_shard, self._submissions.prepare

    async def submit(self, prepared: list[Prepared], _seconds: float) -> list[AnswerLost]:
        await self.gate.wait()
        return [AnswerLost("it was only played")] * len(prepared)


def submission() -> Submission:
    address = Address("ada@example.org")
    envelope = Envelope(address, (address,), subject="Hello", text="It works.", message_id_domain="example.com")
    return Submission(envelope)


async def test_what_no_flush_carries_yet_waits(frontend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two flushes are on their way with what came first; the rest waits for the next."""
    metrics = Metrics(FRONTEND)
    commit, disk = Commit(frontend.queue, metrics), Gated(frontend.queue)
    monkeypatch.setattr(commit, "_submissions", disk)
    handlers = []
    for _ in range(5):
        handlers.append(asyncio.ensure_future(commit.submit(submission())))
        await asyncio.sleep(0)  # it enters, and
        await asyncio.sleep(0)  # a flush that may start takes it
    waiting = metrics.registry.get_sample_value("reliable_email_submissions_waiting")
    disk.gate.set()
    await asyncio.gather(*handlers)
    await commit.close()

    assert waiting == 3
    assert metrics.registry.get_sample_value("reliable_email_submissions_waiting") == 0


# Redis


async def test_a_call_that_redis_does_not_answer_is_counted(own_valkey: RedisServer, start: Start) -> None:
    frontend = await start(url=own_valkey.url)
    await frontend.accepted()
    before = await frontend.metric('redis_errors_total{kind="answer_lost",script="submit"}')
    own_valkey.freeze()
    await frontend.submit()
    own_valkey.thaw()

    assert before == 0
    assert await frontend.metric('redis_errors_total{kind="answer_lost",script="submit"}') == 1


# Configuration


async def test_a_frontend_shows_what_it_was_started_with(frontend: Running) -> None:
    revision = config_revision(frontend.settings)

    assert await shown(frontend, "config_info") == [f'config_info{{revision="{revision}"}} 1.0']


async def test_a_frontend_shows_what_it_was_given_since_and_nothing_else(frontend: Running, journal: Journal) -> None:
    changed = replace(frontend.settings, providers=(ProviderSettings("news", "sandbox", pools=("news",)),))
    frontend.hang_up(changed)
    await journal.saw("configuration_reloaded")

    assert await shown(frontend, "config_info") == [f'config_info{{revision="{config_revision(changed)}"}} 1.0']
