"""The power of two choices by peak EWMA, with failure accrual, as Finagle and Linkerd have it."""

from __future__ import annotations

import math
from typing import Final

from reliable_email.simulate.message import Message
from reliable_email.simulate.policies.reports import LearningPolicy, Report, trailing_failures
from reliable_email.simulate.world import Flight, World

_DECAY_SECONDS: Final = 10.0
_FAILURES: Final = 5
_DEAD_SECONDS: Final = 5.0
_LONGEST_DEAD_SECONDS: Final = 300.0


class PeakEwma(LearningPolicy):
    """Of two drawn by weight, the one with less cost: peak latency by load; five failures in a row are death."""

    waits_for_untried = False
    name = "P2C peak EWMA"

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        super().enter(world)
        senders = range(world.life.senders)
        self._cost = [[0.0] * self.count for _ in senders]
        self._at = [[0.0] * self.count for _ in senders]
        self._runs = [[0] * self.count for _ in senders]
        self._deaths = [[0] * self.count for _ in senders]
        self._dead_until = [[-math.inf] * self.count for _ in senders]
        self._is_probing = [[False] * self.count for _ in senders]

    def candidates(self, sender: int, message: Message) -> list[int]:
        """Return who was not tried, has room and is alive, or is due for the one attempt that may revive it."""
        now = self.world.now
        return [
            provider
            for provider in super().candidates(sender, message)
            if not self._deaths[sender][provider]
            or (now >= self._dead_until[sender][provider] and not self._is_probing[sender][provider])
        ]

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return the cheaper one of two."""
        del message
        among = self.first_tier(among)
        if len(among) == 1:
            return among[0]
        first = self.draw(among, [self.weights[provider] for provider in among])
        others = [provider for provider in among if provider != first]
        second = self.draw(others, [self.weights[provider] for provider in others])
        return min((first, second), key=lambda provider: self._load(sender, provider))

    def begun(self, flight: Flight) -> None:
        """Note the one attempt at a dead provider."""
        if self._deaths[flight.sender][flight.provider]:
            self._is_probing[flight.sender][flight.provider] = flight.is_probe = True

    def ended(self, flight: Flight) -> None:
        """Learn what an attempt came to; only the one at a dead provider says whether it lives."""
        sender, provider = flight.sender, flight.provider
        if flight.is_probe:
            self._is_probing[sender][provider] = False
            if flight.fate.outcome.value == "accepted":
                self._deaths[sender][provider] = self._runs[sender][provider] = 0
            else:
                self._die(sender, provider)
        super().ended(flight)

    def learn(self, sender: int, provider: int, reports: list[Report]) -> None:
        """Learn latencies and failures."""
        for report in reports:
            self._observe(sender, provider, report.seconds)
        run = trailing_failures(self._runs[sender][provider], reports)
        if run >= _FAILURES and not self._deaths[sender][provider]:
            self._die(sender, provider)
        self._runs[sender][provider] = run

    def _die(self, sender: int, provider: int) -> None:
        self._deaths[sender][provider] += 1
        ceiling = min(_LONGEST_DEAD_SECONDS, _DEAD_SECONDS * 2.0 ** (self._deaths[sender][provider] - 1))
        self._dead_until[sender][provider] = self.world.now + ceiling * (0.5 + 0.5 * self.random())

    def _observe(self, sender: int, provider: int, seconds: float) -> None:
        cost = self._cost[sender][provider]
        now = self.world.now
        kept = math.exp((self._at[sender][provider] - now) / _DECAY_SECONDS)
        self._cost[sender][provider] = seconds if seconds > cost else cost * kept + seconds * (1.0 - kept)
        self._at[sender][provider] = now

    def _load(self, sender: int, provider: int) -> float:
        in_flight = self.world.slots[provider] - self.world.free[sender][provider]
        return self._cost[sender][provider] * (in_flight + 1) / self.weights[provider]
