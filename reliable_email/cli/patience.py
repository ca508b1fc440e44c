"""Waiting for something that must be asked for again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5


async def until(
    ask: Callable[[], Awaitable[T | None]],
    *,
    first_seconds: float = _FIRST_PAUSE_SECONDS,
    longest_seconds: float = _LONGEST_PAUSE_SECONDS,
) -> T:
    """Ask until there is an answer, with pauses that grow from the first to the longest."""
    pause = first_seconds
    while (answer := await ask()) is None:
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, longest_seconds)
    return answer
