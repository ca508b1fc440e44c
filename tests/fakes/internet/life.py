"""How a provider lives: its limits, its latency, its faults; scripted by a test, or by another process."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

from tests.fakes.internet import acts
from tests.fakes.internet.acts import PASS, Act

_P99: Final = 2.326  # standard deviations of the normal distribution


class Door(Protocol):
    """The way in: what clients connect to."""

    def shut(self) -> None:
        """Refuse connections and break those there are."""
        ...

    def open(self) -> None:
        """Take connections, again on the same port."""
        ...

    def drop(self) -> None:
        """Break the connections there are."""
        ...

    def deafen(self, *, deaf: bool) -> None:
        """Read nothing more from any connection, or read again."""
        ...


class Bucket:
    """A token bucket of `rate` a second and at most `burst`, full at first."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = time.monotonic()

    def take(self, count: float = 1.0) -> float:
        """Take tokens and return 0, or take none and return the seconds until there are enough."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens >= count:
            self._tokens -= count
            return 0.0
        return (count - self._tokens) / self.rate if self.rate else math.inf


@dataclass(slots=True)
class _Habit:
    act: Act
    share: float
    times: float


class Life:
    """One provider's life. Shares are of all requests, and add up; a script comes before every habit.

    Requests that only ask (lookups) meet `lookup` and not the habits, so that an answer lost to a
    send is not lost again to the question after it.
    """

    def __init__(self, review_error: str, random: Random) -> None:
        self.bucket: Bucket | None = None
        self.retry_after = "native"
        self.unit = ""
        self.quota_left: float = math.inf
        self.lookup: Act = PASS
        self.is_blind = False
        self.is_under_review = False
        self.answers_a_connection = math.inf
        self.door: Door | None = None
        self._review_error = review_error
        self._random = random
        self._script: deque[Act] = deque()
        self._habits: list[_Habit] = []
        self._latency: Callable[[Random], float] | None = None
        self._held: asyncio.Event | None = None

    # -- faults: until `heal`, or for so many times -----------------------------------------------

    def act(self, act: Act, share: float = 1.0, times: float = math.inf) -> None:
        """Do this with a share of the requests."""
        self._habits.append(_Habit(act, share, times))

    def fail(self, error: str | int, share: float = 1.0, times: float = math.inf, retry_after: str = "") -> None:
        """Answer a share of the requests with a native error, by name or status."""
        self.act(acts.fail(error, retry_after=retry_after), share, times)

    def page(self, status: int = 200, share: float = 1.0, times: float = math.inf, *, taken: bool = False) -> None:
        """Answer a share of the requests with a proxy's HTML."""
        self.act(acts.page(status, taken=taken), share, times)

    def hang(self, share: float = 1.0, times: float = math.inf, *, taken: bool = False) -> None:
        """Read a share of the requests and never answer them."""
        self.act(acts.hang(taken=taken), share, times)

    def lose_answers(self, share: float = 1.0, times: float = math.inf, *, taken: bool = True) -> None:
        """Reset the connection in the place of a share of the answers."""
        self.act(acts.reset(taken=taken), share, times)

    def cut_answers(self, share: float = 1.0, times: float = math.inf) -> None:
        """Reset the connection in the middle of a share of the answers."""
        self.act(acts.cut(), share, times)

    def break_early(self, share: float = 1.0, times: float = math.inf) -> None:
        """Reset the connection of a share of the requests before their bodies are read."""
        self.act(acts.early(), share, times)

    def drip(self, seconds: float, share: float = 1.0, times: float = math.inf) -> None:
        """Answer a share of the requests byte by byte."""
        self.act(acts.drip(seconds), share, times)

    def review(self) -> None:
        """Put the account under review: no credentials are good from now on."""
        self.is_under_review = True

    def refuse(self) -> None:
        """Refuse connections and break those there are."""
        self._entrance.shut()

    def deafen(self) -> None:
        """Take connections and read nothing from them."""
        self._entrance.deafen(deaf=True)

    def drop(self) -> None:
        """Break the connections there are, once."""
        self._entrance.drop()

    def hold(self) -> None:
        """Keep every request waiting, once it is read, until `let_go`."""
        self._held = asyncio.Event()

    def let_go(self) -> None:
        """Go on with the requests that wait."""
        if self._held is not None:
            self._held.set()
            self._held = None

    def script(self, script: Iterable[Act | dict[str, Any]]) -> None:
        """Do these with the next requests, one each, in this order."""
        self._script.extend(act if isinstance(act, Act) else Act.from_json(act) for act in script)

    def heal(self) -> None:
        """End every fault; limits and latency stay."""
        self._script.clear()
        self._habits.clear()
        self.lookup = PASS
        self.is_blind = self.is_under_review = False
        self.let_go()
        self._entrance.deafen(deaf=False)
        self._entrance.open()

    # -- limits and latency: until they are set anew ----------------------------------------------

    def throttle(
        self, rate: float | None, burst: float | None = None, retry_after: str = "native", unit: str = ""
    ) -> None:
        """Take `rate` a second; None ends it.

        `retry_after` is "native" (tell the wait as the provider does), "header" (and in Retry-After)
        or "none". `unit` is what is counted: "requests", "messages" or "recipients"; by default,
        what the provider counts.
        """
        self.bucket = None if rate is None else Bucket(rate, max(1.0, rate) if burst is None else burst)
        self.retry_after, self.unit = retry_after, unit

    def quota(self, messages: float | None) -> None:
        """Take so many more messages and then say that the quota is spent; None ends it."""
        self.quota_left = math.inf if messages is None else messages

    def latency(self, median: float, p99: float | None = None) -> None:
        """Answer after so many seconds: always the median, or log-normal with this 99th percentile."""
        if not p99:
            self._latency = (lambda _: median) if median else None
            return
        location, scale = math.log(median), math.log(p99 / median) / _P99
        self._latency = lambda random: random.lognormvariate(location, scale)

    def lookups(self, act: Act | dict[str, Any] = PASS, *, blind: bool = False) -> None:
        """Do this with every request that only asks; `blind` finds nothing, whatever was taken."""
        self.lookup = act if isinstance(act, Act) else Act.from_json(act)
        self.is_blind = blind

    def close_after(self, answers: float | None) -> None:
        """Close each connection after so many answers, without a word of it; None keeps them open."""
        self.answers_a_connection = math.inf if answers is None else answers

    # -- for desks --------------------------------------------------------------------------------

    def meet(self, *, asks: bool = False) -> Act:
        """Return the fate of the next request."""
        if self.is_under_review:
            return acts.fail(self._review_error)
        if asks:
            return self.lookup
        if self._script:
            return self._script.popleft()
        if not self._habits:
            return PASS
        drawn = self._random.random()
        for habit in self._habits:
            if drawn < habit.share:
                habit.times -= 1
                if habit.times <= 0:
                    self._habits.remove(habit)
                return habit.act
            drawn -= habit.share
        return PASS

    def delay(self) -> float:
        """Return the seconds that the next answer takes."""
        return self._latency(self._random) if self._latency else 0.0

    async def held(self) -> None:
        """Wait for as long as requests are held."""
        if self._held is not None:
            await self._held.wait()

    @property
    def _entrance(self) -> Door:
        assert self.door is not None, "the internet is not running"
        return self.door
