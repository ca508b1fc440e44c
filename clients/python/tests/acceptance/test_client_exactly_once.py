"""Through a network that drops, delays, duplicates and cuts, every message is accepted once and only once.

`CLIENT_SENDS=10000` sends more of them.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from fateful_proxy import Fate, FatefulProxy
from tests.services.frontend.running import Running

from reliable_email_client import Acceptance, AsyncClient, Client, Message, Retry

SENDS = int(os.environ.get("CLIENT_SENDS", "300"))
AT_ONCE = 32
PATIENCE = Retry(deadline_seconds=100, attempt_seconds=1.5, base_seconds=0.01, max_seconds=0.2)
DELAY_SECONDS = 2.0

pytestmark = pytest.mark.timeout(1_800)


def messages(number: int = SENDS) -> list[Message]:
    return [
        Message(from_="shop@example.com", to=f"ada-{i}@example.org", subject=f"Receipt {i}", text="Thank you.")
        for i in range(number)
    ]


async def assert_each_was_accepted_once(
    frontend: Running, proxy: FatefulProxy, sent: Sequence[Message], accepted: Iterable[Acceptance]
) -> None:
    await proxy.settled()
    ids = {acceptance.id for acceptance in accepted}
    depths = await frontend.queue.views.depths()
    assert len(ids) == len(sent)
    assert sum(sum(flow.states.values()) for flow in depths.flows) == len(sent)
    subjects: Counter[str] = Counter()
    for message_id in ids:
        record = await frontend.queue.views.read(message_id)
        assert record is not None
        subjects[record.envelope.subject] += 1
    assert subjects == Counter(message.subject for message in sent)
    assert len(proxy.fates) > len(Fate) - 3, proxy.fates


async def test_sends_of_the_async_client(frontend: Running) -> None:
    async with (
        FatefulProxy(frontend.port, seed=1, delay_seconds=DELAY_SECONDS) as proxy,
        AsyncClient(proxy.url, retry=PATIENCE, connections=AT_ONCE) as client,
    ):
        sent = messages()
        accepted = await asyncio.gather(*map(client.send, sent))
        await assert_each_was_accepted_once(frontend, proxy, sent, accepted)


async def test_sends_of_the_blocking_client_from_many_threads(frontend: Running) -> None:
    async with FatefulProxy(frontend.port, seed=2, delay_seconds=DELAY_SECONDS) as proxy:
        sent = messages()
        with Client(proxy.url, retry=PATIENCE, connections=AT_ONCE) as client, ThreadPoolExecutor(AT_ONCE) as threads:
            loop = asyncio.get_running_loop()
            accepted = await asyncio.gather(*(loop.run_in_executor(threads, client.send, message) for message in sent))
        await assert_each_was_accepted_once(frontend, proxy, sent, accepted)


async def test_batches_of_the_async_client(frontend: Running) -> None:
    async with (
        FatefulProxy(frontend.port, seed=3, delay_seconds=DELAY_SECONDS) as proxy,
        AsyncClient(proxy.url, retry=PATIENCE, connections=AT_ONCE) as client,
    ):
        sent = messages()
        size = max(1, len(sent) // 30)
        outcomes = await asyncio.gather(
            *(client.send_batch(sent[start : start + size]) for start in range(0, len(sent), size))
        )
        accepted = [result for outcome in outcomes for result in outcome]
        assert all(isinstance(result, Acceptance) for result in accepted)
        await assert_each_was_accepted_once(
            frontend, proxy, sent, [result for result in accepted if isinstance(result, Acceptance)]
        )
