"""The state machine of a message, written down once, as data.

Everything that says how a message may move lives in this file: the scripts of the queue name
their moves in their headers and a test compares them with `TRANSITIONS`; the model test asserts
each move it sees; the diagram in the documentation is printed from the same table.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a message stands. A closed set: clients may rely on its being complete."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    SENT = "sent"
    PARTLY_SENT = "partly_sent"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


class RecipientState(StrEnum):
    """Where one recipient of a message stands. A closed set."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Verb(StrEnum):
    """What can happen to a message; each verb is one script of the queue with the same name."""

    SUBMIT = "submit"
    PROMOTE = "promote"
    LEASE = "lease"
    BEGIN = "begin"
    SETTLE = "settle"
    RELEASE = "release"
    REAP = "reap"
    CANCEL = "cancel"
    CHANGE = "change"
    REQUEUE = "requeue"
    DELETE = "delete"
    MOVE = "move"
    EXPIRE = "expire"
    TRIM = "trim"


#: States in which a message may still be sent, in the order of its life.
LIVE: Final = (State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING)

#: States that nothing but a requeue changes.
FINAL: Final = (State.SENT, State.PARTLY_SENT, State.FAILED, State.CANCELLED, State.EXPIRED, State.SUPPRESSED)

#: The dead letters: kept with their content until their owner requeues or drops them.
DEAD: Final = (State.FAILED, State.PARTLY_SENT)

#: The kind of set in which a message of each state lies. `ready` is one set for each flow,
#: `scheduled` and `retry` one for each priority, the others one for each shard.
PLACES: Final = {
    State.SCHEDULED: "scheduled",
    State.QUEUED: "ready",
    State.SENDING: "leased",
    State.RETRYING: "retry",
    State.FAILED: "failed",
    State.PARTLY_SENT: "failed",
    State.SENT: "finished",
    State.CANCELLED: "finished",
    State.EXPIRED: "finished",
    State.SUPPRESSED: "finished",
}

_ENDED = frozenset({State.SENT, State.PARTLY_SENT, State.FAILED, State.CANCELLED, State.EXPIRED})
_CANCELLED = frozenset({State.CANCELLED, State.PARTLY_SENT, State.FAILED, State.EXPIRED})
_EXPIRED = frozenset({State.EXPIRED, State.PARTLY_SENT, State.FAILED})
_GONE: frozenset[State] = frozenset()

#: (state before, verb) -> the states that may follow. `None` is a message that does not exist
#: yet; an empty set means that the message is gone. A pair that is missing changes nothing.
#: Several states may follow one verb because a message's state is derived from its recipients'.
TRANSITIONS: Final[dict[tuple[State | None, Verb], frozenset[State]]] = {
    (None, Verb.SUBMIT): frozenset({State.SCHEDULED, State.QUEUED}),
    (State.SCHEDULED, Verb.PROMOTE): frozenset({State.QUEUED}),
    (State.RETRYING, Verb.PROMOTE): frozenset({State.QUEUED}),
    (State.QUEUED, Verb.LEASE): frozenset({State.SENDING}),
    (State.SENDING, Verb.BEGIN): _CANCELLED,
    (State.SENDING, Verb.SETTLE): _ENDED | {State.RETRYING, State.QUEUED},
    (State.QUEUED, Verb.SETTLE): _ENDED,
    (State.RETRYING, Verb.SETTLE): _ENDED,
    (State.SCHEDULED, Verb.SETTLE): _ENDED,
    (State.SENDING, Verb.RELEASE): _EXPIRED | {State.QUEUED, State.RETRYING},
    (State.SENDING, Verb.REAP): _CANCELLED | {State.QUEUED, State.RETRYING},
    (State.SCHEDULED, Verb.CANCEL): _CANCELLED,
    (State.QUEUED, Verb.CANCEL): _CANCELLED,
    (State.RETRYING, Verb.CANCEL): _CANCELLED,
    (State.SENDING, Verb.CANCEL): _CANCELLED,
    (State.SCHEDULED, Verb.CHANGE): frozenset({State.SCHEDULED, State.QUEUED}),
    (State.QUEUED, Verb.CHANGE): frozenset({State.SCHEDULED, State.QUEUED}),
    (State.RETRYING, Verb.CHANGE): frozenset({State.SCHEDULED, State.QUEUED, State.RETRYING}),
    (State.SENDING, Verb.CHANGE): frozenset({State.SCHEDULED, State.QUEUED}),
    (State.FAILED, Verb.REQUEUE): frozenset({State.QUEUED}),
    (State.PARTLY_SENT, Verb.REQUEUE): frozenset({State.QUEUED}),
    (State.EXPIRED, Verb.REQUEUE): frozenset({State.QUEUED}),
    (State.QUEUED, Verb.MOVE): frozenset({State.QUEUED}),
    (State.SCHEDULED, Verb.MOVE): frozenset({State.SCHEDULED}),
    (State.RETRYING, Verb.MOVE): frozenset({State.RETRYING}),
    (State.SCHEDULED, Verb.EXPIRE): _EXPIRED,
    (State.QUEUED, Verb.EXPIRE): _EXPIRED,
    (State.RETRYING, Verb.EXPIRE): _EXPIRED,
    (State.SENDING, Verb.EXPIRE): _EXPIRED,
    **{(state, Verb.DELETE): _GONE for state in FINAL},
    **{(state, Verb.TRIM): _GONE for state in FINAL},
}


def derive_state(recipients: Collection[RecipientState]) -> State:
    """Return the final state of a message whose recipients have all been decided.

    Suppressed recipients do not count beside others. Raises ValueError while one is pending:
    a message with a pending recipient is in one of the `LIVE` states, which its place decides.
    """
    decided = set(recipients)
    if RecipientState.PENDING in decided:
        raise ValueError("a recipient is still pending")
    decided.discard(RecipientState.SUPPRESSED)
    if not decided:
        return State.SUPPRESSED
    if len(decided) == 1:
        return State(decided.pop())
    if RecipientState.SENT in decided:
        return State.PARTLY_SENT
    for state in (RecipientState.FAILED, RecipientState.EXPIRED, RecipientState.CANCELLED):
        if state in decided:
            return State(state)
    raise AssertionError(decided)
