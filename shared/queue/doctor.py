"""The one invariant, judged over the whole keyspace of a queue that works on.

A message is in exactly one place, its record names it, and its body exists until its record says
that it was dropped. Keys are found by SCAN; each message is judged, and mended, inside one script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.errors import Unavailable
from shared.domain.states import LIVE
from shared.queue.connection import Command, Server
from shared.queue.core import Core

#: Each looks into every place that there is, some dozens where there are many pools.
_JUDGED_AT_ONCE: Final = 100
_SCANNED_AT_ONCE: Final = 500
_SECONDS: Final = 10.0

_SETS: Final = frozenset({"ready", "scheduled", "retry", "leased", "failed", "finished", "expiring", "content"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one message."""

    tag: str
    id: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """So many messages have been judged by now."""

    messages: int


@dataclass(frozen=True, slots=True)
class Miscount:
    """A number that the queue keeps of itself differs from what is there."""

    tag: str
    name: str
    kept: int
    found: int


async def shards_in(core: Core) -> int | None:
    """Return how many shards the queue has, None where nothing has ever opened it; nothing is written."""
    (known,) = await core.plain(core.service_tag, [("HGET", f"{core.service_tag}:meta", "shards")])
    return None if known is None else int(known)


async def examine(core: Core) -> AsyncIterator[Finding | Looked]:
    """Judge every message, and every entry that may belong to none. Raises QueueError."""
    tags = {core.tag(shard) for shard in range(core.shards)}
    looked = 0
    for server in await core.servers.primaries():
        async for tag, ids, has_records in _ids_on(core, server):
            if tag not in tags:
                continue  # what another number of shards left; nothing reads it
            suspects = ids if has_records else await _without_record(core, tag, ids)
            looked += len(ids) if has_records else 0
            for some in _steps(suspects, _JUDGED_AT_ONCE):
                for row in await core.run("examine", tag, {"ids": some}, seconds=_SECONDS):
                    id_, *faults = (text.decode() for text in row)
                    yield Finding(tag, id_, tuple(faults))
            yield Looked(looked)


async def repair(core: Core, findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Put right what was found; return what was done to each message. Raises QueueError."""
    by_tag: dict[str, dict[str, None]] = {}
    for finding in findings:
        by_tag.setdefault(finding.tag, {})[finding.id] = None
    done = []
    for tag, ids in by_tag.items():
        for some in _steps(list(ids), _JUDGED_AT_ONCE):
            answer = await core.run("repair", tag, {"ids": some}, seconds=_SECONDS, durable=True)
            done += [(id_.decode(), what.decode()) for id_, what in answer]
    return done


async def miscounts(core: Core) -> list[Miscount]:
    """Return the counts that differ from the records; only a queue that stands still has none in between."""
    found: dict[str, Counter[str]] = {core.tag(shard): Counter() for shard in range(core.shards)}
    for server in await core.servers.primaries():
        async for tag, ids, has_records in _ids_on(core, server):
            if has_records and tag in found:
                await _count(core, tag, ids, found[tag])
    different = []
    for tag, counted in found.items():
        (flat,) = await core.plain(tag, [("HGETALL", f"{tag}:counts")])
        kept = {name.decode(): int(number) for name, number in zip(flat[::2], flat[1::2], strict=True)}
        different += [
            Miscount(tag, name, kept.get(name, 0), counted[name])
            for name in sorted({*kept, *counted})
            if kept.get(name, 0) != counted[name]
        ]
    return different


async def recount(core: Core, wrong: Iterable[Miscount]) -> None:
    """Write what was counted. Only for a queue that stands still. Raises QueueError."""
    by_tag: dict[str, list[Miscount]] = {}
    for one in wrong:
        by_tag.setdefault(one.tag, []).append(one)
    for tag, some in by_tag.items():
        await core.plain(tag, [("HINCRBY", f"{tag}:counts", one.name, one.found - one.kept) for one in some])


async def _count(core: Core, tag: str, ids: Sequence[str], counted: Counter[str]) -> None:
    rows = await core.plain(tag, [("HMGET", f"{tag}:message:{id_}", "flow", "state") for id_ in ids], _SECONDS)
    for flow, state in rows:
        if state is None:
            continue  # dropped since it was found
        counted[f"{flow.decode()}:{state.decode()}"] += 1
        if state.decode() in LIVE:
            counted["live"] += 1


async def _ids_on(core: Core, server: Server) -> AsyncIterator[tuple[str, list[str], bool]]:
    """Yield ids by the tag of their shard, and whether they were found by their records."""
    async for keys in _scan(server, ("SCAN",), f"{{{core.prefix}:*"):
        records: dict[str, list[str]] = {}
        bodies: dict[str, list[str]] = {}
        for key in keys:
            tag, kind, own = _parts(key)
            if kind == "message":
                records.setdefault(tag, []).append(own)
            elif kind == "body":
                bodies.setdefault(tag, []).append(own)
            elif kind in _SETS:
                async for entries in _scan(server, ("ZSCAN", key)):
                    yield tag, [entry.decode() for entry in entries[::2]], False
        for tag, ids in records.items():
            yield tag, ids, True
        for tag, ids in bodies.items():
            yield tag, ids, False


async def _scan(server: Server, command: Command, pattern: str | None = None) -> AsyncIterator[list[bytes]]:
    cursor = b"0"
    match = () if pattern is None else ("MATCH", pattern)
    while True:
        (reply,) = await server.exchange([(*command, cursor, *match, "COUNT", _SCANNED_AT_ONCE)], _SECONDS)
        if isinstance(reply, Exception):
            raise Unavailable(f"Redis at {server.address}: {reply}") from reply
        cursor, found = reply
        yield found
        if cursor == b"0":
            return


async def _without_record(core: Core, tag: str, ids: list[str]) -> list[str]:
    there = await core.plain(tag, [("EXISTS", f"{tag}:message:{id_}") for id_ in ids], _SECONDS)
    return [id_ for id_, exists in zip(ids, there, strict=True) if not exists]


def _parts(key: bytes) -> tuple[str, str, str]:
    """Return the tag, the kind, and what belongs to the kind."""
    tag, _, rest = key.decode().partition("}:")
    kind, _, own = rest.partition(":")
    return f"{tag}}}", kind, own


def _steps(items: Sequence[Any], size: int) -> Iterable[list[Any]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
