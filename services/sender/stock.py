"""A provider's tokens in one sender: drawn from what the whole cluster shares, and not used yet."""

from __future__ import annotations

import math
from typing import Final

from shared.policy.capacity import critical_reserve
from shared.policy.quotas import Quota
from shared.policy.views import ProviderView, RouteCode
from shared.queue.provider_state import Drawn, Limits
from shared.settings.model import ProviderSettings

#: Tokens are drawn for about so long: small enough that senders share fairly, large enough that one
#: round trip serves many messages.
_CHUNK_SECONDS: Final = 0.1
#: Tokens that were not used by then are given back: kept longer, they would add up to a burst.
_STOCK_SECONDS: Final = 1.0

#: What stands in the way of messages without making tokens useless: a probe needs one as well.
_BEARABLE: Final = frozenset({None, RouteCode.BREAKER_OPEN, RouteCode.MISCONFIGURED})


def limits_of(settings: ProviderSettings) -> Limits:
    """Return what the configuration allows the whole cluster. A bucket without a burst holds a second's messages."""
    rate = settings.rate_per_second
    return Limits(
        rate=rate,
        burst=None if rate is None else settings.burst or max(1.0, rate),
        quotas=tuple(Quota(one.messages, one.per, one.zone, one.window == "rolling") for one in settings.quotas),
    )


class Stock:
    """The tokens themselves stand in the provider's view, which routing reads; here is where they come
    from. Instants are monotonic seconds, but those of draws, which are Redis's milliseconds."""

    def __init__(self, view: ProviderView, settings: ProviderSettings, critical_percent: float) -> None:
        self._view = view
        self._critical_percent = critical_percent
        self._limit(limits_of(settings))
        #: Tokens to be given back, with the instant of their draw and the limits they were drawn by.
        self.returns: list[tuple[int, int, Limits]] = []
        self._is_ramping = False
        self._lots: list[tuple[int, int]] = []  # granted, and the instant of the draw
        self._until = self._next_urgent_at = -math.inf
        self._meter()

    def _limit(self, limits: Limits) -> None:
        self.limits = limits
        #: How many tokens stay in the shared bucket for critical messages that may come.
        self.reserve = critical_reserve(int(limits.burst or 0), self._critical_percent)
        #: The use of each quota, as the latest draw told it.
        self.used: tuple[int, ...] = (0,) * len(limits.quotas)

    def change(self, settings: ProviderSettings) -> None:
        """Draw by other limits from now on; what was drawn by those of before goes back."""
        limits = limits_of(settings)
        if limits == self.limits:
            return
        self.empty()
        self._limit(limits)
        # When the next token comes, or a quota frees, was told by the limits of before.
        self._view.next_token_at = self._view.quota_until = self._next_urgent_at = -math.inf
        self._meter()

    def ramp(self, *, is_ramping: bool) -> None:
        """Draw tokens while a provider comes back, even where neither a rate nor a quota is set."""
        if is_ramping is not self._is_ramping:
            self._is_ramping = is_ramping
            self._meter()

    def _meter(self) -> None:
        is_metered = self.limits.rate is not None or bool(self.limits.quotas) or self._is_ramping
        if is_metered and self._view.tokens is None:
            self._view.tokens = 0
        elif not is_metered:
            self._view.tokens = None
            self._lots.clear()

    def wanted(self, now: float, most: int, *, urgent: bool = False) -> int:
        """Return how many tokens to draw so that `most` messages could go, 0 where there are enough.

        `urgent` draws may have what is kept in the bucket for critical messages, and do not wait
        for the next token because others must.
        """
        view = self._view
        if view.tokens is None or view.obstruction(now) not in _BEARABLE:
            return 0
        if now < (self._next_urgent_at if urgent else view.next_token_at):
            return 0
        rate = self.limits.rate
        chunk = most if rate is None else max(1, int(rate * _CHUNK_SECONDS))
        return max(0, min(chunk, most, view.free_slots) - view.tokens)

    def take(self, drawn: Drawn, now: float, *, urgent: bool = False, by: Limits | None = None) -> None:
        """Put in what was drawn, and learn when there is more; what was drawn `by` former limits goes back."""
        if by is not None and by is not self.limits:
            self.returns += [(drawn.granted, drawn.now, by)] if drawn.granted else []
            return
        view = self._view
        self.used = drawn.used or self.used
        view.quota_until = -math.inf
        if drawn.frees_at is not None and not drawn.granted:
            view.quota_until = now + max(0, drawn.frees_at - drawn.now) / 1000
        if view.tokens is None:
            return
        if drawn.granted:
            if view.tokens <= 0:
                # The oldest token decides: topped up again and again, it must not grow older than that.
                self._lots.clear()
                self._until = now + _STOCK_SECONDS
            self._lots.append((drawn.granted, drawn.now))
            view.tokens += drawn.granted
        view.next_token_at = now if drawn.granted else now + max(0, drawn.next_at - drawn.now) / 1000
        if urgent:
            self._next_urgent_at = view.next_token_at

    def stay_dry(self, until: float) -> None:
        """Draw nothing until an instant: the bucket cannot be asked."""
        self._view.next_token_at = self._next_urgent_at = until

    def expire(self, now: float) -> None:
        """Let go of what was not used for long."""
        if now > self._until:
            self.empty()

    def empty(self) -> None:
        """Let go of everything. What is left comes from the latest draws: the oldest tokens are used first."""
        left = self._view.tokens or 0
        while left > 0 and self._lots:
            granted, drawn_at = self._lots.pop()
            self.returns.append((min(left, granted), drawn_at, self.limits))
            left -= granted
        self._lots.clear()
        if self._view.tokens is not None:
            self._view.tokens = 0
