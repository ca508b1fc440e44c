"""Several senders against providers that throttle, fail, are taken away and come back: what it costs, in numbers.

Everything runs at once, on whatever cores there are; what is measured is time and shares, not speed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.domain.message import Acceptance, Address, Envelope, Priority, Submission
from shared.domain.states import State
from shared.queue import Queue
from tests.bench.harness import Row, alone
from tests.bench.installation import Installation
from tests.fakes.internet.desk import Station
from tests.fakes.internet.internet import Internet
from tests.fakes.internet.settings import secrets_of, toml_of

_STEP_SECONDS = 0.02
_SENDERS = 4


def rows() -> list[Row]:
    plays: Sequence[Callable[[], Awaitable[list[Row]]]] = (_limit, _failing, _taken_away, _all_down, _quotas)
    return [row for play in plays for row in asyncio.run(_play(play))]


async def _play(play: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    return await play()


@dataclass(slots=True)
class Stage:
    """A cluster of senders, the internet they send to, and what was submitted."""

    internet: Internet
    here: Installation
    queue: Queue
    ids: dict[Priority, dict[str, float]] = field(default_factory=dict)

    async def submit(self, count: int, priority: Priority = Priority.NORMAL) -> None:
        """Submit so many messages at once."""
        submissions = self.queue.submissions
        for start in range(0, count, 100):
            shard = submissions.flush_shard()
            some = [
                submissions.prepare(Submission(_letter(), priority=priority), shard)
                for _ in range(min(100, count - start))
            ]
            results = await submissions.submit(some)
            assert all(isinstance(result, Acceptance) for result in results)
            now = time.monotonic()
            self.ids.setdefault(priority, {}).update({prepared.id: now for prepared in some})

    async def stream(self, per_second: float, seconds: float, critical_share: float = 0.02) -> None:
        """Submit evenly for so long."""
        started, sent, critical = time.monotonic(), 0, 0
        while (elapsed := time.monotonic() - started) < seconds:
            due = int(per_second * elapsed) - sent
            urgent = int(critical_share * (sent + due)) - critical
            await self.submit(urgent, Priority.CRITICAL)
            await self.submit(due - urgent)
            sent, critical = sent + due, critical + urgent
            await asyncio.sleep(_STEP_SECONDS)

    async def settled(self, count: int, state: State = State.SENT) -> None:
        """Wait until so many messages are in a final state."""
        deadline = time.monotonic() + 300
        while (await self.queue.views.depths()).total(state) < count:
            assert time.monotonic() < deadline, "the queue does not drain"
            await asyncio.sleep(0.05)

    async def failed(self) -> int:
        """Return how many messages came to a bad end."""
        depths = await self.queue.views.depths()
        return depths.total(State.FAILED) + depths.total(State.PARTLY_SENT) + depths.total(State.EXPIRED)

    def taken_at(self) -> dict[str, float]:
        """Return when each message was first taken by a provider."""
        first: dict[str, float] = {}
        for name in self.internet.names:
            for taken in self.internet.desk(name).ledger.taken:
                first[taken.message_id] = min(taken.at, first.get(taken.message_id, taken.at))
        return first

    def waits(self, priority: Priority) -> list[float]:
        """Return the seconds from submission to acceptance of all messages of a priority, in order."""
        first = self.taken_at()
        return sorted(first[id_] - at for id_, at in self.ids.get(priority, {}).items() if id_ in first)

    def share_of(self, name: str, since: float, until: float) -> float:
        """Return a provider's share of all requests in a span."""
        counts = {
            other: sum(since <= at < until for at in self.internet.desk(other).ledger.arrivals)
            for other in self.internet.names
        }
        return counts[name] / max(1, sum(counts.values()))


@asynccontextmanager
async def _stage(senders: int, **providers: dict[str, object]) -> AsyncIterator[Stage]:
    desks = {f"sendgrid:{name}": keys for name, keys in providers.items()}
    async with Internet(*desks, is_light=True) as internet:
        tables = "\n".join(_table(internet.desk(name), keys) for name, keys in desks.items())
        for name in desks:
            internet.desk(name).life.latency(0.03, 0.1)
        secrets = {key: value for name in desks for key, value in secrets_of(internet.desk(name)).items()}
        with Installation(tables, environ=secrets) as here:
            starts = [asyncio.to_thread(here.start, role, core) for role, core in _roles(senders)]
            for start in starts:
                await start
            queue = here.queue()
            await queue.core.learn_shards(1)
            try:
                yield Stage(internet, here, queue)
            finally:
                await queue.close()


def _table(station: Station, keys: dict[str, object]) -> str:
    plain = {key: value for key, value in keys.items() if key != "quotas"}
    return toml_of(station, **plain) + (f"quotas = {keys['quotas']}\n" if "quotas" in keys else "")


def _roles(senders: int) -> list[tuple[str, int]]:
    return [("scheduler", 1), *(("sender", number % 2) for number in range(senders))]


def _letter() -> Envelope:
    return Envelope(
        sender=Address("shop@example.com"),
        to=(Address("ada@example.org"),),
        subject="Receipt",
        text="Thank you.\n" * 40,
        message_id_domain="example.com",
    )


def _verdict(*, holds: bool) -> str:
    return "ok" if holds else "MISSED"


async def _limit() -> list[Row]:
    """Four senders and a provider of 200 a second."""
    rate, burst, seconds = 200, 200, 20
    async with _stage(_SENDERS, a={"rate_per_second": rate, "burst": burst, "concurrency": 50}) as stage:
        ledger = stage.internet.desk("sendgrid:a").ledger
        await stage.submit(rate * (seconds + 4) + burst)
        await ledger.until(lambda: bool(ledger.arrivals))
        began = ledger.arrivals[0]
        await asyncio.sleep(began + seconds - time.monotonic())
        seen = sum(at < began + seconds for at in ledger.arrivals)
        busiest = ledger.busiest_arrivals(1.0)
    most = rate * seconds + burst
    note = f"{seen} in {seconds} s, allowed {most}; busiest second {busiest}: " + _verdict(
        holds=0.97 * rate * seconds <= seen <= most and busiest <= rate + burst
    )
    return [alone(f"{_SENDERS} senders and a limit of {rate}/s", "% of it", 100 * seen / (rate * seconds), note=note)]


async def _failing() -> list[Row]:
    """A provider with nine tenths of the traffic fails for a while, under 500 messages a second."""
    per_second, before, down, after = 500, 8.0, 10.0, 32.0
    async with _stage(2, a={"weight": 9, "concurrency": 100}, b={"concurrency": 100}) as stage:
        life = stage.internet.desk("sendgrid:a").life
        traffic = asyncio.create_task(stage.stream(per_second, before + down + after))
        await asyncio.sleep(before)
        failed_at = time.monotonic()
        life.fail(500)
        await asyncio.sleep(down)
        healed_at = time.monotonic()
        life.heal()
        await traffic
        await stage.settled(sum(map(len, stage.ids.values())))
        left = stage.share_of("sendgrid:a", failed_at + 2, healed_at)
        usual = stage.share_of("sendgrid:a", failed_at - 4, failed_at)
        back = _back_after(stage, healed_at, 0.7 * usual)
        p99 = stage.waits(Priority.CRITICAL)[int(0.99 * len(stage.waits(Priority.CRITICAL)))]
        bad = await stage.failed()
    return [
        alone(
            "failing provider: its share 2 s after",
            "%",
            100 * left,
            note=f"asked: below 5: {_verdict(holds=left < 0.05)}",
        ),
        alone(
            "… and back in its share after",
            "s",
            back,
            note=f"{bad} messages failed: {_verdict(holds=back <= 30 and not bad)}",
        ),
        alone("… critical from submission to acceptance, p99", "ms", 1000 * p99, note=_verdict(holds=p99 < 1)),
    ]


def _back_after(stage: Stage, healed_at: float, share: float) -> float:
    step = 0.5
    for number in range(60):
        since = healed_at + number * step
        if stage.share_of("sendgrid:a", since, since + 2) >= share:
            return since + 2 - healed_at
    return float("inf")


async def _taken_away() -> list[Row]:
    """An account is put under review in the middle of a run."""
    async with _stage(2, a={"weight": 9, "concurrency": 100}, b={"concurrency": 100}) as stage:
        desk = stage.internet.desk("sendgrid:a")
        traffic = asyncio.create_task(stage.stream(300, 12))
        await asyncio.sleep(5)
        at = time.monotonic()
        desk.life.review()
        await traffic
        await stage.settled(sum(map(len, stage.ids.values())))
        last = max((arrival for arrival in desk.ledger.arrivals if arrival < at + 6), default=at) - at
        bad = await stage.failed()
    note = f"{bad} messages failed: {_verdict(holds=last <= 1 and not bad)}"
    return [alone("account under review: last attempt there after", "s", max(0.0, last), note=note)]


async def _all_down() -> list[Row]:
    """Everything is down for a minute, and the backlog drains afterwards."""
    async with _stage(2, a={"rate_per_second": 200}, b={"rate_per_second": 200}) as stage:
        lives = [stage.internet.desk(name).life for name in stage.internet.names]
        await stage.submit(200)
        await stage.settled(200)
        for life in lives:
            life.refuse()
        await stage.stream(50, 60)
        healed_at = time.monotonic()
        for life in lives:
            life.heal()
        total = sum(map(len, stage.ids.values()))
        await stage.settled(total)
        arrivals = sorted(
            at for name in stage.internet.names for at in stage.internet.desk(name).ledger.arrivals if at > healed_at
        )
        full = next(
            (
                at - healed_at
                for number, at in enumerate(arrivals)
                if sum(at <= other < at + 1 for other in arrivals[number:]) >= 0.9 * 400
            ),
            float("inf"),
        )
        rounds = [
            record.rounds
            for record in [await stage.queue.views.read(id_) for id_ in list(stage.ids[Priority.NORMAL])[200:400]]
            if record
        ]
        bad = await stage.failed()
    note = f"{bad} failed, most rounds {max(rounds)}: {_verdict(holds=full <= 5 and not bad and not max(rounds))}"
    return [alone("all down for 60 s: at full rate again after", "s", full, note=note)]


async def _quotas() -> list[Row]:
    """Limits of 10 a second, 100 a day and none, 5,000 messages, four senders, one of them killed."""
    quota = '[{messages = 100, per = "day"}]'
    async with _stage(_SENDERS, a={"rate_per_second": 10}, b={"quotas": quota}, c={"concurrency": 50}) as stage:
        await stage.submit(5_000)
        await stage.settled(1_000)
        stage.here.kill_last()
        await stage.settled(5_000)
        a, b = (stage.internet.desk(f"sendgrid:{name}").ledger for name in "ab")
        bad = await stage.failed()
        rows = await stage.queue.processes.census()
        states = {row["name"]: row["state"] for process in rows for row in process.told.get("providers", ())}
    holds = a.busiest_arrivals(1.0) <= 20 and len(b.arrivals) <= 100 and not bad
    note = f"daily quota of 100: {len(b.arrivals)} used, {states['sendgrid-b']}; {bad} failed: {_verdict(holds=holds)}"
    return [alone("limit of 10/s, a sender killed: busiest second", "requests", a.busiest_arrivals(1.0), note=note)]
