"""How each primary is: whether it is there, keeps its file, has its replicas and its memory, as INFO tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from redis.exceptions import RedisError

from shared.domain.errors import QueueError, Unavailable
from shared.queue.connection import Server
from shared.queue.core import Core

_ASK_SECONDS: Final = 2.0
_ASKED: Final = ("INFO", "persistence", "replication", "memory")
#: A replica confirms every second; one that is frozen or cut off is called online for a minute all the same.
_SILENT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Condition:
    """How one server is; `is_up` says that it answers and is no replica.

    What it does not tell is None: it is not up, or a managed service hides it.
    """

    server: str
    is_up: bool
    is_aof_on: bool | None = None
    #: Whether the last write to the file and its last rewrite went well.
    is_aof_written: bool | None = None
    #: How many replicas are online and not silent.
    replicas: int | None = None
    memory_used_bytes: int | None = None
    #: 0 where there is no limit.
    memory_limit_bytes: int | None = None


def condition_of(server: str, info: str) -> Condition:
    """Return how a server is, by what it answered to INFO."""
    told = dict(line.partition(":")[::2] for line in info.splitlines())
    if told.get("role", "master") != "master":
        return Condition(server, is_up=False)
    written, rewritten = told.get("aof_last_write_status"), told.get("aof_last_bgrewrite_status")
    return Condition(
        server,
        is_up=True,
        is_aof_on=told["aof_enabled"] == "1" if "aof_enabled" in told else None,
        is_aof_written=None if written is None or rewritten is None else written == rewritten == "ok",
        replicas=_replicas(told),
        memory_used_bytes=_number(told, "used_memory"),
        memory_limit_bytes=_number(told, "maxmemory"),
    )


def _replicas(told: Mapping[str, str]) -> int | None:
    rows = [value for name, value in told.items() if name.startswith("slave") and name[5:].isdigit()]
    if _number(told, "connected_slaves") != len(rows):
        return None  # they are hidden, in whole or in part
    return sum(_is_heard(dict(part.partition("=")[::2] for part in row.split(","))) for row in rows)


def _is_heard(replica: Mapping[str, str]) -> bool:
    silent = replica.get("lag", "0")  # -1: it has never confirmed anything
    return replica.get("state") == "online" and silent.isdigit() and int(silent) <= _SILENT_SECONDS


def _number(told: Mapping[str, str], name: str) -> int | None:
    value = told.get(name, "")
    return int(value) if value.isdigit() else None


async def conditions(core: Core) -> list[Condition]:
    """Return how every primary is. Raises Unavailable where none was ever known.

    Where one is not up another may have taken its place, so that it is first asked who is primary now.
    """
    found = await _ask_all(core)
    if all(one.is_up for one in found):
        return found
    try:
        await core.servers.learn()
    except Unavailable:
        return found
    return await _ask_all(core)


async def _ask_all(core: Core) -> list[Condition]:
    return list(await asyncio.gather(*map(_ask, await core.servers.primaries())))


async def _ask(server: Server) -> Condition:
    name = str(server.address)
    try:
        (reply,) = await server.exchange([_ASKED], _ASK_SECONDS)
    except QueueError:
        return Condition(name, is_up=False)
    if isinstance(reply, RedisError):
        return Condition(name, is_up=True)  # it is there, and does not tell
    return condition_of(name, reply.decode())
