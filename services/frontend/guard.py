"""Whether Redis is there, and keeps what it acknowledges: without both, nothing is accepted."""

from __future__ import annotations

import asyncio
from typing import Final

from services.frontend.answers import unavailable
from shared.domain.errors import Unavailable
from shared.queue import Queue, durability
from shared.queue.topology import Address
from shared.runtime import joining
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics
from shared.runtime.process import Lifetime
from shared.settings.model import Settings

#: How soon a new primary, or a changed setting, is noticed. It costs each primary one command.
LOOK_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.5

log = get_logger()


class Guard:
    """What this frontend knows of its Redis. `joined` holds from the first contact on."""

    def __init__(self, queue: Queue, settings: Settings, metrics: Metrics) -> None:
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._judged: frozenset[Address] = frozenset()
        self._unsafe: tuple[str, ...] = ()
        self.joined = False
        self.safe = False

    async def join(self, lifetime: Lifetime) -> bool:
        """Wait for a Redis that may be trusted; return False when a drain came first.

        Raises Unsafe, with the exact lines to change, where its settings could lose a message.
        """
        complaint = ""
        while await joining.join(self._queue, self._settings, lifetime):
            try:
                await joining.require_durability(self._queue, self._settings, self._metrics)
            except Unavailable as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.warning("redis_awaited", error=complaint)
                await _pause(lifetime)
                continue
            self._judged = self._primaries()
            self.joined = self.safe = True
            return True
        return False

    async def look(self) -> None:
        """Judge the settings of every primary anew. Raises Unavailable where one cannot be asked."""
        if self._settings.durability.mode == "trusted":
            return
        try:
            findings = await durability.inspect(self._queue.core)
        except Unavailable:
            # One that was judged before is only away; of a new one nothing is known.
            self._allow(self.safe and self._primaries() <= self._judged)
            raise
        self._judged = self._primaries()
        if findings.unsafe != self._unsafe:
            self._unsafe = findings.unsafe
            self._tell()
        self._allow(not findings.unsafe)

    def require_safety(self) -> None:
        """Refuse a submission that Redis could lose. Raises Declined."""
        if not self.safe:
            raise unavailable()

    def _allow(self, safe: bool) -> None:  # noqa: FBT001 - the state itself
        self.safe = safe
        self._metrics.durability_ok.set(1 if safe else 0)

    def _tell(self) -> None:
        servers = ", ".join(sorted(map(str, self._judged)))
        for line in self._unsafe:
            log.error("durability_refused", server=servers, detail=line)
        if not self._unsafe:
            log.info("durability_confirmed", server=servers)

    def _primaries(self) -> frozenset[Address]:
        return frozenset(self._queue.core.servers.topology.primaries())


async def _pause(lifetime: Lifetime) -> None:
    try:
        async with asyncio.timeout(_RETRY_SECONDS):
            await lifetime.draining.wait()
    except TimeoutError:
        return
