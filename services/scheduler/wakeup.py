"""When to look at a shard next: a pure decision."""

from __future__ import annotations

from typing import Final

#: A bell may be lost: each shard is looked at this often in any case.
LONGEST_SECONDS: Final = 1.0


def next_look(now: float, wishes: list[float | None]) -> float:
    """Return the instant of the next look, given what each chore wishes (seconds from now)."""
    soonest = min((wish for wish in wishes if wish is not None), default=LONGEST_SECONDS)
    return now + min(soonest, LONGEST_SECONDS)
