from __future__ import annotations

import orjson
import pytest

from services.frontend.problem_types import PROBLEM_TYPES, ProblemType
from services.frontend.problems import (
    Problem,
    problem,
    refused_batch,
    refused_item,
    refused_items,
    refused_message,
    refused_query,
    refused_request,
)
from shared.domain.errors import Fault

ADDRESS = Fault("#/to/1/email", "invalid_address", "'grace@' has no domain after the @")
LINE_BREAK = Fault("#/subject", "forbidden_character", "A line break (U+000A) cannot stand in a header")
LARGE = Fault("#/text", "too_large", "Has 3,000,000 bytes; 2,097,152 are allowed")


def test_a_refused_message_is_told_as_rfc_9457_has_it() -> None:
    answer = refused_message((ADDRESS, LINE_BREAK)).to_bytes("/v1/messages", "req_01kas3xk5c")

    assert orjson.loads(answer) == {
        "type": "/problems/invalid_message",
        "code": "invalid_message",
        "title": "The message is not valid",
        "status": 422,
        "detail": "2 faults; nothing was accepted.",
        "instance": "/v1/messages",
        "request_id": "req_01kas3xk5c",
        "retryable": False,
        "errors": [
            {"pointer": "#/to/1/email", "code": "invalid_address", "detail": ADDRESS.detail},
            {"pointer": "#/subject", "code": "forbidden_character", "detail": LINE_BREAK.detail},
        ],
    }


def test_an_item_of_a_batch_has_neither_instance_nor_request() -> None:
    item = refused_item((ADDRESS, LINE_BREAK)).to_dict()

    assert item.keys() == {"type", "code", "title", "status", "detail", "retryable", "errors"}
    assert item["detail"] == "2 faults"


def test_one_fault_is_not_called_several() -> None:
    assert refused_message((ADDRESS,)).detail == "1 fault; nothing was accepted."


def test_of_many_faults_a_hundred_are_named() -> None:
    answer = refused_message((ADDRESS,) * 2_500)

    assert len(answer.to_dict()["errors"]) == 100
    assert answer.detail == "2,500 faults, of which the first 100 are named; nothing was accepted."


def test_too_many_bytes_alone_are_a_413() -> None:
    assert refused_message((LARGE,)).status == 413
    assert refused_item((LARGE, LARGE)).status == 413


def test_too_many_bytes_beside_other_faults_are_a_422() -> None:
    assert refused_message((LARGE, ADDRESS)).status == 422


@pytest.mark.parametrize(
    ("made", "code", "status", "detail"),
    [
        (refused_batch((ADDRESS,)), "invalid_batch", 422, "1 fault; nothing was accepted."),
        (refused_request((ADDRESS,)), "invalid_request", 422, "1 fault; nothing was done."),
        (
            refused_message((ADDRESS,), effect="nothing was changed"),
            "invalid_message",
            422,
            "1 fault; nothing was changed.",
        ),
        (refused_query((Fault("?limit", "bad_parameter", "x"),)), "bad_parameter", 400, "1 fault"),
        (refused_query((Fault("?cursor", "cursor_mismatch", "x"),)), "cursor_mismatch", 400, "1 fault"),
    ],
)
def test_each_refusal_has_its_code(made: Problem, code: str, status: int, detail: str) -> None:
    assert (made.type.code, made.status, made.detail) == (code, status, detail)


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("#/a", {"pointer": "#/a"}),
        ("#", {"pointer": "#"}),
        ("?limit", {"parameter": "limit"}),
        ("Idempotency-Key", {"header": "Idempotency-Key"}),
    ],
)
def test_a_place_is_told_by_its_kind(where: str, place: dict[str, str]) -> None:
    (error,) = refused_message((Fault(where, "c", "d"),)).to_dict()["errors"]

    assert error == {**place, "code": "c", "detail": "d"}


def test_fields_of_its_own_stand_beside_the_common_ones() -> None:
    assert problem("not_cancellable", state="sent").to_dict("/v1/messages/x/cancel", "req_1")["state"] == "sent"


@pytest.mark.parametrize(
    ("code", "headers"),
    [
        ("unavailable", {"Retry-After": "2"}),
        ("acceptance_unknown", {"Retry-After": "2"}),
        ("queue_full", {"Retry-After": "10"}),
        ("unauthenticated", {"WWW-Authenticate": "Bearer"}),
        ("not_found", {}),
    ],
)
def test_headers_go_with_a_problem(code: str, headers: dict[str, str]) -> None:
    assert problem(code).headers == {"Content-Type": "application/problem+json", **headers}


def test_a_known_wait_and_allowed_methods_are_told() -> None:
    limited = Problem(PROBLEM_TYPES["rate_limited"], "Slower", retry_after_seconds=7)
    method = Problem(PROBLEM_TYPES["method_not_allowed"], "GET only", extra_headers={"Allow": "GET"})

    assert limited.headers["Retry-After"] == "7"
    assert method.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["invalid_message", "invalid_message"], "invalid_batch"),
        (["invalid_message", "unavailable"], "invalid_batch"),
        (["queue_full", "queue_full"], "queue_full"),
        (["queue_full", "unavailable"], "unavailable"),
        (["unavailable", "acceptance_unknown"], "acceptance_unknown"),
    ],
)
def test_a_batch_of_which_nothing_was_taken_is_retryable_where_every_message_is(
    codes: list[str], expected: str
) -> None:
    answer = refused_items([problem(code) for code in codes])

    assert answer.type.code == expected
    assert [result["error"]["code"] for result in answer.to_dict()["results"]] == codes


@pytest.mark.parametrize("kind", PROBLEM_TYPES.values(), ids=PROBLEM_TYPES)
def test_a_problem_type_has_meaning_and_cure_and_waits_where_it_is_retryable_for_others(kind: ProblemType) -> None:
    assert 400 <= kind.status < 600
    assert kind.meaning.endswith(".")
    assert kind.cure.endswith((".", "`."))
    assert (kind.retry_after_seconds is not None) == (kind.status in {429, 503})
    assert kind.retryable == (kind.status in {408, 429, 503})


def test_the_codes_of_the_interface_are_all_there() -> None:
    codes = """
        not_json bad_parameter cursor_mismatch unauthenticated forbidden sender_not_allowed not_found method_not_allowed
        not_cancellable not_changeable not_requeueable not_final too_large unsupported_media_type invalid_message
        invalid_batch idempotency_key_reused rate_limited quota_exceeded queue_full unavailable acceptance_unknown
        internal
    """

    assert PROBLEM_TYPES.keys() >= set(codes.split())
