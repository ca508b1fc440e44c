"""The queue in plain Python: what each script must do to one shard, and what it must answer.

Nothing here knows Redis. A shard is a handful of messages and a clock; a message's place, the
counts, the indexes and the flows with work are not kept but follow from the messages, so that
they cannot be wrong here. `Shard.execute` takes a script's name and its arguments, does what the
script must do, and returns the answer that it must give; `Shard.keyspace` says what must be
stored afterwards. Every instant is in milliseconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from shared.domain.codec import head_length
from shared.domain.message import Priority
from shared.domain.states import FINAL, LIVE, PLACES, TRANSITIONS, RecipientState, State, Verb, derive_state

MINUTE: Final = 60_000
DAY: Final = 24 * 60 * MINUTE

TOO_LATE: Final = ["too_late"]

_FIRST_ATTEMPTS: Final = 5
_LAST_ATTEMPTS: Final = 45
_LAST_ROUTES: Final = 3
_LAST_EVENTS: Final = 100
_STRIKES: Final = 3
_VERBS: Final = frozenset(Verb)

Call = Mapping[str, Any]
Answer = list[Any]


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
            "expires": self.expires, "ttl": self.ttl, "pieces": self.pieces or None,
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


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is kept until an instant."""

    value: Any
    ends_at: int


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender's newest lease call."""

    number: int
    token: str
    ids: tuple[str, ...]


def told(code: str, now: int) -> Any:
    """Return what is told of a recipient whose end the queue itself decided."""
    return {"at": now, "reason": {"code": code}}


class Shard:
    """One shard: its messages, what it remembers of calls, and its clock."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.messages: dict[str, Message] = {}
        self.claims: dict[str, Kept] = {}
        self.operations: dict[str, Kept] = {}
        self.senders: dict[str, Kept] = {}
        self.unclaimed: dict[str, Kept] = {}
        self.rates: dict[int, Kept] = {}
        self.pools: set[str] = set()
        self.accepted: set[str] = set()
        self.moves: Counter[tuple[State | None, str, State | None]] = Counter()
        self._newest_entry = (0, 0)

    # Running a script

    def execute(self, script: str, call: Call, bodies: Sequence[bytes] = ()) -> Answer:
        """Do what a script must do, and return what it must answer behind `ok`."""
        if self.now > call.get("not_after", math.inf):
            return TOO_LATE
        operation = call.get("operation")
        if operation in self.operations:
            answer: Answer = self.operations[operation].value
            self.operations[operation] = Kept(answer, self.now + MINUTE)
            return answer
        before = {message.id: message.state for message in self.messages.values()}
        answer = self.submit(call, bodies) if script == "submit" else getattr(self, script)(call)
        self._note_moves(script, before)
        if operation is not None:
            self.operations[operation] = Kept(answer, self.now + MINUTE)
        return answer

    def _note_moves(self, script: str, before: Mapping[str, State]) -> None:
        after = {message.id: message.state for message in self.messages.values()}
        for message_id in before.keys() | after.keys():
            move = (before.get(message_id), script, after.get(message_id))
            if move[0] is not move[2]:
                self.moves[move] += 1
                assert is_lawful(*move), move

    def lapse(self) -> list[str]:
        """Forget what has ended by itself, and return its keys."""
        gone = []
        for kind, kept in (
            ("idempotency", self.claims),
            ("operation", self.operations),
            ("sender", self.senders),
            ("piece", self.unclaimed),
            ("rate", self.rates),
        ):
            for name in [name for name, thing in kept.items() if thing.ends_at <= self.now]:
                del kept[name]  # type: ignore[attr-defined]
                gone.append(f"{kind}:{name}")
        return gone

    # The frontend's script

    def write_pieces(self, message_id: str, pieces: int) -> None:
        """Take the pieces of a content that nobody has claimed yet."""
        for number in range(1, pieces + 1):
            self.unclaimed[f"{message_id}:{number}"] = Kept(None, self.now + 10 * MINUTE)

    def submit(self, call: Call, bodies: Sequence[bytes]) -> Answer:
        return [
            self._submit_one(wish, body, call["idempotency_ms"])
            for wish, body in zip(call["messages"], bodies, strict=True)
        ]

    def _submit_one(self, wish: Call, body: bytes, idempotency_ms: int) -> Answer:
        claim = self.claims.get(wish.get("key", ""))
        if claim is not None:
            first = claim.value
            if first["fingerprint"] != wish["fingerprint"]:
                return _acceptance("reused", first["id"])
            first["replayed"] = str(self.now)
            status = "repeated" if first["id"] == wish["id"] else "replayed"
            return _acceptance(status, first["id"], *(first[name] for name in _TOLD))
        known = self.messages.get(wish["id"])
        if known is not None:
            return _acceptance("repeated", known.id, *_first(known), wish["domain"])
        if "key" not in wish and wish["id"] in self.operations:
            first = self.operations[wish["id"]].value
            self.operations[wish["id"]] = Kept(first, self.now + MINUTE)
            return _acceptance("repeated", wish["id"], *first, wish["domain"])
        if sum(message.is_live for message in self.messages.values()) >= wish["full_at"]:
            return _acceptance("full", wish["id"])
        names = [f"{wish['id']}:{number}" for number in range(1, wish.get("pieces", 0) + 1)]
        if not self.unclaimed.keys() >= set(names):
            return _acceptance("missing_pieces", wish["id"])
        for name in names:
            del self.unclaimed[name]
        message = self._accept(wish, body)
        if "key" in wish:
            first = (message.id, wish["fingerprint"], *_first(message), wish["domain"])
            kept = dict(zip(("id", "fingerprint", *_TOLD), first, strict=True))
            self.claims[wish["key"]] = Kept(kept, self.now + idempotency_ms)
        return _acceptance("accepted", message.id, *_first(message), wish["domain"])

    def _accept(self, wish: Call, body: bytes) -> Message:
        send = wish.get("send", self.now + wish["delay"] if "delay" in wish else None)
        counted_from = max(self.now, send or 0)
        is_later = send is not None and send > self.now
        pool, priority = wish["flow"].split(":")
        message = Message(
            id=wish["id"],
            tenant=wish["tenant"],
            pool=pool,
            priority=priority,
            recipients=wish["recipients"],
            size=wish["bytes"],
            body=body,
            created=self._next_entry(),
            state=State.SCHEDULED if is_later else State.QUEUED,
            position=counted_from if is_later else self.now,
            send=send,
            expires=wish.get("expires", counted_from + wish["ttl"] if "ttl" in wish else None),
            ttl=wish.get("ttl"),
            pieces=wish.get("pieces", 0),
            fails_on_doubt="fail" in wish,
        )
        message.note(self.now)
        assert message.id not in self.accepted, "what is gone does not come back"
        self.accepted.add(message.id)
        self.messages[message.id] = message
        self.pools.add(pool)
        self._tally("accepted")
        return message

    def _next_entry(self) -> str:
        newest, number = self._newest_entry
        self._newest_entry = (self.now, 0) if self.now > newest else (newest, number + 1)
        return "{}-{}".format(*self._newest_entry)

    def _tally(self, what: str) -> None:
        slot = self.now // 10_000
        counted = self.rates[slot].value if slot in self.rates else Counter()
        counted[what] += 1
        self.rates[slot] = Kept(counted, self.now + 2 * MINUTE)

    # The sender's scripts

    def lease(self, call: Call) -> Answer:
        latest = self.senders.get(call["sender"])
        if latest is not None and call["number"] < latest.value.number:
            return ["stale"]
        if latest is not None and call["number"] == latest.value.number:
            ids = [id_ for id_ in latest.value.ids if id_ in self.messages]
            again = [self.messages[id_] for id_ in ids if self.messages[id_].token == latest.value.token]
            return [self._work(), *(self._given(message, message.stored()) for message in again)]
        given = []
        for message in self._drawn(call):
            before = message.stored()
            message.token, message.ready = call["token"], message.position
            message.put(State.SENDING, self.now + call["lease_ms"])
            given.append(self._given(message, before))
        newest = Sender(call["number"], call["token"], tuple(entry[0] for entry in given))
        self.senders[call["sender"]] = Kept(newest, self.now + DAY)
        return [self._work(), *given]

    def _drawn(self, call: Call) -> list[Message]:
        drawn: list[Message] = []
        replied = held = 0
        for request in call["flows"]:
            quota = min(request["quota"], call["count"] - len(drawn))
            waiting = self._lying_in(f"ready:{request['flow']}", newest_first=request["newest"])
            for message in [message for message in waiting if message not in drawn][: max(0, quota)]:
                replied += 0 if message.pieces else message.size
                held += message.size
                if drawn and (replied > call["reply_bytes"] or held > call["held_bytes"]):
                    return drawn
                drawn.append(message)
        return drawn

    @staticmethod
    def _given(message: Message, record: Mapping[str, str]) -> Answer:
        return [message.id, message.token, str(message.ready), record, sorted(message.ends), message.body]

    def begin(self, call: Call) -> Answer:
        return [[status, str(first or ""), str(self.now)] for status, first in map(self._begin_one, call["attempts"])]

    def _begin_one(self, wish: Call) -> tuple[str, int | None]:
        message = self.messages.get(wish["id"])
        if message is None or message.token != wish["token"]:
            return "stale", None
        if message.has_begun and wish["number"] == message.attempts:
            return "begun", message.started
        if wish["number"] != message.attempts + 1:
            return "stale", None
        if "closed" in wish:
            message.closed.append(wish["closed"])
            message.decide_some(wish.get("some"))
        if message.cancel is not None:
            self._finish(message, RecipientState.CANCELLED, "cancelled")
            return "cancelled", None
        if message.is_expired(self.now):
            self._finish(message, RecipientState.EXPIRED, "expired")
            return "expired", None
        message.attempts, message.provider, message.to = wish["number"], wish["provider"], wish.get("to")
        message.begun_at = self.now
        message.started = message.started if message.started is not None else self.now
        message.duplicate |= message.doubt
        return "begun", message.started

    def extend(self, call: Call) -> Answer:
        statuses = []
        for lease in call["leases"]:
            message = self.messages.get(lease["id"])
            is_ours = message is not None and message.token == lease["token"]
            if message is not None and is_ours:
                message.position = self.now + call["lease_ms"]
            statuses.append("extended" if is_ours else "stale")
        return statuses

    def settle(self, call: Call) -> Answer:
        return [self._settle_one(wish, call) for wish in call["settlements"]]

    def _settle_one(self, wish: Call, call: Call) -> Answer:
        message = self.messages.get(wish["id"])
        if message is None:
            return ["gone", ""]
        mark = f"{wish['token']}:{wish['number']}"
        if message.settled == mark:
            return ["already", message.state]
        is_current = message.has_begun and message.attempts == wish["number"]
        if is_current and message.token == wish["token"]:
            message.settled, message.strikes = mark, 0
            message.doubt |= wish["doubt"]
            message.closed.append(wish["attempt"])
            message.decide_some(wish.get("some"))
            self._go_on(message, wish, call)
            return ["settled", message.state]
        if not _brings_acceptance(message, wish):
            return ["stale", message.state]
        message.settled, message.strikes = mark, 0
        self._settle_late(message, wish)
        return ["late", message.state]

    def _go_on(self, message: Message, wish: Call, call: Call) -> None:
        if "all" in wish:
            self._end(message, RecipientState(wish["all"]), _told_of_all(wish), wish.get("reason"))
        elif not message.pending:
            self._end(message, RecipientState.FAILED, None, wish.get("reason"))
        elif message.cancel is not None:
            self._finish(message, RecipientState.CANCELLED, "cancelled")
        elif "fail" in wish:
            self._finish(message, RecipientState.FAILED, wish["fail"])
        elif message.is_expired(self.now):
            self._finish(message, RecipientState.EXPIRED, "expired")
        elif wish["counts"] and self._is_spent(message, call):
            self._finish(message, RecipientState.FAILED, "attempts_exhausted")
        else:
            message.waiting, message.prefer = wish.get("waiting"), wish.get("prefer")
            message.refused = wish.get("refused", message.refused)
            message.put(State.RETRYING, self.now + wish["delay"])
            message.note(self.now)

    def _is_spent(self, message: Message, call: Call) -> bool:
        """Count a round, and return whether there may be no other."""
        message.rounds += 1
        if message.counted_since is None:
            message.counted_since = self.now
        age = self.now - message.counted_since
        return message.rounds >= int(call["max_rounds"]) or age >= int(call["max_age_ms"])

    def _settle_late(self, message: Message, wish: Call) -> None:
        if message.attempts == wish["number"]:
            message.closed.pop()
        message.attempts = wish["number"]
        message.closed.append(wish["attempt"])
        if "all" in wish:
            reached = orjson.loads(wish["attempt"].partition("\n")[0])["recipients"]
            if set(message.pending) <= set(reached):
                self._end(message, RecipientState.SENT, _told_of_all(wish), None)
                return
            for recipient in reached:
                message.decide(recipient, End(RecipientState.SENT, _told_of_all(wish)))
        message.decide_some(wish.get("some"))
        if not message.pending:
            self._end(message, RecipientState.FAILED, None, wish.get("reason"))
        elif message.state is State.SENDING:
            assert message.ready is not None
            message.put(State.QUEUED, message.ready)

    def release(self, call: Call) -> Answer:
        return [self._release_one(wish) for wish in call["releases"]]

    def _release_one(self, wish: Call) -> Answer:
        message = self.messages.get(wish["id"])
        if message is None or message.token != wish["token"] or message.has_begun:
            return ["stale", ""]
        assert message.ready is not None
        message.refused = wish.get("refused", message.refused)
        if "fail" in wish:
            self._finish(message, RecipientState.FAILED, wish["fail"])
        elif message.is_expired(self.now):
            self._finish(message, RecipientState.EXPIRED, "expired")
        else:
            message.waiting = wish.get("waiting")
            if "delay" in wish:
                message.put(State.RETRYING, self.now + wish["delay"])
                message.note(self.now)
            else:
                message.put(State.QUEUED, message.ready)
        return ["released", message.state]

    # The scheduler's scripts

    def promote(self, call: Call) -> Answer:
        promoted: list[str] = []
        for priority in Priority:
            for kind in ("scheduled", "retry"):
                for message in self._due(f"{kind}:{priority}", self.now, call["limit"] - len(promoted) // 2):
                    promoted += [message.state, str(message.position)]
                    message.waiting = None
                    message.put(State.QUEUED, message.position)
                    message.note(self.now)
        return [self._next_due(), promoted, str(self.now)]

    def reap(self, call: Call) -> Answer:
        answers = []
        for message in self._due("leased", self.now, call["limit"]):
            had_begun = message.has_begun
            if had_begun:
                self._reap_begun(message, call)
            else:
                assert message.ready is not None
                message.put(State.QUEUED, message.ready)
            answers.append([message.id, "1" if had_begun else "0", message.state])
        return answers

    def _reap_begun(self, message: Message, call: Call) -> None:
        assert message.begun_at is not None
        lost = {
            "number": message.attempts,
            "provider": message.provider,
            "started_at": message.begun_at,
            "duration_ms": max(0, self.now - message.begun_at),
            "outcome": "ambiguous",
            "detail": "the sender was lost while it worked on this",
            "recipients": orjson.loads(message.to) if message.to else None,
        }
        message.closed.append(orjson.dumps(lost).decode())
        message.doubt = True
        message.strikes += 1
        is_spent = self._is_spent(message, call)
        if message.cancel is not None:
            self._finish(message, RecipientState.CANCELLED, "cancelled")
        elif message.strikes >= _STRIKES:
            self._finish(message, RecipientState.FAILED, "sender_lost_three_times")
        elif message.fails_on_doubt:
            self._finish(message, RecipientState.FAILED, "ambiguous")
        elif message.is_expired(self.now):
            self._finish(message, RecipientState.EXPIRED, "expired")
        elif is_spent:
            self._finish(message, RecipientState.FAILED, "attempts_exhausted")
        else:
            message.prefer, message.waiting = message.provider, "ambiguous_delay"
            message.put(State.RETRYING, self.now + call["ambiguous_delay_ms"])
            message.note(self.now)

    def expire(self, call: Call) -> Answer:
        waiting = sorted((instant, id_) for id_, instant in self._expiring().items() if instant <= self.now)
        over = [self.messages[id_] for _, id_ in waiting[: call["limit"]]]
        for message in over:
            self._finish(message, RecipientState.EXPIRED, "expired")
        return [self._next_due(), *(message.state for message in over)]

    def drop_content(self, call: Call) -> Answer:
        ended = sorted((instant, id_) for id_, instant in self._content().items())
        over = [id_ for instant, id_ in ended if instant <= self.now - call["keep_ms"]][: call["limit"]]
        for message in map(self.messages.__getitem__, over):
            message.body = message.body[: head_length(message.body)]
            message.dropped, message.pieces = True, 0
        return [str(len(over))]

    def trim(self, call: Call) -> Answer:
        over = [
            message
            for place in ("finished", "failed")
            for message in self._due(place, self.now - call[f"{place}_ms"], call["limit"])
        ]
        for message in over:
            del self.messages[message.id]
        return [str(len(over))]

    # The owner's scripts

    def _owned(self, call: Call, message_id: str) -> Message | None:
        message = self.messages.get(message_id)
        return message if message is not None and message.tenant == call["tenant"] else None

    def cancel(self, call: Call) -> Answer:
        return [word for id_ in call["ids"] for word in self._cancel_one(self._owned(call, id_))]

    def _cancel_one(self, message: Message | None) -> tuple[str, str]:
        if message is None:
            return "missing", ""
        if not message.is_live:
            was_asked = message.state is State.CANCELLED or message.cancel is not None
            return "done" if was_asked else "final", message.state
        if message.cancel is None:
            message.cancel = self.now
        if message.has_begun:
            return "noted", message.state
        self._finish(message, RecipientState.CANCELLED, "cancelled")
        return "done", message.state

    def requeue(self, call: Call) -> Answer:
        return [word for id_ in call["ids"] for word in self._requeue_one(self._owned(call, id_))]

    def _requeue_one(self, message: Message | None) -> tuple[str, str]:
        if message is None:
            return "missing", ""
        if message.is_live:
            return "unchanged", message.state
        if message.dropped:
            return "dropped", message.state
        again = {RecipientState.FAILED, RecipientState.EXPIRED}
        reopened = [recipient for recipient, end in message.ends.items() if end.state in again]
        if not reopened and not (not message.ends and message.state in again):
            return "final", message.state
        for recipient in reopened:
            del message.ends[recipient]
        message.requeues += 1
        message.rounds = 0
        message.refused = message.cancel = message.reason = message.finished = None
        if message.is_expired(self.now):
            message.expires = message.ttl = None
        message.put(State.QUEUED, self.now)
        message.note(self.now)
        return "done", message.state

    def delete(self, call: Call) -> Answer:
        answers = []
        for id_ in call["ids"]:
            message = self._owned(call, id_)
            if message is None:
                answers += ["missing", ""]
            elif message.is_live:
                answers += ["live", message.state]
            else:
                answers += ["done", message.state]
                self.operations[id_] = Kept(_first(message), self.now + MINUTE)
                del self.messages[id_]
        return answers

    def change(self, call: Call) -> Answer:
        message = self._owned(call, call["id"])
        if message is None:
            return ["missing", ""]
        if not message.is_live:
            return ["final", message.state]
        if message.has_begun:
            return ["begun", message.state]
        if call.get("pool", message.pool) != message.pool:
            message.pool, message.refused, message.prefer = call["pool"], None, None
            self.pools.add(call["pool"])
        message.priority = call.get("priority", message.priority)
        self._change_times(message, call)
        before = message.state
        message.put(*self._changed_place(message, call))
        if message.state is not before and (before, message.state) != (State.SENDING, State.QUEUED):
            message.waiting = None
            message.note(self.now)
        return ["done", message.state]

    def _change_times(self, message: Message, call: Call) -> None:
        if "send" in call:
            message.first = message.first_told
            message.send = call["send"] or self.now
            if message.ttl is not None and "expires" not in call:
                message.expires = max(self.now, message.send) + message.ttl
        if "expires" in call:
            message.expires, message.ttl = call["expires"] or None, None

    def _changed_place(self, message: Message, call: Call) -> tuple[State, int]:
        send = call.get("send") or 0
        if send > self.now:
            return State.SCHEDULED, send
        if message.state is State.SENDING:
            assert message.ready is not None
            return State.QUEUED, message.ready
        if "send" in call and message.state is not State.QUEUED:
            return State.QUEUED, self.now
        return message.state, message.position

    def move(self, call: Call) -> Answer:
        here = self._lying_in(call["place"])
        passed = max(0, int(call["cursor"]) - 1)
        step = here[passed:][: call["limit"]] if call["place"].startswith("ready:") else here
        moved = [message for message in step if (message.pool, message.tenant) == (call["from"], call["tenant"])]
        for message in moved:
            message.pool, message.refused, message.prefer = call["to"], None, None
            self.pools.add(call["to"])
        # What was moved is gone: the next step begins behind those that stayed.
        is_over = passed + len(step) >= len(here)
        return [str(len(moved)), "0" if is_over else str(1 + passed + len(step) - len(moved))]

    # Endings

    def _finish(self, message: Message, state: RecipientState, code: str) -> None:
        self._end(message, state, told(code, self.now), code)

    def _end(self, message: Message, state: RecipientState, about: Any, reason: str | None) -> None:
        message.finish(state, about, reason, self.now)
        if message.state in {State.SENT, State.PARTLY_SENT}:
            self._tally("sent")

    # What follows from the messages

    def _lying_in(self, place: str, *, newest_first: bool = False) -> list[Message]:
        here = [message for message in self.messages.values() if message.place == place]
        return sorted(here, key=lambda message: (message.position, message.id), reverse=newest_first)

    def _due(self, place: str, until: int, limit: int) -> list[Message]:
        return [message for message in self._lying_in(place) if message.position <= until][: max(0, limit)]

    def _places(self) -> dict[str, dict[str, int]]:
        places: dict[str, dict[str, int]] = {}
        for message in self.messages.values():
            places.setdefault(message.place, {})[message.id] = message.position
        return places

    def _heads(self) -> dict[str, int]:
        return {
            place.removeprefix("ready:"): min(members.values())
            for place, members in self._places().items()
            if place.startswith("ready:")
        }

    def _work(self) -> list[str]:
        heads = sorted((since, flow) for flow, since in self._heads().items())
        return [word for since, flow in heads for word in (flow, str(since))]

    def _expiring(self) -> dict[str, int]:
        return {
            message.id: message.expires
            for message in self.messages.values()
            if message.expires is not None and message.is_live and not message.has_begun
        }

    def _content(self) -> dict[str, int]:
        return {
            message.id: message.position
            for message in self.messages.values()
            if PLACES[message.state] == "finished" and not message.dropped
        }

    def _next_due(self) -> str:
        due = [
            message.position
            for message in self.messages.values()
            if message.state in {State.SCHEDULED, State.RETRYING}
        ]
        return str(min([*due, *self._expiring().values()], default=-1))

    def counts(self) -> Counter[str]:
        """Return how many messages stand where."""
        counted = Counter(f"{message.flow}:{message.state}" for message in self.messages.values())
        counted["live"] = sum(message.is_live for message in self.messages.values())
        return +counted

    def keyspace(self) -> dict[str, Any]:
        """Return everything that must be stored, by key without its tag."""
        stored: dict[str, Any] = dict(self._places())
        stored |= {
            "work": self._heads(),
            "expiring": self._expiring(),
            "content": self._content(),
            "counts": dict(self.counts()),
            "pools": sorted(self.pools),
            "log": {message.created: message.id for message in self.messages.values()},
        }
        for message in self.messages.values():
            stored[f"message:{message.id}"] = message.stored()
            stored[f"body:{message.id}"] = message.body
            stored[f"attempts:{message.id}"] = message.kept_attempts()
            stored[f"history:{message.id}"] = message.kept_history()
            stored[f"recipients:{message.id}"] = {
                str(recipient): [end.state.value, end.told] for recipient, end in message.ends.items()
            }
            stored |= {f"piece:{message.id}:{number}": True for number in range(1, message.pieces + 1)}
        stored |= {f"piece:{name}": True for name in self.unclaimed}
        stored |= {f"idempotency:{name}": kept.value for name, kept in self.claims.items()}
        stored |= {f"operation:{name}": kept.value for name, kept in self.operations.items()}
        stored |= {f"rate:{slot}": dict(kept.value) for slot, kept in self.rates.items()}
        for name, kept in self.senders.items():
            sender: Sender = kept.value
            stored[f"sender:{name}"] = {
                "number": str(sender.number), "token": sender.token, "ids": " ".join(sender.ids)
            }  # fmt: skip
        return {name: value for name, value in stored.items() if value}


def _told_of_all(wish: Call) -> Any:
    return orjson.loads(wish.get("told", "null"))


_TOLD: Final = ("created", "send", "expires", "flow", "domain")


def _first(message: Message) -> list[str]:
    return [message.created, str(message.send or ""), str(message.expires or ""), message.flow]


def _acceptance(status: str, id_: str, *rest: str) -> list[str]:
    return [status, id_, *(rest or ("",) * len(_TOLD))]


def _brings_acceptance(message: Message, wish: Call) -> bool:
    """Whether a stale token tells of an acceptance that nobody else will tell of."""
    if not message.is_live or message.has_begun or message.attempts > wish["number"]:
        return False
    return wish.get("all") == RecipientState.SENT or any(end[1] == RecipientState.SENT for end in wish.get("some", ()))


def is_lawful(before: State | None, script: str, after: State | None) -> bool:
    """Whether the table of transitions allows a move."""
    if script not in _VERBS:
        return False
    allowed = TRANSITIONS.get((before, Verb(script)))
    return allowed is not None and (after in allowed if after is not None else not allowed)
