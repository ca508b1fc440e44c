"""Adaptive throttling on the caller's side, as the SRE book has it, with K = 2."""

from __future__ import annotations

import math
from typing import Final

from reliable_email.simulate.message import Message
from reliable_email.simulate.policies.reports import LearningPolicy, Report
from reliable_email.simulate.world import World

_K: Final = 2.0
#: A window of 120 s, as a decay.
_DECAY_SECONDS: Final = 60.0


class AdaptiveThrottling(LearningPolicy):
    """Weighted random; a provider is skipped with the chance max(0, (requests - K * accepts) / (requests + 1))."""

    name = "SRE K=2"

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        super().enter(world)
        senders = range(world.life.senders)
        self._requests = [[0.0] * self.count for _ in senders]
        self._accepts = [[0.0] * self.count for _ in senders]
        self._at = [[0.0] * self.count for _ in senders]

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return one by chance that is not skipped; where all are, the first one drawn."""
        del message
        left = list(self.first_tier(among))
        first = None
        while left:
            chosen = self.draw(left, [self.weights[provider] for provider in left])
            first = chosen if first is None else first
            if self.random() >= self._skipped(sender, chosen):
                return chosen
            left.remove(chosen)
        return among[0] if first is None else first

    def learn(self, sender: int, provider: int, reports: list[Report]) -> None:
        """Count what was asked and what was accepted."""
        self._fade(sender, provider)
        self._requests[sender][provider] += len(reports)
        self._accepts[sender][provider] += sum([report.is_good for report in reports])

    def _skipped(self, sender: int, provider: int) -> float:
        self._fade(sender, provider)
        requests, accepts = self._requests[sender][provider], self._accepts[sender][provider]
        return max(0.0, (requests - _K * accepts) / (requests + 1.0))

    def _fade(self, sender: int, provider: int) -> None:
        now = self.world.now
        kept = math.exp((self._at[sender][provider] - now) / _DECAY_SECONDS)
        self._at[sender][provider] = now
        self._requests[sender][provider] *= kept
        self._accepts[sender][provider] *= kept
