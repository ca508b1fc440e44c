"""Random bodies: good ones are taken, one spoilt field is named, and no JSON at all raises."""

from __future__ import annotations

import base64
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from services.frontend.problems import refused_message
from services.frontend.query import BadCursor, ListQuery, _binding, decode_cursor, read_list_query
from services.frontend.schema import Batch, BatchSchema, ChangeSchema, MoveSchema, read_selection
from shared.domain.codec import decode, encode
from shared.domain.message import Submission
from shared.domain.states import DEAD
from tests.unit.frontend.bodies import NOW, RULES, SCHEMA, refuse, submit

#: Bodies are large: half the usual number of them keeps these tests as quick as the others.
FEW = settings(max_examples=50)

BATCHES = BatchSchema(SCHEMA)
CHANGES = ChangeSchema(RULES)
MOVES = MoveSchema(RULES.pools)

LETTERS = st.characters(exclude_categories=["C", "Zl", "Zp"])
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
EMAIL = st.builds("{}@{}.example".format, WORD, WORD)
NAME = st.text(LETTERS, max_size=30)
PLAIN_NAME = st.text("abc äöü", min_size=1, max_size=20).filter(str.strip)
MAILBOX: st.SearchStrategy[Any] = st.one_of(
    EMAIL,
    st.builds("{} <{}>".format, PLAIN_NAME, EMAIL),
    st.fixed_dictionaries({"email": EMAIL}, optional={"name": NAME | st.none()}),
)
MAILBOXES = MAILBOX | st.lists(MAILBOX, max_size=15)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
TIMES = st.sampled_from(["2026-12-01T09:00:00Z", "2026-12-01T09:00:00.5+01:00", "1999-01-01T00:00:00-07:00"])
FILE = st.fixed_dictionaries(
    {
        "filename": st.text(LETTERS, min_size=1, max_size=50).filter(
            lambda name: not {"/", "\\"} & set(name) and name not in {".", ".."}
        ),
        "content": st.binary(max_size=100).map(base64.b64encode).map(bytes.decode),
    },
    optional={
        "content_type": st.sampled_from(["application/pdf", "text/plain; charset=utf-8"]),
        "disposition": st.sampled_from(["inline", "attachment"]) | st.none(),
    },
)

BODY = st.fixed_dictionaries(
    {"from": MAILBOX, "to": MAILBOX | st.lists(MAILBOX, min_size=1, max_size=15), "subject": NAME, "text": TEXT},
    optional={
        "cc": MAILBOXES | st.none(),
        "bcc": MAILBOXES,
        "reply_to": MAILBOX | st.lists(MAILBOX, max_size=10),
        "html": TEXT | st.none(),
        "headers": st.dictionaries(WORD.map("X-{}".format), NAME, max_size=5),
        "attachments": st.lists(FILE, max_size=3),
        "tags": st.lists(WORD, max_size=10),
        "metadata": st.dictionaries(WORD, TEXT, max_size=3),
        "priority": st.sampled_from(["critical", "high", "normal", "bulk"]) | st.none(),
        "pool": st.sampled_from(sorted(RULES.pools)),
        "delay_seconds": st.integers(min_value=0, max_value=365 * 86_400),
        "expires_at": TIMES,
        "on_ambiguous": st.sampled_from(["retry", "fail"]),
        "idempotency_key": WORD | WORD.map('"{}"'.format),
    },
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(sorted(SCHEMA.reader.names)), inner, max_size=5)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("email", "content", "messages", "defaults"), inner))
    ),
    max_leaves=10,
)
ANY_BODY = st.dictionaries(st.sampled_from(sorted(SCHEMA.reader.names)) | st.text(), JSON, max_size=10) | JSON
SPOILT = [name for name in sorted(SCHEMA.reader.names) if name not in {"send_at", "ttl_seconds"}]


def parsed(value: object) -> Any:
    """Return a value as it comes out of a request's body."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))


@FEW
@given(BODY)
def test_a_good_body_is_taken(body: dict[str, Any]) -> None:
    submit(parsed(body))


@FEW
@given(BODY)
def test_what_is_taken_can_be_stored_and_read_again(body: dict[str, Any]) -> None:
    envelope = submit(parsed(body)).envelope

    assert decode(b"".join(encode(envelope))) == envelope


@FEW
@given(BODY, st.data())
def test_a_field_spoilt_in_a_good_body_is_the_only_one_named(body: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SPOILT))
    body[name] = data.draw(st.sampled_from([True, 1.5, [[]], {"": 0}]))

    assert {fault.where.split("/")[1] for fault in refuse(parsed(body))} == {name}


@FEW
@given(BODY, st.text().filter(lambda name: name not in SCHEMA.reader.names), JSON)
def test_no_field_beside_the_known_ones_is_let_in(body: dict[str, Any], name: str, value: object) -> None:
    assert [fault.code for fault in refuse(parsed({**body, name: parsed(value)}))] == ["unknown_field"]


@FEW
@given(ANY_BODY, st.none() | st.text())
def test_no_json_raises_and_a_refusal_has_a_reason(value: object, key: str | None) -> None:
    body = parsed(value)
    submission = SCHEMA.read(body, NOW, key)
    others = (BATCHES.read(body, NOW, key), CHANGES.read(body, NOW), MOVES.read(body), read_selection(body))

    for faults in (result for result in (submission, *others) if isinstance(result, tuple)):
        assert faults
        assert orjson.dumps(refused_message(faults).to_dict("/v1/messages", "req_1"))


@FEW
@given(st.lists(BODY | ANY_BODY, min_size=1, max_size=3))
def test_an_item_of_a_batch_without_defaults_fares_as_by_itself(messages: list[Any]) -> None:
    batch = BATCHES.read(parsed({"messages": messages}), NOW)

    assert isinstance(batch, Batch)
    for index, (message, item) in enumerate(zip(parsed(messages), batch.items, strict=True)):
        alone = SCHEMA.read(message, NOW)
        if isinstance(alone, Submission):
            assert item == alone
        else:
            assert isinstance(item, tuple)
            assert [f"#/messages/{index}{fault.where[1:]}" for fault in alone] == [fault.where for fault in item]


@given(
    st.tuples(st.just(_binding(DEAD)), st.booleans() | JSON, st.text() | JSON).map(list) | JSON,
)
def test_whatever_a_cursor_holds_it_leads_to_a_whole_number_and_a_text_or_is_refused(value: object) -> None:
    cursor = base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")

    try:
        position = decode_cursor(cursor, DEAD)
    except BadCursor:
        return
    assert (type(position.finished_at), type(position.id)) == (int, str)


@FEW
@given(st.lists(st.tuples(st.sampled_from(["state", "limit", "cursor"]) | st.text(), st.text())))
def test_no_query_raises(parameters: list[tuple[str, str]]) -> None:
    result = read_list_query(parameters)

    assert result if isinstance(result, tuple) else isinstance(result, ListQuery)
