"""This service: the decisions of `shared.policy`, put together as a sender does it."""

from __future__ import annotations

from typing import Final

from reliable_email.simulate.life import PRIORITIES
from reliable_email.simulate.message import CRITICAL, Message
from reliable_email.simulate.policies.desk import Desk
from reliable_email.simulate.policies.hearsay import Hearsay
from reliable_email.simulate.world import NOBODY, Flight, World
from shared.policy.backoff import retry_delay_ms
from shared.policy.breaker import BETWEEN_FAILED_PROBES_SECONDS, BETWEEN_PROBES_SECONDS, BreakerState, Change
from shared.policy.priorities import Turn, newest_first, plan
from shared.policy.room import places_for
from shared.policy.routing import Choice, choose
from shared.policy.views import MessageView, RouteCode

_BASE_SECONDS: Final = 5.0
_MAX_SECONDS: Final = 3600.0
_SHORTEST_WAIT_SECONDS: Final = 0.2
_LONGEST_WAIT_SECONDS: Final = 60.0
_UNKNOWN_WAIT_SECONDS: Final = 1.0
_MOST_AT_ONCE: Final = 125
_SIZE_BYTES: Final = 10_000
_PLACES: Final = {priority: place for place, priority in enumerate(PRIORITIES)}


class Product:
    """Classes of good providers, breakers on own evidence, limits that give way to 429, newest first where it pays."""

    name = "reliable-email"
    adapts_limits = True

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        self.world = world
        self._draw = world.dice.random
        self._names = [provider.name for provider in world.life.providers]
        self._desks = [
            [
                Desk(provider, world.slots[place], world.reserved_slots[place], world.dice.random)
                for place, provider in enumerate(world.life.providers)
            ]
            for _ in range(world.life.senders)
        ]
        self._views = [[desk.view for desk in desks] for desks in self._desks]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._turns = [Turn()] * world.life.senders
        self._hearsay = Hearsay(self._desks)
        #: One probe of a provider at a time in the whole cluster, and not at once after another.
        self._is_probed = [False] * len(self._names)
        self._no_probe_before = [0.0] * len(self._names)
        self._choice = Choice(None)

    # Choosing

    def choose(self, sender: int, message: Message) -> int:
        """Return the provider that this sender hands the message to now."""
        world = self.world
        now = world.now
        self._refresh(sender, urgent=message.priority == CRITICAL)
        view = MessageView(
            _SIZE_BYTES,
            priority=PRIORITIES[message.priority],
            tried=[self._names[provider] for provider in message.tried] if message.tried else (),
            prefer=self._names[message.prefer] if message.is_doubtful and message.prefer is not None else None,
            waited_seconds=now - message.ready_at,
            nothing_else_waits=not (world.backlog.count and world.backlog.has_humbler(message.priority)),
        )
        while True:
            self._choice = choice = choose(view, self._views[sender], now, self._draw())
            if choice.provider is None:
                return NOBODY
            provider = self._places[choice.provider]
            if choice.code is not RouteCode.PROBE or self._may_probe(sender, provider, all_open=choice.all_open):
                return provider

    def _may_probe(self, sender: int, provider: int, *, all_open: bool) -> bool:
        now = self.world.now
        desk = self._desks[sender][provider]
        desk.breaker.begin_probe(all_open=all_open)
        if self._is_probed[provider] or now < self._no_probe_before[provider]:
            desk.breaker.abandon_probe(now)
            desk.refresh(now)
            return False
        self._is_probed[provider] = True
        desk.refresh(now)
        return True

    def _refresh(self, sender: int, *, urgent: bool) -> None:
        now = self.world.now
        for desk, bucket in zip(self._desks[sender], self.world.buckets, strict=True):
            if now >= desk.stale_at:
                desk.refresh(now)
            desk.view.tokens = bucket.stock or bucket.tokens(now, urgent=urgent)
            desk.view.blocked_until = bucket.blocked_until

    def pause_seconds(self, message: Message) -> float:
        """Return the pause after a round: backoff where the round counts, else until somebody may be free."""
        counts_round = message.counts_round
        message.end_lease()
        if counts_round:
            return retry_delay_ms(message.rounds, _BASE_SECONDS, _MAX_SECONDS, self._draw()) / 1000
        if self._choice.until is None:
            return _UNKNOWN_WAIT_SECONDS
        return min(_LONGEST_WAIT_SECONDS, max(_SHORTEST_WAIT_SECONDS, self._choice.until - self.world.now))

    # The backlog

    def serve(self) -> None:
        """Let each sender take of the backlog what its providers can take, as long as they can."""
        senders = list(self.world.senders())
        while senders and self.world.backlog.count:
            senders = [sender for sender in senders if self._serve(sender)]

    def _serve(self, sender: int) -> bool:
        backlog, now = self.world.backlog, self.world.now
        ages = {priority: now - flow[0].ready_at for priority, flow in enumerate(backlog.flows) if flow}
        self._refresh(sender, urgent=CRITICAL in ages)
        room = {}
        for place, age in ages.items():
            priority = PRIORITIES[place]
            humbler = backlog.has_humbler(place)
            places = places_for(self._views[sender], now, _MOST_AT_ONCE, priority, age, nothing_else_waits=not humbler)
            if places > 0:
                room[priority] = min(places, len(backlog.flows[place]))
        if not room:
            return False
        shared = plan(max(room.values()), room, self._turns[sender])
        self._turns[sender] = shared.turn
        sent = False
        for priority, quota in shared.quotas:
            place = _PLACES[priority]
            newest = newest_first(priority, int(1000 * ages[place]))
            sent |= self._lease(sender, place, quota, newest=newest)
        return sent

    def _lease(self, sender: int, priority: int, quota: int, *, newest: bool) -> bool:
        backlog = self.world.backlog
        for sent in range(min(quota, len(backlog.flows[priority]))):
            message = backlog.take(priority, newest=newest)
            provider = self.choose(sender, message)
            if provider == NOBODY:
                backlog.put_back(message, newest=newest)
                return sent > 0
            self.world.begin(sender, provider, message)
        return quota > 0

    # Learning

    def begun(self, flight: Flight) -> None:
        """Learn that an attempt has begun."""
        now = self.world.now
        for place, desk in enumerate(self._desks[flight.sender]):
            if place == flight.provider:
                desk.begin(flight, now)
            else:
                desk.begin_elsewhere()

    def ended(self, flight: Flight) -> None:
        """Learn what an attempt came to."""
        now = self.world.now
        was_probe = flight.is_probe
        change = self._desks[flight.sender][flight.provider].end(flight, now)
        if was_probe:
            self._release_probe(flight.provider, change)
        if change is not None:
            self._tell(flight.sender, flight.provider, change)

    def share(self, sender: int) -> None:
        """Let a sender learn what the others saw since the last time."""
        self._hearsay.hear(sender, self.world.now)

    def scan(self) -> None:
        """Notice attempts that are overdue, and silence."""
        now = self.world.now
        for sender, desks in enumerate(self._desks):
            for provider, desk in enumerate(desks):
                if not desk.flights:
                    continue
                for change, was_probe in desk.scan(now):
                    if was_probe:
                        self._release_probe(provider, change)
                    if change is not None:
                        self._tell(sender, provider, change)

    def _release_probe(self, provider: int, change: Change | None) -> None:
        pause = BETWEEN_FAILED_PROBES_SECONDS if change is Change.PROBE_FAILED else BETWEEN_PROBES_SECONDS
        self._is_probed[provider] = False
        self._no_probe_before[provider] = self.world.now + pause

    def _tell(self, sender: int, provider: int, change: Change) -> None:
        """Publish a change; the shared bucket learns when the first one leaves, and when the first one comes back."""
        now = self.world.now
        desk = self._desks[sender][provider]
        self._hearsay.tell(sender, provider, change, desk.breaker.opening)
        others = [desks[provider].breaker.state for place, desks in enumerate(self._desks) if place != sender]
        if change is Change.OPENED and desk.breaker.opening is not None:
            if all(state is BreakerState.CLOSED for state in others):
                self.world.buckets[provider].lost(desk.breaker.opening.first_failure_at, now)
        elif change is Change.CLOSED and not any(state is BreakerState.CLOSED for state in others):
            self.world.buckets[provider].recovered(now)
