"""Group commit: submissions that come together are written together, so that one disk flush pays for all.

While a flush is on its way, what comes in waits for the next one; the busier the frontend, the
larger its flushes. Messages without an idempotency key of one flush go to one shard, the next
flush to the next: a batcher for each shard brought half the throughput at four times the cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import AnswerLost, NotReplicated, QueueError, Unavailable
from shared.domain.message import Acceptance, Submission
from shared.queue import Queue
from shared.queue.pieces import INLINE_BYTES
from shared.queue.submissions import Prepared, Result
from shared.runtime.logs import get_logger
from shared.runtime.metrics import Metrics

#: The frontend answers within 3 s whatever Redis does.
ANSWER_SECONDS: Final = 2.5

#: While one flush waits for the disk, the next is made ready and written.
_FLIGHTS: Final = 2
_FLUSH_MESSAGES: Final = 500
#: What waits beyond this is refused at once: it would be answered too late.
_WAITING_MESSAGES: Final = 20_000

log = get_logger()


@dataclass(frozen=True, slots=True)
class Committed:
    """What came of one submission, and the id it has, or would have had."""

    id: str
    result: Result


@dataclass(slots=True)
class _Waiting:
    submission: Submission
    answer: asyncio.Future[Committed]
    prepared: Prepared | None
    deadline: float


class Commit:
    """Writes submissions to the queue for all handlers of one frontend."""

    def __init__(self, queue: Queue, metrics: Metrics) -> None:
        self._submissions = queue.submissions
        self._metrics = metrics
        self._waiting: list[_Waiting] = []
        self._flights: set[asyncio.Task[None]] = set()
        metrics.submissions_waiting.set_function(lambda: len(self._waiting))

    async def submit(self, submission: Submission) -> Committed:
        """Store one message; the answer is there when it is on disk, or cannot be."""
        if len(self._waiting) >= _WAITING_MESSAGES:
            return self._overloaded()
        return await self._enter(submission, time.monotonic() + ANSWER_SECONDS)

    async def submit_all(self, submissions: Sequence[Submission]) -> list[Committed]:
        """Store messages and return what came of each, in their order."""
        if len(self._waiting) + len(submissions) > _WAITING_MESSAGES:
            return [self._overloaded() for _ in submissions]
        deadline = time.monotonic() + ANSWER_SECONDS
        return list(await asyncio.gather(*(self._enter(submission, deadline) for submission in submissions)))

    def _overloaded(self) -> Committed:
        return Committed("", Unavailable(f"{len(self._waiting)} submissions wait for Redis already"))

    def _enter(self, submission: Submission, deadline: float) -> asyncio.Future[Committed]:
        if submission.envelope.size_bytes > INLINE_BYTES // 2:
            return asyncio.ensure_future(self._enter_large(submission, deadline))
        return self._wait(submission, None, deadline)

    async def _enter_large(self, submission: Submission, deadline: float) -> Committed:
        prepared = self._submissions.prepare(submission, self._submissions.flush_shard())
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + deadline - time.monotonic()):
                await self._submissions.write_pieces(prepared)
        except (QueueError, TimeoutError) as error:
            # Pieces that nobody claims are dropped by themselves: nothing was accepted.
            return Committed(prepared.id, Unavailable(str(error) or "Redis took too long for a large body"))
        return await self._wait(submission, prepared, deadline)

    def _wait(self, submission: Submission, prepared: Prepared | None, deadline: float) -> asyncio.Future[Committed]:
        answer: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(submission, answer, prepared, deadline))
        if len(self._flights) < _FLIGHTS:
            self._take_off()
        return answer

    def _take_off(self) -> None:
        flight = asyncio.create_task(self._flush(), name="commit")
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled() and (defect := flight.exception()) is not None:
            log.error("callback_failed", detail="a flush raised", exc_info=defect)
        if self._waiting and len(self._flights) < _FLIGHTS:
            self._take_off()

    async def _flush(self) -> None:
        batch, self._waiting = self._waiting[:_FLUSH_MESSAGES], self._waiting[_FLUSH_MESSAGES:]
        if not batch:
            return
        started = time.monotonic()
        shard = self._submissions.flush_shard()
        prepared = [waiting.prepared or self._submissions.prepare(waiting.submission, shard) for waiting in batch]
        seconds = max(0.1, min(waiting.deadline for waiting in batch) - started)
        try:
            results = await self._submissions.submit(prepared, seconds)
        except BaseException:
            # A defect, or the end of the process: whether these were written is not known.
            for waiting, item in zip(batch, prepared, strict=True):
                _answer(waiting, Committed(item.id, AnswerLost("the frontend failed while it wrote")))
            raise
        for waiting, item, result in zip(batch, prepared, results, strict=True):
            _answer(waiting, Committed(_id_of(result) or item.id, result))
        self._report(results, time.monotonic() - started)

    def _report(self, results: Sequence[Result], seconds: float) -> None:
        self._metrics.commit_batch_size.observe(len(results))
        failed = [result for result in results if isinstance(result, QueueError)]
        if failed:
            log.warning("commit_failed", count=len(failed), seconds=round(seconds, 4), error=str(failed[0]))
        log.info("commit_written", count=len(results) - len(failed), seconds=round(seconds, 4))

    async def close(self) -> None:
        """Wait until everything that entered has been answered."""
        while self._flights:
            await asyncio.wait(tuple(self._flights))


def _id_of(result: Result) -> str | None:
    """Return the id under which a message is stored: a replay has its first one."""
    if isinstance(result, NotReplicated) and result.answer:
        return str(result.answer[0])
    return result.id if isinstance(result, Acceptance) else None


def _answer(waiting: _Waiting, committed: Committed) -> None:
    if not waiting.answer.done():
        waiting.answer.set_result(committed)
