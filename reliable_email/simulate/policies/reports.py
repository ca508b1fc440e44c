"""What senders tell one another under the policies of others: the outcomes of their attempts, in order."""

from __future__ import annotations

from typing import NamedTuple

from reliable_email.simulate.policies.plain import PlainPolicy
from reliable_email.simulate.world import Flight, World
from shared.domain.outcome import Outcome


class Report(NamedTuple):
    """What one attempt came to."""

    sender: int
    is_good: bool
    seconds: float


class LearningPolicy(PlainPolicy):
    """A policy that learns from outcomes: its own at once, those of others with the life's delay. 429 is no outcome."""

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        super().enter(world)
        self._reports: list[list[Report]] = [[] for _ in range(self.count)]
        self._heard = [[0] * self.count for _ in range(world.life.senders)]

    def ended(self, flight: Flight) -> None:
        """Learn what an attempt came to."""
        outcome = flight.fate.outcome
        if outcome is Outcome.THROTTLED:
            return
        report = Report(flight.sender, outcome is Outcome.ACCEPTED, flight.fate.seconds)
        self._reports[flight.provider].append(report)
        self.learn(flight.sender, flight.provider, [report])

    def share(self, sender: int) -> None:
        """Let a sender learn what the others saw since the last time."""
        heard = self._heard[sender]
        for provider in range(self.count):
            reports = self._reports[provider]
            if heard[provider] < len(reports):
                news = [report for report in reports[heard[provider] :] if report.sender != sender]
                heard[provider] = len(reports)
                if news:
                    self.learn(sender, provider, news)

    def learn(self, sender: int, provider: int, reports: list[Report]) -> None:
        """Let a sender learn what came of attempts, the oldest first."""
        raise NotImplementedError


def trailing_failures(before: int, reports: list[Report]) -> int:
    """Return the run of failures after these reports, given the run before them."""
    run = 0
    for report in reversed(reports):
        if report.is_good:
            return run
        run += 1
    return before + run
