"""Every request of the interface, one entry each: what it takes, what it answers, what may go wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.frontend.bodies import JSON, MERGE_PATCH
from services.frontend.openapi import examples
from services.frontend.openapi.problems import BATCH_PROBLEMS, STATE_PROBLEMS, SUBMISSION_PROBLEMS
from services.frontend.query import DEFAULT_LIMIT, LONGEST_CURSOR, MOST
from services.frontend.schema.keys import HEADER, IdempotencyKey
from services.frontend.schema.kinds import JsonSchema
from shared.domain.states import DEAD


@dataclass(frozen=True, slots=True)
class Answer:
    """One good answer: its status, what it means, the name of its definition, its own headers, examples."""

    status: int
    meaning: str
    schema: str | None = None
    headers: tuple[str, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: the name of its definition, examples, the media types that are taken, whether there must be one."""

    schema: str
    examples: Mapping[str, Any]
    media_types: tuple[str, ...] = JSON
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `problems` are codes beside those that may come of every request."""

    method: str
    path: str
    id: str
    tag: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    problems: tuple[str, ...] = ()
    problem_schemas: Mapping[int, str] = field(default_factory=dict)
    body: Body | None = None
    parameters: tuple[JsonSchema, ...] = ()


#: The groups of operations, in the order in which they are shown.
TAGS: Final = {
    "messages": "Submit messages, see what became of them, change or cancel what is not sent yet.",
    "repair": "Dead letters: messages that failed for good, or for some of their recipients.",
    "queue": "How much waits where, and what holds it up.",
    "providers": "Who carries the messages.",
    "service": "The service itself.",
}

_KEY: Final[JsonSchema] = {
    "name": HEADER,
    "in": "header",
    "description": "The same as the field `idempotency_key`; of a batch, keys for the messages without one.",
    "schema": IdempotencyKey().schema(),
}

_TRACE: Final[JsonSchema] = {
    "name": "traceparent",
    "in": "header",
    "description": "The client's position in a trace (W3C Trace Context); what becomes of the message is a part of it. "
    "One that is malformed is passed over.",
    "schema": {"type": "string"},
}


def path_parameter(name: str, doc: str, pattern: str, example: str) -> JsonSchema:
    """Return a part of a path."""
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": doc, "schema": schema, "example": example}


_ID: Final = path_parameter("id", "The id of a message.", "^[A-Za-z0-9_-]{1,64}$", examples.ID)
_NAME: Final = path_parameter("name", "A name of the configuration.", "^[a-z0-9-]{1,32}$", "default")

_LIST_PARAMETERS: Final[tuple[JsonSchema, ...]] = (
    {
        "name": "state",
        "in": "query",
        "description": "Only messages in this state; repeated, in one of these. Left out: in any of them.",
        "schema": {"type": "array", "items": {"type": "string", "enum": [state.value for state in DEAD]}},
    },
    {
        "name": "limit",
        "in": "query",
        "description": "How many at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "The `next_cursor` of the page before, with the same filters.",
        "schema": {"type": "string", "format": "cursor", "minLength": 1, "maxLength": LONGEST_CURSOR},
    },
)

_RECORD: Final = Answer(200, "The record as it stands now.", "Record", examples={"record": examples.RECORD})
_SUBMISSION: Final = ("sender_not_allowed", "quota_exceeded", "queue_full", "acceptance_unknown")

_MESSAGES: Final = (
    Operation(
        "POST",
        "/v1/messages",
        "submitMessage",
        "messages",
        "Submit a message",
        "Answers once the message lies on disk. The same body again under the same idempotency key gives the same "
        "answer and sends nothing twice. Required are a recipient (`to`, `cc` or `bcc`), `subject`, one of `text`, "
        "`html` and `attachments`, and `from` where the service has no sender of its own. Of `send_at` and "
        "`delay_seconds`, and of `expires_at` and `ttl_seconds`, one may be given. A time past means now.",
        (
            Answer(
                202,
                "The message is stored, and will be sent.",
                "Acceptance",
                ("Location", "Idempotent-Replayed"),
                {"scheduled": examples.ACCEPTANCE},
            ),
        ),
        ("invalid_message", "idempotency_key_reused", *_SUBMISSION),
        SUBMISSION_PROBLEMS,
        Body("Message", examples.MESSAGES),
        (_KEY, _TRACE),
    ),
    Operation(
        "POST",
        "/v1/messages/batch",
        "submitBatch",
        "messages",
        "Submit up to a thousand messages",
        "Each message is taken or refused for itself. A message's own field wins over the same field of `defaults`. "
        "Where none is taken, the answer is a problem.",
        (
            Answer(
                202,
                "All messages are stored, and will be sent.",
                "BatchAnswer",
                ("Idempotent-Replayed",),
                {"all": examples.BATCH_TAKEN},
            ),
            Answer(
                207,
                "Some messages are stored, and will be sent; some were refused.",
                "BatchAnswer",
                ("Idempotent-Replayed",),
                {"some": examples.BATCH_PARTLY_TAKEN},
            ),
        ),
        ("invalid_batch", *_SUBMISSION),
        BATCH_PROBLEMS,
        Body("Batch", examples.BATCHES),
        (_KEY, _TRACE),
    ),
    Operation(
        "POST",
        "/v1/messages/validate",
        "validateMessage",
        "messages",
        "Judge a message without sending it",
        "Takes what a submission takes, and accepts nothing: no key is remembered, no room in the queue is asked for.",
        (Answer(200, "What would become of the message.", "Rehearsal", examples=examples.REHEARSALS),),
        body=Body("Message", examples.MESSAGES),
        parameters=(_KEY,),
    ),
    Operation(
        "GET",
        "/v1/messages/{id}",
        "readMessage",
        "messages",
        "Read what became of a message",
        "A client reads its own write: the record is there from the acceptance on, until its retention ends.",
        (_RECORD,),
        ("not_found",),
        parameters=(_ID,),
    ),
    Operation(
        "PATCH",
        "/v1/messages/{id}",
        "changeMessage",
        "messages",
        "Change a message that waits",
        "A merge patch (RFC 7396): what is not named stays. Null for `send_at` means now, for `expires_at` never.",
        (_RECORD,),
        ("not_found", "not_changeable", "invalid_message"),
        STATE_PROBLEMS,
        Body("Change", examples.CHANGES, MERGE_PATCH),
        (_ID,),
    ),
    Operation(
        "DELETE",
        "/v1/messages/{id}",
        "deleteMessage",
        "messages",
        "Drop a message that has ended",
        "Its record and its content are gone afterwards.",
        (Answer(204, "It is gone."),),
        ("not_found", "not_final"),
        STATE_PROBLEMS,
        parameters=(_ID,),
    ),
    Operation(
        "POST",
        "/v1/messages/{id}/cancel",
        "cancelMessage",
        "messages",
        "Send nothing more of a message",
        "Cancelling what is cancelled already answers 200 again.",
        (
            _RECORD,
            Answer(
                202, "An attempt is under way; none follows it.", "Record", examples={"record": examples.CANCELLING}
            ),
        ),
        ("not_found", "not_cancellable"),
        STATE_PROBLEMS,
        parameters=(_ID,),
    ),
)

_REPAIR: Final = (
    Operation(
        "GET",
        "/v1/messages",
        "listMessages",
        "repair",
        "List the dead letters",
        "Messages that failed, for all of their recipients or for some; those that ended last come first.",
        (Answer(200, "One page.", "MessageList", examples={"page": examples.PAGE}),),
        ("cursor_mismatch",),
        parameters=_LIST_PARAMETERS,
    ),
    Operation(
        "POST",
        "/v1/messages/{id}/requeue",
        "requeueMessage",
        "repair",
        "Try the failed and expired recipients of a message again",
        "The message keeps its id and its Message-ID; those who got it do not get it again.",
        (_RECORD,),
        ("not_found", "not_requeueable"),
        STATE_PROBLEMS,
        parameters=(_ID,),
    ),
    Operation(
        "POST",
        "/v1/messages/requeue",
        "requeueMessages",
        "repair",
        "Requeue many messages",
        "Those of `ids`, or up to `limit` of those that the `filter` matches.",
        (Answer(200, "What came of each.", "Repaired", examples={"requeued": examples.REQUEUED}),),
        ("invalid_request",),
        body=Body("Selection", examples.SELECTIONS),
    ),
    Operation(
        "POST",
        "/v1/messages/delete",
        "deleteMessages",
        "repair",
        "Drop many messages that have ended",
        "Those of `ids`, or up to `limit` of those that the `filter` matches.",
        (Answer(200, "What came of each.", "Repaired", examples={"deleted": examples.DELETED}),),
        ("invalid_request",),
        body=Body("Selection", examples.SELECTIONS),
    ),
)

_VIEWS: Final = (
    Operation(
        "GET",
        "/v1",
        "readService",
        "service",
        "Read limits and names",
        "What a client must know to size its calls.",
        (Answer(200, "The service.", "Service", examples={"service": examples.SERVICE}),),
    ),
    Operation(
        "GET",
        "/v1/queue",
        "readQueue",
        "queue",
        "See how much waits where",
        "Every pool that is configured, told of by a sender, or was ever used.",
        (Answer(200, "The queue.", "QueueView", examples={"queue": examples.QUEUE}),),
    ),
    Operation(
        "POST",
        "/v1/queue/move",
        "moveMessages",
        "queue",
        "Move all that waits in one pool to another",
        "One step of it; repeat it with `cursor` until `next_cursor` is null.",
        (Answer(200, "One step is done.", "Moved", examples={"step": examples.MOVED}),),
        ("invalid_request",),
        body=Body("Move", examples.MOVES),
    ),
    Operation(
        "GET",
        "/v1/providers",
        "listProviders",
        "providers",
        "See the providers",
        "One row a name, as the senders see it; configured as most of them have it.",
        (Answer(200, "All providers.", "ProviderList", examples={"providers": examples.PROVIDERS}),),
    ),
)


def _pauses(path: str, noun: str, schema: str, paused: object, resumed: object) -> Iterator[Operation]:
    """Yield the pause and the resumption of one kind of thing; both answer with the thing itself."""
    parameters = (_NAME,) if "{name}" in path else ()
    problems = ("not_found",) if parameters else ()
    what, tag = f"a {noun.lower()}" if parameters else "everything", "providers" if noun == "Provider" else "queue"
    yield Operation(
        "POST",
        f"{path}/pause",
        f"pause{noun}",
        tag,
        f"Pause {what}",
        "Once it is answered no attempt begins any more, also after a failover of Redis. Pausing what is paused "
        "replaces reason and end; without a body there is neither. Where `until` lies in the past, it is resumed.",
        (Answer(200, "It is paused, as this shows.", schema, examples={"paused": paused}),),
        (*problems, "invalid_request"),
        body=Body("PauseRequest", examples.PAUSES, required=False),
        parameters=parameters,
    )
    yield Operation(
        "POST",
        f"{path}/resume",
        f"resume{noun}",
        tag,
        f"Resume {what}",
        "Attempts may begin again, unless another pause holds them up.",
        (Answer(200, "It is not paused, as this shows.", schema, examples={"resumed": resumed}),),
        problems,
        parameters=parameters,
    )


_OPERATING: Final = (
    *_pauses("/v1/queue", "Queue", "QueueView", examples.QUEUE_PAUSED, examples.QUEUE),
    *_pauses("/v1/pools/{name}", "Pool", "PoolView", examples.POOL_PAUSED, examples.POOL),
    *_pauses("/v1/providers/{name}", "Provider", "Provider", examples.PROVIDER_PAUSED, examples.PROVIDER),
    Operation(
        "POST",
        "/v1/providers/{name}/test",
        "testProvider",
        "providers",
        "Send a test message through one provider",
        "It passes by the routing, never by the limits. `from` is required where the service has no sender of its own.",
        (
            Answer(
                202,
                "The test message is stored, and will be sent.",
                "Acceptance",
                ("Location",),
                {"queued": examples.ACCEPTANCE},
            ),
        ),
        ("not_found", "invalid_request", *_SUBMISSION),
        SUBMISSION_PROBLEMS,
        Body("ProviderTest", examples.TESTS),
        (_NAME,),
    ),
)

OPERATIONS: Final = (*_MESSAGES, *_REPAIR, *_VIEWS, *_OPERATING)
