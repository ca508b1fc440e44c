"""Everything that may stand in the log, as data: name, level, fields, meaning.

A name is the verb of what happened, in the past tense. A test holds every call in the code
against this table, and the documentation prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One kind of line: its level, what it means, and its fields beside `CONTEXT_FIELDS`."""

    level: str
    meaning: str
    fields: tuple[str, ...] = ()


#: On every line.
LINE_FIELDS: Final = ("timestamp", "level", "event", "role")

#: Fields that mean the same on whatever line they stand. Recipients are shown as a keyed hash
#: and their domain; subjects and bodies are never shown.
CONTEXT_FIELDS: Final = {
    "actor": "the actor inside a sender",
    "attempt": "number of the attempt, from 1",
    "code": "a code of the interface",
    "count": "how many messages",
    "detail": "what happened, in words",
    "error": "an error, in words",
    "exception": "the stack of a defect",
    "exc_info": "made into `exception`",
    "kind": "type of the error, or kind of the provider",
    "lines_dropped": "lines this process has lost so far, because nobody read its log",
    "message_id": "the message",
    "pool": "the pool",
    "priority": "the priority",
    "provider": "the provider's name",
    "request_id": "the request, as its answer's X-Request-Id names it",
    "script": "the script of the queue",
    "seconds": "how long it took",
    "shard": "number of the shard",
    "state": "the state of the message, provider or breaker",
    "tenant": "whose message it is",
}

EVENTS: Final[dict[str, LogEvent]] = {
    # Every process
    "process_started": LogEvent("info", "The process runs.", ("pid",)),
    "process_stopped": LogEvent("info", "The process has finished and ends with code 0."),
    "process_failed": LogEvent("error", "The process ends with code 1; the error names the cause."),
    "configuration_refused": LogEvent(
        "error", "The configuration cannot be used; one line for each fault. What runs goes on as before.", ("where",)
    ),
    "configuration_reloaded": LogEvent(
        "info", "SIGHUP: what changed in the configuration is in force.", ("changes", "config_revision")
    ),
    "configuration_ignored": LogEvent("warning", "SIGHUP: these keys differ too, and need a restart.", ("keys",)),
    "drain_started": LogEvent("info", "Nothing new is taken; what is held is finished.", ("cause", "grace_seconds")),
    "drain_hurried": LogEvent("warning", "A second signal ended the grace period.", ("cause",)),
    "drain_overran": LogEvent("error", "The grace period ended before the work did; the process ends with code 1."),
    "signal_ignored": LogEvent("debug", "A signal came that this process does not obey.", ("signal",)),
    "callback_failed": LogEvent("error", "A callback of the event loop raised: a defect."),
    "spans_lost": LogEvent("warning", "The collector of traces took too long at the end of the process."),
    "library_logged": LogEvent("warning", "A library had something to say.", ("logger",)),
    "ops_listening": LogEvent("info", "The operations port is open.", ("host", "port")),
    "task_crashed": LogEvent("error", "A task raised; its owner ends, or starts it again.", ("task",)),
    "chore_failed": LogEvent("warning", "A recurring chore failed and is tried again at its next turn.", ("chore",)),
    # Redis
    "redis_connected": LogEvent("info", "Redis answered for the first time.", ("server", "version", "shards")),
    "redis_awaited": LogEvent("warning", "Redis does not answer yet; the process waits for it."),
    "redis_lost": LogEvent("warning", "Redis does not answer; nothing is accepted or leased until it does."),
    "redis_recovered": LogEvent("info", "Redis answers again."),
    "primary_changed": LogEvent("warning", "Another server is primary now.", ("server",)),
    "durability_confirmed": LogEvent("info", "The settings of Redis keep every accepted message.", ("server",)),
    "durability_refused": LogEvent("error", "The settings of Redis could lose accepted messages.", ("server",)),
    "durability_doubted": LogEvent("warning", "A setting of Redis is unwise, but loses nothing."),
    "shards_raised": LogEvent("info", "The number of shards grows.", ("before", "shards")),
    "shards_ignored": LogEvent(
        "warning", "The queue has another number of shards than is configured; its own counts.", ("shards", "used")
    ),
    "script_failed": LogEvent("error", "A script failed inside Redis: a defect."),
    "answer_lost": LogEvent("warning", "A call's answer was lost; it is repeated with the same token."),
    "call_refused_late": LogEvent("warning", "Redis ran a call so late that it refused it; it is repeated once."),
    # Frontend
    "api_listening": LogEvent("info", "The interface is open.", ("host", "port")),
    "message_accepted": LogEvent("debug", "A message is on disk and was answered with 202.", ("replayed",)),
    "message_refused": LogEvent("debug", "A submission was not valid.", ("faults",)),
    "commit_written": LogEvent("info", "One flush wrote these submissions to disk."),
    "commit_failed": LogEvent("warning", "A flush failed; its submissions were answered with 503."),
    "submission_unknown": LogEvent("warning", "A submission was sent and its answer lost; 503 `acceptance_unknown`."),
    "queue_filled": LogEvent("warning", "The queue is so full that this priority is refused.", ("depth", "limit")),
    "request_failed": LogEvent("error", "A request met a defect and was answered with `internal`.", ("method", "path")),
    "request_unauthenticated": LogEvent("info", "A request brought no valid key.", ("method", "path")),
    "message_cancelled": LogEvent("info", "An owner cancelled a message."),
    "message_changed": LogEvent("info", "An owner changed a message.", ("changes",)),
    "message_requeued": LogEvent("info", "An owner sent a dead letter back to the queue."),
    "message_deleted": LogEvent("info", "An owner dropped a final message."),
    "messages_moved": LogEvent("info", "An operator moved waiting messages to another pool.", ("to",)),
    "sending_paused": LogEvent("info", "An operator paused a provider, a pool or everything.", ("what", "until")),
    "sending_resumed": LogEvent("info", "An operator resumed a provider, a pool or everything.", ("what",)),
    "provider_tested": LogEvent("info", "An operator submitted a test message for one provider."),
    # Scheduler
    "messages_promoted": LogEvent("info", "Due messages became ready."),
    "lease_reclaimed": LogEvent("warning", "A lease ran out and its message was taken back.", ("begun",)),
    "messages_expired": LogEvent("info", "Messages reached their expires_at before they were sent."),
    "messages_trimmed": LogEvent("info", "Retention dropped final messages."),
    "content_dropped": LogEvent("info", "Retention dropped bodies and attachments."),
    # Sender
    "messages_leased": LogEvent("debug", "The dispatcher took messages from a shard."),
    "message_routed": LogEvent("debug", "The router chose a provider.", ("route",)),
    "attempt_begun": LogEvent("debug", "An attempt is written down and goes to its provider."),
    "attempt_finished": LogEvent("debug", "An attempt came to its outcome.", ("outcome",)),
    "message_settled": LogEvent("debug", "What an attempt came to, or a lease handed back, is written down."),
    "message_finished": LogEvent("info", "A message has come to its end; told only to `up`, which shows it."),
    "message_failed_over": LogEvent(
        "debug", "A message goes to another provider in the same lease.", ("to", "outcome")
    ),
    "batch_settled": LogEvent("info", "Outcomes were written back."),
    "settle_failed": LogEvent("warning", "Outcomes could not be written back yet; they are kept and tried again."),
    "lease_lost": LogEvent("warning", "A lease ran out or was taken while this sender held it."),
    "stale_write_refused": LogEvent("warning", "A write with a token that no longer counts changed nothing."),
    "breaker_opened": LogEvent("warning", "A provider is not used for now.", ("until",)),
    "breaker_probed": LogEvent("info", "A provider is tried again with single messages."),
    "breaker_closed": LogEvent("info", "A provider is in use again."),
    "provider_throttled": LogEvent("warning", "A provider asked for less.", ("retry_after_seconds",)),
    "provider_misconfigured": LogEvent("error", "A provider refuses our credentials or settings."),
    "provider_paused": LogEvent("warning", "An operator lets nothing begin at a provider.", ("until",)),
    "provider_resumed": LogEvent("info", "A pause that concerned a provider is over; it begins slowly."),
    "provider_recovered": LogEvent("info", "A provider that was in trouble works again."),
    "actor_crashed": LogEvent("error", "An actor raised and is started again.", ("restarts",)),
    # up
    "child_started": LogEvent("info", "`up` started a process.", ("child", "pid")),
    "child_exited": LogEvent("warning", "A process of `up` ended and is started again.", ("child", "exit_code")),
}


def describe() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Return (name, level, fields, meaning) of every event, in the order of their declaration."""
    return [(name, event.level, event.fields, event.meaning) for name, event in EVENTS.items()]
