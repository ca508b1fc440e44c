from __future__ import annotations

from typing import Any

import pytest

from services.frontend.schema import Batch, BatchSchema
from shared.domain.errors import Fault
from shared.domain.message import Submission
from tests.unit.frontend.bodies import NOW, SCHEMA, attachment, body, places, schema_with, submit

BATCHES = BatchSchema(SCHEMA)


def read(
    given: object, key: str | None = None, schema: BatchSchema = BATCHES
) -> tuple[Submission | tuple[Fault, ...], ...]:
    result = schema.read(given, NOW, key)
    assert isinstance(result, Batch), result
    return result.items


def taken(given: object, key: str | None = None, schema: BatchSchema = BATCHES) -> list[Submission]:
    items = read(given, key, schema)
    assert all(isinstance(item, Submission) for item in items), items
    return [item for item in items if isinstance(item, Submission)]


def refused(given: object, index: int = 0) -> list[tuple[str, str]]:
    item = read(given)[index]
    assert isinstance(item, tuple), item
    return places(item)


@pytest.mark.parametrize(
    ("given", "code", "place"),
    [
        ([], "wrong_type", "#"),
        ({}, "missing", "#/messages"),
        ({"messages": None}, "missing", "#/messages"),
        ({"messages": []}, "missing", "#/messages"),
        ({"messages": {}}, "wrong_type", "#/messages"),
        ({"messages": [{}] * 1_001}, "too_many", "#/messages"),
        ({"messages": [{}], "mesages": []}, "unknown_field", "#/mesages"),
        ({"messages": [{}], "defaults": []}, "wrong_type", "#/defaults"),
        ({"messages": [{}], "defaults": {"sendAt": 1}}, "unknown_field", "#/defaults/sendAt"),
        ({"messages": [{}], "defaults": {"idempotency_key": "a"}}, "not_allowed", "#/defaults/idempotency_key"),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_batch_as_a_whole_refuses_it(given: object, code: str, place: str) -> None:
    result = BATCHES.read(given, NOW)

    assert isinstance(result, tuple)
    assert places(result) == [(code, place)]


def test_a_message_is_completed_by_the_defaults() -> None:
    given = {"defaults": {"from": "shop@example.com", "subject": "Hello"}, "messages": [{"to": "a@x.org", "text": "A"}]}

    assert taken(given) == [
        submit({"from": "shop@example.com", "subject": "Hello", "to": "a@x.org", "text": "A"}),
    ]


def test_a_messages_own_field_wins_and_is_not_merged() -> None:
    given = {"defaults": body(tags=["a"], metadata={"a": "1"}), "messages": [{"tags": ["b"], "metadata": {"b": "2"}}]}
    (submission,) = taken(given)

    assert (submission.envelope.tags, submission.envelope.metadata) == (("b",), {"b": "2"})


def test_null_in_a_message_leaves_the_default() -> None:
    assert taken({"defaults": body(), "messages": [{"subject": None}]}) == [submit(body())]


def test_one_bad_message_leaves_the_others() -> None:
    items = read({"defaults": body(), "messages": [{}, {"to": "grace@", "sendAt": "tomorrow"}, 7, {}]})

    assert [isinstance(item, Submission) for item in items] == [True, False, False, True]
    assert [places(item) for item in items if isinstance(item, tuple)] == [
        [("invalid_address", "#/messages/1/to"), ("unknown_field", "#/messages/1/sendAt")],
        [("wrong_type", "#/messages/2")],
    ]


def test_a_fault_of_a_default_is_named_there_in_each_message_that_has_it() -> None:
    given: dict[str, Any] = {"defaults": body(subject=7), "messages": [{}, {"subject": "mended"}]}

    assert refused(given) == [("wrong_type", "#/defaults/subject")]
    assert isinstance(read(given)[1], Submission)


def test_a_missing_field_is_missing_in_the_message() -> None:
    assert refused({"defaults": body(subject=...), "messages": [{}]}) == [("missing", "#/messages/0/subject")]


@pytest.mark.parametrize(
    ("defaults", "message", "place"),
    [
        ({"delay_seconds": 5}, {"send_at": "2026-12-01T09:00:00Z"}, "#/defaults/delay_seconds"),
        ({"send_at": "2026-12-01T09:00:00Z"}, {"delay_seconds": 5}, "#/messages/0/delay_seconds"),
    ],
)
def test_a_conflict_with_a_default_is_named_where_the_field_stands(
    defaults: dict[str, object], message: dict[str, object], place: str
) -> None:
    assert refused({"defaults": body(**defaults), "messages": [message]}) == [("conflict", place)]


def test_a_key_of_the_header_is_derived_for_messages_without_their_own() -> None:
    submissions = taken({"defaults": body(), "messages": [{}, {"idempotency_key": "mine"}, {}]}, key='"K"')

    assert [(each.idempotency_key, each.derived) for each in submissions] == [("K", 0), ("mine", None), ("K", 2)]
    assert all(each.fingerprint for each in submissions)


def test_without_a_key_of_the_header_nothing_is_derived() -> None:
    (submission,) = taken({"messages": [body()]})

    assert (submission.idempotency_key, submission.derived, submission.fingerprint) == (None, None, "")


def test_a_bad_key_of_the_header_refuses_the_batch() -> None:
    result = BATCHES.read({"messages": [body()]}, NOW, "")

    assert isinstance(result, tuple)
    assert places(result) == [("missing", "Idempotency-Key")]


def test_the_fingerprint_is_of_the_message_with_its_defaults() -> None:
    apart = taken({"defaults": {"subject": "S"}, "messages": [body(subject=..., idempotency_key="k")]})
    whole = taken({"messages": [body(subject="S", idempotency_key="k")]})

    assert apart == whole


def test_attachments_of_the_defaults_are_decoded_once() -> None:
    one, other = taken({"defaults": body(attachments=[attachment()]), "messages": [{}, {}]})

    assert one.envelope.attachments[0].content is other.envelope.attachments[0].content


def test_what_the_defaults_multiply_is_limited() -> None:
    schema = BatchSchema(schema_with(batch_bytes=2_500))
    items = read({"defaults": body(text="x" * 1_000), "messages": [{}, {}, {}]}, schema=schema)

    assert [isinstance(item, Submission) for item in items] == [True, True, False]
    assert isinstance(items[2], tuple)
    assert places(items[2]) == [("too_large", "#/messages/2")]


def test_after_ten_thousand_faults_no_message_is_looked_at() -> None:
    items = read({"messages": [{f"x{number}": 0 for number in range(100)}] * 1_000})

    assert sum(map(len, filter(lambda item: isinstance(item, tuple), items))) < 12_000  # type: ignore[arg-type]  # `filter` narrows no type
    assert isinstance(items[-1], tuple)
    assert places(items[-1]) == [("not_examined", "#/messages/999")]
