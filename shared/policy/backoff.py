"""How long a message waits before its next round."""

from __future__ import annotations

import math
from typing import Final

#: The least wait, as a share of `base_seconds`: full jitter alone would now and then wait for
#: nothing, and a round that follows at once finds the provider as the last one left it.
FLOOR_SHARE: Final = 0.1

#: 2^62 times any base is beyond any limit, and far from what a float cannot hold.
_MAX_DOUBLINGS: Final = 62


def retry_delay_ms(rounds: int, base_seconds: float, max_seconds: float, draw: float) -> int:
    """Return the wait in milliseconds after so many counted rounds (1 for the first).

    Exponential with full jitter: even between a floor of a tenth of `base_seconds` and
    `base_seconds` doubled with each round, at most `max_seconds`. The spread is what keeps the
    messages of one outage from coming back together.
    """
    doublings = min(max(rounds - 1, 0), _MAX_DOUBLINGS)
    ceiling = min(max_seconds, base_seconds * 2.0**doublings)
    floor = min(ceiling, FLOOR_SHARE * base_seconds)
    return max(1, math.ceil(1000 * (floor + draw * (ceiling - floor))))


def ambiguous_delay_ms(seconds: float, draw: float) -> int:
    """Return the wait in milliseconds after a lost answer: `seconds` give or take a tenth."""
    return max(1, math.ceil(1000 * seconds * (0.9 + 0.2 * draw)))
