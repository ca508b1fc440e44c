"""`POST /v1/messages`, `/batch` and `/validate`: a 202 goes out only for what is on disk."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from services.frontend.answers import NOT_STORED, REQUEST_ID, SPAN, TRACE, Declined, answer
from services.frontend.bodies import judged, receive
from services.frontend.commit import Committed
from services.frontend.means import Means
from services.frontend.problems import Problem, problem, refused_batch, refused_item, refused_items, refused_message
from services.frontend.schema import Batch, Faults, rehearse
from services.frontend.schema.keys import HEADER
from services.frontend.views import View, acceptance_view, rehearsal_view
from shared.domain.errors import AnswerLost, QueueError, ScriptDefect
from shared.domain.message import Acceptance, Priority, Submission
from shared.queue.submissions import Refusal
from shared.runtime import tracing
from shared.runtime.logs import get_logger
from shared.runtime.tracing import SILENT, Kind, Span

_REPLAYED: Final = {"Idempotent-Replayed": "true"}

#: What is told of a message that the queue did not take, though it could be reached.
_REFUSALS: Final = {
    Refusal.KEY_REUSED: "idempotency_key_reused",
    Refusal.QUEUE_FULL: "queue_full",
    Refusal.PIECES_LOST: "unavailable",
}

log = get_logger()


class Submissions:
    """Takes messages."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def one(self, request: web.Request) -> web.Response:
        """Take one message."""
        means = self._means
        means.guard.require_safety()
        body = await receive(request, means.request_bytes)
        started = time.perf_counter()
        schema, now_ms, key = means.schemas.submission, means.wall_ms(), _key_of(request)
        read = await judged(body, lambda parsed: schema.read(parsed, now_ms, key))
        if isinstance(read, tuple):
            self._count_refused(1)
            log.debug("message_refused", request_id=request[REQUEST_ID], faults=len(read))
            raise Declined(refused_message(read))
        response = await self.take(read, request)
        means.metrics.submit_seconds.observe(time.perf_counter() - started, request[SPAN].exemplar)
        return response

    async def take(self, submission: Submission, request: web.Request) -> web.Response:
        """Store a valid message and return the answer. Raises Declined where it is not certainly stored."""
        submission, span = _traced(submission, request)
        with _broken_off(span):
            committed = await self._means.commit.submit(submission)
        result = committed.result
        _end(span, committed)
        if not isinstance(result, Acceptance):
            raise Declined(self._refusal(submission, committed.id, result, request[REQUEST_ID]))
        self._count_accepted(submission, result)
        response = answer(acceptance_view(result), 202, {"Location": f"/v1/messages/{result.id}"})
        if result.replayed:
            response.headers.update(_REPLAYED)
        return response

    async def batch(self, request: web.Request) -> web.Response:
        """Take up to a thousand messages, each for itself."""
        means = self._means
        means.guard.require_safety()
        body = await receive(request, means.request_bytes)
        started = time.perf_counter()
        schema, now_ms, key = means.schemas.batch, means.wall_ms(), _key_of(request)
        batch = await judged(body, lambda parsed: schema.read(parsed, now_ms, key))
        if isinstance(batch, tuple):
            self._count_refused(1)
            raise Declined(refused_batch(batch))
        results = await self._take(batch, request)
        problems = [result for result in results if isinstance(result, Problem)]
        taken = len(results) - len(problems)
        if not taken:
            raise Declined(refused_items(problems))
        replayed = all(isinstance(result, Problem) or result.replayed for result in results)
        view = {"accepted": taken, "refused": len(problems), "results": [_item_view(result) for result in results]}
        means.metrics.submit_seconds.observe(time.perf_counter() - started, request[SPAN].exemplar)
        return answer(view, 207 if problems else 202, _REPLAYED if replayed else {})

    async def validate(self, request: web.Request) -> web.Response:
        """Say what would become of a message, and take nothing: also where nothing could be taken now."""
        means = self._means
        body = await receive(request, means.request_bytes)
        schema, now_ms, key = means.schemas.submission, means.wall_ms(), _key_of(request)
        rehearsal = await judged(body, lambda parsed: rehearse(schema, parsed, now_ms, key))
        return answer(rehearsal_view(rehearsal))

    async def _take(self, batch: Batch, request: web.Request) -> list[Acceptance | Problem]:
        """Return what became of each message, in their order."""
        traced = [_traced(submission, request) for submission in batch.submissions]
        with _broken_off(*(span for _, span in traced)):
            committed = await self._means.commit.submit_all([submission for submission, _ in traced])
        for (_, span), one in zip(traced, committed, strict=True):
            _end(span, one)
        left, request_id = iter(committed), request[REQUEST_ID]
        return [
            self._result(item, next(left), request_id) if isinstance(item, Submission) else self._refused(item)
            for item in batch.items
        ]

    def _result(self, submission: Submission, committed: Committed, request_id: str) -> Acceptance | Problem:
        result = committed.result
        if isinstance(result, Acceptance):
            self._count_accepted(submission, result)
            return result
        return self._refusal(submission, committed.id, result, request_id)

    def _refused(self, faults: Faults) -> Problem:
        self._count_refused(1)
        return refused_item(faults)

    def _count_accepted(self, submission: Submission, acceptance: Acceptance) -> None:
        label = "replayed" if acceptance.replayed else "accepted"
        self._means.metrics.submissions[acceptance.priority, label].inc()
        replayed = acceptance.replayed
        log.debug("message_accepted", message_id=acceptance.id, tenant=submission.tenant, replayed=replayed)

    def _count_refused(self, number: int) -> None:
        # What is not valid has no priority that could be believed.
        self._means.metrics.submissions[Priority.NORMAL, "refused"].inc(number)

    def _refusal(
        self, submission: Submission, message_id: str, result: Refusal | QueueError, request_id: str
    ) -> Problem:
        """Return the problem of a valid message that is not certainly stored, and count it."""
        label = "unavailable"
        if isinstance(result, Refusal):
            label = "unavailable" if result is Refusal.PIECES_LOST else "refused"
        elif isinstance(result, AnswerLost):
            label = "unknown"
            log.warning(
                "submission_unknown",
                message_id=message_id,
                tenant=submission.tenant,
                request_id=request_id,
                error=str(result),
            )
        elif isinstance(result, ScriptDefect):
            log.error("script_failed", script="submit", request_id=request_id, error=str(result))
        self._means.metrics.submissions[submission.priority, label].inc()
        if isinstance(result, Refusal):
            return problem(_REFUSALS[result], NOT_STORED if result is Refusal.PIECES_LOST else "")
        if isinstance(result, AnswerLost):
            return problem("acceptance_unknown", message_id=message_id)
        return problem("internal") if isinstance(result, ScriptDefect) else problem("unavailable", NOT_STORED)


def _traced(submission: Submission, request: web.Request) -> tuple[Submission, Span]:
    """Return a submission that knows its place in its client's trace or one of ours, and the step of storing it."""
    if not tracing.is_on():
        trace = request[TRACE]
        return (replace(submission, trace=trace) if trace else submission), SILENT
    span = tracing.start(
        "enqueue",
        Kind.PRODUCER,
        request[SPAN].traceparent,
        messaging__system="reliable_email",
        messaging__destination__name=submission.pool,
        reliable_email__tenant=submission.tenant,
        reliable_email__priority=submission.priority.value,
    )
    return replace(submission, trace=span.traceparent), span


@contextlib.contextmanager
def _broken_off(*spans: Span) -> Iterator[None]:
    """End steps that are given up while they run."""
    try:
        yield
    except asyncio.CancelledError:
        for span in spans:
            span.end("broken off")
        raise


def _end(span: Span, committed: Committed) -> None:
    """End the step of storing a message with what came of it."""
    if span is not SILENT:
        result = committed.result
        span.tell(messaging__message__id=committed.id)
        span.end("" if isinstance(result, Acceptance) else type(result).__name__)


def _item_view(result: Acceptance | Problem) -> View:
    if isinstance(result, Problem):
        return {"status": result.status, "error": result.to_dict()}
    return {"status": 202, "replayed": result.replayed, "message": acceptance_view(result)}


def _key_of(request: web.Request) -> str | None:
    """Return the idempotency key of the header. Two of them are no key: their sum is refused for its space."""
    keys: Sequence[str] = request.headers.getall(HEADER, ())
    return ", ".join(keys) if keys else None
