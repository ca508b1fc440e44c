"""The queue's one invariant, judged by someone who does not know the scripts.

Each message lies in exactly one place, which its record names; its body is there; counts, indexes
and the list of flows with work equal what is found by counting. `faults_of` reads the whole
keyspace of a queue that stands still, and says in words what is wrong.
"""

from __future__ import annotations

import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shared.domain.states import FINAL, LIVE, PLACES, RecipientState, State, derive_state
from shared.queue.core import Core
from shared.queue.keys import service_tag, shard_tag

SECONDS: Final = 5.0

#: How each kind of key is read. A key of any other kind is a fault, and so is one of another type.
READ: Final[Mapping[str, tuple[Any, ...]]] = {
    "message": ("HGETALL",),
    "body": ("GET",),
    "piece": ("STRLEN",),
    "attempts": ("LRANGE", 0, -1),
    "recipients": ("HGETALL",),
    "history": ("LRANGE", 0, -1),
    "ready": ("ZRANGE", 0, -1, "WITHSCORES"),
    "scheduled": ("ZRANGE", 0, -1, "WITHSCORES"),
    "retry": ("ZRANGE", 0, -1, "WITHSCORES"),
    "leased": ("ZRANGE", 0, -1, "WITHSCORES"),
    "failed": ("ZRANGE", 0, -1, "WITHSCORES"),
    "finished": ("ZRANGE", 0, -1, "WITHSCORES"),
    "work": ("ZRANGE", 0, -1, "WITHSCORES"),
    "expiring": ("ZRANGE", 0, -1, "WITHSCORES"),
    "content": ("ZRANGE", 0, -1, "WITHSCORES"),
    "pools": ("SMEMBERS",),
    "counts": ("HGETALL",),
    "rate": ("HGETALL",),
    "log": ("XRANGE", "-", "+"),
    "sender": ("HGETALL",),
    "idempotency": ("HGETALL",),
    "operation": ("GET",),
    "meta": ("HGETALL",),
    "process": ("HGETALL",),
    "processes": ("ZRANGE", 0, -1, "WITHSCORES"),
    "bucket": ("HGETALL",),
    "pauses": ("HGETALL",),
    "senders": ("HGETALL",),
    "accepted": ("HGETALL",),
    "quota": ("HGETALL",),
    "slots": ("ZRANGE", 0, -1, "WITHSCORES"),
    "returned": ("GET",),
    "drawn": ("HGETALL",),
    "probe": ("GET",),
}
#: Kinds that the tests add.
TEST_KINDS: Final = frozenset({"test-clock", "frozen-clock"})
#: What must end by itself; nothing else may.
ENDING: Final = frozenset(
    {
        "sender",
        "idempotency",
        "operation",
        "rate",
        "process",
        "accepted",
        "quota",
        "slots",
        "returned",
        "drawn",
        "probe",
    }
)

_PREFIX: Final = struct.Struct(">BI")
_LEASE: Final = re.compile(r"\S+ \d+")
_BEGUN: Final = re.compile(r"\S+ \d+ (-|\[[\d,]*\])")
_KEPT_ATTEMPTS: Final = 50
_KEPT_EVENTS: Final = 100
_LONGEST_FIELD: Final = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """What one key holds, and whether it ends by itself."""

    value: Any
    ends: bool


Keyspace = dict[str, Entry]


async def read_keyspace(core: Core) -> Keyspace:
    """Return everything that a queue keeps, by key; the clocks of tests are left out."""
    found: Keyspace = {}
    for server in await core.servers.primaries():
        cursor, names = b"0", list[str]()
        while True:
            scan = ("SCAN", cursor, "MATCH", f"{{{core.prefix}[:}}]*", "COUNT", 10_000)
            ((cursor, keys),) = await server.exchange([scan], SECONDS)
            names += [key.decode() for key in keys]
            if cursor == b"0":
                break
        names = sorted({name for name in names if kind_of(name) not in TEST_KINDS})
        reads = [READ.get(kind_of(name), ("TYPE",)) for name in names]
        commands = [(read[0], name, *read[1:]) for read, name in zip(reads, names, strict=True)]
        replies = await server.exchange([*commands, *(("PTTL", name) for name in names)], SECONDS)
        values, ends = replies[: len(names)], replies[len(names) :]
        for name, value, end in zip(names, values, ends, strict=True):
            found[name] = Entry(_readable(kind_of(name), value), end >= 0)
    return found


def kind_of(key: str) -> str:
    """Return the word behind the hash tag."""
    return key.partition("}:")[2].partition(":")[0]


async def faults_of(core: Core) -> list[str]:
    """Return every breach of the invariant in a queue that stands still, in words."""
    return faults_in(await read_keyspace(core), core.prefix, core.shards)


def faults_in(keyspace: Keyspace, prefix: str, shards: int) -> list[str]:
    """Return every breach of the invariant, in words."""
    shard_tags = {shard_tag(prefix, shard) for shard in range(shards)}
    by_tag: dict[str, dict[str, dict[str, Entry]]] = defaultdict(lambda: defaultdict(dict))
    faults = []
    for name, entry in keyspace.items():
        tag, _, rest = name.partition("}:")
        kind, _, own = rest.partition(":")
        by_tag[tag + "}"][kind][own] = entry
        if kind not in READ:
            faults.append(f"{name}: no key is called so")
        elif isinstance(entry.value, Exception):
            faults.append(f"{name}: {entry.value}")
        elif entry.ends != (kind in ENDING) and kind != "piece":
            faults.append(f"{name} {'ends' if entry.ends else 'does not end'} by itself")
    if faults:
        return faults
    for tag, kinds in by_tag.items():
        if tag in shard_tags:
            faults += [f"{tag} {fault}" for fault in Shard(kinds).faults()]
        elif tag != service_tag(prefix) and not tag.startswith(f"{{{prefix}:provider:"):
            faults.append(f"{tag} is no tag of this queue")
    return faults


def _readable(kind: str, value: Any) -> Any:
    """Return a reply as text, flat replies as dictionaries."""
    if isinstance(value, Exception) or kind == "body":
        return value
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, list):
        return value
    command = READ[kind][0]
    if command == "XRANGE":
        return {entry.decode(): fields[1].decode() for entry, fields in value}
    texts = [item.decode() for item in value]
    if command == "HGETALL":
        return dict(zip(texts[::2], texts[1::2], strict=True))
    if command == "ZRANGE":
        return {member: float(score) for member, score in zip(texts[::2], texts[1::2], strict=True)}
    return sorted(texts) if command == "SMEMBERS" else texts


class Shard:
    """One shard, as its keys show it."""

    def __init__(self, kinds: Mapping[str, Mapping[str, Entry]]) -> None:
        self._kinds = kinds
        self.records: dict[str, dict[str, str]] = {id_: entry.value for id_, entry in kinds.get("message", {}).items()}
        self.places: dict[str, dict[str, float]] = {
            f"{kind}:{own}" if own else kind: entry.value
            for kind in {*PLACES.values()}
            for own, entry in kinds.get(kind, {}).items()
        }

    def faults(self) -> Iterator[str]:
        """Yield every breach of the invariant."""
        yield from self._strays()
        yield from self._numbers()
        yield from self._log()
        for message_id, record in self.records.items():
            for check in (_record_faults, self._place, self._body, self._recipients, self._attempts, self._history):
                for fault in check(message_id, record):
                    yield f"{message_id} ({record.get('state')}): {fault}"

    def _value(self, kind: str, own: str = "") -> Any:
        entry = self._kinds.get(kind, {}).get(own)
        return None if entry is None else entry.value

    def _strays(self) -> Iterator[str]:
        for kind in ("body", "attempts", "recipients", "history"):
            for message_id in self._kinds.get(kind, {}):
                if message_id not in self.records:
                    yield f"{kind} of {message_id} has no record"
        indexes = {name: self._value(name) or {} for name in ("expiring", "content")}
        for name, members in {**self.places, **indexes}.items():
            for message_id in members:
                if message_id not in self.records:
                    yield f"{name} holds {message_id}, which has no record"
        for own, entry in self._kinds.get("piece", {}).items():
            message_id, _, number = own.rpartition(":")
            claimed = int(number) <= int(self.records.get(message_id, {}).get("pieces", 0))
            if claimed is entry.ends:
                yield f"piece {own} {'ends' if claimed else 'does not end'} by itself"

    def _numbers(self) -> Iterator[str]:
        counted = Counter(f"{record['flow']}:{record['state']}" for record in self.records.values())
        counted["live"] = sum(record["state"] in LIVE for record in self.records.values())
        kept = Counter({name: int(number) for name, number in (self._value("counts") or {}).items()})
        for name in sorted({*counted, *kept}):
            if counted[name] != kept[name]:
                yield f"counts {name} as {kept[name]}; there are {counted[name]}"
        work = {
            name.removeprefix("ready:"): min(members.values())
            for name, members in self.places.items()
            if name.startswith("ready:")
        }
        if work != (self._value("work") or {}):
            yield f"work is {self._value('work')}; the flows that wait are {work}"
        used = {record["flow"].partition(":")[0] for record in self.records.values()}
        if missing := used - set(self._value("pools") or ()):
            yield f"pools lacks {missing}"

    def _log(self) -> Iterator[str]:
        log = self._value("log") or {}
        if log != {record["created"]: message_id for message_id, record in self.records.items()}:
            yield f"log is {log}, which is not what was accepted"

    def _place(self, message_id: str, record: Mapping[str, str]) -> Iterator[str]:
        state = State(record["state"])
        pool_and_priority = record["flow"]
        named = {
            "ready": f"ready:{pool_and_priority}",
            "scheduled": f"scheduled:{pool_and_priority.partition(':')[2]}",
            "retry": f"retry:{pool_and_priority.partition(':')[2]}",
        }.get(PLACES[state], PLACES[state])
        lies_in = [name for name, members in self.places.items() if message_id in members]
        if record["place"] != named:
            yield f"its record names {record['place']} instead of {named}"
        if lies_in != [named]:
            yield f"lies in {lies_in} instead of {named}"
        elif state in FINAL and self.places[named][message_id] != float(record["finished"]):
            yield f"its end is {self.places[named][message_id]} in {named}, {record['finished']} in its record"
        waits = state in LIVE and "expires" in record and "begun" not in record
        yield from self._index(message_id, "expiring", float(record["expires"]) if waits else None)
        droppable = PLACES[state] == "finished" and "dropped" not in record
        yield from self._index(message_id, "content", float(record["finished"]) if droppable else None)

    def _index(self, message_id: str, name: str, wanted: float | None) -> Iterator[str]:
        found = (self._value(name) or {}).get(message_id)
        if found != wanted:
            yield f"stands in {name} with {found} instead of {wanted}"

    def _body(self, message_id: str, record: Mapping[str, str]) -> Iterator[str]:
        body = self._value("body", message_id)
        if body is None:
            yield "has no body"
            return
        codec, length = _PREFIX.unpack_from(body)
        head = _PREFIX.size + length
        pieces = int(record.get("pieces", 0))
        if codec != 1 or len(body) < head:
            yield "its body cannot be read"
        elif len(body) > head and (pieces or "dropped" in record):
            yield "its body holds a content that lies in pieces or was dropped"
        elif len(body) == head and not pieces and "dropped" not in record:
            yield "its content is gone"
        for number in range(1, pieces + 1):
            if f"{message_id}:{number}" not in self._kinds.get("piece", {}):
                yield f"lacks piece {number} of its content"

    def _recipients(self, message_id: str, record: Mapping[str, str]) -> Iterator[str]:
        decided: Mapping[str, str] | None = self._value("recipients", message_id)
        if (decided is None) is ("split" in record):
            yield f"its recipients are {decided}, its record says split={record.get('split')}"
        if decided is None:
            return
        states = [RecipientState(told.partition(" ")[0]) for told in decided.values()]
        for told in decided.values():
            orjson.loads(told.partition(" ")[2])
        total = int(record["recipients"])
        if not {int(index) for index in decided} <= set(range(total)):
            yield f"has {total} recipients; decided are {sorted(decided)}"
        elif (record["state"] in FINAL) != (len(decided) == total):
            yield f"{len(decided)} of {total} recipients are decided"
        elif len(decided) == total and derive_state(states) != record["state"]:
            yield f"its recipients are {states}"

    def _attempts(self, message_id: str, record: Mapping[str, str]) -> Iterator[str]:
        packed: list[str] = self._value("attempts", message_id) or []
        told = [orjson.loads(line.partition("\n")[0]) for line in packed]
        numbers = [attempt["number"] for attempt in told]
        closed = int(record.get("attempts", 0)) - ("begun" in record)
        # A failover may have lost an attempt in the middle; the last one is what the record speaks of.
        if numbers != sorted(set(numbers)) or numbers[-1:] != [closed][: closed > 0] or len(numbers) > _KEPT_ATTEMPTS:
            yield f"keeps attempts {numbers}; {closed} were closed"
        if any("\n" in line for line in packed[1:-3]):
            yield "keeps routes between its first and its last three attempts"

    def _history(self, message_id: str, record: Mapping[str, str]) -> Iterator[str]:
        history: list[str] = self._value("history", message_id) or []
        states = [State(entry.split(" ")[0]) for entry in history]
        attempts = [int(entry.split(" ")[2]) for entry in history]
        if len(history) > _KEPT_EVENTS:
            yield f"keeps {len(history)} events"
        if attempts != sorted(attempts) or (attempts and attempts[-1] > int(record.get("attempts", 0))):
            yield f"its events tell of the attempts {attempts}"
        if states and states[-1] != record["state"] and record["state"] in (State.SCHEDULED, State.RETRYING):
            yield f"its last event is {states[-1]}"
        if states and states[-1] in FINAL:
            yield f"its last event, {states[-1]}, follows from its record"


def _record_faults(_: str, record: Mapping[str, str]) -> Iterator[str]:
    """Yield what one record says that cannot be together."""
    if ("lease" in record) is not (record["state"] == State.SENDING):
        yield f"its lease is {record.get('lease')}"
    if "lease" in record and not _LEASE.fullmatch(record["lease"]):
        yield f"its lease is {record['lease']!r}"
    if "begun" in record and not ("lease" in record and _BEGUN.fullmatch(record["begun"])):
        yield f"its attempt is {record['begun']!r}"
    yield from _end_faults(record)
    for name, value in record.items():
        if len(value) > _LONGEST_FIELD and name not in {"refused", "begun"}:
            yield f"its `{name}` has {len(value)} bytes"
        if value in {"", "false", "nil"}:
            yield f"its `{name}` is {value!r}"


def _end_faults(record: Mapping[str, str]) -> Iterator[str]:
    """Yield what one record says of its end that cannot be."""
    is_final = record["state"] in FINAL
    if ("finished" in record) is not is_final:
        yield f"its end is {record.get('finished')}"
    if ("reason" in record) is not (is_final and record["state"] != State.SENT):
        yield f"its reason is {record.get('reason')}"
    for name in ("waiting", "prefer", "strikes", "since"):
        if is_final and name in record:
            yield f"keeps `{name}` behind its end"
