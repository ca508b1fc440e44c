"""The queue in plain Python: what each script must do to one shard, and what it must answer.

Nothing here knows Redis. A shard is a handful of messages and a clock; a message's place, the
counts, the indexes and the flows with work are not kept but follow from the messages, so that
they cannot be wrong here. `Shard.execute` takes a script's name and its arguments, does what the
script must do, and returns the answer that it must give; `Shard.keyspace` says what must be
stored afterwards. Every instant is in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from shared.domain.codec import head_length
from shared.domain.message import Priority
from shared.domain.states import TRANSITIONS, RecipientState, State, Verb
from tests.queue.model_message import Message
from tests.queue.model_sender import SenderShard
from tests.queue.model_shard import MINUTE, Answer, Call, Kept

TOO_LATE: Final = ["too_late"]

_STRIKES: Final = 3
_VERBS: Final = frozenset(Verb)


class Shard(SenderShard):
    """One shard, and the scripts that run in it."""

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
            trace=wish.get("trace", ""),
        )
        message.note(self.now)
        assert message.id not in self.accepted, "what is gone does not come back"
        self.accepted.add(message.id)
        self.messages[message.id] = message
        self.pools.add(pool)
        self._tally("accepted")
        return message

    # The scheduler's scripts

    def promote(self, call: Call) -> Answer:
        promoted: list[str] = []
        for priority in Priority:
            for kind in ("scheduled", "retry"):
                for message in self._due(f"{kind}:{priority}", self.now, call["limit"] - len(promoted) // 4):
                    promoted += [message.id, message.state, str(message.position), message.trace]
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
            answers.append([message.id, "1" if had_begun else "0", message.state, message.tenant, message.trace])
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
        if not reopened and not (not message.ends and message.state in {State.FAILED, State.EXPIRED}):
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


_TOLD: Final = ("created", "send", "expires", "flow", "domain")


def _first(message: Message) -> list[str]:
    return [message.created, str(message.send or ""), str(message.expires or ""), message.flow]


def _acceptance(status: str, id_: str, *rest: str) -> list[str]:
    return [status, id_, *(rest or ("",) * len(_TOLD))]


def is_lawful(before: State | None, script: str, after: State | None) -> bool:
    """Whether the table of transitions allows a move."""
    if script not in _VERBS:
        return False
    allowed = TRANSITIONS.get((before, Verb(script)))
    return allowed is not None and (after in allowed if after is not None else not allowed)
