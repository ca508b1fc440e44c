"""The bucket of tokens that all senders share for a provider, with what `shared.policy.limiter` does to it."""

from __future__ import annotations

from collections import deque
from typing import Final

from reliable_email.simulate.life import ProviderLife
from shared.policy import limiter
from shared.policy.capacity import critical_reserve

#: So much of the rate is drawn at once: so little that the bucket is as good as exact.
_CHUNK_SECONDS: Final = 0.02
_RESERVE_PERCENT: Final = 10.0
_ACCEPTED_SECONDS: Final = 2.0
#: Over how long the rate before an outage is measured.
_BEFORE_SECONDS: Final = 10.0
_BLOCK_WITHOUT_HEADER_SECONDS: Final = 1.0


class SharedBucket:
    """One provider's bucket. `stock` holds the tokens that were drawn and are not used yet."""

    def __init__(self, life: ProviderLife, *, adapts: bool) -> None:
        self.blocked_until = 0.0
        self.stock = 0
        self._life = life
        self._adapts = adapts
        self._bucket = limiter.Bucket(life.burst, 0)
        self._next_at = self._next_urgent_at = 0.0
        self._limit = limiter.Limit()
        self._accepted: deque[float] = deque(maxlen=50_000)
        self._rate_before = 0.0
        self._closed_at: int | None = None

    def tokens(self, now: float, *, urgent: bool) -> int:
        """Return how many attempts may begin now; `urgent` ones may have what is kept for critical messages."""
        if not self.stock and now >= (self._next_urgent_at if urgent else self._next_at):
            self._draw(now, urgent=urgent)
        return self.stock

    def accepted(self, now: float) -> None:
        """Learn that the provider accepted a message."""
        self._accepted.append(now)

    def throttled(self, retry_after: float | None, now: float) -> None:
        """Learn from a 429: leave the provider alone, and be slower afterwards where the policy adapts."""
        if not self._adapts:
            seconds = _BLOCK_WITHOUT_HEADER_SECONDS if retry_after is None else retry_after
            self.blocked_until = max(self.blocked_until, now + seconds)
            return
        rate = self._accepted_between(now - _ACCEPTED_SECONDS, now) / _ACCEPTED_SECONDS
        self._limit = limiter.throttle(self._limit, self._life.rate_per_second, rate, retry_after, _ms(now))
        self.blocked_until = self._limit.blocked_until / 1000
        self.stock = 0

    # The ramp

    def lost(self, first_failure_at: float, now: float) -> None:
        """Learn that nobody uses the provider any more, and remember how much it was used before that."""
        if self._ramp(_ms(now)) is None:
            since = max(0.0, first_failure_at - _BEFORE_SECONDS)
            accepted = self._accepted_between(since, first_failure_at)
            self._rate_before = accepted / max(1.0, first_failure_at - since)

    def recovered(self, now: float) -> None:
        """Learn that the provider is used again, by nobody before: carefully at first."""
        self._closed_at = _ms(now)
        self.stock = 0

    def _ramp(self, now_ms: int) -> float | None:
        if self._closed_at is None:
            return None
        return limiter.ramp_rate(self._rate_before, self._closed_at, now_ms)

    def _rate(self, now_ms: int) -> float:
        rate = limiter.rate_now(self._limit, self._life.rate_per_second, now_ms)
        ramp = self._ramp(now_ms)
        return rate if ramp is None else min(rate, ramp)

    # Tokens

    def _draw(self, now: float, *, urgent: bool) -> None:
        now_ms = _ms(now)
        configured = self._life.rate_per_second
        rate = self._rate(now_ms) if self._adapts else configured
        burst = limiter.burst_now(rate, configured, self._life.burst)
        wanted = max(1, int(rate * _CHUNK_SECONDS))
        reserve = 0 if urgent else critical_reserve(int(burst), _RESERVE_PERCENT)
        drawn = limiter.draw(self._bucket, rate, burst, wanted, reserve, now_ms, blocked_until=_ms(self.blocked_until))
        self._bucket = drawn.bucket
        self.stock = drawn.granted
        self._next_at = now if drawn.granted else drawn.next_at / 1000
        if urgent:
            self._next_urgent_at = self._next_at

    def _accepted_between(self, since: float, until: float) -> int:
        count = 0
        for at in reversed(self._accepted):
            if at < since:
                break
            count += at <= until
        return count


def _ms(seconds: float) -> int:
    return int(1000 * seconds)
