"""What every policy but ours shares: strict priorities, slots and tokens, failover, and backoff after a round."""

from __future__ import annotations

from typing import Final

from reliable_email.simulate.life import PRIORITIES
from reliable_email.simulate.message import Message
from reliable_email.simulate.world import NOBODY, Flight, World
from shared.policy.backoff import retry_delay_ms

_BASE_SECONDS: Final = 5.0
_MAX_SECONDS: Final = 3600.0

#: Of eight choices one puts bulk second and one normal, so that nobody starves.
_ORDERS: Final = (*((0, 1, 2, 3),) * 6, (0, 3, 1, 2), (0, 2, 1, 3))


class PlainPolicy:
    """A policy that differs from others only in whom it prefers."""

    name = ""
    adapts_limits = False
    #: Whether who was not tried can only have lacked room.
    waits_for_untried = True

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        self.world = world
        self.random = world.dice.random
        self.count = len(world.providers)
        self.weights = [provider.weight for provider in world.life.providers]
        self.tiers = [provider.tier for provider in world.life.providers]
        self._turn = 0

    def choose(self, sender: int, message: Message) -> int:
        """Return the provider that this sender hands the message to now."""
        open_to = self.candidates(sender, message)
        if not open_to:
            return NOBODY
        return open_to[0] if len(open_to) == 1 else self.prefer(sender, open_to, message)

    def candidates(self, sender: int, message: Message) -> list[int]:
        """Return who was not tried and has room."""
        has_room, tried, priority = self.world.has_room, message.tried, message.priority
        return [
            provider for provider in range(self.count) if provider not in tried and has_room(sender, provider, priority)
        ]

    def prefer(self, sender: int, among: list[int], message: Message) -> int:
        """Return the best of at least two providers."""
        raise NotImplementedError

    def first_tier(self, among: list[int]) -> list[int]:
        """Return those of the lowest tier."""
        tier = min([self.tiers[provider] for provider in among])
        return [provider for provider in among if self.tiers[provider] == tier]

    def draw(self, among: list[int], shares: list[float]) -> int:
        """Return one of them by chance, each by its share."""
        left = self.random() * sum(shares)
        for provider, share in zip(among, shares, strict=True):
            left -= share
            if left < 0.0:
                return provider
        return among[-1]

    def pause_seconds(self, message: Message) -> float | None:
        """Return the pause after a round: full jitter, doubled with each. For want of room alone a lease goes on."""
        if self.waits_for_untried and len(message.tried) < self.count:
            return None
        message.counts_round = True
        message.end_lease()
        return retry_delay_ms(message.rounds, _BASE_SECONDS, _MAX_SECONDS, self.random()) / 1000

    def serve(self) -> None:
        """Send of the backlog what can be sent now, most urgent first."""
        backlog = self.world.backlog
        stuck: set[tuple[int, tuple[int, ...]]] = set()
        is_stuck = False
        while not is_stuck and backlog.count:
            self._turn = (self._turn + 1) % len(_ORDERS)
            first = next((priority for priority in _ORDERS[self._turn] if backlog.flows[priority]), len(PRIORITIES))
            self._serve_held(first, stuck)
            if first == len(PRIORITIES):
                return
            message = backlog.take(first)
            if not self.world.send(message):
                backlog.put_back(message)
                is_stuck = True
        self._serve_held(len(PRIORITIES), stuck)

    def _serve_held(self, least_urgent: int, stuck: set[tuple[int, tuple[int, ...]]]) -> None:
        """Send what is held in a lease and no less urgent; `stuck` remembers for whom there was no room."""
        backlog = self.world.backlog
        for key in sorted(backlog.held):
            if key[0] > least_urgent or key in stuck:
                continue
            flow = backlog.held[key]
            while flow and self.world.send(flow[0]):
                flow.popleft()
                backlog.count -= 1
            if flow:
                stuck.add(key)
            else:
                del backlog.held[key]

    def begun(self, flight: Flight) -> None:
        """Learn that an attempt has begun."""

    def ended(self, flight: Flight) -> None:
        """Learn what an attempt came to."""

    def share(self, sender: int) -> None:
        """Let a sender learn what the others saw since the last time."""

    def scan(self) -> None:
        """Look at the attempts under way."""
