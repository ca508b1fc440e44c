"""Pauses: what of a pool, of a provider or of everything must not begin, kept as safely as a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from shared.queue.core import Core, gather_all


class Scale(StrEnum):
    """What a pause holds up."""

    EVERYTHING = "everything"
    POOL = "pool"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause and its reason; `until` and `since` are instants of Redis's clock, `until` None without an end."""

    scale: Scale
    name: str = ""
    reason: str = ""
    until: int | None = None
    since: int = 0

    @property
    def what(self) -> str:
        """The words under which Redis keeps it."""
        return f"{self.scale} {self.name}".strip()


class Pauses:
    """Every pause stands at the service's own tag, where it is shown and senders learn of it, and in
    each shard, where `begin` obeys it: from the answer on, no attempt begins, also after a failover.

    The service's word is written first and removed last: a call that broke off half-way is seen,
    and repeating it does no harm.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def pause(self, pause: Pause) -> None:
        """Let nothing begin from now on. Raises QueueError; then it may hold in part, and wants a repetition."""
        arguments: dict[str, Any] = {
            "what": pause.what,
            "told": orjson.dumps({"reason": pause.reason, "since": pause.since}).decode(),
        }
        if pause.until is not None:
            arguments["until"] = pause.until
        await self._write(self._core.service_tag, arguments)
        await self._write_in_shards(arguments)

    async def resume(self, scale: Scale, name: str = "") -> None:
        """Let attempts begin again. Raises QueueError; then it may hold in part, until it is repeated."""
        arguments = {"what": Pause(scale, name).what}
        await self._write_in_shards(arguments)
        await self._write(self._core.service_tag, arguments)

    async def all(self) -> list[Pause]:
        """Return what is paused now. Raises QueueError."""
        pauses = []
        for what, until, told in await self._core.run("pauses", self._core.service_tag, {}):
            scale, _, name = what.decode().partition(" ")
            word = orjson.loads(told)
            ends = None if until is None else int(until)
            pauses.append(Pause(Scale(scale), name, word["reason"], ends, word["since"]))
        return pauses

    async def _write_in_shards(self, arguments: dict[str, Any]) -> None:
        await gather_all(self._write(self._core.tag(shard), arguments) for shard in range(self._core.shards))

    async def _write(self, tag: str, arguments: dict[str, Any]) -> None:
        await self._core.run("pause", tag, arguments, durable=True)
