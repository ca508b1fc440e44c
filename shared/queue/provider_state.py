"""What all senders know together of a provider: its tokens, quotas and limit, and what each learned of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shared.policy.breaker import BETWEEN_FAILED_PROBES_SECONDS, BETWEEN_PROBES_SECONDS
from shared.policy.quotas import Quota, calendar_span
from shared.queue.calls import PATIENCE_SECONDS
from shared.queue.core import Core

#: For so long the word of a sender that is gone helps one that starts.
KEPT_MS: Final = 600_000

#: The right to probe ends with the attempt; a sender that dies with it blocks others for so long.
PROBE_MS: Final = 15_000
PROBES_APART_MS: Final = round(1000 * BETWEEN_PROBES_SECONDS)
FAILED_PROBES_APART_MS: Final = round(1000 * BETWEEN_FAILED_PROBES_SECONDS)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes from the whole cluster, as configured; `rate` is in messages a second, None
    for no limit, and `burst` what its bucket may hold."""

    rate: float | None = None
    burst: float | None = None
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens granted, when the next may be had, until when the provider is blocked for all, and when a
    spent quota frees (instants of Redis's clock; `now` is that clock too). `used` is each quota's use."""

    granted: int
    next_at: int
    blocked_until: int | None
    now: int
    frees_at: int | None = None
    used: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What a sender said of a provider, and when (Redis's clock)."""

    sender: str
    at: int
    word: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """What holds for a provider in the whole cluster.

    `rate_now` is the rate that holds at `now`, None where there is none; `is_ramping` says that it
    grows because the provider has just come back.
    """

    blocked_until: int | None
    rate_now: float | None
    is_ramping: bool
    now: int
    others: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Throttled:
    """That the provider has answered 429, what it asked for, and whether that means a quota and not a rate."""

    retry_after_seconds: float | None = None
    is_quota: bool = False


@dataclass(frozen=True, slots=True)
class Unused:
    """Units that were granted at an instant of Redis's clock (`Drawn.now`) and not used. `number` rises
    with each of a sender's returns: one that is repeated counts once."""

    units: int
    drawn_at: int
    sender: str
    number: int


@dataclass(slots=True)
class _Draws:
    """The number of the latest draw of a provider, and of the latest whose answer was heard; all by the same limits."""

    limits: Limits
    number: int = 0
    heard: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_owed(self) -> bool:
        """Whether something may have been granted that nobody has heard of."""
        return self.number > self.heard


class ProviderStates:
    """The senders' side of what is shared about providers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._name = secrets.token_hex(8)
        self._draws: dict[str, _Draws] = {}

    async def draw(
        self, provider: str, limits: Limits, wanted: int, *, reserve: float = 0, seconds: float = PATIENCE_SECONDS
    ) -> Drawn:
        """Take tokens from the bucket and the quotas that all senders share, leaving `reserve` in the bucket.

        Raises QueueError. What a call granted whose answer was lost goes back with the next one, or with
        `reclaim`; until then it is nobody's, and after ten minutes it stays so.
        """
        arguments: dict[str, Any] = {"wanted": wanted, "reserve": reserve}
        if not wanted or not limits.quotas:
            return await self._draw(provider, limits, arguments, seconds)
        draws = self._draws.setdefault(provider, _Draws(limits))
        async with draws.turn:  # one after the other: a later call would take back what an earlier one was granted
            if limits != draws.limits:
                # It goes back to the quotas that it was counted in.
                await self._reclaim(provider, draws)
                draws.limits = limits
            return await self._draw_in_turn(provider, draws, arguments, seconds)

    async def reclaim(self, provider: str) -> None:
        """Give back what a draw was granted whose answer was lost, where there was one. Raises QueueError."""
        draws = self._draws.get(provider)
        if draws is not None and draws.is_owed:
            async with draws.turn:
                await self._reclaim(provider, draws)

    async def _reclaim(self, provider: str, draws: _Draws) -> None:
        if draws.is_owed:
            await self._draw_in_turn(provider, draws, {"wanted": 0, "reserve": 0}, PATIENCE_SECONDS)

    async def _draw_in_turn(self, provider: str, draws: _Draws, arguments: dict[str, Any], seconds: float) -> Drawn:
        draws.number += 1
        arguments["draw"] = [self._name, draws.number, draws.heard]
        drawn = await self._draw(provider, draws.limits, arguments, seconds)
        draws.heard = draws.number
        return drawn

    async def give_back(self, provider: str, limits: Limits, unused: Unused) -> Drawn:
        """Give back what was drawn and not used. Raises QueueError; then it may be lost, and is not given again."""
        back = [unused.units, unused.drawn_at, unused.sender, unused.number]
        return await self._draw(provider, limits, {"wanted": 0, "reserve": 0, "back": back}, PATIENCE_SECONDS)

    async def _draw(self, provider: str, limits: Limits, arguments: dict[str, Any], seconds: float) -> Drawn:
        arguments["quotas"] = [_asked(quota, self._core.now_ms()) for quota in limits.quotas]
        if limits.rate is not None:
            arguments["rate"], arguments["burst"] = limits.rate, limits.burst
        granted, next_at, blocked, frees, now, used = await self._run("draw", provider, arguments, seconds)
        return Drawn(
            granted=int(granted),
            next_at=int(next_at),
            blocked_until=int(blocked) or None,
            now=int(now),
            frees_at=int(frees) or None,
            used=tuple(int(units) for units in used),
        )

    async def share(
        self,
        provider: str,
        *,
        sender: str,
        word: Mapping[str, Any],
        rate: float | None,
        accepted: int = 0,
        throttled: Throttled | None = None,
        ramps: bool = False,
    ) -> Shared:
        """Tell what this sender learned of a provider, and hear what the others know. Raises QueueError.

        `accepted` are the messages since the last time, `throttled` cuts and blocks the provider for
        all, `ramps` lets it come back slowly. A call whose answer was lost may count twice; that only
        makes a rate a little too high or a block a little longer.
        """
        arguments: dict[str, Any] = {
            "sender": sender,
            "told": orjson.dumps(word).decode(),
            "accepted": accepted,
            "keep_ms": KEPT_MS,
            "ramp": ramps,
        }
        if rate is not None:
            arguments["rate"] = rate
        if throttled is not None:
            seconds = throttled.retry_after_seconds
            arguments["throttled"] = [False if seconds is None else round(1000 * seconds), throttled.is_quota]
        blocked, rate_now, ramping, now, *others = await self._run("share", provider, arguments)
        return Shared(
            blocked_until=int(blocked) or None,
            rate_now=None if rate_now is None else float(rate_now),
            is_ramping=ramping is not None,
            now=int(now),
            others=tuple(Told(name.decode(), int(at), orjson.loads(told)) for name, at, told in others),
        )

    async def may_probe(self, provider: str, sender: str) -> bool:
        """Return whether this sender has the right to probe: one in the whole cluster has it. Raises QueueError."""
        (granted,) = await self._run("probe", provider, {"sender": sender, "keep_ms": PROBE_MS})
        return granted is not None

    async def probed(self, provider: str, sender: str, *, failed: bool = False) -> None:
        """Give the right to probe up; after a probe that failed nobody has it for a while. Raises QueueError."""
        await self._run(
            "probe", provider, {"sender": sender, "apart_ms": FAILED_PROBES_APART_MS if failed else PROBES_APART_MS}
        )

    async def _run(
        self, script: str, provider: str, arguments: dict[str, Any], seconds: float = PATIENCE_SECONDS
    ) -> list[Any]:
        return await self._core.run(script, self._core.provider_tag(provider), arguments, seconds=seconds)


def _asked(quota: Quota, now_ms: float) -> dict[str, Any]:
    asked: dict[str, Any] = {"name": quota.name, "messages": quota.messages}
    if quota.is_rolling:
        return {**asked, "window_ms": quota.window_ms, "slot_ms": quota.slot_ms}
    begins, ends = calendar_span(quota, now_ms)
    return {**asked, "from": begins, "until": ends}
