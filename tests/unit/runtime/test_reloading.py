"""A process that is told to read its configuration anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shared.domain.errors import ConfigurationError, Fault
from shared.runtime.process import Lifetime
from shared.runtime.reloading import obey_hangups
from shared.settings.model import LimitsSettings, ProviderSettings, Settings
from tests.services.sender.journal import Journal, kept_journal

RUNNING = Settings(providers=(ProviderSettings("one", "sandbox"),))
CHANGED = replace(RUNNING, providers=(ProviderSettings("two", "sandbox"),))


@pytest.fixture
def journal() -> Iterator[Journal]:
    with kept_journal() as journal:
        yield journal


class Desk:
    """A process that runs with some settings, and what it finds when it reads them again."""

    def __init__(self, lifetime: Lifetime, journal: Journal) -> None:
        self.lifetime = lifetime
        self.journal = journal
        self.found: Settings | ConfigurationError = RUNNING
        self.applied: list[Settings] = []

    def load(self) -> Settings:
        if isinstance(self.found, ConfigurationError):
            raise self.found
        return self.found

    def apply(self, settings: Settings) -> None:
        self.applied.append(settings)

    async def hang_up(self, event: str, found: Settings | ConfigurationError) -> dict[str, object]:
        """Tell the process, and return the next line that it says."""
        self.found = found
        before = len(self.journal.told(event))
        self.lifetime.hangup.ring()
        return (await self.journal.saw(event, times=before + 1))[-1]


@asynccontextmanager
async def at_work(
    journal: Journal, role: str = "sender", apply: Callable[[Settings], None] | None = None
) -> AsyncIterator[Desk]:
    desk = Desk(Lifetime(role, 30), journal)
    task = asyncio.ensure_future(obey_hangups(desk.lifetime, RUNNING, desk.load, apply or desk.apply))
    yield desk
    task.cancel()
    await asyncio.wait([task])
    desk.lifetime.close()


async def test_what_changed_is_applied_and_named(journal: Journal) -> None:
    async with at_work(journal) as desk:
        line = await desk.hang_up("configuration_reloaded", CHANGED)

    assert desk.applied == [CHANGED]
    assert line["changes"] == ("providers.one", "providers.two")


async def test_what_was_taken_over_is_what_the_next_is_compared_with(journal: Journal) -> None:
    async with at_work(journal) as desk:
        await desk.hang_up("configuration_reloaded", CHANGED)
        line = await desk.hang_up("configuration_reloaded", CHANGED)

    assert line["changes"] == ()


async def test_what_needs_a_restart_is_named_each_time_and_never_applied(journal: Journal) -> None:
    async with at_work(journal) as desk:
        for _ in range(2):
            line = await desk.hang_up("configuration_ignored", replace(RUNNING, limits=LimitsSettings(recipients=3)))

    assert line["keys"] == ("limits.recipients",)
    assert desk.applied == [RUNNING, RUNNING]


async def test_every_fault_is_a_line_and_nothing_is_applied(journal: Journal) -> None:
    faults = ConfigurationError((Fault("a", "one", "first"), Fault("b", "two", "second")))
    async with at_work(journal) as desk:
        await desk.hang_up("configuration_refused", faults)

    assert [line["where"] for line in journal.told("configuration_refused")] == ["a", "b"]
    assert desk.applied == []


async def test_what_cannot_be_applied_is_not_what_runs(journal: Journal) -> None:
    async with at_work(journal, apply=_refuse) as desk:
        await desk.hang_up("configuration_refused", CHANGED)
        line = await desk.hang_up("configuration_refused", CHANGED)

    assert line["where"] == "providers.two"
    assert not journal.told("configuration_reloaded")


async def test_only_who_reads_the_providers_secrets_tells_a_revision(journal: Journal) -> None:
    async with at_work(journal) as sender:
        told = await sender.hang_up("configuration_reloaded", CHANGED)
    async with at_work(journal, "frontend") as frontend:
        untold = await frontend.hang_up("configuration_reloaded", CHANGED)

    assert (isinstance(told["config_revision"], str), untold["config_revision"]) == (True, None)


async def test_a_process_that_drains_reads_nothing(journal: Journal) -> None:
    async with at_work(journal) as desk:
        desk.lifetime.stop()
        await desk.hang_up("signal_ignored", CHANGED)

    assert desk.applied == []


def _refuse(_settings: Settings) -> None:
    raise ConfigurationError((Fault("providers.two", "conflict", "no"),))
