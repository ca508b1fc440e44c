"""A provider as nature has it: what it does to an attempt, drawn by its behaviour when the attempt begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import NormalDist
from typing import Final, NamedTuple

from reliable_email.simulate.life import Behaviour, Change, ProviderLife
from shared.domain.outcome import Outcome

#: Latencies are drawn from so many evenly spread quantiles: as good as the distribution, and much faster.
_QUANTILES: Final = 4096
_REFUSED_SECONDS: Final = (0.005, 0.015)
_UNAUTHORIZED_LATENCIES: Final = 0.5
_THROTTLED_LATENCIES: Final = 0.4


class Fate(NamedTuple):
    """What becomes of an attempt: what the sender sees after so many seconds, and when the provider took the message.

    `delivered_seconds` is None where it never did. `retry_after` is None where no header came.
    """

    outcome: Outcome
    seconds: float
    delivered_seconds: float | None = None
    retry_after: float | None = None


class Provider:
    """One provider; `behaviours` holds the present behaviour towards each sender, `successes` its share of accepted."""

    def __init__(self, life: ProviderLife, changes: Sequence[Change], senders: int, random: Random) -> None:
        self.life = life
        self.behaviours = [life.nominal] * senders
        self.successes = [life.nominal.success] * senders
        self._only_errs = [life.nominal.only_errs] * senders
        self._random = random.random
        self._latencies = _latencies(life)
        self._spells = [(start, end, change) for change in changes for start, end in change.spells()]
        self._tokens = 0.0
        self._tokens_at = 0.0
        self._quota_left = life.nominal.quota_left
        self._refill(life.nominal)

    def instants(self) -> set[float]:
        """Return all instants at which the behaviour changes."""
        return {instant for start, end, _ in self._spells for instant in (start, end) if instant is not None}

    def change(self, now: float) -> None:
        """Behave as the life says from now on."""
        before = self.behaviours[0]
        for sender in range(len(self.behaviours)):
            behaviour = self.life.nominal
            for start, end, change in self._spells:
                is_on = start <= now and (end is None or now < end)
                if is_on and (change.senders is None or sender in change.senders):
                    behaviour = replace(behaviour, **change.sets)
            self.behaviours[sender] = behaviour
            self.successes[sender] = behaviour.success
            self._only_errs[sender] = behaviour.only_errs
        after = self.behaviours[0]
        if (after.hard_rate, after.hard_burst) != (before.hard_rate, before.hard_burst):
            self._refill(after)
            self._tokens_at = now
        if after.quota_left != before.quota_left:
            self._quota_left = after.quota_left

    def has_hard_token(self, sender: int, now: float) -> bool:
        """Whether the provider's own limit would let an attempt pass."""
        behaviour = self.behaviours[sender]
        if self._quota_left == 0:
            return False
        return behaviour.hard_rate is None or self._hard_tokens(behaviour, now) >= 1.0

    def attempt(self, sender: int, now: float) -> Fate:
        """Draw what becomes of an attempt that begins now."""
        behaviour = self.behaviours[sender]
        random = self._random
        latency = self._latencies[int(random() * _QUANTILES)] * behaviour.latency_factor
        if not self._only_errs[sender]:
            fate = self._trouble(behaviour, latency, now)
            if fate is not None:
                return fate
        elif behaviour.error and random() < behaviour.error:
            return Fate(Outcome.TEMPORARY, latency)
        if latency > self.life.answer_seconds:
            return Fate(Outcome.AMBIGUOUS, self.life.answer_seconds, latency)
        return Fate(Outcome.ACCEPTED, latency, latency)

    def _trouble(self, behaviour: Behaviour, latency: float, now: float) -> Fate | None:
        hits = self._hits
        if hits(behaviour.refuse):
            least, most = _REFUSED_SECONDS
            return Fate(Outcome.PROVIDER_DOWN, least + (most - least) * self._random())
        if hits(behaviour.connect_timeout):
            return Fate(Outcome.PROVIDER_DOWN, self.life.connect_seconds)
        if hits(behaviour.unauthorized):
            return Fate(Outcome.MISCONFIGURED, _UNAUTHORIZED_LATENCIES * latency)
        if self._is_over_limit(behaviour, now) or hits(behaviour.random_429):
            return Fate(Outcome.THROTTLED, _THROTTLED_LATENCIES * latency, retry_after=behaviour.retry_after or None)
        if hits(behaviour.hang):
            delivered = latency if hits(behaviour.hang_accepts) else None
            return Fate(Outcome.AMBIGUOUS, self.life.answer_seconds, delivered)
        if hits(behaviour.error):
            return Fate(Outcome.TEMPORARY, latency)
        if self._quota_left > 0:
            self._quota_left -= 1
        if hits(behaviour.lost):
            return Fate(Outcome.AMBIGUOUS, latency, latency)
        return None

    def _hits(self, share: float) -> bool:
        return share > 0.0 and self._random() < share

    def _is_over_limit(self, behaviour: Behaviour, now: float) -> bool:
        if behaviour.hard_rate is not None:
            self._tokens = self._hard_tokens(behaviour, now)
            self._tokens_at = now
            if self._tokens < 1.0:
                return True
            self._tokens -= 1.0
        return self._quota_left == 0

    def _hard_tokens(self, behaviour: Behaviour, now: float) -> float:
        refilled = self._tokens + (behaviour.hard_rate or 0.0) * (now - self._tokens_at)
        return min(max(1.0, behaviour.hard_burst), refilled)

    def _refill(self, behaviour: Behaviour) -> None:
        self._tokens = max(1.0, behaviour.hard_burst)


def _latencies(life: ProviderLife) -> list[float]:
    normal = NormalDist()
    median = life.median_ms / 1000
    spread = [median * math.exp(life.sigma * normal.inv_cdf((place + 0.5) / _QUANTILES)) for place in range(_QUANTILES)]
    slow = round(life.tail_share * _QUANTILES)
    if slow:
        for place in range(slow):
            # Spread over all quantiles: the tail multiplies latencies of every size.
            spread[place * _QUANTILES // slow] *= life.tail_factor
    return spread
