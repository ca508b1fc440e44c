"""Outlier detection as Envoy has it: five failures in a row eject for half a minute, longer each time."""

from __future__ import annotations

from typing import Final

from reliable_email.simulate.message import Message
from reliable_email.simulate.policies.reports import LearningPolicy, Report, trailing_failures
from reliable_email.simulate.world import World

_FAILURES: Final = 5
_EJECTION_SECONDS: Final = 30.0
_LONGEST_EJECTION_SECONDS: Final = 300.0


class EnvoyLike(LearningPolicy):
    """Weighted random among those that are not ejected; where all are, among all."""

    waits_for_untried = False
    name = "Envoy-like"

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        super().enter(world)
        senders = range(world.life.senders)
        self._runs = [[0] * self.count for _ in senders]
        self._ejections = [[0] * self.count for _ in senders]
        self._ejected_until = [[0.0] * self.count for _ in senders]

    def candidates(self, sender: int, message: Message) -> list[int]:
        """Return who was not tried, has room and is not ejected."""
        among = super().candidates(sender, message)
        until, now = self._ejected_until[sender], self.world.now
        if all(end > now for end in until):
            return among
        return [provider for provider in among if until[provider] <= now]

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return one by chance."""
        del sender, message
        among = self.first_tier(among)
        return self.draw(among, [self.weights[provider] for provider in among])

    def learn(self, sender: int, provider: int, reports: list[Report]) -> None:
        """Count failures in a row, and eject."""
        now = self.world.now
        run = trailing_failures(self._runs[sender][provider], reports)
        if run >= _FAILURES and self._ejected_until[sender][provider] <= now:
            run = 0
            self._ejections[sender][provider] += 1
            seconds = _EJECTION_SECONDS * self._ejections[sender][provider]
            self._ejected_until[sender][provider] = now + min(seconds, _LONGEST_EJECTION_SECONDS)
        self._runs[sender][provider] = run
