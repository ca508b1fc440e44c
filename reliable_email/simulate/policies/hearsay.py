"""What senders tell one another under our policy: how much good and bad they saw, and what their breakers did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reliable_email.simulate.policies.desk import Desk
from shared.policy.breaker import Change
from shared.policy.opening import Opening


class Told(NamedTuple):
    """One change of a sender's breaker."""

    sender: int
    provider: int
    change: Change
    opening: Opening | None


class Hearsay:
    """The board on which all senders write, and how far each has read."""

    def __init__(self, desks: Sequence[Sequence[Desk]]) -> None:
        self._desks = desks
        self._told: list[Told] = []
        self._read = [0] * len(desks)
        self._known = [[(0.0, 0.0)] * len(desks[0]) for _ in desks]

    def tell(self, sender: int, provider: int, change: Change, opening: Opening | None) -> None:
        """Write what a sender's breaker did."""
        self._told.append(Told(sender, provider, change, opening))

    def hear(self, sender: int, now: float) -> None:
        """Let a sender learn what is new."""
        own = self._desks[sender]
        for provider, desk in enumerate(own):
            good = bad = 0.0
            for desks in self._desks:
                health = desks[provider].health
                good += health.good_total
                bad += health.bad_total
            good -= desk.health.good_total
            bad -= desk.health.bad_total
            good_before, bad_before = self._known[sender][provider]
            if good != good_before or bad != bad_before:
                desk.health.observe_others(good - good_before, bad - bad_before, now)
                self._known[sender][provider] = (good, bad)
                desk.stale_at = now
        for told in self._told[self._read[sender] :]:
            if told.sender != sender:
                _learn(own[told.provider], told, now)
        self._read[sender] = len(self._told)


def _learn(desk: Desk, told: Told, now: float) -> None:
    if told.change is Change.CLOSED:
        desk.breaker.hear_recovery(now)
    elif told.opening is not None:
        desk.breaker.adopt(told.opening, now)
    desk.stale_at = now
