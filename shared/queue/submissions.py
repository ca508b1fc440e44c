"""Accepting messages: into which shard each goes, and one write for many."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from shared.domain.codec import encode
from shared.domain.errors import NotReplicated, QueueError
from shared.domain.ids import RANDOM_BYTES, make_id
from shared.domain.message import Acceptance, OnAmbiguous, Priority, Submission
from shared.domain.states import State
from shared.queue import pieces
from shared.queue.calls import PATIENCE_SECONDS
from shared.queue.core import Core, in_batches

#: How much of `queued_messages` each priority may fill: the urgent are accepted longest.
SHARES: Final = {Priority.BULK: 0.80, Priority.NORMAL: 0.90, Priority.HIGH: 0.95, Priority.CRITICAL: 1.0}


_IDS_AT_ONCE: Final = 256


class Refusal(StrEnum):
    """Why the queue did not take a message although it could be reached."""

    KEY_REUSED = "reused"
    QUEUE_FULL = "full"
    PIECES_LOST = "missing_pieces"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many messages may wait, and how long idempotency keys are kept."""

    queued_messages: int = 5_000_000
    idempotency_ms: int = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission as it will be stored: its id, and its shard, are decided."""

    id: str
    shard: int
    priority: Priority
    arguments: dict[str, Any]
    body: bytes
    content: bytes  # empty unless it goes in pieces

    @property
    def size(self) -> int:
        """What it adds to a call, in bytes."""
        return len(self.body) + 400


#: What came of one submission.
Result = Acceptance | Refusal | QueueError


class Submissions:
    """The frontend's side of the queue."""

    def __init__(self, core: Core, bounds: Bounds, wall_ms: Callable[[], int]) -> None:
        self._core = core
        self._bounds = bounds
        self._wall_ms = wall_ms
        self._next_shard = 0
        self._random, self._random_at = b"", 0

    def flush_shard(self) -> int:
        """Return the shard for the messages without a key of one flush; the next flush gets the next."""
        self._next_shard = (self._next_shard + 1) % self._core.shards
        return self._next_shard

    def prepare(self, submission: Submission, shard: int) -> Prepared:
        """Return a submission as it will be stored; one with an idempotency key chooses its own shard."""
        digest = _digest(submission)
        if digest:
            shard = _shard_of_key(submission, digest, self._core.shards)
        message_id = make_id(self._wall_ms(), self._randomness(), shard)
        head, content = encode(submission.envelope)
        in_pieces = pieces.count(len(content))
        arguments: dict[str, Any] = {
            "id": message_id,
            "tenant": submission.tenant,
            "flow": f"{submission.pool}:{submission.priority.value}",
            "recipients": len(submission.envelope.recipients),
            "bytes": len(head) + len(content),
            "domain": submission.envelope.message_id_domain,
            "full_at": self._full_at(submission.priority),
        }
        optional = (
            ("send", submission.send_at),
            ("delay", submission.delay_ms),
            ("expires", submission.expires_at),
            ("ttl", submission.ttl_ms),
            ("pieces", in_pieces or None),
            ("trace", submission.trace),
            ("key", digest or None),
        )
        arguments |= {name: value for name, value in optional if value is not None}
        if digest:
            arguments["fingerprint"] = submission.fingerprint
        if submission.envelope.on_ambiguous is OnAmbiguous.FAIL:
            arguments["fail"] = "1"
        body = head if in_pieces else head + content
        return Prepared(message_id, shard, submission.priority, arguments, body, content if in_pieces else b"")

    def _randomness(self) -> bytes:
        """Return fresh randomness for one id; the system is asked for that of many at once."""
        if self._random_at == len(self._random):
            self._random, self._random_at = secrets.token_bytes(RANDOM_BYTES * _IDS_AT_ONCE), 0
        self._random_at += RANDOM_BYTES
        return self._random[self._random_at - RANDOM_BYTES : self._random_at]

    def _full_at(self, priority: Priority) -> int:
        return int(self._bounds.queued_messages * SHARES[priority] / self._core.shards)

    async def write_pieces(self, prepared: Prepared) -> None:
        """Write what does not go inline, before the submission that claims it. Raises QueueError."""
        if prepared.content:
            await pieces.write(self._core, self._core.tag(prepared.shard), prepared.id, prepared.content)

    async def submit(self, batch: Sequence[Prepared], seconds: float = PATIENCE_SECONDS) -> list[Result]:
        """Store messages, those of one server in one write, and return what came of each, in order."""
        by_shard: dict[int, list[int]] = {}
        for index, prepared in enumerate(batch):
            by_shard.setdefault(prepared.shard, []).append(index)
        groups = [
            group for indexes in by_shard.values() for group in in_batches(indexes, lambda index: batch[index].size)
        ]
        calls = [
            self._core.call(
                "submit",
                self._core.tag(batch[group[0]].shard),
                {
                    "idempotency_ms": self._bounds.idempotency_ms,
                    "messages": [batch[index].arguments for index in group],
                },
                [batch[index].body for index in group],
            )
            for group in groups
        ]
        answers = await self._core.caller.run_all(calls, seconds=seconds, replication=self._core.replication)
        results: list[Result] = [Refusal.PIECES_LOST] * len(batch)
        for group, answer in zip(groups, answers, strict=True):
            for position, index in enumerate(group):
                results[index] = _result_of(answer, position)
        return results


def _digest(submission: Submission) -> str:
    """Return the name of the idempotency record: a derived key is a kind of its own."""
    if submission.idempotency_key is None:
        return ""
    kind = "key" if submission.derived is None else f"item {submission.derived}"
    return sha256(f"{submission.tenant}\0{kind}\0{submission.idempotency_key}".encode()).hexdigest()[:32]


def _shard_of_key(submission: Submission, digest: str, shards: int) -> int:
    """Return the shard of a key; all items derived from one batch's key share one."""
    if submission.derived is None:
        return int(digest, 16) % shards
    batch = sha256(f"{submission.tenant}\0batch\0{submission.idempotency_key}".encode())
    return int(batch.hexdigest()[:32], 16) % shards


def _result_of(answer: list[Any] | QueueError, position: int) -> Result:
    if isinstance(answer, NotReplicated) and answer.answer:
        stored = _result(answer.answer[position])
        # What was refused needs no replica; what was stored is in doubt under the id that it has.
        return stored if isinstance(stored, Refusal) else NotReplicated(str(answer), [stored.id])
    return answer if isinstance(answer, QueueError) else _result(answer[position])


def _result(answer: list[bytes]) -> Acceptance | Refusal:
    status = answer[0].decode()
    if status in {"reused", "full", "missing_pieces"}:
        return Refusal(status)
    created = int(answer[2].partition(b"-")[0])
    send = int(answer[3]) if answer[3] else None
    pool, priority = answer[5].decode().split(":")[:2]
    return Acceptance(
        id=answer[1].decode(),
        state=State.SCHEDULED if send is not None and send > created else State.QUEUED,
        priority=Priority(priority),
        pool=pool,
        created_at=created,
        send_at=send,
        expires_at=int(answer[4]) if answer[4] else None,
        message_id_domain=answer[6].decode(),
        replayed=status == "replayed",
    )
