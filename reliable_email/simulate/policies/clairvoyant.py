"""Who knows every provider's present state, though not the dice: a yardstick, not a proven optimum."""

from __future__ import annotations

from typing import Final

from reliable_email.simulate.message import Message
from reliable_email.simulate.policies.plain import PlainPolicy
from reliable_email.simulate.world import NOBODY

_GOOD_SUCCESS: Final = 0.95
_GOOD_LOST: Final = 0.02
_GOOD_LATENCY_FACTOR: Final = 5.0
#: Who has used up so much of the time to the deadline accepts so low a share of success.
_PATIENCE: Final = ((0.5, 0.2), (0.1, 0.5))
_AGAIN_SECONDS: Final = 0.2


class Clairvoyant(PlainPolicy):
    """Weighted random by tier among those that work; worse ones only for who has waited."""

    name = "clairvoyant"

    def choose(self, sender: int, message: Message) -> int:
        """Return one that works, or one that may, where time runs out."""
        world = self.world
        behaviours = [provider.behaviours[sender] for provider in world.providers]
        successes = [provider.successes[sender] for provider in world.providers]
        now = world.now
        open_to = [
            provider
            for provider in range(self.count)
            if provider not in message.tried
            and successes[provider] > 0.0
            and world.providers[provider].has_hard_token(sender, now)
            and world.has_room(sender, provider, message.priority)
        ]
        if not open_to:
            return NOBODY
        good = [
            provider
            for provider in open_to
            if successes[provider] >= _GOOD_SUCCESS
            and behaviours[provider].lost < _GOOD_LOST
            and behaviours[provider].latency_factor < _GOOD_LATENCY_FACTOR
        ]
        if not good:
            used_up = 1.0 - (message.deadline_at - now) / world.life.deadline_seconds[message.priority]
            least = next((success for share, success in _PATIENCE if used_up >= share), 1.0)
            good = [provider for provider in open_to if successes[provider] >= least]
        return self.prefer(sender, good, message) if good else NOBODY

    def pause_seconds(self, message: Message) -> float:
        """Return a short pause: what went wrong was chance, and whoever works may be asked again."""
        message.end_lease()
        return _AGAIN_SECONDS

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return one by chance."""
        del sender, message
        among = self.first_tier(among)
        return self.draw(among, [self.weights[provider] for provider in among])
