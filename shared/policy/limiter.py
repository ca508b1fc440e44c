"""How fast a provider may be used by the whole cluster: a token bucket, and a rate that gives way to 429.

Instants are integer milliseconds of Redis's clock. Redis is where this runs: one script does the
same arithmetic, so that a block or a cut holds at the next draw of any sender; the functions
here are its definition, and what the simulator uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

CUT_FACTOR: Final = 0.85
#: A provider that answers 429 has just shown what it takes; a fifth more is room to find its limit again.
ABOVE_ACCEPTED: Final = 1.2
CUT_AT_MOST_EVERY_MS: Final = 1_000
RECOVERY_HOLD_MS: Final = 3_000
RECOVERY_SHARE_PER_SECOND: Final = 0.03
#: While cut, a bucket that holds a whole second's tokens lets through what the provider has just refused.
CUT_BURST_SECONDS: Final = 0.25

_FIRST_BLOCK_MS: Final = 500
_MOST_STRIKES: Final = 5
_STRIKE_WINDOW_MS: Final = 10_000
#: Who asks for so much means a quota, not a rate.
QUOTA_RETRY_AFTER_SECONDS: Final = 60.0
_LONGEST_BLOCK_MS: Final = 86_400_000  # a provider that asks for a year is not believed

RAMP_LEAST_RATE: Final = 2.0
RAMP_FIRST_SHARE: Final = 0.1
RAMP_DOUBLING_MS: Final = 500
RAMP_UNTIL_FACTOR: Final = 4.0

#: A float that should be a whole number of tokens may lie this much below it.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Bucket:
    """The tokens there were at an instant. A new one is full: `Bucket(burst, now)`."""

    tokens: float
    at: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a draw came to; `next_at` is the earliest instant at which one more token can be drawn."""

    bucket: Bucket
    granted: int
    next_at: int


def draw(
    bucket: Bucket, rate: float, burst: float, wanted: int, reserve: float, now: int, *, blocked_until: int = 0
) -> Drawn:
    """Take up to `wanted` tokens and leave at least `reserve` of them for critical messages.

    `rate` is in tokens a second and above 0. A bucket holds at least one token, or a rate below
    one a second would never send, and keeps at most all but one back. A clock that went
    backwards refills nothing and is believed from then on.
    """
    burst = max(1.0, burst)
    reserve = min(reserve, burst - 1.0)
    tokens = min(burst, bucket.tokens + rate * max(0, now - bucket.at) / 1000)
    granted = 0
    if now >= blocked_until:
        granted = max(0, min(wanted, math.floor(tokens - reserve + _ROUNDING)))
    tokens -= granted
    missing = 1.0 + reserve - tokens
    refilled_at = now if missing <= _ROUNDING else now + math.ceil(1000 * missing / rate)
    return Drawn(Bucket(tokens, now), granted, max(refilled_at, blocked_until))


@dataclass(frozen=True, slots=True)
class Limit:
    """What a provider takes at present, learned from its 429s; the default has learned nothing.

    `rate` is the rate at `cut_at`, the latest cut (None and 0 while there was none). `strikes` counts the cuts that
    followed one another closely.
    """

    rate: float | None = None
    cut_at: int = 0
    strikes: int = 0
    blocked_until: int = 0


def throttle(
    limit: Limit, configured: float | None, accepted_per_second: float, retry_after_seconds: float | None, now: int
) -> Limit:
    """Return the limit after a 429.

    `accepted_per_second` is what the whole cluster got accepted in the last two seconds;
    `configured` is None for a provider without a rate, which is only blocked: there is nothing
    to come back to.
    """
    is_quota = retry_after_seconds is not None and retry_after_seconds >= QUOTA_RETRY_AFTER_SECONDS
    counts = not is_quota and not 0 <= now - limit.cut_at < CUT_AT_MOST_EVERY_MS
    strikes = limit.strikes
    if counts:
        strikes = min(strikes + 1, _MOST_STRIKES) if 0 < now - limit.cut_at <= _STRIKE_WINDOW_MS else 0
    block = _FIRST_BLOCK_MS * 2**strikes
    if retry_after_seconds is not None:
        block = math.ceil(1000 * min(max(0.0, retry_after_seconds), _LONGEST_BLOCK_MS / 1000))
    blocked = replace(limit, blocked_until=max(limit.blocked_until, now + block))
    if not counts:
        return blocked
    rate = None if configured is None else _cut(rate_now(limit, configured, now), configured, accepted_per_second)
    return replace(blocked, rate=rate, cut_at=now, strikes=strikes)


def rate_now(limit: Limit, configured: float, now: int) -> float:
    """Return the rate in messages a second: what was left by the last cut, held, then growing back evenly."""
    if limit.rate is None or now < limit.cut_at:  # a clock that went backwards must not freeze a cut
        return configured
    growing_ms = max(0, now - limit.cut_at - RECOVERY_HOLD_MS)
    return min(configured, limit.rate + RECOVERY_SHARE_PER_SECOND * configured * growing_ms / 1000)


def burst_now(rate: float, configured: float, burst: float) -> float:
    """Return what the bucket may hold at this rate: as configured, or a quarter of a second while it is cut."""
    return burst if rate >= configured else min(burst, max(1.0, CUT_BURST_SECONDS * rate))


def ramp_rate(rate_before: float, closed_at: int, now: int) -> float | None:
    """Return the most a provider gets after its breaker closed at `closed_at`, None once it gets everything.

    It may have come back cold: from a tenth of the rate it had before, doubled each half second.
    """
    doublings = max(0, now - closed_at) // RAMP_DOUBLING_MS
    ceiling = RAMP_UNTIL_FACTOR * max(rate_before, RAMP_LEAST_RATE)
    rate = max(RAMP_LEAST_RATE, RAMP_FIRST_SHARE * rate_before) * 2.0 ** min(doublings, 64)
    return rate if rate < ceiling else None


def _cut(rate: float, configured: float, accepted_per_second: float) -> float:
    cut = CUT_FACTOR * min(rate, ABOVE_ACCEPTED * accepted_per_second)
    # Not below what one second of recovery gives back: a provider that accepted nothing lately must be tried again.
    return min(rate, max(cut, RECOVERY_SHARE_PER_SECOND * configured))
