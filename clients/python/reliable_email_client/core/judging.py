"""From what came back to a good answer, or to the error that says whose fault it is."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

from reliable_email_client.core.reading import Unreadable, read
from reliable_email_client.core.wire import Failure, Reply
from reliable_email_client.errors import (
    BY_CODE,
    BY_STATUS,
    AcceptanceUnknown,
    AnswerLost,
    InvalidRequest,
    Problem,
    ReliableEmailError,
    ServiceError,
    TemporaryError,
    Unreachable,
    Untrusted,
)

_FIRST_ERROR = 400
_FIRST_REDIRECT = 300
_FIRST_OF_OURS = 500

_OF_FAILURES: dict[str, type[ReliableEmailError]] = {
    "unsent": Unreachable,
    "lost": AnswerLost,
    "untrusted": Untrusted,
}


def judge(result: Reply | Failure) -> Reply | ReliableEmailError:
    """Return the answer where it is a good one, else what is wrong."""
    if isinstance(result, Failure):
        error = _OF_FAILURES[result.kind](result.detail)
        error.__cause__ = result.cause
        return error
    return result if result.status < _FIRST_REDIRECT else refusal(result)


def refusal(reply: Reply) -> ReliableEmailError:
    """Return what an answer that is no good one means."""
    try:
        problem = read(Problem, parsed(reply))
    except Unreadable:
        return _strange(reply)
    return error_of(problem, retry_after_seconds(reply))


def error_of(problem: Problem, retry_after: float | None = None) -> ReliableEmailError:
    """Return the error that a problem is."""
    kind = BY_CODE.get(problem.code) or BY_STATUS.get(problem.status)
    if kind is None or problem.retryable != issubclass(kind, TemporaryError):
        # The service's own word on what may be repeated stands above what the number usually means.
        if problem.retryable:
            kind = TemporaryError
        else:
            kind = InvalidRequest if problem.status < _FIRST_OF_OURS else ServiceError
    return kind(problem.words(), problem=problem, retry_after_seconds=retry_after)


def in_doubt(error: ReliableEmailError) -> bool:
    """Return whether a request that ended so may have had its effect all the same."""
    return isinstance(error, (AnswerLost, ServiceError))


def unknown(error: ReliableEmailError, last_known: Problem | None) -> AcceptanceUnknown:
    """Return a submission's doubt as an error of its own; `error` is what the last attempt ended with."""
    if isinstance(error, AcceptanceUnknown):
        return error
    result = AcceptanceUnknown(
        f"It is not known whether the message was accepted; the last attempt ended with: {error}",
        problem=last_known or error.problem,
        retry_after_seconds=error.retry_after_seconds,
    )
    result.__cause__ = error
    return result


def parsed(reply: Reply) -> Any:  # noqa: ANN401 - JSON may be anything
    """Return the JSON of an answer. Raises Unreadable."""
    try:
        return json.loads(reply.body)
    except ValueError:
        raise Unreadable("the body is not JSON") from None


def retry_after_seconds(reply: Reply) -> float | None:
    """Return what `Retry-After` asks to wait (RFC 9110, section 10.2.3), None where it says nothing sensible.

    A date is counted from the answer's own `Date`, so that no two clocks are compared.
    """
    value = reply.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until, since = parsedate_to_datetime(value), parsedate_to_datetime(reply.headers.get("date", ""))
        return max(0.0, (until - since).total_seconds())
    except (TypeError, ValueError):
        return None


def strange(reply: Reply) -> ServiceError:
    """Return the error of an answer that this service would not give."""
    return ServiceError(f"The answer, with status {reply.status}, is not one of this service")


def _strange(reply: Reply) -> ReliableEmailError:
    """Return the error of a refusal that no service of ours made: a proxy's, or another program's."""
    if _FIRST_REDIRECT <= reply.status < _FIRST_ERROR:
        where = reply.headers.get("location", "elsewhere")
        return ServiceError(f"The address leads to {where}; a redirection is not followed, for the key would be too")
    kind = BY_STATUS.get(reply.status, InvalidRequest if reply.status < _FIRST_OF_OURS else ServiceError)
    detail = f"Something between answered with status {reply.status}, and not as this service does"
    return kind(detail, retry_after_seconds=retry_after_seconds(reply))
