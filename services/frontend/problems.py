"""Problems as the interface shows them: `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from services.frontend.problem_types import PROBLEM_TYPES, ProblemType
from shared.domain.errors import Fault

CONTENT_TYPE: Final = "application/problem+json"

#: Faults that one answer names; what has more needs another kind of help.
_NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its type, what happened this time, and every fault that led to it.

    `members` are fields of its own that stand beside the common ones (`state`, `message_id`,
    `results`). `retry_after_seconds` overrides what the type says.
    """

    type: ProblemType
    detail: str
    faults: tuple[Fault, ...] = ()
    members: Mapping[str, object] = field(default_factory=dict)
    retry_after_seconds: int | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.type.status

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the answer."""
        headers = {"Content-Type": CONTENT_TYPE, **dict(self.type.headers), **self.extra_headers}
        seconds = self.retry_after_seconds if self.retry_after_seconds is not None else self.type.retry_after_seconds
        if seconds is not None:
            headers["Retry-After"] = str(seconds)
        return headers

    def to_dict(self, instance: str | None = None, request_id: str | None = None) -> dict[str, Any]:
        """Return the problem as JSON has it; without the two arguments, as it stands inside a batch's results."""
        where = {"instance": instance, "request_id": request_id} if instance is not None else {}
        return {
            "type": self.type.uri,
            "code": self.type.code,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            **where,
            "retryable": self.type.retryable,
            "errors": error_views(self.faults),
            **self.members,
        }

    def to_bytes(self, instance: str, request_id: str) -> bytes:
        """Return the body of the answer."""
        return orjson.dumps(self.to_dict(instance, request_id))


def problem(code: str, detail: str = "", **members: object) -> Problem:
    """Return a problem of the type `code`; without a detail it says what its type means."""
    kind = PROBLEM_TYPES[code]
    return Problem(kind, detail or kind.meaning, members=members)


def refused_message(faults: Sequence[Fault], *, effect: str = "nothing was accepted") -> Problem:
    """Return the problem of a message, or of a change to one, with these faults."""
    return _refusal("invalid_message", faults, effect)


def refused_batch(faults: Sequence[Fault]) -> Problem:
    """Return the problem of a batch that is malformed as a whole."""
    return _refusal("invalid_batch", faults, "nothing was accepted")


def refused_request(faults: Sequence[Fault]) -> Problem:
    """Return the problem of a body that asks for something to be done to messages."""
    return _refusal("invalid_request", faults, "nothing was done")


def refused_item(faults: Sequence[Fault]) -> Problem:
    """Return the problem of one message of a batch, where others may have been accepted."""
    return _refusal("invalid_message", faults, "")


def refused_query(faults: Sequence[Fault]) -> Problem:
    """Return the problem of query parameters with these faults."""
    strays = all(fault.code == "cursor_mismatch" for fault in faults)
    return _refusal("cursor_mismatch" if strays else "bad_parameter", faults, "")


def refused_items(items: Sequence[Problem]) -> Problem:
    """Return the problem of a batch of which no message was taken.

    Retryable where every message is: the worst of their problems then stands for all.
    """
    results = [{"status": item.status, "error": item.to_dict()} for item in items]
    detail = f"None of the {len(items):,} messages was accepted." if len(items) > 1 else "The message was not accepted."
    if all(item.type.retryable for item in items):
        worst = max(items, key=lambda item: (item.status, item.type.code == "acceptance_unknown"))
        members = {"message_id": None} if worst.type.code == "acceptance_unknown" else {}
        wait = max((item.retry_after_seconds or 0 for item in items), default=0)
        return Problem(worst.type, detail, members={**members, "results": results}, retry_after_seconds=wait or None)
    return Problem(PROBLEM_TYPES["invalid_batch"], detail, members={"results": results})


def error_views(faults: Sequence[Fault]) -> list[dict[str, str]]:
    """Return faults as an answer shows them, as many as one answer names."""
    return [error_view(fault) for fault in faults[:_NAMED]]


def error_view(fault: Fault) -> dict[str, str]:
    """Return a fault with its place under the name that tells what kind of place it is.

    A place is a JSON pointer (`#/to/1`), a query parameter (`?limit`) or the name of a header.
    """
    if fault.where.startswith("#"):
        place = {"pointer": fault.where}
    elif fault.where.startswith("?"):
        place = {"parameter": fault.where[1:]}
    else:
        place = {"header": fault.where}
    return {**place, "code": fault.code, "detail": fault.detail}


def _refusal(code: str, faults: Sequence[Fault], effect: str) -> Problem:
    # Too many bytes are a 413, too many of anything else a 422: where both are wrong, mending
    # the bytes alone would not help, so the 413 must not hide the rest.
    if faults and code != "invalid_request" and all(fault.code == "too_large" for fault in faults):
        code = "too_large"
    return Problem(PROBLEM_TYPES[code], _sum(faults, effect), tuple(faults))


def _sum(faults: Sequence[Fault], effect: str) -> str:
    number = len(faults)
    total = "1 fault" if number == 1 else f"{number:,} faults"
    if number > _NAMED:
        total += f", of which the first {_NAMED} are named"
    return f"{total}; {effect}." if effect else total
