"""Every key of the configuration: its name, its type, its bounds, its default and its meaning.

The attribute names are the keys. Units stand in the names. The text under a field is what
`reliable-email config init` writes above the key and what the JSON Schema says of it: there is
no second description anywhere. "Example:" names a value for a key that has no default.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Final, Literal

from shared.domain.message import DEFAULT_POOL, Address, Priority
from shared.domain.secret import Secret
from shared.providers import registry
from shared.settings.constraints import (
    Between,
    Count,
    Days,
    Domain,
    Host,
    Name,
    NotAKey,
    OptionalDomain,
    OptionalMailbox,
    Port,
    Prefix,
    Rate,
    Seconds,
    Shards,
    SomeSeconds,
    Strong,
    Unique,
    Url,
)

#: Where a process that is started by itself looks for Redis when no URL is configured.
LOCAL_REDIS: Final = "redis://localhost:6379/0"

Names = Annotated[tuple[Name, ...], Unique()]


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a client shows to be let in."""

    name: Name
    """Who uses the key; it stands in the logs, the secret never does. Example: `name = "shop"`"""

    secret: Annotated[Secret, Strong(16)]
    """What the client sends as `Authorization: Bearer …`; at least 16 visible characters.
    Example: `secret = {env = "SHOP_KEY"}`"""


@dataclass(frozen=True, slots=True)
class FrontendSettings:
    """The HTTP interface that clients submit to."""

    host: Host = "127.0.0.1"
    """The address to listen on. Anything but loopback needs at least one key: an open port that
    sends mail for strangers is found within hours."""

    port: Port = 8_525
    """The port to listen on; 0 takes any free one."""

    default_from: Address | None = None
    """The sender of a message that names none; absent, `from` is required.
    Example: `default_from = "Shop <shop@example.com>"`"""

    message_id_domain: OptionalDomain = ""
    """The right half of every Message-ID; empty, the domain of `from`."""

    grace_seconds: Seconds = 20
    """From SIGTERM to exit at the latest: requests in flight are answered, new ones are not taken."""

    keys: tuple[KeySettings, ...] = ()
    """The clients' keys. Without any, the frontend listens on loopback only and asks for none. Several
    may live side by side, so that one can be replaced without a gap."""


@dataclass(frozen=True, slots=True)
class OpsSettings:
    """/healthz, /readyz and /metrics of every process. No secret and no address is shown there."""

    host: Host = "127.0.0.1"
    """The address to listen on; 0.0.0.0 where a probe or Prometheus comes from another host."""

    port: Port = 9_525
    """The port to listen on; 0 takes any free one. `up` counts on from it: frontend, scheduler, senders."""


@dataclass(frozen=True, slots=True)
class LimitsSettings:
    """What a client may ask for. `GET /v1` shows these, so that a client can size its calls."""

    request_megabytes: Annotated[float, Between(above=0, highest=100)] = 25
    """The largest request body, in MiB. Few providers take a larger message."""

    attachments_megabytes: Annotated[float, Between(0, 75)] = 18
    """All attachments of a message together, decoded, in MiB. At most three quarters of
    request_megabytes, because base64 makes four bytes of three."""

    recipients: Annotated[int, Between(1, 1_000)] = 50
    """Recipients of one message, to, cc and bcc together. Most providers stop at 50."""

    batch_messages: Annotated[int, Between(1, 1_000)] = 1_000
    """Messages in one batch request."""

    schedule_days: Annotated[int, Between(1, 3_650)] = 365
    """How far ahead a message may be scheduled."""

    queued_messages: Count = 5_000_000
    """Unfinished messages in the whole queue. Bulk is refused with 429 from 80 % of it, normal
    from 90, high from 95, critical from 100: size it to the memory of Redis."""

    idempotency_hours: Annotated[int, Between(1, 720)] = 24
    """How long an idempotency key is remembered: a client's retries must end before."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """The server that holds the queue: Redis from 7.0 on, or Valkey, alone, under Sentinel or as a cluster."""

    url: str | None = None
    """Absent or empty, `up` starts a server of its own and keeps its data in ./data, and a process
    that is started by itself uses redis://localhost:6379/0. rediss:// speaks TLS (rediss-sentinel and
    rediss-cluster too); redis-sentinel://[user@]host:26379,host:26379/<master>/0 asks Sentinels for the primary;
    redis-cluster://host:6379,host:6379 is a cluster. The user is that of Redis; a password does not stand in it.
    Example: `url = "redis://localhost:6379/0"`"""

    password: Secret | None = None
    """The password of the user in the URL, or of the default user.
    Example: `password = {env = "REDIS_PASSWORD"}`"""

    sentinel_password: Secret | None = None
    """The password of the Sentinels themselves; absent, they are asked without one. They never get that of Redis.
    Example: `sentinel_password = {env = "SENTINEL_PASSWORD"}`"""

    prefix: Prefix = "re"
    """The first word of every key, so that two installations can share one server."""

    shards: Shards = 1
    """Slices of the queue, about 4 for each primary of a cluster. The first process that opens a queue decides."""

    @property
    def server(self) -> str:
        """The URL that a process connects to when it is started by itself."""
        return self.url or LOCAL_REDIS


@dataclass(frozen=True, slots=True)
class DurabilitySettings:
    """What has to be true before a client is told 202."""

    mode: Literal["strict", "trusted"] = "strict"
    """"strict" reads the settings of Redis at start and refuses those that could lose an accepted
    message. "trusted" does not read them: for managed services that hide their configuration."""

    replicas: Annotated[int, Between(0, 16)] = 0
    """Replicas that must confirm each write before its 202; 0 relies on the primary's disk alone."""

    replica_timeout_seconds: Annotated[float, Between(above=0, highest=2.5)] = 0.5
    """How long to wait for them; then the answer is 503. Every request is answered within 3 s."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """The process that hands messages to providers."""

    concurrency: Annotated[int, Between(1, 10_000)] = 200
    """Attempts in flight in one sender, over all its providers."""

    lease_seconds: Annotated[float, Between(1, 3_600)] = 60
    """How long a message stays with a sender that has gone silent before another takes it over.
    A living sender renews at a third of it; a shorter lease makes pauses look like deaths."""

    buffer_megabytes: Annotated[float, Between(above=0)] = 128
    """Messages leased by one sender, in MiB of memory. At least limits.request_megabytes."""

    critical_reserve_percent: Annotated[float, Between(0, 90)] = 10
    """The share of each provider's rate and concurrency that only critical messages may use, so
    that slow bulk cannot hold up a one-time code."""

    grace_seconds: Seconds = 30
    """From SIGTERM to exit at the latest: attempts that run on are then settled as ambiguous."""


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """The process that promotes, takes back, expires and cleans up."""

    grace_seconds: Seconds = 10
    """From SIGTERM to exit at the latest."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """What happens to a message whose attempts fail for now: exponential pauses with full jitter."""

    max_rounds: Annotated[int, Between(1, 1_000)] = 12
    """Rounds of attempts that count before what is still pending fails. Waiting for a provider
    that is down or throttled counts nothing."""

    max_age_hours: Annotated[float, Between(above=0)] = 72
    """The same as an age, from the first counted round on; whichever ends first. Mail servers
    customarily try for days (RFC 5321, 4.5.4.1)."""

    base_seconds: SomeSeconds = 5
    """The upper bound of the first pause; each later bound is twice the one before."""

    max_seconds: SomeSeconds = 3_600
    """The largest upper bound of a pause. At least base_seconds."""

    ambiguous_delay_seconds: Seconds = 60
    """The pause after an attempt that may or may not have arrived: time for the provider to
    forget a half-finished request, or to know the message."""


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long finished messages are kept, from their end on. Nothing unfinished is ever dropped."""

    sent_days: Days = 7
    """Records of messages that were sent, cancelled, expired or suppressed. At least
    limits.idempotency_hours, so that a replay finds its message."""

    content_days: Days = 1
    """Their bodies and attachments; they end with the record at the latest."""

    failed_days: Days = 30
    """Dead letters with their content, for a requeue. At least limits.idempotency_hours."""


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """A number of messages in a span of time, for all senders together. Spent, the next provider takes over."""

    messages: Count
    """Messages in the span. Example: `messages = 50_000`"""

    per: Literal["hour", "day", "month"] = "day"
    """The span. A rolling month has 30 days."""

    window: Literal["rolling", "calendar"] = "rolling"
    """"rolling" looks back from now; "calendar" starts anew with each hour, day or month."""

    zone: str | None = None
    """Whose calendar, as an IANA name; absent, UTC. Only beside window = "calendar".
    Example: `zone = "Europe/Berlin"`"""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """An account at an email service. What its kind needs beyond these keys stands in the same table."""

    name: Name
    """The name in records, metrics and commands. Never reuse it for another account: what was
    learned of the old one would be believed of the new one. Example: `name = "relay"`"""

    kind: str
    """The kind of service; a plug-in may add kinds. A provider that variables alone describe has
    the kind of its name. Example: `kind = "smtp"`"""

    tier: Annotated[int, Between(1, 100)] = 1
    """The lowest tier with a healthy provider is used; higher ones are in reserve."""

    weight: Annotated[int, Between(1, 1_000)] = 1
    """The share within the tier, beside the other weights."""

    rate_per_second: Rate | None = None
    """Messages a second for the whole cluster, all senders together; absent, no limit.
    Example: `rate_per_second = 14`"""

    burst: Annotated[float, Between(1)] | None = None
    """Messages that may go at once after a pause; absent, rate_per_second, at least 1.
    Example: `burst = 28`"""

    concurrency: Annotated[int, Between(1, 10_000)] = 20
    """Attempts in flight in each sender."""

    quotas: tuple[QuotaSettings, ...] = ()
    """What the account may send in an hour, a day or a month, all senders together. A provider whose quota is
    spent is left alone until some of it is free again."""

    connect_seconds: Annotated[float, Between(above=0, highest=300)] = 5
    """How long a connection may take, TLS included. Nothing has been sent yet: another try is safe."""

    answer_seconds: Annotated[float, Between(above=0, highest=3_600)] | None = None
    """How long to wait for the answer to a complete request; absent, 30 for HTTP, 600 after SMTP's
    final dot (RFC 5321, 4.5.3.2.6): a shorter wait makes duplicates.
    Example: `answer_seconds = 30`"""

    return_path: OptionalMailbox = ""
    """MAIL FROM, where bounces go, if the provider lets us choose; empty, `from`."""

    pools: Names = (DEFAULT_POOL,)
    """The pools that the provider belongs to: a message is sent by a provider of its pool only."""

    sender_domains: tuple[Domain, ...] = ()
    """The domains that this account may send from; empty, any. A message from another domain is never tried here.
    Example: `sender_domains = ["example.com"]`"""

    options: Annotated[Any, NotAKey] = None
    """The keys of the kind itself: an instance of its adapter's `Options`."""


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """The conditions of a route."""

    recipient_domain: tuple[Domain, ...] = ()
    """The domain of every recipient is one of these. Example: `recipient_domain = ["example.test"]`"""

    sender_domain: tuple[Domain, ...] = ()
    """The domain of `from` is one of these. Example: `sender_domain = ["news.example.com"]`"""

    tag: tuple[str, ...] = ()
    """The message has one of these tags. Example: `tag = ["e2e"]`"""

    priority: tuple[Priority, ...] = ()
    """The message's priority is one of these. Example: `priority = ["bulk"]`"""

    larger_than_bytes: Annotated[int, Between(0)] | None = None
    """The message is larger than this. Example: `larger_than_bytes = 10_000_000`"""


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """A rule that gives a pool to messages that name none. The first that matches wins."""

    pool: Name
    """The pool, one that a provider names. Example: `pool = "default"`"""

    match: RouteMatch = RouteMatch()
    """Which messages the route is for: all conditions given must hold, for all recipients; without
    any, it is for every message."""


@dataclass(frozen=True, slots=True)
class LoggingSettings:
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is written."""

    format: Literal["auto", "json", "pretty"] = "auto"
    """"auto" is pretty on a terminal and JSON everywhere else."""


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Spans of OpenTelemetry for each step of a message, sent over OTLP/HTTP. Needs the extra `tracing`."""

    endpoint: Url | None = None
    """Where a collector takes spans; absent, none are made. The variables OTEL_EXPORTER_OTLP_HEADERS and
    OTEL_RESOURCE_ATTRIBUTES count too. Example: `endpoint = "http://localhost:4318/v1/traces"`"""

    sample_percent: Annotated[float, Between(0, 100)] = 100
    """The share of submissions that are traced where the client sends no `traceparent`; where it does, it has
    decided already."""


def default_providers() -> tuple[ProviderSettings, ...]:
    """Return what sends when no provider is configured: `outbox`, which keeps every mail on this machine."""
    outbox = registry.adapter("outbox")
    return (ProviderSettings(name=outbox.kind, kind=outbox.kind, options=outbox.Options()),)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of an installation; every process reads the same."""

    frontend: FrontendSettings = FrontendSettings()
    ops: OpsSettings = OpsSettings()
    limits: LimitsSettings = LimitsSettings()
    redis: RedisSettings = RedisSettings()
    durability: DurabilitySettings = DurabilitySettings()
    sender: SenderSettings = SenderSettings()
    scheduler: SchedulerSettings = SchedulerSettings()
    retry: RetrySettings = RetrySettings()
    retention: RetentionSettings = RetentionSettings()
    providers: tuple[ProviderSettings, ...] = field(default_factory=default_providers)
    routes: tuple[RouteSettings, ...] = ()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    source: Annotated[str | None, NotAKey] = None
    """The file that was read, None where there was none."""

    @property
    def pools(self) -> tuple[str, ...]:
        """The names of all pools, `default` first, the others in alphabetical order."""
        names = {pool for provider in self.providers for pool in provider.pools}
        return tuple(sorted(names, key=lambda name: (name != DEFAULT_POOL, name)))


def config_revision(settings: Settings) -> str:
    """Return 8 hexadecimal digits that differ where providers or routes do, secrets included by their hash.

    Senders publish it, so that an operator sees which of them run with another file. It tells
    something only where the providers' secrets were read.
    """
    return _digest((settings.providers, settings.routes))


def account_revision(provider: ProviderSettings) -> str:
    """Return 8 hexadecimal digits that differ where the account itself does: its kind, the keys of the kind
    (credentials among them) and the return path.

    What was learned of another account says nothing of this one.
    """
    return _digest((provider.kind, provider.options, provider.return_path))


def _digest(value: object) -> str:
    text = json.dumps(_canonical(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _canonical(value: object) -> object:
    if isinstance(value, Secret):
        return hashlib.sha256(value.reveal().encode()).hexdigest()
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _canonical(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, tuple):
        return [_canonical(item) for item in value]
    return value
