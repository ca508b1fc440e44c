"""How well a provider works at present, as a number in [0, 1].

Good and bad outcomes are weights that fade within seconds, so a provider that recovers is
forgiven as fast as one that fails is left, and without traffic every provider is healthy again:
only the breaker remembers longer.
"""

from __future__ import annotations

import math
from typing import Final

from shared.domain.outcome import CONSEQUENCES, Outcome
from shared.policy.latency import Latency

FADE_SECONDS: Final = 10.0

#: More evidence than this is not kept: a long good past would outweigh a bad present.
MOST_EVIDENCE: Final = 60.0

#: What other senders saw counts less than what this one saw: it is older, and their path is theirs.
OTHERS_WEIGHT: Final = 0.5

#: Own evidence that opens the breaker: at least so much of it, and at least half of it bad.
FAILING_EVIDENCE: Final = 10.0
FAILING_SHARE: Final = 0.5

#: A provider of which nothing is known is healthy, as if two attempts had been accepted.
_BENEFIT_OF_DOUBT: Final = 2.0

_HURT: Final = {outcome: consequence.hurts_health for outcome, consequence in CONSEQUENCES.items()}


class Health:
    """What one sender knows of one provider's health.

    `good_total` and `bad_total` are all that was observed here since the start, without fading:
    their growth since the last time is what is told to other senders.
    """

    __slots__ = ("_at", "_bad", "_good", "_others_bad", "_others_good", "bad_total", "good_total", "latency")

    def __init__(self) -> None:
        self.latency = Latency()
        self.good_total = 0.0
        self.bad_total = 0.0
        self._at = -math.inf
        self._good = self._bad = self._others_good = self._others_bad = 0.0

    def observe(self, outcome: Outcome, latency_seconds: float, now: float, *, overdue_at: float | None = None) -> None:
        """Learn from the end of an own attempt.

        `overdue_at` is the instant at which the attempt was counted as overdue: that is taken
        back, whatever it came to. `throttled` and `misconfigured` say nothing about health.
        """
        if overdue_at is not None:
            self._take_back(overdue_at, now)
        hurt = _HURT[outcome]
        if hurt is None:
            return
        if hurt:
            self._add(0.0, hurt, now)
            return
        self._add(1.0, 0.0, now)
        if outcome is Outcome.ACCEPTED:
            self.latency.observe(latency_seconds, now)

    def observe_overdue(self, now: float) -> None:
        """Learn that an own attempt in flight is older than any healthy one would be."""
        self._add(0.0, 1.0, now)

    def observe_others(self, good: float, bad: float, now: float) -> None:
        """Learn what other senders observed: the growth of their totals since the last time."""
        self._fade(now)
        self._others_good = max(0.0, self._others_good + OTHERS_WEIGHT * good)
        self._others_bad = max(0.0, self._others_bad + OTHERS_WEIGHT * bad)
        self._cap()

    def score(self, now: float) -> float:
        """Return the health in [0, 1]: the share of good outcomes, less what the provider is slower than usual."""
        elapsed = now - self._at
        kept = math.exp(-elapsed / FADE_SECONDS) if elapsed > 0.0 else 1.0
        good = _BENEFIT_OF_DOUBT + kept * (self._good + self._others_good)
        return good / (good + kept * (self._bad + self._others_bad)) * self.latency.factor(now)

    def evidence(self, now: float) -> tuple[float, float]:
        """Return the own good and bad evidence as it weighs now: where a sender that starts may begin."""
        self._fade(now)
        return self._good, self._bad

    def is_failing(self, now: float) -> bool:
        """Whether the own evidence alone is reason enough to leave the provider."""
        self._fade(now)
        evidence = self._good + self._bad
        return evidence >= FAILING_EVIDENCE and self._bad >= FAILING_SHARE * evidence

    def forget(self) -> None:
        """Start anew, as after the breaker has closed; the usual latency is kept."""
        self._good = self._bad = self._others_good = self._others_bad = 0.0

    def _add(self, good: float, bad: float, now: float) -> None:
        self._fade(now)
        self._good += good
        self._bad += bad
        self.good_total += good
        self.bad_total += bad
        self._cap()

    def _take_back(self, overdue_at: float, now: float) -> None:
        self._fade(now)
        self._bad = max(0.0, self._bad - math.exp(min(0.0, overdue_at - now) / FADE_SECONDS))
        self.bad_total -= 1.0

    def _fade(self, now: float) -> None:
        elapsed = now - self._at
        if elapsed <= 0.0:
            return
        kept = math.exp(-elapsed / FADE_SECONDS)
        self._good *= kept
        self._bad *= kept
        self._others_good *= kept
        self._others_bad *= kept
        self._at = now

    def _cap(self) -> None:
        evidence = self._good + self._bad + self._others_good + self._others_bad
        if evidence > MOST_EVIDENCE:
            kept = MOST_EVIDENCE / evidence
            self._good *= kept
            self._bad *= kept
            self._others_good *= kept
            self._others_bad *= kept
