"""Why and since when a provider is left alone, and for how long: what senders tell one another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

_WAIT_SECONDS: Final = 2.0
_LONGEST_WAIT_SECONDS: Final = 10.0  # one wasted attempt in ten seconds is cheaper than coming back minutes late
_MISCONFIGURED_WAIT_SECONDS: Final = 30.0  # somebody has to mend a key or a domain first
_MISCONFIGURED_LONGEST_WAIT_SECONDS: Final = 600.0

#: 2^16 times any wait is beyond any limit; it only keeps the power small.
HIGHEST_LEVEL: Final = 16


class OpenReason(StrEnum):
    """What opened a breaker."""

    FAILURES_IN_A_ROW = "failures_in_a_row"
    PROVIDER_DOWN = "provider_down"
    FAILURES_APART = "failures_apart"
    FAILING_SHARE = "failing_share"
    RELAPSE = "relapse"
    SILENCE = "silence"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class Opening:
    """An open breaker, as its sender sees it and tells it. All instants are of one clock, in seconds.

    `first_failure_at` is when the attempt began that first went wrong, `failed_at` the end of the
    latest evidence: the opening itself, or a failed probe. `level` counts failed probes and
    reopenings and decides the wait.
    """

    reason: OpenReason
    opened_at: float
    first_failure_at: float
    failed_at: float
    next_probe_at: float
    level: int = 0

    def moved(self, seconds: float) -> Self:
        """Return the same opening on a clock that is ahead of this one by so many seconds."""
        return replace(
            self,
            opened_at=self.opened_at + seconds,
            first_failure_at=self.first_failure_at + seconds,
            failed_at=self.failed_at + seconds,
            next_probe_at=self.next_probe_at + seconds,
        )


def wait_seconds(reason: OpenReason, level: int, draw: float) -> float:
    """Return the pause before the next probe: doubled with each level up to a limit, give or take a quarter."""
    first, longest = _WAIT_SECONDS, _LONGEST_WAIT_SECONDS
    if reason is OpenReason.MISCONFIGURED:
        first, longest = _MISCONFIGURED_WAIT_SECONDS, _MISCONFIGURED_LONGEST_WAIT_SECONDS
    return min(longest, first * 2.0 ** min(level, HIGHEST_LEVEL)) * (0.75 + 0.5 * draw)
