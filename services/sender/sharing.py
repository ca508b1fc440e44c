"""Sharing: this sender tells the others what it learned of each provider, and hears what they know.

It happens twice a second, and at once after what others must not learn too late: a breaker that
opened or closed, a probe that failed, a 429.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from services.sender.account import Account
from services.sender.hearsay import Hearsay
from shared.domain.errors import QueueError
from shared.queue import Queue
from shared.queue.pauses import Pause, Scale
from shared.queue.provider_state import Unused
from shared.runtime.logs import get_logger

SHARE_SECONDS: Final = 0.5

log = get_logger()


class Sharing:
    """What this sender has in common with the others; `changed` is called after everything that
    messages may have waited for."""

    def __init__(self, queue: Queue, changed: Callable[[], None]) -> None:
        self._queue = queue
        self._accounts: tuple[Account, ...] = ()
        self._hearsay: dict[str, Hearsay] = {}
        self._changed = changed
        self._sender = queue.leases.name
        self._returned = 0
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._farewells: set[asyncio.Task[None]] = set()
        #: What is paused, as Redis last told.
        self.pauses: tuple[Pause, ...] = ()

    def employ(self, accounts: Iterable[Account]) -> None:
        """Share what is known of these providers, and of no others, from now on."""
        accounts = tuple(accounts)
        before = self._hearsay
        self._hearsay = {
            account.settings.name: before[account.settings.name] if self._is_ours(account) else Hearsay(account)
            for account in accounts
        }
        self._accounts = accounts
        self._obey(self.pauses)

    def _is_ours(self, account: Account) -> bool:
        """Whether it is shared: another account of the same name may have taken its place."""
        return any(account is one for one in self._accounts)

    async def exchange(self) -> None:
        """Learn what is paused, and share what is known of every provider."""
        await asyncio.gather(self._learn_pauses(), *(self._share_calmly(account) for account in self._accounts))

    def hurry(self, account: Account) -> None:
        """Share what is known of one provider at once."""
        name = account.settings.name
        if name in self._busy:
            self._again.add(name)
            return
        task = asyncio.create_task(self._share_calmly(account), name=f"share {name}")
        self._busy[name] = task
        task.add_done_callback(lambda _task: self._shared(account))

    def _shared(self, account: Account) -> None:
        name = account.settings.name
        del self._busy[name]
        if name in self._again:
            self._again.discard(name)
            self.hurry(account)

    def is_paused(self, pool: str) -> bool:
        """Whether nothing of a pool may begin, whatever the provider."""
        return any(
            pause.scale is Scale.EVERYTHING or (pause.scale is Scale.POOL and pause.name == pool)
            for pause in self.pauses
        )

    async def give_back(self) -> None:
        """Give back the tokens that nobody used: units of a quota are worth keeping."""
        for account in self._accounts:
            await self._give_back(account)

    async def look_at_quotas(self) -> None:
        """See whether a quota that was spent has something left again, because another sender gave units back."""
        now = time.monotonic()
        for account in self._accounts:
            if account.view.quota_until > now:
                limits = account.stock.limits
                drawn = await self._queue.providers.draw(account.settings.name, limits, 0)
                account.stock.take(drawn, time.monotonic(), by=limits)
                if account.view.quota_until <= now:
                    self._changed()

    async def part(self, account: Account) -> None:
        """Give back all tokens of a provider that is not used any more."""
        account.stock.empty()
        try:
            await self._give_back(account)
        except QueueError as error:
            log.warning("chore_failed", chore="give back", error=str(error), kind=type(error).__name__)

    async def _give_back(self, account: Account) -> None:
        await self._queue.providers.reclaim(account.settings.name)
        while account.stock.returns:
            units, drawn_at, limits = account.stock.returns.pop()
            self._returned += 1
            unused = Unused(units, drawn_at, self._sender, self._returned)
            await self._queue.providers.give_back(account.settings.name, limits, unused)

    # Probes

    async def may_probe(self, account: Account) -> bool:
        """Return whether this sender has the right to probe; nobody has it where Redis cannot say."""
        try:
            return await self._queue.providers.may_probe(account.settings.name, self._sender)
        except QueueError as error:
            log.warning("chore_failed", chore="probe", error=str(error), kind=type(error).__name__)
            return False

    def probed(self, account: Account, *, failed: bool) -> None:
        """Give the right to probe up."""
        task = asyncio.create_task(self._give_up(account, failed=failed), name=f"probed {account.settings.name}")
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _give_up(self, account: Account, *, failed: bool) -> None:
        try:
            await self._queue.providers.probed(account.settings.name, self._sender, failed=failed)
        except QueueError as error:
            # The right ends by itself soon.
            log.warning("chore_failed", chore="probe", error=str(error), kind=type(error).__name__)

    # One provider

    async def _share_calmly(self, account: Account) -> None:
        try:
            await self._share(account)
        except QueueError as error:
            # Each sender goes on with what it knows; what it has learned is told the next time.
            log.warning("chore_failed", chore="share", error=str(error), kind=type(error).__name__)

    async def _share(self, account: Account) -> None:
        if not self._is_ours(account):
            return  # what it learned at last would be believed of the account in its place
        hearsay = self._hearsay[account.settings.name]
        accepted, throttled, returns = account.accepted, account.throttled, account.returns
        ramps = returns and (account.returns_for_all or not hearsay.is_used_by_others)
        account.accepted, account.throttled, account.returns = 0, None, False
        blocked_before = account.view.blocked_until
        try:
            shared = await self._queue.providers.share(
                account.settings.name,
                sender=self._sender,
                word=hearsay.word(time.monotonic(), self._ahead()),
                rate=account.settings.rate_per_second,
                accepted=accepted,
                throttled=throttled,
                ramps=ramps,
            )
        except QueueError:
            account.accepted += accepted
            if account.throttled is None:
                account.throttled = throttled
            account.returns |= returns
            raise
        now = time.monotonic()
        if not account.returns:
            account.returns_for_all = False
            account.stock.ramp(is_ramping=shared.is_ramping)
        account.rate_now = shared.rate_now
        if account.view.blocked_until == blocked_before:
            # Else a 429 came meanwhile, of which this answer knows nothing.
            until = shared.blocked_until
            account.block(-math.inf if until is None else now + (until - shared.now) / 1000)
        before = account.breaker.state, account.breaker.opening
        hearsay.hear(shared.others, now, shared.now / 1000 - now)
        if (account.breaker.state, account.breaker.opening) != before:
            account.refresh(now)
            self._changed()

    def _ahead(self) -> float:
        return self._queue.core.now_ms() / 1000 - time.monotonic()

    # Pauses

    async def _learn_pauses(self) -> None:
        try:
            pauses = tuple(await self._queue.pauses.all())
        except QueueError as error:
            # `begin` obeys them all the same.
            log.warning("chore_failed", chore="pauses", error=str(error), kind=type(error).__name__)
            return
        ended = _ended(self.pauses, pauses)
        idle = {pause.name for pause in self.pauses if pause.scale is Scale.POOL}
        self.pauses = pauses
        self._obey(pauses)
        now = time.monotonic()
        for account in self._accounts:
            if any(_concerns(pause, account, idle) for pause in ended):
                log.info("provider_resumed", provider=account.settings.name)
                account.come_back(for_all=True)
                account.refresh(now)
        if ended:
            self._changed()

    def _obey(self, pauses: Iterable[Pause]) -> None:
        by_name = {pause.name: pause for pause in pauses if pause.scale is Scale.PROVIDER}
        for account in self._accounts:
            account.pause = pause = by_name.get(account.settings.name)
            ends = math.inf if pause is not None and pause.until is None else -math.inf
            if pause is not None and pause.until is not None:
                ends = pause.until / 1000 - self._ahead()
            account.view.paused_until = ends


def _ended(before: Iterable[Pause], now: Iterable[Pause]) -> list[Pause]:
    still = {pause.what for pause in now}
    return [pause for pause in before if pause.what not in still]


def _concerns(pause: Pause, account: Account, idle: set[str]) -> bool:
    """Whether nobody used a provider because of a pause; one that served another pool meanwhile is warm."""
    match pause.scale:
        case Scale.EVERYTHING:
            return True
        case Scale.POOL:
            return pause.name in account.settings.pools and idle >= set(account.settings.pools)
        case Scale.PROVIDER:
            return pause.name == account.settings.name
