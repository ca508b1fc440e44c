"""How long a provider usually takes, how long it takes now, and when an attempt is overdue.

Everything is reckoned in logarithms: latencies spread by factors, not by differences.
"""

from __future__ import annotations

import math
from typing import Final

#: Fewer accepted attempts than this say nothing about what is usual.
ENOUGH_SAMPLES: Final = 10

OVERDUE_AT_LEAST_SECONDS: Final = 1.0
OVERDUE_AT_MOST_SECONDS: Final = 10.0

_SLOWEST_GAIN: Final = 0.002  # the usual latency still follows a provider that moves house, in hours
_CURRENT_GAIN: Final = 0.1
_DRIFT_SECONDS: Final = 30.0  # a slow spell is forgotten so, or a provider without traffic stays slow for ever
_OUTLIER_SIGMAS: Final = 3.0
_OUTLIER_WEIGHT: Final = 0.1
_OVERDUE_SIGMAS: Final = 4.0
_TOLERATED_SLOWDOWN: Final = 3.0
_LEAST_SIGMA: Final = 0.1  # a provider in the same rack answers so evenly that all else would be an outlier
_LEAST_SECONDS: Final = 1e-4


class Latency:
    """The usual and the present latency of one provider, learned from its accepted attempts."""

    __slots__ = ("_current", "_current_at", "_mean", "_samples", "_variance")

    def __init__(self) -> None:
        self._samples = 0
        self._mean = 0.0
        self._variance = 0.0
        self._current = 0.0
        self._current_at = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """Learn the latency of an accepted attempt."""
        sample = math.log(max(_LEAST_SECONDS, seconds))
        if self._samples == 0:
            self._samples, self._mean, self._current, self._current_at = 1, sample, sample, now
            return
        self._samples += 1
        gain = max(1.0 / self._samples, _SLOWEST_GAIN)
        off = sample - self._mean
        if self._samples > ENOUGH_SAMPLES and abs(off) > _OUTLIER_SIGMAS * self._sigma():
            gain *= _OUTLIER_WEIGHT
        drifted = self._current_log(now)
        self._mean += gain * off
        self._variance = (1.0 - gain) * (self._variance + gain * off * off)
        self._current = drifted + _CURRENT_GAIN * (sample - drifted)
        self._current_at = now

    def factor(self, now: float) -> float:
        """Return how much of its health a provider keeps at its present pace: 1 up to three times the usual latency."""
        if self._samples < ENOUGH_SAMPLES:
            return 1.0
        slowdown = math.exp(self._current_log(now) - self._mean)
        return _TOLERATED_SLOWDOWN / slowdown if slowdown > _TOLERATED_SLOWDOWN else 1.0

    def overdue_after_seconds(self) -> float:
        """Return the age from which an attempt in flight counts as a failure until it proves otherwise.

        Without it a provider that hangs is seen only after its answer time-out.
        """
        if self._samples < ENOUGH_SAMPLES:
            return OVERDUE_AT_MOST_SECONDS
        exponent = min(self._mean + _OVERDUE_SIGMAS * self._sigma(), math.log(OVERDUE_AT_MOST_SECONDS))
        return max(OVERDUE_AT_LEAST_SECONDS, math.exp(exponent))

    def usual_seconds(self) -> float | None:
        """Return the usual latency, None while too little is known."""
        return math.exp(self._mean) if self._samples >= ENOUGH_SAMPLES else None

    def known(self) -> tuple[float, float] | None:
        """Return mean and variance of the latency's logarithm, None while too little is known."""
        return (self._mean, self._variance) if self._samples >= ENOUGH_SAMPLES else None

    def start_from(self, mean: float, variance: float) -> None:
        """Believe what another sender knows, where this one knows too little."""
        if self._samples < ENOUGH_SAMPLES:
            self._samples, self._mean, self._variance, self._current = ENOUGH_SAMPLES, mean, variance, mean

    def _sigma(self) -> float:
        return max(_LEAST_SIGMA, math.sqrt(self._variance))

    def _current_log(self, now: float) -> float:
        elapsed = now - self._current_at
        if elapsed <= 0.0:
            return self._current
        return self._mean + (self._current - self._mean) * math.exp(-elapsed / _DRIFT_SECONDS)
