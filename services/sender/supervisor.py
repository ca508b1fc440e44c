"""Restarts actors that crash: one defect must not end a process that holds other messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0
#: An actor that ran this long before it crashed starts again as if it had never crashed.
_FORGIVEN_AFTER_SECONDS: Final = 60.0

log = get_logger()


async def supervise(name: str, act: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
    """Run an actor until it returns or is cancelled; start it again, more and more slowly, when it crashes."""
    loop = asyncio.get_running_loop()
    metrics.actor_restarts[name].inc(0)
    restarts = 0
    while True:
        started = loop.time()
        try:
            await act()
        except Exception as defect:
            if loop.time() - started > _FORGIVEN_AFTER_SECONDS:
                restarts = 0
            restarts += 1
            metrics.actor_restarts[name].inc()
            log.exception("actor_crashed", actor=name, restarts=restarts, error=repr(defect))
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (restarts - 1)))
        else:
            return
