"""What a shard of the model is: its messages, what it remembers of calls, and all that follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.states import PLACES, RecipientState, State
from tests.queue.model_message import Message

MINUTE: Final = 60_000
DAY: Final = 24 * 60 * MINUTE

Call = Mapping[str, Any]
Answer = list[Any]


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


class ShardState:
    """A shard that stands still."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.messages: dict[str, Message] = {}
        self.claims: dict[str, Kept] = {}
        self.operations: dict[str, Kept] = {}
        self.senders: dict[str, Kept] = {}
        self.unclaimed: dict[str, Kept] = {}
        self.rates: dict[str, Kept] = {}
        self.pools: set[str] = set()
        #: What is or was paused, until when (None without an end, 0 for resumed), and what was told of it.
        self.pauses: dict[str, tuple[int | None, str]] = {}
        self.accepted: set[str] = set()
        self.moves: Counter[tuple[State | None, str, State | None]] = Counter()
        self._newest_entry = (0, 0)

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
            over = [name for name, thing in kept.items() if thing.ends_at <= self.now]
            for name in over:
                del kept[name]
            gone += [f"{kind}:{name}" for name in over]
        return gone

    def _next_entry(self) -> str:
        newest, number = self._newest_entry
        self._newest_entry = (self.now, 0) if self.now > newest else (newest, number + 1)
        return "{}-{}".format(*self._newest_entry)

    def _tally(self, what: str) -> None:
        slot = str(self.now // 10_000)
        counted = self.rates[slot].value if slot in self.rates else Counter()
        counted[what] += 1
        self.rates[slot] = Kept(counted, self.now + 2 * MINUTE)

    # Endings

    def _finish(self, message: Message, state: RecipientState, code: str) -> None:
        self._end(message, state, told(code, self.now), code)

    def _end(self, message: Message, state: RecipientState, about: Any, reason: str | None) -> None:
        message.finish(state, about, reason, self.now)
        if message.state in {State.SENT, State.PARTLY_SENT}:
            self._tally("sent")

    # Pauses

    def pause(self, call: Call) -> Answer:
        self.pauses[call["what"]] = (call.get("until"), call["told"]) if "told" in call else (0, "")
        return []

    def paused(self) -> dict[str, tuple[int | None, str]]:
        """Return what is paused now."""
        return {what: pause for what, pause in self.pauses.items() if pause[0] is None or pause[0] > self.now}

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
            message.position for message in self.messages.values() if message.state in {State.SCHEDULED, State.RETRYING}
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
            "pauses": {
                what: f"{'-' if until is None else until} {told}" for what, (until, told) in self.pauses.items()
            },
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


def told(code: str, now: int) -> Any:
    """Return what is told of a recipient whose end the queue itself decided."""
    return {"at": now, "reason": {"code": code}}
