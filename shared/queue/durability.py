"""Whether Redis, as it is set, keeps what it has acknowledged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.errors import AnswerLost, Unavailable
from shared.queue.connection import Server
from shared.queue.core import Core

_ASKED: Final = ("appendonly", "appendfsync", "maxmemory-policy", "auto-aof-rewrite-min-size")
_CHECK_SECONDS: Final = 2.0
#: Below this a small queue's file is rewritten all the time: it grows and shrinks by itself.
_SMALLEST_REWRITE_BYTES: Final = 64 * 1024 * 1024
#: The oldest server with sharded channels, which the bells need.
_OLDEST: Final = (7, 0)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a server's settings, each with the exact line that mends it."""

    unsafe: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def judge(settings: Mapping[str, str]) -> Findings:
    """Return what is wrong with the settings of one server, as `CONFIG GET` gave them."""
    unsafe = []
    for name, wanted, otherwise in (
        ("appendonly", "yes", "what was accepted is gone after a restart"),
        ("appendfsync", "always", "a power cut loses what was accepted in the last second"),
        ("maxmemory-policy", "noeviction", "a full memory deletes mail"),
    ):
        if (found := settings.get(name)) != wanted:
            unsafe.append(f"{name} is {found or 'unknown'}, so that {otherwise}; set `{name} {wanted}`")
    doubtful = []
    smallest = settings.get("auto-aof-rewrite-min-size", "")
    if smallest.isdigit() and int(smallest) < _SMALLEST_REWRITE_BYTES:
        doubtful.append(
            f"auto-aof-rewrite-min-size is {smallest} bytes, so that a queue that fills and drains is rewritten "
            "all the time; set `auto-aof-rewrite-min-size 256mb`"
        )
    return Findings(tuple(unsafe), tuple(doubtful))


async def inspect(core: Core) -> Findings:
    """Read the settings of every primary and judge them. Raises Unavailable where one cannot be asked."""
    unsafe: dict[str, None] = {}
    doubtful: dict[str, None] = {}
    for server in await core.servers.primaries():
        findings = judge(await _settings(server))
        unsafe.update(dict.fromkeys(findings.unsafe))
        doubtful.update(dict.fromkeys(findings.doubtful))
    return Findings(tuple(unsafe), tuple(doubtful))


async def versions(core: Core) -> dict[str, str]:
    """Return each primary's address and what it calls itself ("Valkey 9.1.2"). Raises Unavailable.

    Raises Unavailable too, with the cure, for a server that is too old.
    """
    found = {}
    for server in await core.servers.primaries():
        (info,) = await _ask(server, ("INFO", "server"))
        lines = dict(line.partition(":")[::2] for line in info.decode().split("\r\n"))
        if lines.get("server_name") == "valkey":
            name, version = "Valkey", lines.get("valkey_version", "?")
        else:
            name, version = "Redis", lines.get("redis_version", "?")
        number = re.match(r"(\d+)\.(\d+)", version)
        if number and (int(number[1]), int(number[2])) < _OLDEST:
            raise Unavailable(f"{name} {version} at {server.address} is too old; use Redis 7.0 or Valkey 7.2, or newer")
        found[str(server.address)] = f"{name} {version}"
    return found


async def _settings(server: Server) -> dict[str, str]:
    (reply,) = await _ask(server, ("CONFIG", "GET", *_ASKED))
    flat = [value.decode() for value in reply]
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def _ask(server: Server, command: tuple[Any, ...]) -> list[Any]:
    try:
        replies = await server.exchange([command], _CHECK_SECONDS)
    except AnswerLost as error:
        raise Unavailable(str(error)) from error
    if isinstance(replies[0], Exception):
        raise Unavailable(
            f"Redis at {server.address} does not tell its settings ({replies[0]}); where a managed service hides them, "
            'make sure that it keeps what it acknowledges, and set [durability] mode = "trusted"'
        ) from replies[0]
    return replies
