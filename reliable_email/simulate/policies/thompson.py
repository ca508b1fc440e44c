"""Thompson sampling over the share of accepted attempts."""

from __future__ import annotations

import math
from typing import Final

from reliable_email.simulate.message import Message
from reliable_email.simulate.policies.reports import LearningPolicy, Report
from reliable_email.simulate.world import World

_DECAY_SECONDS: Final = 60.0
_MOST_EVIDENCE: Final = 200.0
_NEAR_THE_BEST: Final = 0.85


class Thompson(LearningPolicy):
    """Weighted random among those whose sample of the Beta distribution is near the best one's."""

    name = "Thompson"

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        super().enter(world)
        senders = range(world.life.senders)
        self._good = [[0.0] * self.count for _ in senders]
        self._bad = [[0.0] * self.count for _ in senders]
        self._at = [[0.0] * self.count for _ in senders]
        self._beta = world.dice.betavariate

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return one by chance among the best samples."""
        del message
        among = self.first_tier(among)
        samples = [self._sample(sender, provider) for provider in among]
        bar = _NEAR_THE_BEST * max(samples)
        best = [provider for provider, sample in zip(among, samples, strict=True) if sample >= bar]
        return best[0] if len(best) == 1 else self.draw(best, [self.weights[provider] for provider in best])

    def learn(self, sender: int, provider: int, reports: list[Report]) -> None:
        """Count good and bad outcomes, which fade."""
        kept = self._kept(sender, provider)
        self._at[sender][provider] = self.world.now
        successes = sum([report.is_good for report in reports])
        good = self._good[sender][provider] * kept + successes
        bad = self._bad[sender][provider] * kept + len(reports) - successes
        scale = min(1.0, _MOST_EVIDENCE / (good + bad))
        self._good[sender][provider], self._bad[sender][provider] = good * scale, bad * scale

    def _sample(self, sender: int, provider: int) -> float:
        kept = self._kept(sender, provider)
        return self._beta(1.0 + self._good[sender][provider] * kept, 1.0 + self._bad[sender][provider] * kept)

    def _kept(self, sender: int, provider: int) -> float:
        return math.exp((self._at[sender][provider] - self.world.now) / _DECAY_SECONDS)
