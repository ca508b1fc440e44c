"""Working on messages: lease, begin, extend, settle, release. The sender's side of the queue."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from shared.domain.codec import decode, decode_head
from shared.domain.errors import AnswerLost, QueueError
from shared.domain.message import DEFAULT_TENANT, Attempt, Envelope, Priority, Reason
from shared.domain.states import RecipientState, State
from shared.queue import pieces
from shared.queue.calls import PATIENCE_SECONDS
from shared.queue.core import MAX_CALL_BYTES, MAX_MESSAGES, Core
from shared.queue.records import cut, flow_of, pack_attempt

# Several of each class below are made for every message that is sent, and nobody changes one: frozen
# they would take twice as long to make.


@dataclass(slots=True)
class Lease:
    """The right to work on one message, and what is needed for it.

    `pending` are the recipients that are not decided yet. `envelope` lacks bodies and attachments
    where `pieces` is not 0; `Leases.whole` brings them. `waits_since` is the instant from which its
    owner may count: acceptance, or the send time if that is later. `trace` is the `traceparent` to go on with.
    """

    id: str
    shard: int
    token: str
    priority: Priority
    pool: str
    envelope: Envelope
    pending: tuple[int, ...]
    size_bytes: int
    pieces: int
    ready_at: int
    waits_since: int
    attempts: int
    rounds: int
    requeues: int
    strikes: int
    refused: frozenset[str]
    prefer: str | None
    is_doubtful: bool
    expires_at: int | None
    tenant: str = DEFAULT_TENANT
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class FlowRequest:
    """How many messages of one flow a lease call may take, and from which end."""

    pool: str
    priority: Priority
    quota: int
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """A flow that holds messages, and since when its oldest has been ready."""

    pool: str
    priority: Priority
    ready_at: int


@dataclass(frozen=True, slots=True)
class Leased:
    """What a lease call brought, and which flows of the shard still hold messages.

    `asked_at` is the monotonic instant of its first try, in seconds: the leases run from then on at the earliest.
    """

    leases: tuple[Lease, ...]
    work: tuple[Work, ...]
    asked_at: float


@dataclass(slots=True)
class Begin:
    """The wish to start attempt `number`; `closed` is the lease's previous attempt, if there was one."""

    lease: Lease
    number: int
    provider: str
    recipients: tuple[int, ...]
    closed: Attempt | None = None
    decided: tuple[Decided, ...] = ()


@dataclass(slots=True)
class Begun:
    """What came of a begin: `begun`, `stale`, `cancelled` or `expired`, and when. `first_at` is the
    instant of the message's first attempt, of which its Date header is made."""

    status: str
    first_at: int | None
    at: int


@dataclass(frozen=True, slots=True)
class Decided:
    """One recipient's end."""

    recipient: int
    state: RecipientState
    provider: str | None = None
    provider_message_id: str | None = None
    reason: Reason | None = None


@dataclass(slots=True)
class Settlement:
    """What an attempt came to. Either `all_state` ends every pending recipient, or `decided` ends
    some and the rest fails with the code `fail_rest` or waits `delay_ms`."""

    lease: Lease
    attempt: Attempt
    all_state: RecipientState | None = None
    decided: tuple[Decided, ...] = ()
    reason: str | None = None
    fail_rest: str | None = None
    delay_ms: int = 0
    counts_round: bool = False
    waiting: str | None = None
    is_doubtful: bool = False
    refused: frozenset[str] = frozenset()
    prefer: str | None = None


@dataclass(slots=True)
class Settled:
    """What came of a settlement: `settled`, `already`, `late`, `stale` or `gone`, and the state after it."""

    status: str
    state: State | None


@dataclass(frozen=True, slots=True)
class Release:
    """A lease handed back unused: at once, after `delay_ms`, or to fail with a code."""

    lease: Lease
    delay_ms: int | None = None
    waiting: str | None = None
    refused: frozenset[str] = frozenset()
    fail: str | None = None


@dataclass(slots=True)
class Leases:
    """One sender's leases. `name` is random for each start: its calls are numbered under it."""

    core: Core
    lease_ms: int = 60_000
    max_rounds: int = 12
    max_age_ms: int = 72 * 3_600_000
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    _numbers: dict[int, int] = field(default_factory=dict)
    _owed: dict[int, tuple[dict[str, Any], float]] = field(default_factory=dict)

    async def lease(
        self,
        shard: int,
        flows: Sequence[FlowRequest],
        *,
        count: int = MAX_MESSAGES,
        held_bytes: int = MAX_CALL_BYTES,
        seconds: float = PATIENCE_SECONDS,
    ) -> Leased:
        """Lease messages of one shard, in the order of `flows`. Raises QueueError.

        A call whose answer was lost may have leased: the next one is that same call again, under
        the same number, and gives the same messages.
        """
        owed = self._owed.pop(shard, None)
        arguments, asked_at = owed or (self._lease_arguments(shard, flows, count, held_bytes), time.monotonic())
        try:
            answer = await self.core.run("lease", self.core.tag(shard), arguments, seconds=seconds)
        except (AnswerLost, asyncio.CancelledError):
            self._owed[shard] = arguments, asked_at
            raise
        except QueueError:
            # Nothing was done this time; what an earlier try did is still not known.
            if owed is not None:
                self._owed[shard] = owed
            raise
        if answer == [b"stale"]:
            return Leased((), (), asked_at)
        work, *entries = answer
        return Leased(tuple(_lease(shard, entry) for entry in entries), _work(work), asked_at)

    def is_owed_an_answer(self, shard: int) -> bool:
        """Whether the answer to the last call for a shard was lost: what it leased comes with the next one."""
        return shard in self._owed

    async def look(self, shard: int, seconds: float = PATIENCE_SECONDS) -> tuple[Work, ...]:
        """Return which flows of a shard hold messages, without taking any. Raises QueueError."""
        tag = self.core.tag(shard)
        (flat,) = await self.core.plain(tag, [("ZRANGE", f"{tag}:work", 0, -1, "WITHSCORES")], seconds)
        return _work(flat)

    def _lease_arguments(self, shard: int, flows: Sequence[FlowRequest], count: int, held_bytes: int) -> dict[str, Any]:
        self._numbers[shard] = self._numbers.get(shard, 0) + 1
        return {
            "sender": self.name,
            "number": self._numbers[shard],
            "token": secrets.token_urlsafe(9),
            "lease_ms": self.lease_ms,
            "count": min(count, MAX_MESSAGES),
            "reply_bytes": MAX_CALL_BYTES,
            "held_bytes": held_bytes,
            "flows": [
                {
                    "flow": f"{request.pool}:{request.priority.value}",
                    "quota": request.quota,
                    "newest": request.newest_first,
                }
                for request in flows
            ],
        }

    async def whole(self, lease: Lease) -> Envelope:
        """Return the envelope with bodies and attachments. Raises QueueError."""
        if not lease.pieces:
            return lease.envelope
        tag = self.core.tag(lease.shard)
        (head,) = await self.core.plain(tag, [("GET", f"{tag}:body:{lease.id}")])
        return decode(head + await pieces.read(self.core, tag, lease.id, lease.pieces))

    async def begin(self, shard: int, attempts: Sequence[Begin]) -> list[Begun]:
        """Write attempts down before anything goes out; all of one shard. Raises QueueError."""
        answer = await self.core.run(
            "begin",
            self.core.tag(shard),
            {"attempts": [_begin_arguments(attempt) for attempt in attempts]},
        )
        return [Begun(status.decode(), int(first) if first else None, int(now)) for status, first, now in answer]

    async def extend(self, shard: int, leases: Sequence[Lease]) -> list[bool]:
        """Renew leases of one shard; false where the lease is no longer ours. Raises QueueError."""
        answer = await self.core.run(
            "extend",
            self.core.tag(shard),
            {"lease_ms": self.lease_ms, "leases": [{"id": lease.id, "token": lease.token} for lease in leases]},
        )
        return [status == b"extended" for status in answer]

    async def settle(self, shard: int, settlements: Sequence[Settlement], seconds: float = 2.0) -> list[Settled]:
        """Write what attempts came to; all of one shard. Raises QueueError; repeat until it is written."""
        answer = await self.core.run(
            "settle",
            self.core.tag(shard),
            {
                "max_rounds": self.max_rounds,
                "max_age_ms": self.max_age_ms,
                "settlements": [_settlement_arguments(settlement) for settlement in settlements],
            },
            seconds=seconds,
        )
        return [Settled(status.decode(), State(state.decode()) if state else None) for status, state in answer]

    async def release(self, shard: int, releases: Sequence[Release]) -> list[Settled]:
        """Hand leases back under which nothing was begun; all of one shard. Raises QueueError."""
        answer = await self.core.run(
            "release",
            self.core.tag(shard),
            {"releases": [_release_arguments(release) for release in releases]},
        )
        return [Settled(status.decode(), State(state.decode()) if state else None) for status, state in answer]


def _lease(shard: int, entry: Sequence[Any]) -> Lease:
    message_id, token, ready, flat, decided, body = entry
    record: Mapping[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
    pool, priority = flow_of(record[b"flow"])
    pending = range(int(record[b"recipients"]))
    done = {int(index) for index in decided}
    created = int(record[b"created"].partition(b"-")[0])
    in_pieces = int(record.get(b"pieces", 0))
    return Lease(
        id=message_id.decode(),
        shard=shard,
        token=token.decode(),
        priority=priority,
        pool=pool,
        envelope=decode_head(body) if in_pieces else decode(body),
        pending=tuple(index for index in pending if index not in done) if done else tuple(pending),
        size_bytes=int(record[b"bytes"]),
        pieces=in_pieces,
        ready_at=int(float(ready)),
        waits_since=max(created, int(record.get(b"send", 0))),
        attempts=int(record.get(b"attempts", 0)),
        rounds=int(record.get(b"rounds", 0)),
        requeues=int(record.get(b"requeues", 0)),
        strikes=int(record.get(b"strikes", 0)),
        refused=frozenset(record[b"refused"].decode().split()) if b"refused" in record else _NOBODY,
        prefer=record[b"prefer"].decode() if b"prefer" in record else None,
        is_doubtful=b"doubt" in record,
        expires_at=int(record[b"expires"]) if b"expires" in record else None,
        tenant=record[b"tenant"].decode(),
        trace=record[b"trace"].decode() if b"trace" in record else None,
    )


_NOBODY: Final[frozenset[str]] = frozenset()


def _work(flat: Sequence[bytes]) -> tuple[Work, ...]:
    found = []
    for flow, since in zip(flat[::2], flat[1::2], strict=True):
        pool, priority = flow_of(flow)
        found.append(Work(pool, priority, int(float(since))))
    return tuple(found)


def _begin_arguments(begin: Begin) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "id": begin.lease.id,
        "token": begin.lease.token,
        "number": begin.number,
        "provider": begin.provider,
    }
    if len(begin.recipients) < len(begin.lease.envelope.recipients):
        arguments["to"] = orjson.dumps(begin.recipients).decode()
    if begin.closed is not None:
        arguments["closed"] = pack_attempt(begin.closed)
    if begin.closed is not None and begin.decided:
        arguments["some"] = _some(begin.closed, begin.decided)
    return arguments


def _settlement_arguments(settlement: Settlement) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "id": settlement.lease.id,
        "token": settlement.lease.token,
        "number": settlement.attempt.number,
        "attempt": pack_attempt(settlement.attempt),
        "delay": settlement.delay_ms,
        "counts": settlement.counts_round,
        "doubt": settlement.is_doubtful,
    }
    if settlement.all_state is not None:
        arguments["all"] = settlement.all_state
        # Where all recipients share one end it follows from the attempt, and nothing is told of each.
        if len(settlement.attempt.recipients) < len(settlement.lease.envelope.recipients):
            at = settlement.attempt.started_at + settlement.attempt.duration_ms
            arguments["told"] = _told(_end_of_all(settlement, settlement.all_state), at)
    if settlement.decided:
        arguments["some"] = _some(settlement.attempt, settlement.decided)
    return arguments | _given(
        reason=settlement.reason,
        fail=settlement.fail_rest,
        waiting=settlement.waiting,
        prefer=settlement.prefer,
        refused=" ".join(sorted(settlement.refused)) or None,
    )


def _some(attempt: Attempt, decided: Sequence[Decided]) -> list[list[Any]]:
    at = attempt.started_at + attempt.duration_ms
    return [[end.recipient, end.state, _told(end, at)] for end in decided]


def _end_of_all(settlement: Settlement, state: RecipientState) -> Decided:
    """Return the end that every pending recipient shares; a failed one is told in the words of the attempt."""
    attempt, why = settlement.attempt, None
    if state is RecipientState.FAILED and settlement.reason is not None:
        code = "recipient_rejected" if settlement.reason == "recipients_rejected" else settlement.reason
        why = Reason(code, attempt.detail, None, attempt.smtp_code, attempt.enhanced_code)
    return Decided(0, state, attempt.provider, attempt.provider_message_id, why)


def _release_arguments(release: Release) -> dict[str, Any]:
    return _given(
        id=release.lease.id,
        token=release.lease.token,
        delay=release.delay_ms,
        waiting=release.waiting,
        refused=" ".join(sorted(release.refused)) or None,
        fail=release.fail,
    )


def _given(**arguments: object) -> dict[str, Any]:
    """Return the arguments that have a value: a script takes what is absent as nil."""
    return {name: value for name, value in arguments.items() if value is not None}


def _told(end: Decided, at: int) -> str:
    """Return a recipient's end as it is stored behind its state."""
    told: dict[str, Any] = {"at": at}
    if end.provider:
        told["provider"] = end.provider
    if end.provider_message_id:
        told["id"] = end.provider_message_id
    if end.reason is not None:
        why = replace(end.reason, detail=cut(end.reason.detail))
        told["reason"] = {name: value for name in _REASON if (value := getattr(why, name))}
    return orjson.dumps(told).decode()


_REASON = ("code", "detail", "smtp_code", "enhanced_code")
