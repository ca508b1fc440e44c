"""When a call is repeated. Chance and time are arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How long and how often a call is repeated that failed for now.

    `deadline_seconds` bounds each call with all its attempts and pauses, `attempt_seconds` each
    attempt. Pauses are drawn from zero up to a ceiling that doubles from `base_seconds` to
    `max_seconds` (full jitter), on top of what the service asks for. A pause that would end behind
    the deadline is not begun: the call fails at once, and its error says how long to wait.
    `attempts` bounds their number, too: with 1 nothing is repeated.
    """

    deadline_seconds: float = 60.0
    attempt_seconds: float = 20.0
    base_seconds: float = 0.2
    max_seconds: float = 20.0
    attempts: int | None = None

    def __post_init__(self) -> None:
        for name in ("deadline_seconds", "attempt_seconds", "base_seconds", "max_seconds"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be a number of seconds, not {getattr(self, name)!r}")
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"attempts must be at least 1, not {self.attempts!r}")

    def pause(self, attempts: int, retry_after_seconds: float | None, draw: float) -> float:
        """Return how long to wait after so many attempts; `draw` lies in [0, 1)."""
        # The exponent is bounded, for a float is: 2.0 ** 1_024 overflows.
        ceiling = min(self.max_seconds, self.base_seconds * 2.0 ** min(attempts - 1, 60))
        return (retry_after_seconds or 0.0) + draw * ceiling

    def goes_on(self, attempts: int, resumes_at: float, deadline: float) -> bool:
        """Return whether another attempt follows after so many, at an instant."""
        return resumes_at < deadline and (self.attempts is None or attempts < self.attempts)

    def attempt(self, now: float, deadline: float) -> float:
        """Return how long the next attempt may take."""
        return max(0.001, min(self.attempt_seconds, deadline - now))
