"""What is seen of one life under one policy: what arrived, was on time, was wasted, and who got what share when."""

from __future__ import annotations

from typing import Final

from reliable_email.simulate.life import PRIORITIES, Life
from shared.domain.outcome import Outcome

#: Attempts are counted for steps of so many seconds.
STEP_SECONDS: Final = 0.5
_STEPS_PER_SECOND: Final = 2


class Tally:
    """Counts. `steps[provider][i]` are the attempts that began in the i-th step."""

    __slots__ = ("arrived", "duplicates", "on_time", "steps", "wasted")

    def __init__(self, life: Life) -> None:
        length = int((life.seconds + life.drain_seconds) * _STEPS_PER_SECOND) + 2
        self.arrived = [0] * len(PRIORITIES)
        self.on_time = [0] * len(PRIORITIES)
        self.wasted = dict.fromkeys(Outcome, 0)
        self.duplicates = 0
        self.steps = [[0] * length for _ in life.providers]

    def begun(self, provider: int, now: float) -> None:
        """Count an attempt."""
        self.steps[provider][int(now * _STEPS_PER_SECOND)] += 1
