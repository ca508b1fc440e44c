"""The whole way from HTTP to an SMTP server, and what the processes cost when nothing happens."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson
import psutil

from tests.bench.harness import Row, alone
from tests.bench.installation import MEASURED, OTHERS, Installation
from tests.bench.sending import Sink, until_sent
from tests.bench.submitting import MESSAGE

_MESSAGES = 4_000
_IDLE_SECONDS = 10.0
_PROBES = 100


def rows() -> list[Row]:
    return [_end_to_end(), *_idle()]


def _end_to_end() -> Row:
    sink = Sink()
    providers = f'[[providers]]\nname = "sink"\nkind = "smtp"\nhost = "127.0.0.1"\nport = {sink.port}\ntls = "none"\n'
    try:
        with Installation(providers) as here:
            here.start("frontend", MEASURED)
            here.start("scheduler", OTHERS)
            here.start("sender", OTHERS)
            speed = asyncio.run(_send_all(here))
    finally:
        sink.stop()
    return alone(f"HTTP to {sink.name}, end to end", "messages/s", speed, note="all processes on two cores")


async def _send_all(here: Installation) -> float:
    queue = here.queue()
    await queue.core.learn_shards(1)
    url, body = f"http://127.0.0.1:{here.api_port}/v1/messages", orjson.dumps(MESSAGE)
    left = iter(range(_MESSAGES))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 202

    started = time.perf_counter()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(64)))
    await until_sent(queue, _MESSAGES)
    elapsed = time.perf_counter() - started
    await queue.close()
    return _MESSAGES / elapsed


def _idle() -> list[Row]:
    with Installation('[[providers]]\nname = "null"\nkind = "sandbox"\n') as here:
        processes = {role: psutil.Process(here.start(role).pid) for role in ("frontend", "scheduler", "sender")}
        latency = asyncio.run(_latencies(here))
        used = {role: sum(process.cpu_times()[:2]) for role, process in processes.items()}
        time.sleep(_IDLE_SECONDS)  # what is measured is that nothing happens
        found = []
        for role, process in processes.items():
            share = 100 * (sum(process.cpu_times()[:2]) - used[role]) / _IDLE_SECONDS
            resident = process.memory_info().rss / 1_000_000
            verdict = "ok" if share < 2 and resident < 80 else "MISSED"
            found.append(alone(f"idle {role}", "% of a core", share, note=f"{resident:.0f} MB resident, {verdict}"))
    verdict = "ok" if latency < 20 else "MISSED"
    note = f"median of {_PROBES}, asked: below 20: {verdict}"
    return [*found, alone("idle system: submission to provider", "ms", latency, note=note)]


async def _latencies(here: Installation) -> float:
    """Return the median time from a submission to its first attempt, by Redis's clock."""
    queue = here.queue()
    await queue.core.learn_shards(1)
    url, body = f"http://127.0.0.1:{here.api_port}/v1/messages", orjson.dumps(MESSAGE)
    waits = []
    async with aiohttp.ClientSession() as session:
        for number in range(_PROBES):
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                message = await answer.json()
            await until_sent(queue, number + 1)
            record = await queue.views.read(message["id"])
            assert record is not None
            waits.append(record.attempts[0].started_at - record.created_at)
            await asyncio.sleep(0.05)  # idle again
    await queue.close()
    return float(sorted(waits)[_PROBES // 2])
