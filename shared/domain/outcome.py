"""What an attempt came to, and what follows from it for the message and for the provider."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What one attempt came to. An open set for clients: a later version may add one."""

    ACCEPTED = "accepted"
    TEMPORARY = "temporary"
    THROTTLED = "throttled"
    PROVIDER_DOWN = "provider_down"
    MISCONFIGURED = "misconfigured"
    REJECTED = "rejected"
    AMBIGUOUS = "ambiguous"
    PARTIAL = "partial"


class Scope(StrEnum):
    """Whom a rejection binds: every provider, or only the one that spoke it."""

    MESSAGE = "message"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class RecipientVerdict:
    """One recipient's share of a `partial` attempt; `index` counts to, then cc, then bcc from 0."""

    index: int
    outcome: Outcome
    detail: str = ""
    scope: Scope = Scope.MESSAGE
    smtp_code: int | None = None
    enhanced_code: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a provider's answer means.

    `detail` holds the provider's own words. `retry_after_seconds` is what the provider asked
    for. `recipients` is empty unless the outcome is `partial`; then it names every recipient of
    the attempt once. `is_generic` marks a rejection in words that may as well blame the account
    (an HTTP 400 or 422): many in a row do. `account_fault` says what is wrong with the account
    though this message was taken ("the domain is paused"): it gets no others.
    """

    outcome: Outcome
    detail: str = ""
    scope: Scope = Scope.MESSAGE
    provider_message_id: str | None = None
    retry_after_seconds: float | None = None
    smtp_code: int | None = None
    enhanced_code: str | None = None
    recipients: tuple[RecipientVerdict, ...] = field(default=())
    is_generic: bool = False
    account_fault: str = ""


class Next(StrEnum):
    """What the message does after an attempt with this outcome."""

    END = "end"  # nothing is left to do for these recipients
    FAILOVER = "failover"  # the next provider, inside the same lease
    DELAY = "delay"  # back to the queue for the ambiguous delay, preferably to the same provider
    SPLIT = "split"  # each recipient follows its own outcome


@dataclass(frozen=True, slots=True)
class Consequence:
    """What follows from one outcome.

    `counts_round` says whether a lease that ends with this outcome for a pending recipient
    counts against `max_rounds`. `hurts_health` is the weight of the bad outcome in the
    provider's health, `None` where health learns nothing at all.
    """

    next: Next
    counts_round: bool
    hurts_health: float | None


#: Measured weights: docs/decisions tells how they were chosen.
CONSEQUENCES: Final[dict[Outcome, Consequence]] = {
    Outcome.ACCEPTED: Consequence(Next.END, counts_round=False, hurts_health=0.0),
    Outcome.TEMPORARY: Consequence(Next.FAILOVER, counts_round=True, hurts_health=1.0),
    Outcome.THROTTLED: Consequence(Next.FAILOVER, counts_round=False, hurts_health=None),
    Outcome.PROVIDER_DOWN: Consequence(Next.FAILOVER, counts_round=False, hurts_health=1.0),
    Outcome.MISCONFIGURED: Consequence(Next.FAILOVER, counts_round=False, hurts_health=None),
    Outcome.REJECTED: Consequence(Next.END, counts_round=False, hurts_health=0.0),
    Outcome.AMBIGUOUS: Consequence(Next.DELAY, counts_round=True, hurts_health=4.0),
    Outcome.PARTIAL: Consequence(Next.SPLIT, counts_round=False, hurts_health=0.0),
}


def consequence(outcome: Outcome, scope: Scope = Scope.MESSAGE) -> Consequence:
    """Return what follows: a rejection that binds only its provider goes on to the next one."""
    if outcome is Outcome.REJECTED and scope is Scope.PROVIDER:
        return Consequence(Next.FAILOVER, counts_round=False, hurts_health=0.0)
    return CONSEQUENCES[outcome]
