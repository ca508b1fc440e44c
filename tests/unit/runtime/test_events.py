"""The catalogue and the code say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.runtime.events import CONTEXT_FIELDS, EVENTS, LINE_FIELDS, describe
from shared.runtime.logs import LEVELS
from shared.runtime.redaction import is_secret_name

HOUSE = Path(__file__).parents[3]
LOGGERS = {"log", "_log", "logger", "_logger"}


class Call(NamedTuple):
    """A place in the code that writes a line."""

    place: str
    level: str
    event: str | None
    fields: tuple[str, ...]


def calls_in(source: str, place: str) -> Iterator[Call]:
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        level = {"exception": "error", "warn": "warning"}.get(node.func.attr, node.func.attr)
        if name in LOGGERS and level in LEVELS and node.args:
            first = node.args[0]
            event = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            fields = tuple(keyword.arg for keyword in node.keywords if keyword.arg is not None)
            yield Call(f"{place}:{node.lineno}", level, event, fields)


def calls() -> list[Call]:
    files = sorted(path for folder in ("services", "shared") for path in (HOUSE / folder).rglob("*.py"))
    return [call for path in files for call in calls_in(path.read_text(), str(path.relative_to(HOUSE)))]


every_call = pytest.mark.parametrize("call", calls(), ids=lambda call: call.place)
every_event = pytest.mark.parametrize("name", EVENTS)


@every_call
def test_what_is_logged_stands_in_the_catalogue(call: Call) -> None:
    assert call.event in EVENTS, f"add {call.event!r} ({call.level}, {call.fields}) to shared/runtime/events.py"


@every_call
def test_what_is_logged_has_the_level_of_the_catalogue(call: Call) -> None:
    if call.event in EVENTS:
        assert call.level == EVENTS[call.event].level, f"{call.event} at {call.place}"


@every_call
def test_what_is_logged_has_no_field_but_those_of_the_catalogue(call: Call) -> None:
    if call.event in EVENTS:
        unknown = set(call.fields) - {*CONTEXT_FIELDS, *EVENTS[call.event].fields}
        assert not unknown, f"add {sorted(unknown)} to {call.event!r} in shared/runtime/events.py"


@every_call
def test_a_line_that_names_a_message_says_whose_it_is(call: Call) -> None:
    assert "message_id" not in call.fields or "tenant" in call.fields, call.place


@every_event
def test_a_name_is_words_with_underscores(name: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name)


@every_event
def test_a_level_is_one_of_the_five(name: str) -> None:
    assert EVENTS[name].level in LEVELS


@every_event
def test_a_meaning_is_a_sentence(name: str) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", EVENTS[name].meaning)


@every_event
def test_no_field_would_be_masked_or_overwrite_those_of_every_line(name: str) -> None:
    fields = EVENTS[name].fields

    assert not set(fields) & {*LINE_FIELDS, *CONTEXT_FIELDS}
    assert not [field for field in fields if is_secret_name(field)]


def test_the_check_finds_a_call_whatever_holds_the_logger() -> None:
    source = "log.info('a_done')\nself._log.warning('b_done', count=1)\nlog.exception(name)\nlog.bind(x=1)\nmath.log(2)"

    assert list(calls_in(source, "x")) == [
        Call("x:1", "info", "a_done", ()),
        Call("x:2", "warning", "b_done", ("count",)),
        Call("x:3", "error", None, ()),
    ]


def test_the_table_of_the_documentation_has_a_row_for_each_event() -> None:
    assert [row[0] for row in describe()] == list(EVENTS)
