"""Whose word goes to the other senders when providers come and go, and what is given back of those that went."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.sender.account import Account
from services.sender.sharing import Sharing
from shared.domain.errors import Unavailable
from shared.domain.outcome import Outcome, Verdict
from shared.policy.opening import Opening, OpenReason
from shared.providers.sandbox import SandboxOptions
from shared.queue.pauses import Pause, Scale
from shared.queue.provider_state import Drawn, Shared, Told
from shared.settings.model import ProviderSettings
from tests.services.sender.journal import Journal


class Redis:
    """What senders say of providers, as Redis hears it."""

    def __init__(self) -> None:
        self.others: tuple[Told, ...] = ()
        self.heard: list[str] = []
        self.returned: list[tuple[str, int]] = []
        self.reclaimed: list[str] = []
        self.is_away = False
        self.ramps: list[bool] = []
        self.paused: list[Pause] = []
        self.meanwhile: Callable[[], object] = lambda: None

    async def share(self, provider: str, *, word: dict[str, Any], ramps: bool, **_: object) -> Shared:
        self.heard.append(f"{provider} {word['account']}")
        self.ramps.append(ramps)
        self.meanwhile()
        return Shared(None, None, is_ramping=False, now=0, others=self.others)

    async def reclaim(self, provider: str) -> None:
        self.reclaimed.append(provider)

    async def give_back(self, provider: str, _limits: object, unused: Any) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.returned.append((provider, unused.units))

    async def all(self) -> list[Pause]:
        return self.paused


@pytest.fixture
def redis() -> Redis:
    return Redis()


@pytest.fixture
def sharing(redis: Redis) -> Sharing:
    queue = SimpleNamespace(
        leases=SimpleNamespace(name="me"), core=SimpleNamespace(now_ms=lambda: 0.0), providers=redis, pauses=redis
    )
    return Sharing(cast("Any", queue), lambda: None)


def account_of(**settings: Any) -> Account:
    provider = ProviderSettings(**{"name": "relay", "kind": "sandbox", "options": SandboxOptions(), **settings})
    return Account(provider, 10.0, lambda: 0.5)


async def hurried(sharing: Sharing, account: Account) -> None:
    """Let an account ask to be shared at once, and see it done."""
    before = asyncio.all_tasks()
    sharing.hurry(account)
    await asyncio.wait(asyncio.all_tasks() - before)


async def test_what_an_account_learns_when_another_has_its_name_is_told_to_nobody(
    sharing: Sharing, redis: Redis
) -> None:
    old, new = account_of(), account_of(return_path="b@example.com")
    for account in (old, new):
        sharing.employ([account])
        await sharing.exchange()
    before = list(redis.heard)
    await hurried(sharing, old)

    assert len(set(before)) == 2
    assert redis.heard == before


async def test_nor_is_that_of_one_whose_name_is_gone(sharing: Sharing, redis: Redis) -> None:
    account = account_of()
    sharing.employ([account])
    sharing.employ([])
    await hurried(sharing, account)

    assert redis.heard == []


async def test_who_stays_is_told_of_as_before(sharing: Sharing, redis: Redis) -> None:
    account = account_of()
    sharing.employ([account])
    sharing.employ([account, account_of(name="other")])
    await hurried(sharing, account)

    assert len(redis.heard) == 1


def test_a_pause_holds_for_an_account_that_comes_while_it_lasts(sharing: Sharing) -> None:
    sharing.pauses = (Pause(Scale.PROVIDER, "relay", "why"),)
    account = account_of()
    sharing.employ([account])

    assert (account.view.paused_until, account.pause) == (math.inf, sharing.pauses[0])


async def test_an_account_that_parts_gives_all_its_tokens_back(sharing: Sharing, redis: Redis) -> None:
    account = account_of(rate_per_second=100)
    account.stock.take(Drawn(8, 5_000, None, 5_000), 1.0)
    account.reserve()
    await sharing.part(account)

    assert redis.returned == [("relay", 7)]


async def test_tokens_that_cannot_be_given_back_hold_up_nobody(
    sharing: Sharing, redis: Redis, journal: Journal
) -> None:
    redis.is_away = True
    account = account_of(rate_per_second=100)
    account.stock.take(Drawn(8, 5_000, None, 5_000), 1.0)
    await sharing.part(account)

    assert journal.told("chore_failed", chore="give back")


@pytest.mark.parametrize(("pools", "ramps"), [(("news",), True), (("news", "default"), False)])
async def test_the_end_of_a_pools_pause_slows_no_provider_that_served_another_pool(
    sharing: Sharing, redis: Redis, pools: tuple[str, ...], ramps: bool
) -> None:
    sharing.employ([account_of(pools=pools)])
    redis.paused = [Pause(Scale.POOL, "news")]
    await sharing.exchange()
    redis.paused = []
    await sharing.exchange()
    await sharing.exchange()

    assert any(redis.ramps) is ramps


async def test_a_429_that_comes_while_the_others_are_asked_is_not_forgotten_over_their_answer(
    sharing: Sharing, redis: Redis
) -> None:
    account = account_of()
    sharing.employ([account])
    redis.meanwhile = lambda: account.throttle(Verdict(Outcome.THROTTLED, retry_after_seconds=60), time.monotonic())
    await sharing.exchange()

    assert account.view.obstruction(time.monotonic()) == "throttled"


@pytest.mark.parametrize("is_used", [True, False])
async def test_a_provider_ramps_up_only_where_no_other_sender_has_used_it(
    sharing: Sharing, redis: Redis, is_used: bool
) -> None:
    """Else a sender that had lost only its own path would slow all of them."""
    account = account_of()
    sharing.employ([account])
    ahead = -time.monotonic()  # of a clock of Redis that stands at 0
    opening = Opening(OpenReason.PROVIDER_DOWN, 0.0, ahead, 0.0, 0.0)
    word = {"totals": [0, 0], "evidence": [0, 0], "latency": None, "closed_at": None}
    redis.others = (Told("other", 0, {**word, "opening": None if is_used else asdict(opening)}),)
    await sharing.exchange()
    account.come_back()
    await sharing.exchange()

    assert redis.ramps == [False, not is_used]


async def test_what_a_draw_left_owed_is_reclaimed_also_by_one_that_parts(sharing: Sharing, redis: Redis) -> None:
    account = account_of()
    sharing.employ([account])

    await sharing.give_back()
    await sharing.part(account)
    assert redis.reclaimed == [account.settings.name] * 2
