"""What senders tell one another of a provider, and how it is believed. Plain state with `now` as an argument.

A word is JSON. Its instants are seconds of Redis's clock, the only one that all senders see; here
they are monotonic seconds, and `ahead` is by how much Redis's clock is ahead of ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from services.sender.account import Account
from shared.policy.health import FADE_SECONDS
from shared.policy.opening import Opening, OpenReason
from shared.queue.provider_state import Told
from shared.settings.model import account_revision

#: Who has not been heard for so long is gone: what he saw still helps one that starts, and nobody else.
_GONE_SECONDS: Final = 5.0


class Hearsay:
    """What this sender has heard of one provider, and tells of it."""

    def __init__(self, account: Account) -> None:
        self._account = account
        #: Tells whether others speak of the same account: one whose key was mended has another.
        self._revision = account_revision(account.settings)
        self._totals: dict[str, tuple[float, float]] = {}
        self._closed_at: dict[str, float] = {}
        self._has_begun = False
        #: Whether another sender uses the provider: then it is this one's path that was broken.
        self.is_used_by_others = False

    def word(self, now: float, ahead: float) -> dict[str, Any]:
        """Return what to tell the others."""
        account = self._account
        health, opening = account.health, account.breaker.opening
        good, bad = health.evidence(now)
        return {
            "account": self._revision,
            "totals": [health.good_total, health.bad_total],
            "evidence": [round(good, 3), round(bad, 3)],
            "latency": health.latency.known(),
            "opening": asdict(opening.moved(ahead)) if opening is not None else None,
            "closed_at": account.closed_at + ahead if math.isfinite(account.closed_at) else None,
        }

    def hear(self, others: Iterable[Told], now: float, ahead: float) -> None:
        """Learn from the others' words; those of senders that know another account by this name say nothing of it."""
        told = sorted((one for one in others if self._concerns(one)), key=lambda one: one.at)
        living = [one for one in told if now + ahead - one.at / 1000 <= _GONE_SECONDS]
        self.is_used_by_others = any(one.word["opening"] is None for one in living)
        for one in living:
            self._weigh(one, now, ahead)
            self._follow(one, now, ahead)
        if not self._has_begun:
            self._begin(told, living, now, ahead)
        self._has_begun = True
        present = {one.sender for one in told}
        self._totals = {sender: totals for sender, totals in self._totals.items() if sender in present}

    def _concerns(self, one: Told) -> bool:
        return bool(one.word.get("account", self._revision) == self._revision)

    def _begin(self, told: list[Told], living: list[Told], now: float, ahead: float) -> None:
        """Start warm: with the usual latency that anybody knows, and, where nobody lives, with the last word."""
        for one in told:
            if one.word["latency"] is not None:
                self._account.health.latency.start_from(*one.word["latency"])
        if told and not living:
            self._weigh(told[-1], now, ahead)
            self._follow(told[-1], now, ahead)

    def _weigh(self, one: Told, now: float, ahead: float) -> None:
        good, bad = one.word["totals"]
        before = self._totals.get(one.sender)
        self._totals[one.sender] = good, bad
        if before is not None:
            self._account.health.observe_others(good - before[0], bad - before[1], now)
            return
        kept = math.exp(-max(0.0, now + ahead - one.at / 1000) / FADE_SECONDS)
        good, bad = one.word["evidence"]
        self._account.health.observe_others(kept * good, kept * bad, now)

    def _follow(self, one: Told, now: float, ahead: float) -> None:
        """Leave the provider with another sender, or come back with it."""
        breaker = self._account.breaker
        opening = _opening(one.word["opening"], ahead)
        if opening is not None:
            breaker.adopt(opening, now)
            return
        closed_at = one.word["closed_at"]
        if closed_at is None or closed_at <= self._closed_at.get(one.sender, -math.inf):
            return
        self._closed_at[one.sender] = closed_at
        if breaker.opening is not None and closed_at - ahead > breaker.opening.opened_at:
            breaker.hear_recovery(now)


def _opening(word: Mapping[str, Any] | None, ahead: float) -> Opening | None:
    if word is None:
        return None
    return Opening(**{**word, "reason": OpenReason(word["reason"])}).moved(-ahead)
