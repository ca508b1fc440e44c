"""Many messages: split by what one request may hold, and what became of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, overload

from reliable_email_client.answers import Acceptance, Limits
from reliable_email_client.core.judging import error_of, judge, parsed, retry_after_seconds, strange
from reliable_email_client.core.reading import Unreadable, read
from reliable_email_client.core.wire import Failure, Reply, Request
from reliable_email_client.errors import Problem, ReliableEmailError

#: What became of one message of a batch.
Result = Acceptance | ReliableEmailError

_IN_BATCH = re.compile(r"^#/messages/\d+")
_OPENING, _CLOSING = b'{"messages":[', b"]}"


class BatchOutcome(Sequence[Result]):
    """What became of each message, in the order in which they were given: an Acceptance, or an error as a value."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._results = tuple(results)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Result]: ...
    def __getitem__(self, index: int | slice) -> Result | Sequence[Result]:
        """Return what became of one message, or of several."""
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.accepted)} accepted, {len(self.errors)} not>"

    @property
    def accepted(self) -> list[Acceptance]:
        """The acceptances."""
        return [result for result in self._results if isinstance(result, Acceptance)]

    @property
    def errors(self) -> list[tuple[int, ReliableEmailError]]:
        """The errors, each with the place of its message."""
        return [(index, result) for index, result in enumerate(self._results) if isinstance(result, ReliableEmailError)]

    def raise_for_errors(self) -> None:
        """Raise the first error, if there is one."""
        for _, error in self.errors:
            raise error


class Body(NamedTuple):
    """A message as bytes; `place` is its index in the whole batch."""

    place: int
    content: bytes


def chunks(bodies: Iterable[Body], limits: Limits) -> Iterator[list[Body]]:
    """Yield as many messages as one request may hold, in their order. One that is too large stands alone."""
    chunk: list[Body] = []
    size = 0
    for body in bodies:
        more = len(body.content) + 1
        if chunk and (len(chunk) >= limits.batch_messages or size + more > limits.request_bytes):
            yield chunk
            chunk = []
        if not chunk:
            size = len(_OPENING) + len(_CLOSING)
        chunk.append(body)
        size += more
    if chunk:
        yield chunk


def batch_request(bodies: Iterable[Body]) -> Request:
    """Return the request that submits these messages."""
    content = b"".join((_OPENING, b",".join(body.content for body in bodies), _CLOSING))
    return Request("POST", "/v1/messages/batch", body=content)


def batch_results(result: Reply | Failure, count: int) -> list[Result]:
    """Return what became of each of `count` messages; what concerns the request as a whole concerns each."""
    judged = judge(result)
    if isinstance(judged, Reply):
        return _each(_views(judged), count) or [strange(judged) for _ in range(count)]
    if isinstance(result, Reply) and judged.problem is not None:
        wait = retry_after_seconds(result)
        if each := _each(judged.problem.raw.get("results"), count, wait):
            return each
    errors = [judge(result) for _ in range(count)]
    return [error for error in errors if isinstance(error, ReliableEmailError)]


def _views(reply: Reply) -> Any:  # noqa: ANN401 - JSON may be anything
    try:
        body = parsed(reply)
    except Unreadable:
        return None
    return body.get("results") if isinstance(body, dict) else None


def _each(views: object, count: int, wait: float | None = None) -> list[Result]:
    """Return the results of all items, none at all where they are not what the interface promises."""
    if not isinstance(views, list) or len(views) != count:
        return []
    try:
        return [_result(view, wait) for view in views]
    except Unreadable:
        return []


def _of_one(problem: Problem) -> Problem:
    """Return a problem whose faults point into their message: its place in a request is not its place in the batch."""
    faults = (
        fault if fault.pointer is None else replace(fault, pointer=_IN_BATCH.sub("#", fault.pointer))
        for fault in problem.errors
    )
    return replace(problem, errors=tuple(faults))


def _result(view: object, wait: float | None) -> Result:
    match view:
        case {"error": error}:
            return error_of(_of_one(read(Problem, error)), wait)
        case {"message": {**message}, **more}:
            return read(Acceptance, {**message, "replayed": more.get("replayed", False)})
        case _:
            raise Unreadable("a result holds a message or an error")
