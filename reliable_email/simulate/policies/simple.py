"""Policies without a memory of what went wrong."""

from __future__ import annotations

from reliable_email.simulate.message import Message
from reliable_email.simulate.policies.plain import PlainPolicy
from reliable_email.simulate.world import World


class FixedOrder(PlainPolicy):
    """By tier, then by weight: always the same one, the next where that fails or is full."""

    name = "fixed order"

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return the first in the order."""
        del sender, message
        return min(among, key=lambda provider: (self.tiers[provider], -self.weights[provider]))


class RoundRobin(PlainPolicy):
    """Smooth weighted round-robin, as nginx does it, in each sender."""

    name = "round-robin"

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        super().enter(world)
        self._credits = [[0.0] * self.count for _ in range(world.life.senders)]

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return whose turn it is."""
        del message
        among = self.first_tier(among)
        credit, weights = self._credits[sender], self.weights
        total = 0.0
        for provider in among:
            credit[provider] += weights[provider]
            total += weights[provider]
        chosen = max(among, key=credit.__getitem__)
        credit[chosen] -= total
        return chosen


class WeightedRandom(PlainPolicy):
    """By chance, each by its weight."""

    name = "weighted random"

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return one by chance."""
        del sender, message
        among = self.first_tier(among)
        return self.draw(among, [self.weights[provider] for provider in among])
