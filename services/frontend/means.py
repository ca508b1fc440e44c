"""What every route works with, and how it is made from the configuration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.frontend.cluster import Cluster, cluster_of
from services.frontend.commit import Commit
from services.frontend.guard import Guard
from services.frontend.limits import MEBIBYTE, Limits, Rules
from services.frontend.schema import BatchSchema, ChangeSchema, MoveSchema, SubmissionSchema
from shared.policy.routes import Route
from shared.queue import Queue
from shared.runtime.metrics import Metrics
from shared.settings.model import ProviderSettings, RouteSettings, Settings

#: How old what is told about a pool's providers may be when a record is shown.
CENSUS_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Schemas:
    """The readers of all bodies, made for one set of rules."""

    rules: Rules
    submission: SubmissionSchema
    batch: BatchSchema
    change: ChangeSchema
    move: MoveSchema

    @classmethod
    def of(cls, rules: Rules) -> Schemas:
        """Return the readers for these rules."""
        submission = SubmissionSchema(rules)
        return cls(rules, submission, BatchSchema(submission), ChangeSchema(rules), MoveSchema(rules.pools))


class Census:
    """The cluster as it last told of itself, asked again when that is too old."""

    def __init__(self, queue: Queue, configured: Sequence[ProviderSettings] = ()) -> None:
        self._queue = queue
        self._configured = configured
        self._cluster: Cluster | None = None
        self._read_at = 0.0

    @property
    def pools(self) -> Iterable[str]:
        """The pools of which senders told when they were last asked."""
        return self._cluster.pools if self._cluster is not None else ()

    def expect(self, configured: Sequence[ProviderSettings]) -> None:
        """Take what the configuration now says of providers of which no sender tells."""
        self._configured = configured

    async def now(self) -> Cluster:
        """Ask. Raises QueueError."""
        processes, pauses = await asyncio.gather(self._queue.processes.census(), self._queue.pauses.all())
        self._cluster = cluster_of(processes, pauses, self._configured)
        self._read_at = time.monotonic()
        return self._cluster

    async def recent(self) -> Cluster:
        """Return what was told in the last two seconds. Raises QueueError."""
        if self._cluster is None or time.monotonic() - self._read_at > CENSUS_SECONDS:
            return await self.now()
        return self._cluster


@dataclass(slots=True)
class Means:
    """The parts that routes are made of. `wall_ms` only bounds how far ahead a message may be scheduled."""

    settings: Settings
    queue: Queue
    metrics: Metrics
    commit: Commit
    guard: Guard
    census: Census
    schemas: Schemas
    wall_ms: Callable[[], int]

    @property
    def request_bytes(self) -> int:
        """The largest body that is received."""
        return self.schemas.rules.limits.request_bytes

    def take_over(self, settings: Settings) -> None:
        """Read requests by another configuration from now on; one that is being judged is judged by the old one."""
        self.settings = settings
        self.census.expect(settings.providers)
        self.schemas = Schemas.of(rules_of(settings))
        self.know_pools(self.census.pools)

    async def learn_pools(self) -> None:
        """Take submissions for the pools that senders know, too. Raises QueueError.

        Senders may run with a newer file. A pool that was learned stays: while its senders start
        anew it has none for a moment, and that is no reason to refuse a message.
        """
        self.know_pools((await self.census.now()).pools)

    def know_pools(self, names: Iterable[str]) -> None:
        """Let messages name these pools."""
        rules = self.schemas.rules
        if not rules.pools.issuperset(names):
            self.schemas = Schemas.of(replace(rules, pools=rules.pools.union(names)))


def rules_of(settings: Settings) -> Rules:
    """Return the rules that a configuration makes."""
    limits = settings.limits
    return Rules(
        limits=Limits(
            request_bytes=int(limits.request_megabytes * MEBIBYTE),
            attachments_bytes=int(limits.attachments_megabytes * MEBIBYTE),
            recipients=limits.recipients,
            batch_messages=limits.batch_messages,
            schedule_days=limits.schedule_days,
            idempotency_hours=limits.idempotency_hours,
        ),
        pools=frozenset(settings.pools),
        routes=tuple(_route(route) for route in settings.routes),
        default_from=settings.frontend.default_from,
        message_id_domain=settings.frontend.message_id_domain,
    )


def _route(route: RouteSettings) -> Route:
    match = route.match
    return Route(
        pool=route.pool,
        recipient_domains=frozenset(domain.lower() for domain in match.recipient_domain),
        sender_domains=frozenset(domain.lower() for domain in match.sender_domain),
        tags=frozenset(match.tag),
        priorities=frozenset(match.priority),
        larger_than_bytes=match.larger_than_bytes,
    )
