"""What the service lives through under the eyes of Prometheus: accidents that are waited for, not timed."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.monitoring.installation import FIRST_TIER, QUEUED, SECOND_TIER, Service
from tests.monitoring.scene import Scene
from tests.monitoring.traffic import letter
from tests.redis_server import RedisServer

OUTAGE: Final = 'alertname="ReliableEmailFirstTierProviderOut", provider=~"sendgrid|postmark"'
BLACKOUT: Final = 'alertname="ReliableEmailNoProviderWorks"'

#: Messages whose way is followed while the first tier is out.
_FOLLOWED: Final = 20
#: So many of a mailing to an old list are undeliverable that they are a third of all that was sent until then.
_UNDELIVERABLE: Final = 300
#: Submissions while Redis keeps nothing: more than a tenth of all in two minutes.
_REFUSED: Final = 100
#: More than a tenth of all submissions of the story.
_FLOOD: Final = 500
#: The most that a batch may have.
_BATCH: Final = 1_000
#: Less than what is sent until somebody asks for so little.
_SMALL_QUOTA: Final = {"quotas": [{"messages": 20, "per": "day"}]}
_REPEATED: Final = 'sum(reliable_email_possible_duplicates_total{instance="sender-1"})'


class Story:
    """Lived once; `began` and `ended` are its first and its last second by Prometheus's clock."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._prometheus = scene.prometheus
        self._services = scene.installation.services
        self._redis = scene.installation.redis
        self.began = time.time()
        self.ended = self.began
        #: The records of what was submitted while the first tier was out.
        self.followed: list[dict[str, Any]] = []

    async def live(self) -> None:
        """Tell all of it."""
        await self.an_ordinary_day()
        await asyncio.gather(self.accidents(), self.a_pause())
        await self.a_frozen_sender()
        await self.sudden_deaths()
        await self.the_first_tier_fails()
        await self.everything_fails()
        await self.recovery_on_a_bad_disk()
        await self.a_flood()
        self.ended = time.time()

    async def an_ordinary_day(self) -> None:
        """Mail of every priority arrives, but that of one pool, whose only provider refuses our password."""
        scene = self._scene
        scene.review("smtp:partner")
        await self._sees('min(count_over_time(up{job="reliable-email"}[1m])) >= 3')
        await self._sees("count(sum by (priority) (reliable_email_end_to_end_seconds_count) > 0) == 4")
        await self._alarms("ProviderMisconfigured")
        await scene.traffic.burst(5, "critical", pool="partner")  # now and then one of them tries whether it is mended

    async def accidents(self) -> None:
        """Providers say 429 and lose answers; a client gives the same key to twenty different messages."""
        scene = self._scene
        scene.throttle("sendgrid", 10)
        scene.lose_answers("postmark", 3)
        for number in range(_FOLLOWED):
            await scene.traffic.submit(letter(f"Code {number}", "critical"), headers={"Idempotency-Key": "the-same"})
        await self._sees('sum(reliable_email_attempts_total{outcome="throttled"}) > 0')
        await self._sees("sum(reliable_email_possible_duplicates_total) >= 3")

    async def a_pause(self) -> None:
        """An operator holds the mail of the pool whose password is refused, and then lets it try again."""
        await self._scene.traffic.ask("POST", "/v1/pools/partner/pause", json={"reason": "its password is renewed"})
        await self._alarms("PausedForLong")
        await self._scene.traffic.ask("POST", "/v1/pools/partner/resume")

    async def a_frozen_sender(self) -> None:
        """It loses its leases, and tells what is not true any more; meanwhile the other one was reconfigured."""
        scene, sender = self._scene, self._services["sender-2"]
        scene.hold(*FIRST_TIER)
        await self._sees('reliable_email_provider_in_flight{instance="sender-2"} > 2')
        async with self._frozen(sender):
            scene.let_go(*FIRST_TIER)
            scene.installation.configure("sender-1", postmark=_SMALL_QUOTA)
            self._services["sender-1"].send(signal.SIGHUP)
            (repeated,) = await self._prometheus.query(_REPEATED)
            await self._sees('sum(reliable_email_leases_reclaimed_total{begun="true"}) > 0')
            await self._sees(f"{_REPEATED} > {max(repeated.values.values())}")  # what it had is with the other now
        await self._sees("sum(reliable_email_stale_writes_total) > 0")
        await self._alarms("LeasesReclaimed", "EventLoopStalls", "ConfigurationsDiffer", "QuotaNearlySpent")

    async def sudden_deaths(self) -> None:
        """A sender and the only frontend are killed and started again."""
        for name in ("sender-1", "frontend-1"):
            await self._services[name].end(signal.SIGKILL)
        self._scene.installation.configure("sender-1")
        await self._alarms("RoleMissing")
        await asyncio.gather(*map(self._scene.installation.restart, ("sender-1", "frontend-1")))
        await self._quiet(OUTAGE)

    async def the_first_tier_fails(self) -> None:
        """The second one sends everything, and finds that a list of addresses is old."""
        scene = self._scene
        scene.refuse(*FIRST_TIER)
        await self._fires(OUTAGE)
        ids = [await scene.traffic.submit(letter("In the outage", "high")) for _ in range(_FOLLOWED)]
        await scene.traffic.burst(_UNDELIVERABLE, to="reply-550-5.1.1@example.org")
        self.followed = [await scene.traffic.ended(identity) for identity in ids]
        await self._alarms("DeadLettersGrow")

    async def everything_fails(self) -> None:
        """No provider is left, and then Redis does not answer either."""
        scene = self._scene
        scene.refuse(*SECOND_TIER)
        await scene.traffic.burst(_FOLLOWED * 2, "critical")
        await self._fires(BLACKOUT)
        await scene.traffic.burst(_FOLLOWED, delay_seconds=2)
        async with self._frozen(self._redis):
            await self._alarms("RedisUnreachable")

    async def recovery_on_a_bad_disk(self) -> None:
        """All providers are back; meanwhile Redis keeps nothing and is more than full, until somebody mends that."""
        scene = self._scene
        scene.back(*FIRST_TIER, *SECOND_TIER)
        used = int(self._redis.command("INFO", "memory")["used_memory"])
        self._redis.command("CONFIG", "SET", "appendonly", "no", "maxmemory", used // 2)
        await self._alarms("NotDurable")
        for _ in range(_REFUSED):
            await scene.traffic.submit(letter("Refused"))
        await self._alarms("RedisPersistenceFails", "RedisMemoryNearlyFull", "SubmissionsRefused")
        self._redis.command("CONFIG", "SET", "appendonly", "yes", "maxmemory", 0)
        await asyncio.gather(self._quiet(BLACKOUT), self._quiet(OUTAGE))
        await self._alarms("LatencyBudgetBurnsFast", "LatencyBudgetBurnsSlowly", "PromotionLate", "CriticalMailWaits")

    async def a_flood(self) -> None:
        """A newsletter for tomorrow fills what the queue has for bulk; its client goes on all the same."""
        traffic = self._scene.traffic
        await self._sees("min(reliable_email_durability_ok) == 1")
        for _ in range(QUEUED // _BATCH):
            await traffic.burst(_BATCH, delay_seconds=86_400)
        await traffic.submit(letter("Too much", "bulk"))
        await self._sees('sum(reliable_email_http_requests_total{route="POST /v1/messages",status="429"}) > 0')
        for _ in range(_FLOOD):
            await traffic.submit(letter("Too much", "bulk"))
        await self._alarms("QueueFull")

    @asynccontextmanager
    async def _frozen(self, process: Service | RedisServer) -> AsyncIterator[None]:
        process.freeze()
        try:
            yield
        finally:
            process.thaw()

    async def _alarms(self, *names: str) -> None:
        """Wait until each of these alerts fires: so what it tells of has lasted long enough to be found afterwards."""
        await asyncio.gather(*(self._fires(f'alertname="ReliableEmail{name}"') for name in names))

    async def _fires(self, alert: str) -> None:
        await self._sees(f'ALERTS{{{alert}, alertstate="firing"}}')

    async def _quiet(self, alert: str) -> None:
        await self._sees(f"absent(ALERTS{{{alert}}})")

    async def _sees(self, expression: str) -> None:
        await self._prometheus.until(expression)
