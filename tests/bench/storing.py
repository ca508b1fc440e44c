"""What a queued message costs in Redis, and whether a long queue slows its scripts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson

from shared.domain.message import Address, Envelope, Priority, Submission
from shared.queue import Queue
from shared.queue.leases import FlowRequest, Lease, Release
from tests.bench.harness import Row, alone, compare
from tests.bench.installation import Installation
from tests.bench.submitting import MESSAGE

_TEXT = str(MESSAGE["text"])
_CALL = 200


def envelope() -> Envelope:
    """Return the message of every benchmark, about 1.5 KB."""
    return Envelope(
        sender=Address("shop@example.com", "Shop"),
        to=(Address("ada@example.org", "Ada Lovelace"),),
        subject="Your receipt 1042",
        text=_TEXT,
        tags=("receipt",),
        message_id_domain="example.com",
        size_bytes=len(_TEXT),
    )


async def fill(queue: Queue, count: int, make: Callable[[int], Submission] | None = None) -> None:
    """Put messages into the queue."""
    for start in range(0, count, _CALL):
        numbers = range(start, min(start + _CALL, count))
        submissions = [make(number) if make else Submission(envelope()) for number in numbers]
        await queue.submissions.submit([queue.submissions.prepare(submission, 0) for submission in submissions])


def rows() -> list[Row]:
    return [*_memory(), *_length()]


def _memory() -> list[Row]:
    size = len(orjson.dumps({**MESSAGE, "text": _TEXT}))
    found = []
    kinds: dict[str, dict[str, Any]] = {
        "queued": {},
        "… with an idempotency key": {"keyed": True},
        "… with an expiry": {"ttl_ms": 86_400_000},
        "… scheduled": {"delay_ms": 86_400_000},
    }
    for name, options in kinds.items():
        each = _bytes_each(options)
        note = f"{each / size:.2f} times its {size} bytes of JSON"
        if name == "queued":
            note += " (asked: at most 1.35): " + ("ok" if each <= 1.35 * size else "MISSED")
        found.append(alone(f"Redis memory of a message, {name}", "bytes", each, note=note))
    return found


def _bytes_each(options: dict[str, Any], count: int = 10_000) -> float:
    options = dict(options)
    keyed = options.pop("keyed", False)

    def make(number: int) -> Submission:
        key = f"key-{number}" if keyed else None
        return Submission(envelope(), **options, idempotency_key=key, fingerprint="f" * 64 if keyed else "")

    async def measure() -> float:
        with Installation("") as here:
            queue = here.queue()
            await queue.core.learn_shards(1)
            await fill(queue, 100, None)
            before = _used(here)
            await fill(queue, count, make)
            after = _used(here)
            await queue.close()
            return (after - before) / count

    return asyncio.run(measure())


def _used(here: Installation) -> int:
    info = here.redis.command("INFO", "memory")
    return int(info["used_memory"])


def _length() -> list[Row]:
    """Compare each script at 200,000 queued with the same at 2,000."""
    with Installation("") as long, Installation("") as short:
        asyncio.run(_fill_both(long, short))
        return [_compare_lengths(name, long, short) for name in _SPEEDS]


def _compare_lengths(name: str, long: Installation, short: Installation) -> Row:
    return compare(
        f"{name} at 200,000 queued",
        "messages/s",
        lambda: asyncio.run(_speed(long, name)),
        lambda: asyncio.run(_speed(short, name)),
        bar=0.75,
        note="reference: the same at 2,000",
    )


async def _fill_both(long: Installation, short: Installation) -> None:
    for here, count in ((long, 200_000), (short, 2_000)):
        queue = here.queue()
        await queue.core.learn_shards(1)
        await fill(queue, count)
        await queue.close()


async def _speed(here: Installation, name: str, count: int = 4_000) -> float:
    queue = here.queue()
    await queue.core.learn_shards(1)
    try:
        return count / await _SPEEDS[name](queue, count)
    finally:
        await queue.close()


async def _submit(queue: Queue, count: int) -> float:
    prepared = [queue.submissions.prepare(Submission(envelope(), priority=Priority.BULK), 0) for _ in range(count)]
    started = time.perf_counter()
    for start in range(0, count, _CALL):
        await queue.submissions.submit(prepared[start : start + _CALL])
    elapsed = time.perf_counter() - started
    await queue.owners.cancel([item.id for item in prepared])
    return elapsed


async def _lease(queue: Queue, count: int) -> float:
    await fill(queue, count, lambda _: Submission(envelope(), priority=Priority.HIGH))
    elapsed = 0.0
    taken: list[Lease] = []
    while True:
        started = time.perf_counter()
        leased = await queue.leases.lease(0, [FlowRequest("default", Priority.HIGH, _CALL)])
        elapsed += time.perf_counter() - started
        if not leased.leases:
            break
        taken.extend(leased.leases)
    for start in range(0, len(taken), _CALL):
        await queue.leases.release(0, [Release(lease) for lease in taken[start : start + _CALL]])
    await queue.owners.cancel([lease.id for lease in taken])
    return elapsed


async def _promote(queue: Queue, count: int) -> float:
    await fill(queue, count, lambda _: Submission(envelope(), delay_ms=1, priority=Priority.CRITICAL))
    left = count
    elapsed = 0.0
    while left > 0:
        started = time.perf_counter()
        promoted = await queue.chores.promote(0)
        elapsed += time.perf_counter() - started
        left -= len(promoted.messages)
    while (leased := await queue.leases.lease(0, [FlowRequest("default", Priority.CRITICAL, _CALL)])).leases:
        await queue.owners.cancel([lease.id for lease in leased.leases])
    return elapsed


_SPEEDS = {"submit": _submit, "lease": _lease, "promote": _promote}
