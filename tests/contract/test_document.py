"""The contract is whole: every route, code and header of the service stands in it, with examples that hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.frontend.limits import Limits, Rules
from services.frontend.openapi import DEFINITIONS, document
from services.frontend.problem_types import PROBLEM_TYPES, ProblemType
from services.frontend.schema import BatchSchema, ChangeSchema, MoveSchema, SubmissionSchema, read_selection
from services.frontend.schema.control import read_pause, read_test
from services.frontend.schema.kinds import Whole
from services.frontend.schema.objects import Field, Reader
from shared.domain.message import Priority
from shared.domain.states import RecipientState, State
from tests.contract.definitions import answers_of, faults_of, followed, whole
from tests.contract.present import present, served
from tests.unit.frontend.bodies import NOW

WHOLE = whole()
PRESENT = present()
OPERATIONS = [(method, path) for path, methods in WHOLE["paths"].items() for method in methods]
RULES = Rules(pools=frozenset({"default", "sandbox"}))
SUBMISSIONS = SubmissionSchema(RULES)

#: What reads the body of each definition.
READ: dict[str, Callable[[Any], object]] = {
    "Message": lambda body: SUBMISSIONS.read(body, NOW),
    "Batch": lambda body: BatchSchema(SUBMISSIONS).read(body, NOW),
    "Change": lambda body: ChangeSchema(RULES).read(body, NOW),
    "Selection": read_selection,
    "Move": MoveSchema(RULES.pools).read,
    "PauseRequest": read_pause,
    "ProviderTest": lambda body: read_test(body, None),
}


def request_examples() -> Iterator[Any]:
    for method, path in OPERATIONS:
        body = WHOLE["paths"][path][method].get("requestBody", {"content": {}})
        for media_type, content in body["content"].items():
            for name, example in content["examples"].items():
                yield pytest.param(content["schema"], example["value"], id=f"{method} {path} {media_type} {name}")


def answer_examples() -> Iterator[Any]:
    for method, path in OPERATIONS:
        for status, answer in answers_of(WHOLE, method, path).items():
            for content in answer.get("content", {}).values():
                for name, example in content["examples"].items():
                    yield pytest.param(content["schema"], example["value"], id=f"{method} {path} {status} {name}")


def test_it_describes_every_route_and_no_other() -> None:
    described = {(method.upper(), path) for path, methods in PRESENT["paths"].items() for method in methods}

    assert described == served()


def test_beside_the_interface_only_its_description_is_served() -> None:
    others = {path for _, path in served("/") - served()}

    assert others == {"/openapi.json", "/docs", "/docs/{name}", "/problems", "/problems/{code}"}


@pytest.mark.parametrize(("schema", "value"), [*request_examples()])
def test_an_example_of_a_request_keeps_its_definition_and_is_taken(schema: dict[str, str], value: Any) -> None:
    read = READ[schema["$ref"].rpartition("/")[2]]

    assert faults_of(WHOLE, schema, value) == []
    assert not isinstance(read(value), tuple)


@pytest.mark.parametrize(("schema", "value"), [*answer_examples()])
def test_an_example_of_an_answer_keeps_its_definition(schema: dict[str, str], value: Any) -> None:
    assert faults_of(WHOLE, schema, value) == []


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_has_an_example_of_everything_that_it_takes_and_answers(method: str, path: str) -> None:
    answers = answers_of(WHOLE, method, path)
    body = WHOLE["paths"][path][method].get("requestBody", {"content": {}})

    assert all(content["examples"] for content in body["content"].values())
    assert all(content["examples"] for answer in answers.values() for content in answer.get("content", {}).values())


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_has_the_headers_of_every_answer(method: str, path: str) -> None:
    for answer in answers_of(WHOLE, method, path).values():
        assert {"X-Request-Id", "Cache-Control"} <= answer["headers"].keys()


@pytest.mark.parametrize("kind", PROBLEM_TYPES.values(), ids=PROBLEM_TYPES)
def test_every_problem_may_come_of_a_request_with_its_status_and_its_headers(kind: ProblemType) -> None:
    if kind.code == "method_not_allowed":
        assert "405" in WHOLE["info"]["description"]  # it comes of no operation
        return
    answers = [
        (status, answer)
        for method, path in OPERATIONS
        for status, answer in answers_of(WHOLE, method, path).items()
        if kind.code in answer.get("x-problem-codes", ())
    ]
    wanted = {name for name, _ in kind.headers} | ({"Retry-After"} if kind.retry_after_seconds else set())

    assert answers
    assert {int(status) for status, _ in answers} == {kind.status}
    assert all(wanted <= answer["headers"].keys() for _, answer in answers)


def test_the_closed_sets_are_closed_and_the_open_ones_are_open() -> None:
    schemas = WHOLE["components"]["schemas"]
    record, recipient = schemas["Record"]["properties"], schemas["Recipient"]["properties"]

    assert record["state"]["enum"] == [state.value for state in State]
    assert record["priority"]["enum"] == [priority.value for priority in Priority]
    assert recipient["state"]["enum"] == [state.value for state in RecipientState]
    for name, member in (
        ("Problem", "code"),
        ("Waiting", "code"),
        ("Reason", "code"),
        ("RecipientReason", "code"),
        ("RouteStep", "code"),
        ("AttemptResult", "outcome"),
        ("HistoryEvent", "type"),
        ("Delivery", "status"),
    ):
        rule = schemas[name]["properties"][member]
        assert rule["x-extensible-enum"]
        assert "enum" not in rule


def test_a_message_has_a_key_in_its_header_too() -> None:
    for path in ("/v1/messages", "/v1/messages/batch", "/v1/messages/validate"):
        parameters = [followed(WHOLE, each)["name"] for each in WHOLE["paths"][path]["post"]["parameters"]]
        assert "Idempotency-Key" in parameters


def test_every_operation_needs_a_key_where_there_are_keys() -> None:
    assert WHOLE["security"] == [{"bearer": []}]
    assert not any("security" in WHOLE["paths"][path][method] for method, path in OPERATIONS)


def test_it_shows_the_limits_of_the_installation() -> None:
    small = document(Rules(limits=Limits(recipients=7)), served(), "0.1.0")

    assert small["components"]["schemas"]["Message"]["properties"]["to"]["oneOf"][1]["maxItems"] == 7


def test_every_definition_is_used() -> None:
    assert DEFINITIONS.keys() <= WHOLE["components"]["schemas"].keys()


def test_null_may_stand_for_a_field_that_is_left_out() -> None:
    reader = Reader((Field("count", Whole(1, 9), "A number."), Field("size", Whole(1, 9), "A number.", required=True)))
    properties = reader.schema()["properties"]

    assert properties["count"]["type"] == ["integer", "null"]
    assert properties["size"]["type"] == "integer"
