"""What the sender's scripts must do: lease, begin, extend, settle, release."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from shared.domain.states import RecipientState, State
from tests.queue.model_message import End, Message
from tests.queue.model_shard import DAY, Answer, Call, Kept, Sender, ShardState


class SenderShard(ShardState):
    """A shard that senders work on."""

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
        if self.paused().keys() & {"everything", f"pool {message.pool}", f"provider {wish['provider']}"}:
            return "paused", None
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


def _told_of_all(wish: Call) -> Any:
    return orjson.loads(wish.get("told", "null"))


def _brings_acceptance(message: Message, wish: Call) -> bool:
    """Whether a stale token tells of an acceptance that nobody else will tell of."""
    if not message.is_live or message.has_begun or message.attempts > wish["number"]:
        return False
    return wish.get("all") == RecipientState.SENT or any(end[1] == RecipientState.SENT for end in wish.get("some", ()))
