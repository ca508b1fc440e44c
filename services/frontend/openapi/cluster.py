"""What is answered about the service, its queue and its providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from services.frontend.limits import Limits
from services.frontend.openapi.shapes import (
    an_object,
    closed,
    counts,
    instant,
    listed,
    named,
    nullable,
    number,
    open_set,
    text,
    truth,
    whole,
)
from services.frontend.schema.kinds import JsonSchema
from shared.domain.message import Priority
from shared.domain.outcome import Outcome
from shared.domain.states import DEAD, LIVE
from shared.policy.breaker import BreakerState
from shared.runtime.metrics import ROLES

_STATES: Final = (
    "healthy",
    "degraded",
    "throttled",
    "quota_spent",
    "open",
    "probing",
    "misconfigured",
    "paused",
    "unknown",
)
#: What bounds a batch once its defaults stand in every message; nobody needs it to size a call.
_HIDDEN: Final = "batch_bytes"

SCHEMAS: Final[Mapping[str, JsonSchema]] = {
    "Service": an_object(
        "What a client must know of the service to size its calls.",
        {
            "service": {"type": "string", "const": "reliable-email"},
            "version": text(),
            "api_version": {"type": "string", "const": "v1"},
            "time": instant("The service's clock."),
            "tenant": text("Whose messages the key sees."),
            "scopes": listed(text(), "What the key allows."),
            "limits": an_object(
                "What a request may be.",
                {field.name: {"type": "integer", "minimum": 0} for field in fields(Limits) if field.name != _HIDDEN},
            ),
            "priorities": listed(closed(Priority, "A priority."), "The most urgent first."),
            "pools": listed(text(), "The pools that a message may name."),
        },
    ),
    "QueueView": an_object(
        "How much waits where, and how fast it moves.",
        {
            "as_of": instant("The instant of the counts."),
            "paused": nullable(named("Pause", "What holds up everything.")),
            "totals": counts((*LIVE, *DEAD), "How many messages are in which state."),
            "rates": an_object(
                "How fast messages come and go.",
                {
                    "window_seconds": whole("The time over which was counted."),
                    "accepted_per_second": number("Messages accepted."),
                    "sent_per_second": number("Recipients' messages that a provider took."),
                },
            ),
            "pools": listed(named("PoolView")),
            "processes": counts(ROLES, "How many processes of each role are alive."),
        },
    ),
    "PoolView": an_object(
        "What waits in one pool.",
        {
            "name": text(),
            "providers": listed(text(), "Those that senders know."),
            "available": truth("Whether one of them takes messages of the pool now."),
            "paused": nullable(named("Pause", "What holds up the pool.")),
            "priorities": listed(
                an_object(
                    "What waits with one priority.",
                    {
                        "priority": closed(Priority, "The priority."),
                        **counts(LIVE, "")["properties"],
                        "oldest_queued_age_seconds": number("How long the first of them is ready."),
                    },
                )
            ),
        },
    ),
    "Pause": an_object(
        "A pause: no attempt begins until it ends.",
        {
            "reason": text("The words of whoever paused it."),
            "since": instant(),
            "until": nullable(instant("When it ends by itself; null: when somebody resumes it.")),
        },
    ),
    "Provider": an_object(
        "A provider as the senders see it.",
        {
            "name": text(),
            "kind": text("What is configured as its kind."),
            "pools": listed(text()),
            "tier": whole("The lowest tier with a good provider is used."),
            "weight": number("Its share within the tier."),
            "state": open_set(_STATES, "How it does."),
            "available": truth("Whether it takes messages now."),
            "available_at": nullable(instant("When it will take some again, where that is known.")),
            "paused": nullable(named("Pause", "What holds up the provider.")),
            "health": {"type": "number", "minimum": 0, "maximum": 1, "description": "1 is perfect."},
            "breaker": an_object(
                "Its circuit breaker.",
                {
                    "state": open_set(BreakerState, "Whether messages pass."),
                    "opened_at": nullable(instant()),
                    "next_probe_at": nullable(instant()),
                    "reason": nullable(text("What opened it.")),
                },
            ),
            "limits": an_object(
                "How much it may be given.",
                {
                    "rate_per_second": nullable(number("Configured for the whole cluster; null: no limit.")),
                    "rate_now_per_second": nullable(number("What is left of it while the provider throttles.")),
                    "burst": nullable(number("How many at once.")),
                    "concurrency": whole("Attempts in flight in one sender."),
                    "quotas": listed(named("Quota")),
                },
            ),
            "capabilities": an_object(
                "What it can carry, as far as it is known before a try.",
                {
                    "max_bytes": nullable(whole("The largest message.")),
                    "max_recipients": nullable(whole("How many recipients one message may have.")),
                    "sender_domains": nullable(listed(text(), "The domains that it sends from; null: any.")),
                    "refused_extensions": listed(text(), "Ends of file names that it does not take."),
                    "known_extensions": nullable(listed(text(), "The only ends of file names that it takes.")),
                    "ascii_only": truth("Whether it takes no address with a local part beyond ASCII."),
                },
            ),
            "usage": an_object(
                "How much it has.",
                {
                    "tokens": nullable({"type": "number", "description": "What it may be given at once."}),
                    "in_flight": whole("Attempts under way."),
                    "accepted_24h": nullable(whole("What it took in the last 24 hours.")),
                },
            ),
            "outcomes_1m": {
                "type": "object",
                "additionalProperties": {"type": "integer", "minimum": 0},
                "propertyNames": open_set(Outcome, "An outcome."),
                "description": "How often which outcome came in the last minute.",
            },
            "latency_ms": an_object(
                "How long it takes.", {"p50": nullable(whole("Median.")), "p95": nullable(whole("95th percentile."))}
            ),
            "last_error": nullable(
                an_object(
                    "What went wrong last.",
                    {"at": instant(), "outcome": open_set(Outcome, "What it came to."), "detail": text()},
                )
            ),
            "config_revision": text("Tells apart senders that run with different files."),
            "seen_by": whole("How many senders speak of it; none: its state is unknown."),
        },
    ),
    "Quota": an_object(
        "How many messages it may be given in a span of time.",
        {
            "messages": whole("So many.", 1),
            "per": open_set(("hour", "day", "month"), "In such a span."),
            "window": open_set(("rolling", "calendar"), "Whether the span looks back from now, or begins anew."),
            "zone": nullable(text("The time zone of a calendar's span.")),
            "used": whole("What was used of it."),
            "frees_at": nullable(instant("When some of it is free again, once it is used up.")),
        },
    ),
    "ProviderList": an_object(
        "All providers.",
        {"data": listed(named("Provider")), "next_cursor": {"type": "null"}},
    ),
}
