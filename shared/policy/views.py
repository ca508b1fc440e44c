"""What a routing decision looks at: one message, and each provider of its pool as it stands now."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.domain.message import Priority
from shared.policy.breaker import BreakerState
from shared.policy.capacity import usable
from shared.providers.interface import Capabilities


class RouteCode(StrEnum):
    """Why a provider was chosen, or passed over. An open set for clients."""

    BEST = "best"
    FAILOVER = "failover"
    SAME_PROVIDER = "same_provider"
    PROBE = "probe"
    LOWER_TIER = "lower_tier"
    LOWER_SCORE = "lower_score"
    BREAKER_OPEN = "breaker_open"
    PAUSED = "paused"
    THROTTLED = "throttled"
    QUOTA_SPENT = "quota_spent"
    NO_CAPACITY = "no_capacity"
    MISCONFIGURED = "misconfigured"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    ALREADY_TRIED = "already_tried"


class WaitingCode(StrEnum):
    """Why a message that routing saw is not sent yet: the part of an open set that routing knows."""

    TURN = "turn"
    RATE_LIMITED = "rate_limited"
    QUOTA_SPENT = "quota_spent"
    NO_PROVIDER_AVAILABLE = "no_provider_available"
    PAUSED = "paused"


NO_LIMITS: Final = Capabilities()

#: Weight counts in full until half of the slots are taken, then less and less.
_HEADROOM_FACTOR: Final = 2.0

_CLOSED: Final = BreakerState.CLOSED


@dataclass(slots=True)  # made for every message; frozen it would take twice as long
class MessageView:
    """What routing needs to know of a message.

    `recipients` is how many are still pending. `tried` names the providers that had it in this
    lease, `refused` those that cannot carry it by their own word, `prefer` the one that may hold
    it already because its answer was lost, `only` the one that is to be tested with it.
    `waited_seconds` is the time since it became ready; who does not know it leaves it at for ever,
    and no patience is had. `nothing_else_waits` says that the pool holds no less urgent message
    that could be a probe instead. `sender_domain`, `extensions` (ends of file names, in lower case,
    "" where one has none) and `is_ascii` (before the @ of every address) are filled in only where
    a provider looks at them.
    """

    size_bytes: int
    recipients: int = 1
    priority: Priority = Priority.NORMAL
    tried: Collection[str] = ()
    refused: Collection[str] = ()
    prefer: str | None = None
    only: str | None = None
    waited_seconds: float = math.inf
    nothing_else_waits: bool = True
    sender_domain: str = ""
    extensions: frozenset[str] = frozenset()
    is_ascii: bool = True


@dataclass(slots=True)
class ProviderView:
    """One provider of the pool as its sender sees it; the owner keeps it up to date, routing only reads it.

    Instants are seconds of the clock that `choose` is called with. `free_slots` and `tokens`
    (None: no rate is set) count what is left in this sender, the parts reserved for critical
    messages included. `health` is in [0, 1]. `probe_due` is `Breaker.is_probe_due(now)`, and
    `probe_due_if_all_open` the same with `all_open`. `paused_until` is infinite for a pause without an end.
    """

    name: str
    tier: int = 1
    weight: float = 1.0
    health: float = 1.0
    slots: int = 20
    free_slots: int = 20
    reserved_slots: int = 0
    tokens: int | None = None
    reserved_tokens: int = 0
    next_token_at: float = -math.inf
    blocked_until: float = -math.inf
    quota_until: float = -math.inf
    paused_until: float = -math.inf
    breaker: BreakerState = BreakerState.CLOSED
    is_misconfigured: bool = False
    next_probe_at: float = math.inf
    probe_due: bool = False
    probe_due_if_all_open: bool = False
    trickle_due: bool = False
    capabilities: Capabilities = field(default=NO_LIMITS)

    def obstruction(self, now: float) -> RouteCode | None:
        """Return why the provider takes no message at all. The breaker comes last: a probe needs all else as well."""
        if self.paused_until > now:
            return RouteCode.PAUSED
        if self.blocked_until > now:
            return RouteCode.THROTTLED
        if self.quota_until > now:
            return RouteCode.QUOTA_SPENT
        if self.breaker is not _CLOSED:
            return RouteCode.MISCONFIGURED if self.is_misconfigured else RouteCode.BREAKER_OPEN
        return None

    def slots_for(self, priority: Priority) -> int:
        """Return the free slots that a message of this priority may use; none where it is below 1."""
        return usable(priority, self.free_slots, self.reserved_slots)

    def tokens_for(self, priority: Priority) -> int | None:
        """Return the tokens that messages of this priority may use, None where no rate is set."""
        return None if self.tokens is None else usable(priority, self.tokens, self.reserved_tokens)

    def has_token_for(self, priority: Priority) -> bool:
        """Whether the rate lets a message of this priority go now."""
        return self.tokens is None or usable(priority, self.tokens, self.reserved_tokens) > 0

    def has_room_for(self, priority: Priority) -> bool:
        """Whether a message of this priority finds both a slot and a token."""
        return usable(priority, self.free_slots, self.reserved_slots) > 0 and (
            self.tokens is None or usable(priority, self.tokens, self.reserved_tokens) > 0
        )

    def headroom_for(self, priority: Priority) -> float:
        """Return in [0, 1] how far the provider is from being full."""
        free_share = max(0, self.slots_for(priority)) / max(1, self.slots)
        return min(1.0, _HEADROOM_FACTOR * free_share)
