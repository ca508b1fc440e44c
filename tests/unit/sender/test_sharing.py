"""Whose word goes to the other senders when providers come and go, and what is given back of those that went."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.sender.account import Account
from services.sender.sharing import Sharing
from shared.domain.errors import Unavailable
from shared.providers.sandbox import SandboxOptions
from shared.queue.pauses import Pause, Scale
from shared.queue.provider_state import Drawn, Shared
from shared.settings.model import ProviderSettings
from tests.services.sender.journal import Journal


class Redis:
    """What senders say of providers, as Redis hears it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.returned: list[tuple[str, int]] = []
        self.is_away = False

    async def share(self, provider: str, *, word: dict[str, Any], **_: object) -> Shared:
        self.heard.append(f"{provider} {word['account']}")
        return Shared(None, None, is_ramping=False, now=0)

    async def give_back(self, provider: str, _limits: object, unused: Any) -> None:
        if self.is_away:
            raise Unavailable("away")
        self.returned.append((provider, unused.units))

    async def all(self) -> list[Pause]:
        return []


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
