"""What is answered where something was not done: problems (RFC 9457), made from the table of their types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from services.frontend.openapi.shapes import an_object, closed, listed, named, nullable, open_set, text, truth, whole
from services.frontend.problem_types import PROBLEM_TYPES
from services.frontend.problems import CONTENT_TYPE, Problem, problem
from services.frontend.schema.kinds import JsonSchema
from shared.domain.errors import Fault
from shared.domain.states import State

_ID: Final = "msg_01kas3v7q2f8x4m9d0w5t6y1zc03"
_REQUEST: Final = "req_01kas3xk5c"

_COMMON: Final[Mapping[str, JsonSchema]] = {
    "type": {"type": "string", "format": "uri-reference", "description": "The path of the page that explains it."},
    "code": open_set(PROBLEM_TYPES, "What kind of problem it is."),
    "title": text("The kind in words."),
    "status": whole("The status of the answer.", 400),
    "detail": text("What happened this time."),
}
_WHERE: Final[Mapping[str, JsonSchema]] = {
    "instance": text("The path of the request."),
    "request_id": text("The id of the request, as in `X-Request-Id`."),
}
_REST: Final[Mapping[str, JsonSchema]] = {
    "retryable": truth("Whether the very same request may succeed later."),
    "errors": listed(named("Fault"), "Every fault that led to it, as far as there are not too many."),
}
_STATE: Final[Mapping[str, JsonSchema]] = {"state": closed(State, "Where the message stands.")}
_MESSAGE_ID: Final[Mapping[str, JsonSchema]] = {
    "message_id": nullable(text("The id that the message has if it was accepted: with `acceptance_unknown`."))
}
_RESULTS: Final[Mapping[str, JsonSchema]] = {
    "results": listed(named("BatchRefused"), "What is wrong with each message, where the batch itself is well formed.")
}


def _problem(doc: str, extra: Mapping[str, JsonSchema] = {}, *, at_times: Iterable[str] = ()) -> JsonSchema:
    return an_object(doc, {**_COMMON, **_WHERE, **_REST, **extra}, at_times=tuple(at_times))


SCHEMAS: Final[Mapping[str, JsonSchema]] = {
    "Fault": an_object(
        "One fault and its place, which is one of `pointer`, `parameter` and `header`.",
        {
            "pointer": text("A JSON pointer into the body, as a URI fragment (RFC 6901)."),
            "parameter": text("The name of a parameter in the query."),
            "header": text("The name of a header."),
            "code": {**text("What is wrong. More values may be added."), "pattern": "^[a-z0-9_]+$"},
            "detail": text("The same in words."),
        },
        at_times=("pointer", "parameter", "header"),
    ),
    "Problem": _problem("Why something was not done."),
    "StateProblem": _problem("What the state of a message does not allow.", _STATE),
    "SubmissionProblem": _problem("Why a message was not taken.", _MESSAGE_ID, at_times=_MESSAGE_ID),
    "BatchProblem": _problem(
        "Why no message of a batch was taken.", {**_MESSAGE_ID, **_RESULTS}, at_times=(*_MESSAGE_ID, *_RESULTS)
    ),
    "InnerProblem": an_object(
        "A problem of one message among many.",
        {**_COMMON, **_REST, **_STATE, **_MESSAGE_ID},
        at_times=(*_STATE, *_MESSAGE_ID),
    ),
}

#: Which definition the answer with a status has where it is not that of every problem.
STATE_PROBLEMS: Final = {409: "StateProblem"}
SUBMISSION_PROBLEMS: Final = {503: "SubmissionProblem"}
BATCH_PROBLEMS: Final = {422: "BatchProblem", 429: "BatchProblem", 503: "BatchProblem"}

#: What may come of every request, and of every request that has a body.
ALWAYS: Final = (
    "bad_request",
    "bad_parameter",
    "unauthenticated",
    "forbidden",
    "rate_limited",
    "internal",
    "unavailable",
)
WITH_A_BODY: Final = ("not_json", "request_timeout", "too_large", "unsupported_media_type")

_ABOUT_ONE: Final = {"not_found", "not_cancellable", "not_changeable", "not_requeueable", "not_final"}
_PLACES: Final = {
    "bad_parameter": Fault("?sort", "bad_parameter", "There is no parameter 'sort' here."),
    "cursor_mismatch": Fault("?cursor", "cursor_mismatch", "Belongs to a list with other filters than these"),
    "too_large": Fault("#/text", "too_large", "Has 2,097,153 bytes; 2,097,152 are allowed"),
    "invalid_message": Fault("#/to/1/email", "invalid_address", "'grace@' has no domain after the @"),
    "invalid_batch": Fault("#/messages", "missing", "'messages' is required"),
    "invalid_request": Fault("#/filter", "missing", "Give either 'ids' or 'filter'"),
}


def answers(codes: Iterable[str], schemas: Mapping[int, str]) -> dict[str, tuple[str, JsonSchema]]:
    """Return the answers that these codes make, by their statuses: each with a name, for others may share it."""
    by_status: dict[int, list[str]] = {}
    for code, kind in PROBLEM_TYPES.items():
        if code in codes:
            by_status.setdefault(kind.status, []).append(code)
    return {str(status): _answer(found, schemas.get(status, "Problem")) for status, found in by_status.items()}


def _answer(codes: list[str], schema: str) -> tuple[str, JsonSchema]:
    types = [PROBLEM_TYPES[code] for code in codes]
    headers = {"X-Request-Id", "Cache-Control", *(name for kind in types for name, _ in kind.headers)}
    if any(kind.retry_after_seconds is not None for kind in types):
        headers.add("Retry-After")
    return ".".join((schema, *codes)), {
        "description": " ".join(f"`{kind.code}`: {kind.title}." for kind in types),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(headers)},
        "content": {
            CONTENT_TYPE: {
                "schema": named(schema),
                "examples": {kind.code: {"summary": kind.title, "value": example(kind.code)} for kind in types},
            }
        },
        "x-problem-codes": codes,
    }


def example(code: str) -> dict[str, Any]:
    """Return what the service answers with this code, to a request about a message."""
    return _example(code).to_dict(f"/v1/messages/{_ID}" if code in _ABOUT_ONE else "/v1/messages", _REQUEST)


def _example(code: str) -> Problem:
    if PROBLEM_TYPES[code].status == 409:  # noqa: PLR2004 - Conflict
        state = State.QUEUED if code == "not_final" else State.SENT
        return problem(code, state=state.value)
    if code == "acceptance_unknown":
        return problem(code, message_id=_ID)
    made = problem(code)
    return replace(made, faults=(_PLACES[code],)) if code in _PLACES else made
