from __future__ import annotations

import pytest

from services.frontend.schema import Filter, Ids, Move, MoveSchema, read_selection
from shared.domain.states import DEAD, State
from tests.unit.frontend.bodies import RULES, places

MOVES = MoveSchema(RULES.pools)


@pytest.mark.parametrize(
    ("given", "selection"),
    [
        ({"ids": ["msg_1", "x"]}, Ids(("msg_1", "x"))),
        ({"ids": ["msg_1"], "filter": None}, Ids(("msg_1",))),
        ({"filter": {"state": "failed"}}, Filter(states=(State.FAILED,))),
        ({"filter": {"state": ["failed", "partly_sent"]}, "limit": 7}, Filter(states=DEAD, limit=7)),
        ({"filter": {"pool": "gone"}}, Filter(pool="gone")),
        ({"filter": {"finished_before": "2026-12-01T08:00:00Z"}}, Filter(finished_before=1_796_112_000_000)),
    ],
    ids=str,
)
def test_messages_are_chosen_by_ids_or_by_a_filter(given: object, selection: Ids | Filter) -> None:
    assert read_selection(given) == selection


@pytest.mark.parametrize(
    ("given", "code", "place"),
    [
        ([], "wrong_type", "#"),
        ({}, "missing", "#/filter"),
        ({"ids": ["a"], "filter": {"state": "failed"}}, "conflict", "#/filter"),
        ({"ids": ["a"], "limit": 5}, "conflict", "#/limit"),
        ({"ids": []}, "missing", "#/ids"),
        ({"ids": "msg_1"}, "wrong_type", "#/ids"),
        ({"ids": ["msg 1"]}, "invalid_id", "#/ids/0"),
        ({"ids": ["a"] * 1_001}, "too_many", "#/ids"),
        ({"filter": {}}, "missing", "#/filter"),
        ({"filter": {"state": None}}, "missing", "#/filter"),
        ({"filter": {"state": "sent"}}, "unknown_value", "#/filter/state"),
        ({"filter": {"state": []}}, "missing", "#/filter/state"),
        ({"filter": {"pool": "No such"}}, "invalid_pool", "#/filter/pool"),
        ({"filter": {"finished_before": "now"}}, "bad_time", "#/filter/finished_before"),
        ({"filter": {"tag": "x"}}, "unknown_field", "#/filter/tag"),
        ({"filter": {"state": "failed"}, "limit": 0}, "out_of_range", "#/limit"),
        ({"filter": {"state": "failed"}, "limit": 1_001}, "out_of_range", "#/limit"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_fault_of_a_selection_is_told_with_its_place(given: object, code: str, place: str) -> None:
    result = read_selection(given)

    assert isinstance(result, tuple)
    assert places(result) == [(code, place)]


@pytest.mark.parametrize(
    ("given", "move"),
    [
        ({"from": "gone", "to": "default"}, Move("gone", "default")),
        ({"from": "gone", "to": "default", "cursor": "0.4.17"}, Move("gone", "default", "0.4.17")),
    ],
)
def test_a_move_may_empty_a_pool_that_no_longer_is(given: object, move: Move) -> None:
    assert MOVES.read(given) == move


@pytest.mark.parametrize(
    ("given", "code", "place"),
    [
        ({"to": "default"}, "missing", "#/from"),
        ({"from": "gone"}, "missing", "#/to"),
        ({"from": "gone", "to": "nowhere"}, "unknown_pool", "#/to"),
        ({"from": "default", "to": "default"}, "conflict", "#/to"),
        ({"from": "a:b", "to": "default"}, "invalid_pool", "#/from"),
        ({"from": "gone", "to": "default", "cursor": "a b"}, "bad_cursor", "#/cursor"),
        ({"from": "gone", "to": "default", "limit": 1}, "unknown_field", "#/limit"),
    ],
    ids=str,
)
def test_a_fault_of_a_move_is_told_with_its_place(given: object, code: str, place: str) -> None:
    result = MOVES.read(given)

    assert isinstance(result, tuple)
    assert places(result) == [(code, place)]
