"""One message of the model: what is known of it, what happens to it, and what must be stored of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shared.domain.states import LIVE, PLACES, RecipientState, State, derive_state

_FIRST_ATTEMPTS: Final = 5
_LAST_ATTEMPTS: Final = 45
_LAST_ROUTES: Final = 3
_LAST_EVENTS: Final = 100


@dataclass(frozen=True, slots=True)
class Event:
    """A change of state: which, when, after how many attempts."""

    state: State
    at: int
    attempts: int


@dataclass(frozen=True, slots=True)
class End:
    """Where a recipient's way ended, and what is told of it."""

    state: RecipientState
    told: Any


@dataclass(slots=True)
class Message:
    """One message. `position` is its score in its place; the events are all it ever had."""

    id: str
    tenant: str
    pool: str
    priority: str
    recipients: int
    size: int
    body: bytes
    created: str
    state: State
    position: int
    send: int | None = None
    expires: int | None = None
    ttl: int | None = None
    pieces: int = 0
    fails_on_doubt: bool = False
    trace: str = ""

    token: str | None = None
    ready: int | None = None
    begun_at: int | None = None
    provider: str | None = None
    to: str | None = None

    attempts: int = 0
    started: int | None = None
    settled: str | None = None
    closed: list[str] = field(default_factory=list)
    ends: dict[int, End] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    rounds: int = 0
    counted_since: int | None = None
    strikes: int = 0
    doubt: bool = False
    duplicate: bool = False
    waiting: str | None = None
    prefer: str | None = None
    refused: str | None = None
    cancel: int | None = None
    reason: str | None = None
    finished: int | None = None
    requeues: int = 0
    first: State | None = None
    dropped: bool = False

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def has_begun(self) -> bool:
        return self.begun_at is not None

    @property
    def flow(self) -> str:
        return f"{self.pool}:{self.priority}"

    @property
    def accepted_at(self) -> int:
        return int(self.created.partition("-")[0])

    @property
    def first_told(self) -> State:
        """How it began, as it is told: after a step backwards of the clock a short wait goes unseen."""
        return self.first or (State.SCHEDULED if (self.send or 0) > self.accepted_at else State.QUEUED)

    @property
    def place(self) -> str:
        """The set in which it lies."""
        kind = PLACES[self.state]
        if kind == "ready":
            return f"ready:{self.flow}"
        return f"{kind}:{self.priority}" if kind in {"scheduled", "retry"} else kind

    @property
    def pending(self) -> list[int]:
        return [recipient for recipient in range(self.recipients) if recipient not in self.ends]

    def is_expired(self, now: int) -> bool:
        return self.expires is not None and self.expires <= now

    def put(self, state: State, position: int) -> None:
        """Let it lie elsewhere; what a lease left in it goes with the lease."""
        self.state, self.position = state, position
        if state is not State.SENDING:
            self.token = self.ready = self.begun_at = self.provider = self.to = None

    def note(self, now: int) -> None:
        self.events.append(Event(self.state, now, self.attempts))

    def decide(self, recipient: int, end: End) -> None:
        """End one recipient's way; what was decided stays."""
        self.ends.setdefault(recipient, end)

    def decide_some(self, some: Iterable[tuple[int, str, str]] | None) -> None:
        for recipient, state, told in some or ():
            self.decide(recipient, End(RecipientState(state), orjson.loads(told)))

    def finish(self, state: RecipientState, told: Any, reason: str | None, now: int) -> None:
        """End all that is pending with `state`; the message's own state follows from its recipients'."""
        final = State(state)
        if self.ends:
            for recipient in self.pending:
                self.decide(recipient, End(state, told))
            final = derive_state([end.state for end in self.ends.values()])
        self.put(final, now)
        self.strikes, self.counted_since, self.waiting, self.prefer = 0, None, None, None
        self.reason = None if final is State.SENT else reason or self._reason()
        self.finished = now
        self.note(now)

    def _reason(self) -> str:
        ends = {end.state for end in self.ends.values()}
        return "recipients_rejected" if RecipientState.FAILED in ends else "cancelled"

    def stored(self) -> dict[str, str]:
        """Return its record as it must be stored."""
        values: dict[str, object] = {
            "tenant": self.tenant, "flow": self.flow, "recipients": self.recipients, "bytes": self.size,
            "created": self.created, "state": self.state.value, "place": self.place, "send": self.send,
            "expires": self.expires, "ttl": self.ttl, "pieces": self.pieces or None, "trace": self.trace or None,
            "lease": f"{self.token} {self.ready}" if self.token is not None else None,
            "begun": f"{self.provider} {self.begun_at} {self.to or '-'}" if self.has_begun else None,
            "attempts": self.attempts or None, "started": self.started, "settled": self.settled,
            "rounds": self.rounds or None, "since": self.counted_since, "strikes": self.strikes or None,
            "waiting": self.waiting, "prefer": self.prefer, "refused": self.refused, "cancel": self.cancel,
            "first": self.first, "reason": self.reason, "finished": self.finished, "requeues": self.requeues or None,
        }  # fmt: skip
        marks = {
            "fail": self.fails_on_doubt, "doubt": self.doubt, "duplicate": self.duplicate,
            "dropped": self.dropped, "split": bool(self.ends),
        }  # fmt: skip
        values |= {name: "1" for name, holds in marks.items() if holds}
        return {name: str(value) for name, value in values.items() if value is not None}

    def kept_attempts(self) -> list[Any]:
        """Return the closed attempts that are kept, each parsed, with its route where that is kept."""
        numbered = list(enumerate(self.closed))
        kept = numbered
        if len(numbered) > _FIRST_ATTEMPTS + _LAST_ATTEMPTS:
            kept = numbered[:_FIRST_ATTEMPTS] + numbered[-_LAST_ATTEMPTS:]
        with_route = {0, *range(len(numbered) - _LAST_ROUTES, len(numbered))}
        return [_attempt(packed, with_route=number in with_route) for number, packed in kept]

    def kept_history(self) -> list[str]:
        """Return the events that are stored: the first and the end that stands follow from the record."""
        between = self.events[1:] if self.is_live else self.events[1:-1]
        return [f"{event.state.value} {event.at} {event.attempts}" for event in between[-_LAST_EVENTS:]]


def _attempt(packed: str, *, with_route: bool) -> list[Any]:
    line, _, route = packed.partition("\n")
    return [orjson.loads(line), orjson.loads(route) if route and with_route else None]
