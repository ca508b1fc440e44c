"""Every metric of the service, declared once: names, labels, buckets, meanings, and the roles that feed them.

No message id, address or tenant ever stands in a label. A metric is shown only by the roles that
feed it: a sender that exported `durability_ok 0` would wake somebody for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from shared.domain.message import Priority
from shared.domain.outcome import Outcome
from shared.domain.states import FINAL, State
from shared.policy.opening import OpenReason
from shared.queue.pauses import Scale
from shared.runtime.series import Family, Kind, Tally

PREFIX: Final = "reliable_email_"

FRONTEND: Final = "frontend"
SCHEDULER: Final = "scheduler"
SENDER: Final = "sender"
ROLES: Final = (FRONTEND, SCHEDULER, SENDER)

#: What `submissions_total` may say of one message.
RESULTS: Final = ("accepted", "replayed", "refused", "unavailable", "unknown")

#: What bounds the values of each label. Nothing that a message brings may stand in one: each value is a
#: series of its own in the memory of Prometheus, and in its files for as long as it keeps any.
LABELS: Final[Mapping[str, str]] = {
    "actor": "one for each provider, and `dispatcher` and `settler`",
    "begun": "`true`, `false`",
    "from": "of promotions: `scheduled`, `retry`; of failovers: one for each provider",
    "kind": "of errors: the five ways in which a call fails; of providers: the kinds that there are, one at a time",
    "outcome": f"the {len(Outcome)} outcomes of an attempt",
    "pool": "one for each pool that the configuration names, now or while messages of it are kept",
    "priority": f"the {len(Priority)} priorities",
    "provider": "one for each of `[[providers]]`, now or since the process started",
    "quota": "one for each `quotas` of a provider; at most a rolling one and one a time zone for each period",
    "reason": f"the {len(OpenReason)} reasons for which a breaker opens",
    "result": f"the {len(RESULTS)} ends of a submission",
    "revision": "one at a time",
    "role": f"the {len(ROLES)} roles",
    "route": "one for each route of the interface and its method, and `other` for everything else",
    "scale": f"the {len(Scale)} things that can be paused: everything, a pool, a provider",
    "script": "one for each script of the queue",
    "server": "one for each primary of Redis that there is now",
    "shard": "one for each shard, 1,024 at most",
    "state": f"the {len(State)} states of a message",
    "status": "the status codes with which the interface answers, about twenty",
    "tier": "one at a time for each provider",
    "to": "one for each provider",
    "version": "one at a time",
}

#: Values of `provider_breaker_state`.
BREAKER_STATES: Final = {"closed": 0, "probing": 1, "open": 2}

# A submission takes 2 to 5 ms where the disk is quick; a frontend answers within 3 s at the latest.
_SUBMIT_SECONDS: Final = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)
# A flush carries at most 500 messages, in calls of at most 250.
_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 250, 500)
# One millisecond at rest, 5 ms at worst, a second where a waking call was lost, as long as the outage after one.
_LATENESS_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    *(10, 30, 60, 300, 3_600, 21_600),
)
# HTTP answers in 50 ms to 30 s; SMTP may take ten minutes after the final dot (RFC 5321, 4.5.3.2.6).
_ATTEMPT_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600)
# From a one-time code that leaves in milliseconds to a message that is retried for three days. The objectives
# of grafana/slo.toml ask how many took at most 5, 30, 300 and 21,600 s, which only a bucket's own bound tells.
_END_TO_END_SECONDS: Final = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    *(60, 300, 900, 3_600, 21_600, 86_400, 259_200),
)
# A script takes a fraction of a millisecond, a flush to disk a few; a call is given up after 3 s.
_REDIS_SECONDS: Final = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)

# Each counter and histogram would otherwise show a second series with its time of birth, which
# no query of ours reads. The switch is the library's, for the whole process.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it


class Description(NamedTuple):
    """A row of the table of metrics in the documentation."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str
    roles: tuple[str, ...]


class Metrics:
    """The metrics of one process, in a registry of its own.

    Attributes are named like the metrics, without prefix and `_total`. `role` limits what is
    shown to what that role feeds; None shows everything. Those that are not shown take values
    all the same, so that shared code need not ask who it runs in.
    """

    def __init__(self, role: str | None = None, version: str = "") -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.declared: list[Description] = []
        self._role = role
        self._declare_submission()
        self._declare_queue()
        self._declare_redis()
        self._declare_sending()
        self._declare_providers()
        self._declare_process()
        if role is not None:
            self.build_info[role, version].set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def show_revision(self, revision: str) -> None:
        """Say by which configuration the process works from now on, and by no other."""
        self.config_info[revision].set(1)
        self.config_info.keep({revision})

    def _declare_submission(self) -> None:
        self.http_requests = self._tally(
            "http_requests_total",
            ("route", "status"),
            "Answers by the route that gave them, as `POST /v1/messages`, and their status code; what asks for "
            "no route of ours, or for nothing that can be read, counts as `other`.",
            (FRONTEND,),
        )
        self.submissions = self._counters(
            "submissions_total",
            ("priority", "result"),
            "Messages that clients submitted: accepted, replayed (an idempotency key again), refused, "
            "unavailable (nothing was stored), unknown (the answer of Redis was lost).",
            (FRONTEND,),
            known=product(Priority, RESULTS),
        )
        self.submit_seconds = self._histogram(
            "submit_seconds",
            "Time from the last byte of a submission to its answer.",
            (FRONTEND,),
            _SUBMIT_SECONDS,
        )
        self.commit_batch_size = self._histogram(
            "commit_batch_size", "Messages that one disk flush paid for.", (FRONTEND,), _BATCH_SIZES
        )
        self.durability_ok = self._gauge(
            "durability_ok",
            "1 while the settings of Redis, when last read, keep every accepted message; else 0.",
            (FRONTEND,),
        )
        self.submissions_waiting = self._gauge(
            "submissions_waiting",
            "Submissions that wait for the next flush to disk; from 20,000 on they are refused.",
            (FRONTEND,),
        )

    def _declare_queue(self) -> None:
        self.queue_depth = self._gauges(
            "queue_depth",
            ("state", "priority"),
            "Messages in each unfinished state, and dead letters. Every scheduler shows the whole queue: "
            "take the maximum.",
            (SCHEDULER,),
        )
        self.oldest_ready_age_seconds = self._gauges(
            "oldest_ready_age_seconds",
            ("priority",),
            "How long the oldest message that may be sent now has waited; 0 where none waits.",
            (SCHEDULER,),
            known=((priority,) for priority in Priority),
        )
        self.promoted = self._counters(
            "promoted_total",
            ("from",),
            "Messages moved to ready because they were due, from scheduled or retry.",
            (SCHEDULER,),
            known=(("scheduled",), ("retry",)),
        )
        self.promotion_lateness_seconds = self._histogram(
            "promotion_lateness_seconds",
            "How long after its due time a message became ready.",
            (SCHEDULER,),
            _LATENESS_SECONDS,
        )
        self.leases_reclaimed = self._counters(
            "leases_reclaimed_total",
            ("begun",),
            "Leases that ran out and were taken back; begun=true: an attempt was under way, its outcome is unknown.",
            (SCHEDULER,),
            known=(("true",), ("false",)),
        )
        self.messages_finished = self._counters(
            "messages_finished_total",
            ("state",),
            "Messages that reached a final state, counted where that was decided.",
            ROLES,
            known=((state,) for state in FINAL),
        )

        self.shard_depth = self._gauges(
            "shard_depth",
            ("shard",),
            "Unfinished messages in each shard. Every scheduler shows all shards: take the maximum.",
            (SCHEDULER,),
        )
        self.pauses = self._gauges(
            "pauses",
            ("scale",),
            "Pauses that stand: of everything, of pools, of providers. Every scheduler shows all: take the maximum.",
            (SCHEDULER,),
            known=((scale,) for scale in Scale),
        )
        self.stranded_messages = self._gauges(
            "stranded_messages",
            ("pool", "priority"),
            "Queued and retrying messages of a pool none of whose providers takes any now, as all senders tell; 0 "
            "where one does, or where it is paused. Every scheduler shows all: take the maximum.",
            (SCHEDULER,),
        )
        self.processes = self._gauges(
            "processes",
            ("role",),
            "Processes of each role that told of themselves in the last 10 s. Every scheduler shows all: "
            "take the maximum.",
            (SCHEDULER,),
        )

    def _declare_redis(self) -> None:
        self.redis_up = self._gauges(
            "redis_up",
            ("server",),
            "1 while the primary answers the scheduler that shows this, else 0; then nothing else is shown of it.",
            (SCHEDULER,),
        )
        self.redis_aof_ok = self._gauges(
            "redis_aof_ok",
            ("server",),
            "1 while the append-only file is on and its last write and last rewrite went well; else 0.",
            (SCHEDULER,),
        )
        self.redis_replicas = self._gauges(
            "redis_replicas",
            ("server",),
            "Replicas of the primary that are online and answered in the last 10 s.",
            (SCHEDULER,),
        )
        self.redis_replicas_wanted = self._gauge(
            "redis_replicas_wanted",
            "Replicas that must confirm each write, as `[durability] replicas` asks.",
            (SCHEDULER,),
        )
        self.redis_memory_used_bytes = self._gauges(
            "redis_memory_used_bytes", ("server",), "Memory that the primary uses.", (SCHEDULER,)
        )
        self.redis_memory_limit_bytes = self._gauges(
            "redis_memory_limit_bytes",
            ("server",),
            "Memory beyond which the primary takes no submissions (`maxmemory`); 0: no limit is set.",
            (SCHEDULER,),
        )

    def _declare_sending(self) -> None:
        self.attempts = self._counters(
            "attempts_total", ("provider", "outcome"), "Closed attempts by what they came to.", (SENDER,)
        )
        self.attempt_seconds = self._histograms(
            "attempt_seconds",
            ("provider",),
            "Time from the begin of an attempt to its outcome.",
            (SENDER,),
            _ATTEMPT_SECONDS,
        )
        self.end_to_end_seconds = self._histograms(
            "end_to_end_seconds",
            ("priority",),
            "Time from acceptance, or from the send-at time where that is later, to the provider's acceptance.",
            (SENDER,),
            _END_TO_END_SECONDS,
            known=((priority,) for priority in Priority),
        )
        self.failovers = self._counters(
            "failovers_total",
            ("from", "to"),
            "Attempts that followed one at another provider inside the same lease.",
            (SENDER,),
        )
        self.possible_duplicates = self._counter(
            "possible_duplicates_total",
            "Attempts begun after one whose outcome is unknown: the message may arrive twice.",
            (SENDER,),
        )
        self.actor_mailbox_depth = self._gauges(
            "actor_mailbox_depth", ("actor",), "Items that wait in the mailbox of an actor.", (SENDER,)
        )
        self.actor_restarts = self._counters(
            "actor_restarts_total", ("actor",), "Restarts of an actor that crashed.", (SENDER,)
        )
        self.leases_held = self._gauge(
            "leases_held", "Messages in the hands of the sender, waiting or under way.", (SENDER,)
        )

    def _declare_providers(self) -> None:
        self.provider_health = self._gauges(
            "provider_health", ("provider",), "Health score, from 0 (nothing works) to 1.", (SENDER,)
        )
        self.provider_breaker_state = self._gauges(
            "provider_breaker_state",
            ("provider",),
            "Circuit breaker: 0 closed (in use), 1 probing, 2 open (not in use).",
            (SENDER,),
        )
        self.provider_tokens = self._gauges(
            "provider_tokens",
            ("provider",),
            "Messages that this sender may hand over at once: drawn from the shared rate and quotas, and not used yet.",
            (SENDER,),
        )
        self.provider_misconfigured = self._gauges(
            "provider_misconfigured",
            ("provider",),
            "1 while the provider refuses our account or our settings, which only a human can mend; else 0.",
            (SENDER,),
        )
        self.provider_paused = self._gauges(
            "provider_paused", ("provider",), "1 while an operator has paused the provider; else 0.", (SENDER,)
        )
        self.provider_rate_per_second = self._gauges(
            "provider_rate_per_second",
            ("provider",),
            "Messages a second that the whole cluster may send there: the configured rate, or what 429s left of it.",
            (SENDER,),
        )
        self.provider_quota_left = self._gauges(
            "provider_quota_left",
            ("provider", "quota"),
            "Messages that are left of a quota, as each sender last heard it: take the minimum.",
            (SENDER,),
        )
        self.provider_quota_limit = self._gauges(
            "provider_quota_limit",
            ("provider", "quota"),
            "Messages that a quota allows in its period, to all senders together.",
            (SENDER,),
        )
        self.provider_info = self._gauges(
            "provider_info", ("provider", "kind", "tier"), "Always 1; says what a provider is.", (SENDER,)
        )
        self.provider_in_flight = self._gauges(
            "provider_in_flight",
            ("provider",),
            "Messages that the sender is handing to the provider, or has chosen it for: take the sum.",
            (SENDER,),
        )
        self.provider_concurrency = self._gauges(
            "provider_concurrency",
            ("provider",),
            "Messages that each sender may hand to the provider at the same time: take the sum.",
            (SENDER,),
        )
        self.breaker_openings = self._counters(
            "breaker_openings_total",
            ("provider", "reason"),
            "Openings of a circuit breaker on evidence of the sender's own; those that it only heard of do not count.",
            (SENDER,),
        )

    def _declare_process(self) -> None:
        self.stale_writes = self._counters(
            "stale_writes_total",
            ("script",),
            "Calls that changed nothing because their lease was no longer theirs.",
            (SENDER,),
            known=(("begin",), ("settle",), ("release",)),
        )
        self.redis_seconds = self._histograms(
            "redis_seconds",
            ("script",),
            "Time of one call to Redis, disk flush and replicas included.",
            ROLES,
            _REDIS_SECONDS,
        )
        self.redis_errors = self._counters(
            "redis_errors_total",
            ("script", "kind"),
            "Calls of a script that failed, their repetitions included: unavailable (nothing was done), answer_lost "
            "(it may have been done), not_replicated (done, on too few replicas), full (no memory is left), defect.",
            ROLES,
        )
        self.event_loop_lag_seconds = self._gauge(
            "event_loop_lag_seconds", "The longest delay of the event loop in the last 15 s.", ROLES
        )
        self.log_lines_dropped = self._counter(
            "log_lines_dropped_total", "Log lines lost because the log was full, closed or not read.", ROLES
        )
        self.build_info = self._gauges("build_info", ("role", "version"), "Always 1; says what runs here.", ROLES)
        self.config_info = self._gauges(
            "config_info",
            ("revision",),
            "Always 1; says by which providers and routes the process works. Compare processes of one role: only "
            "senders read the providers' secrets, which are part of it.",
            ROLES,
        )

    def _shown(self, roles: Sequence[str]) -> CollectorRegistry | None:
        return self.registry if self._role is None or self._role in roles else None

    def _describe(self, kind: str, name: str, labels: tuple[str, ...], meaning: str, roles: tuple[str, ...]) -> None:
        self.declared.append(Description(PREFIX + name, kind, labels, meaning, roles))

    def _counter(self, name: str, meaning: str, roles: tuple[str, ...]) -> Counter:
        self._describe("counter", name, (), meaning, roles)
        return Counter(PREFIX + name, meaning, registry=self._shown(roles))

    def _gauge(self, name: str, meaning: str, roles: tuple[str, ...]) -> Gauge:
        self._describe("gauge", name, (), meaning, roles)
        return Gauge(PREFIX + name, meaning, registry=self._shown(roles))

    def _histogram(self, name: str, meaning: str, roles: tuple[str, ...], buckets: Sequence[float]) -> Histogram:
        self._describe("histogram", name, (), meaning, roles)
        return Histogram(PREFIX + name, meaning, buckets=buckets, registry=self._shown(roles))

    def _tally(self, name: str, labels: tuple[str, ...], meaning: str, roles: tuple[str, ...]) -> Tally:
        self._describe("counter", name, labels, meaning, roles)
        return Tally(PREFIX + name, meaning, labels, self._shown(roles))

    def _counters(
        self,
        name: str,
        labels: tuple[str, ...],
        meaning: str,
        roles: tuple[str, ...],
        known: Iterable[tuple[str, ...]] = (),
    ) -> Family[Counter]:
        self._describe("counter", name, labels, meaning, roles)
        return _family(Counter(PREFIX + name, meaning, labels, registry=self._shown(roles)), known)

    def _gauges(
        self,
        name: str,
        labels: tuple[str, ...],
        meaning: str,
        roles: tuple[str, ...],
        known: Iterable[tuple[str, ...]] = (),
    ) -> Family[Gauge]:
        self._describe("gauge", name, labels, meaning, roles)
        return _family(Gauge(PREFIX + name, meaning, labels, registry=self._shown(roles)), known)

    def _histograms(
        self,
        name: str,
        labels: tuple[str, ...],
        meaning: str,
        roles: tuple[str, ...],
        buckets: Sequence[float],
        known: Iterable[tuple[str, ...]] = (),
    ) -> Family[Histogram]:
        self._describe("histogram", name, labels, meaning, roles)
        return _family(Histogram(PREFIX + name, meaning, labels, buckets=buckets, registry=self._shown(roles)), known)


def _family(metric: Kind, known: Iterable[tuple[str, ...]]) -> Family[Kind]:
    """Return a family that shows its known series from the start."""
    family = Family(metric)
    for labels in known:
        family.begin(labels[0] if len(labels) == 1 else labels)
    return family


def describe() -> list[Description]:
    """Return every metric of the service, in the order of their declaration."""
    return Metrics().declared
