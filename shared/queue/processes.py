"""Who is there: every process tells the others of itself, every two seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.queue.core import Core

BEAT_SECONDS: Final = 2.0
#: A process that has not been heard for this long counts as gone.
GONE_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it last described itself; `at` is that instant."""

    role: str
    name: str
    at: int
    told: dict[str, Any]


class Processes:
    """The census of the cluster."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def beat(self, role: str, name: str, told: dict[str, Any]) -> None:
        """Say that this process is there, and what it knows. Raises QueueError."""
        await self._core.run(
            "beat",
            self._core.service_tag,
            {"role": role, "name": name, "told": orjson.dumps(told).decode(), "seconds": GONE_SECONDS},
        )

    async def withdraw(self, role: str, name: str) -> None:
        """Say that this process ends. Raises QueueError."""
        await self._core.run("withdraw", self._core.service_tag, {"role": role, "name": name})

    async def census(self) -> list[Process]:
        """Return the processes that are there. Raises QueueError."""
        answer = await self._core.run("census", self._core.service_tag, {"seconds": GONE_SECONDS})
        processes = []
        for process, at, told in answer:
            _, role, name = process.decode().split(":", 2)
            processes.append(Process(role, name, int(at), orjson.loads(told)))
        return processes
