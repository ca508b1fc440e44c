"""The world of one life: its clock, its queue, its senders' slots, and what happens when."""

from __future__ import annotations

import heapq
import math
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate, count
from random import Random
from typing import Any, Final, Protocol

from reliable_email.simulate.bucket import SharedBucket
from reliable_email.simulate.dice import dice
from reliable_email.simulate.life import PRIORITIES, Life
from reliable_email.simulate.message import CRITICAL, Backlog, Message
from reliable_email.simulate.provider import Fate, Provider
from reliable_email.simulate.tally import Tally
from shared.domain.outcome import Outcome
from shared.policy.backoff import ambiguous_delay_ms
from shared.policy.capacity import critical_reserve

#: What a policy answers where no provider can take a message now.
NOBODY: Final = -1

#: While messages wait, whoever may have room is looked for so often.
_LOOK_SECONDS: Final = 0.01
#: Attempts in flight are looked at so often.
_SCAN_SECONDS: Final = 0.1
_RESERVE_PERCENT: Final = 10.0
_AMBIGUOUS_DELAY_SECONDS: Final = 60.0

_ACCEPTED: Final = Outcome.ACCEPTED
_AMBIGUOUS: Final = Outcome.AMBIGUOUS
_THROTTLED: Final = Outcome.THROTTLED
_COUNTING: Final = frozenset({Outcome.TEMPORARY, Outcome.AMBIGUOUS})


class Flight:
    """An attempt under way, from a sender to a provider; `is_probe` and `overdue_at` are its policy's."""

    __slots__ = ("began_at", "fate", "is_probe", "message", "overdue_at", "provider", "sender")

    def __init__(self, message: Message, sender: int, provider: int, began_at: float, fate: Fate) -> None:
        self.message = message
        self.sender = sender
        self.provider = provider
        self.began_at = began_at
        self.fate = fate
        self.is_probe = False
        self.overdue_at: float | None = None


class Policy(Protocol):
    """What decides, in all senders at once; each of them knows only what it saw and what it was told."""

    name: str
    #: Whether a 429 lowers the rate in the shared bucket; else it only blocks.
    adapts_limits: bool

    def enter(self, world: World) -> None:
        """Begin to decide in a world."""
        ...

    def choose(self, sender: int, message: Message) -> int:
        """Return the provider that this sender hands the message to now, or NOBODY."""
        ...

    def pause_seconds(self, message: Message) -> float | None:
        """End the lease of a message for which `choose` found nobody to fail over to, and return how long it waits.

        None keeps the lease: the message waits for room at whoever was not tried.
        """
        ...

    def serve(self) -> None:
        """Send of the backlog what can be sent now."""
        ...

    def begun(self, flight: Flight) -> None:
        """Learn that an attempt has begun."""
        ...

    def ended(self, flight: Flight) -> None:
        """Learn what an attempt came to."""
        ...

    def share(self, sender: int) -> None:
        """Let a sender learn what the others saw since the last time."""
        ...

    def scan(self) -> None:
        """Look at the attempts under way."""
        ...


class World:
    """One life under one policy, by one seed. `now` is its clock in seconds; `play` runs it to its end."""

    def __init__(self, life: Life, policy: Policy, seed: int) -> None:
        self.life = life
        self.now = 0.0
        self.backlog = Backlog()
        self.tally = Tally(life)
        self.dice: Random = dice(seed, "policy")
        self.providers = [
            Provider(
                provider,
                [change for change in life.changes if change.provider == provider.name],
                life.senders,
                dice(seed, f"provider {provider.name}"),
            )
            for provider in life.providers
        ]
        self.buckets = [SharedBucket(provider, adapts=policy.adapts_limits) for provider in life.providers]
        self.slots = [provider.concurrency for provider in life.providers]
        self.reserved_slots = [critical_reserve(slots, _RESERVE_PERCENT) for slots in self.slots]
        self.free = [list(self.slots) for _ in range(life.senders)]
        self._policy = policy
        self._seed = seed
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._order = count()
        self._first_sender = 0
        self._pending = 0
        self._in_flight = 0
        self._is_looking = False
        self._is_scanning = False
        policy.enter(self)

    # The clock

    def play(self) -> Tally:
        """Run until everything is delivered, or the time is up; return what was seen."""
        life = self.life
        self._begin()
        end = life.seconds + life.drain_seconds
        arrivals = _arrivals(life, dice(self._seed, "arrivals"))
        self._pending = len(arrivals)
        events, deadlines, arrive = self._events, life.deadline_seconds, self._arrive
        pop = heapq.heappop
        place, last = 0, len(arrivals)
        next_arrival = arrivals[0][0] if arrivals else math.inf
        while self._pending:
            if next_arrival <= events[0][0]:
                at, priority = arrivals[place]
                self.now = at
                arrive(Message(priority, at, deadlines[priority]))
                place += 1
                next_arrival = arrivals[place][0] if place < last else math.inf
                continue
            at, _, happen, what = pop(events)
            if at >= end:
                break
            self.now = at
            happen(what)
        return self.tally

    def at(self, instant: float, happen: Callable[[Any], None], what: object) -> None:
        """Let something happen at an instant."""
        heapq.heappush(self._events, (instant, next(self._order), happen, what))

    def _begin(self) -> None:
        for provider in self.providers:
            for instant in provider.instants():
                self.at(instant, self._change, provider)
        for sender in range(self.life.senders):
            self._share_later(sender)
        self.at(self.life.seconds + self.life.drain_seconds, _nothing, None)

    def _change(self, provider: Provider) -> None:
        provider.change(self.now)

    def _share(self, sender: int) -> None:
        self._policy.share(sender)
        self._share_later(sender)

    def _share_later(self, sender: int) -> None:
        least, most = self.life.share_delay_seconds
        self.at(self.now + least + (most - least) * self.dice.random(), self._share, sender)

    def _scan(self, _: None) -> None:
        self._is_scanning = False
        self._policy.scan()
        self._scan_later()

    def _scan_later(self) -> None:
        if self._in_flight and not self._is_scanning:
            self._is_scanning = True
            self.at(self.now + _SCAN_SECONDS, self._scan, None)

    # Room

    def has_room(self, sender: int, provider: int, priority: int) -> bool:
        """Whether a sender may begin an attempt at a provider now: slot, token and no block."""
        free = self.free[sender][provider]
        bucket = self.buckets[provider]
        if priority != CRITICAL:
            free -= self.reserved_slots[provider]
        return (
            free > 0 and self.now >= bucket.blocked_until and bucket.tokens(self.now, urgent=priority == CRITICAL) > 0
        )

    def senders(self) -> range | list[int]:
        """Return the senders, each time another one first."""
        total = self.life.senders
        self._first_sender = first = (self._first_sender + 1) % total
        return [*range(first, total), *range(first)] if first else range(total)

    # A message on its way

    def _arrive(self, message: Message) -> None:
        self.tally.arrived[message.priority] += 1
        self._ready(message)

    def _again(self, message: Message) -> None:
        message.ready_at = self.now
        self._ready(message)

    def _ready(self, message: Message) -> None:
        """Send a message at once where nothing waits and somebody can take it; else it waits."""
        if not self.backlog.count and self.send(message):
            return
        self.backlog.put(message)
        self._look_later()

    def send(self, message: Message) -> bool:
        """Send a message through whichever sender can; return whether one could."""
        choose = self._policy.choose
        total = self.life.senders
        self._first_sender = first = (self._first_sender + 1) % total
        for step in range(total):
            sender = (first + step) % total
            provider = choose(sender, message)
            if provider >= 0:
                self.begin(sender, provider, message)
                return True
        return False

    def begin(self, sender: int, provider: int, message: Message) -> None:
        """Begin an attempt."""
        now = self.now
        self.free[sender][provider] -= 1
        self.buckets[provider].stock -= 1
        fate = self.providers[provider].attempt(sender, now)
        self.tally.begun(provider, now)
        if fate.delivered_seconds is not None:
            self._deliver(message, provider, now + fate.delivered_seconds)
        flight = Flight(message, sender, provider, now, fate)
        self._in_flight += 1
        self._policy.begun(flight)
        self.at(now + fate.seconds, self._end, flight)
        if not self._is_scanning:
            self._scan_later()

    def _deliver(self, message: Message, provider: int, at: float) -> None:
        if message.is_delivered:
            if not (message.is_doubtful and message.prefer == provider and self.life.providers[provider].keyed):
                self.tally.duplicates += 1
            return
        message.is_delivered = True
        if at <= message.deadline_at:
            self.tally.on_time[message.priority] += 1

    def _end(self, flight: Flight) -> None:
        message, outcome = flight.message, flight.fate.outcome
        self._in_flight -= 1
        self.free[flight.sender][flight.provider] += 1
        if outcome is _ACCEPTED:
            self.buckets[flight.provider].accepted(self.now)
            self._policy.ended(flight)
            self._pending -= 1
            return
        self.tally.wasted[outcome] += 1
        if outcome is _THROTTLED:
            self.buckets[flight.provider].throttled(flight.fate.retry_after, self.now)
        self._policy.ended(flight)
        message.counts_round |= outcome in _COUNTING
        if outcome is _AMBIGUOUS:
            message.is_doubtful = True
            message.prefer = flight.provider
            message.end_lease()
            self._later(message, ambiguous_delay_ms(_AMBIGUOUS_DELAY_SECONDS, self.dice.random()) / 1000)
        else:
            self._fail_over(flight)

    def _fail_over(self, flight: Flight) -> None:
        message = flight.message
        message.tried = (*message.tried, flight.provider)
        provider = self._policy.choose(flight.sender, message)
        if provider >= 0:
            self.begin(flight.sender, provider, message)
            return
        pause = self._policy.pause_seconds(message)
        if pause is None:
            self.backlog.hold(message)
            self._look_later()
        else:
            self._later(message, pause)

    def _later(self, message: Message, seconds: float) -> None:
        self.at(self.now + seconds, self._again, message)

    # The backlog

    def _look_later(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self.at(self.now + _LOOK_SECONDS, self._look, None)

    def _look(self, _: None) -> None:
        self._is_looking = False
        self._policy.serve()
        if self.backlog.count:
            self._look_later()


def _nothing(_: None) -> None:
    """Happen, so that there is always a next event."""


def _arrivals(life: Life, random: Random) -> list[tuple[float, int]]:
    """Return when which priority arrives, in order."""
    arrivals: list[tuple[float, int]] = []
    ends = [part.at for part in life.arrivals[1:]] + [life.seconds]
    last = len(PRIORITIES) - 1
    for part, end in zip(life.arrivals, ends, strict=True):
        if part.per_second <= 0:
            continue
        shares = list(accumulate(part.mix))
        at = part.at + random.expovariate(part.per_second)
        while at < end:
            arrivals.append((at, min(last, bisect(shares, random.random()))))
            at += random.expovariate(part.per_second)
    for burst in life.bursts:
        arrivals.extend([(burst.at, burst.priority)] * burst.messages)
    arrivals.sort()
    return arrivals
