from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import orjson
import pytest

from services.frontend.query import ListQuery, encode_cursor, read_list_query, refuse_parameters
from shared.domain.states import DEAD, State
from shared.queue.views import Position
from tests.unit.frontend.bodies import places

POSITION = Position(1_796_112_000_000, "msg_01kas3v7q2f8x4m9d0w5t6y1zc03")
CURSOR = encode_cursor(POSITION, DEAD)
BINDING = orjson.loads(urlsafe_b64decode(CURSOR + "=="))[0]


def cursor_of(value: object) -> str:
    """Return a cursor that holds any value."""
    return urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ([], ListQuery(DEAD, 50, None)),
        ([("state", "failed")], ListQuery((State.FAILED,))),
        ([("state", "partly_sent"), ("state", "failed")], ListQuery(DEAD)),
        ([("state", "failed"), ("state", "failed")], ListQuery((State.FAILED,))),
        ([("limit", "1")], ListQuery(limit=1)),
        ([("limit", "200")], ListQuery(limit=200)),
        ([("cursor", CURSOR)], ListQuery(after=POSITION)),
    ],
    ids=str,
)
def test_a_list_is_asked_for_by_state_limit_and_cursor(parameters: list[tuple[str, str]], query: ListQuery) -> None:
    assert read_list_query(parameters) == query


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ([("state", "sent")], "?state"),
        ([("state", "")], "?state"),
        ([("state", "Failed")], "?state"),
        ([("limit", "0")], "?limit"),
        ([("limit", "201")], "?limit"),
        ([("limit", "+5")], "?limit"),
        ([("limit", " 5")], "?limit"),
        ([("limit", "\u0665")], "?limit"),
        ([("limit", "²")], "?limit"),
        ([("limit", "")], "?limit"),
        ([("limit", "9" * 5_000)], "?limit"),
        ([("limit", "5"), ("limit", "6")], "?limit"),
        ([("cursor", "")], "?cursor"),
        ([("cursor", "!")], "?cursor"),
        ([("cursor", "ü")], "?cursor"),
        ([("cursor", "x" * 513)], "?cursor"),
        ([("cursor", "bnVsbA")], "?cursor"),
        ([("cursor", cursor_of([BINDING, True, "x"]))], "?cursor"),
        ([("cursor", cursor_of([BINDING, 1.0, "x"]))], "?cursor"),
        ([("cursor", cursor_of([BINDING, -1, "x"]))], "?cursor"),
        ([("cursor", cursor_of([BINDING, 1 << 53, "x"]))], "?cursor"),
        ([("cursor", CURSOR[:-4])], "?cursor"),
        ([("cursor", CURSOR), ("cursor", CURSOR)], "?cursor"),
        ([("tag", "receipt")], "?tag"),
        ([("States", "failed")], "?States"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_parameter_is_told_by_its_name(parameters: list[tuple[str, str]], place: str) -> None:
    result = read_list_query(parameters)

    assert isinstance(result, tuple)
    assert places(result) == [("bad_parameter", place)]


def test_a_cursor_serves_only_the_list_it_came_from() -> None:
    result = read_list_query([("cursor", CURSOR), ("state", "failed")])

    assert isinstance(result, tuple)
    assert places(result) == [("cursor_mismatch", "?cursor")]


def test_a_page_leads_to_the_next_one_with_the_same_states() -> None:
    query = ListQuery((State.FAILED,), 10)
    cursor = query.next_cursor(POSITION)

    assert cursor is not None
    assert read_list_query([("state", "failed"), ("limit", "10"), ("cursor", cursor)]) == ListQuery(
        (State.FAILED,), 10, POSITION
    )


def test_the_order_of_states_makes_no_other_cursor() -> None:
    assert encode_cursor(POSITION, DEAD[::-1]) == CURSOR


def test_the_last_page_leads_nowhere() -> None:
    assert ListQuery().next_cursor(None) is None


def test_a_misspelt_parameter_is_answered_with_the_right_one() -> None:
    result = read_list_query([("limits", "5")])

    assert isinstance(result, tuple)
    assert result[0].detail == "There is no parameter 'limits' here. Did you mean 'limit'?"


def test_where_no_parameter_is_taken_each_is_refused() -> None:
    assert places(refuse_parameters([("a", "1"), ("b", "")])) == [("bad_parameter", "?a"), ("bad_parameter", "?b")]
    assert refuse_parameters([]) == ()
