"""The one table of fields reads bodies and describes them."""

from __future__ import annotations

import re

import orjson
import pytest

from services.frontend.limits import Limits
from services.frontend.schema import BatchSchema, ChangeSchema, MoveSchema
from services.frontend.schema.attachments import Filename
from services.frontend.schema.control import PAUSE, TEST
from services.frontend.schema.fields import filter_fields
from services.frontend.schema.kinds import Body, JsonSchema, Kind
from services.frontend.schema.mail import Line
from services.frontend.schema.objects import Field, Reader
from services.frontend.schema.refusal import Refused
from services.frontend.schema.repair import SELECTION
from tests.unit.frontend.bodies import RULES, SCHEMA

READERS = {
    "message": SCHEMA.reader,
    "batch": BatchSchema(SCHEMA).reader,
    "change": ChangeSchema(RULES).reader,
    "selection": SELECTION,
    "filter": Reader(filter_fields()),
    "move": MoveSchema(RULES.pools).reader,
    "pause": PAUSE,
    "test": TEST,
}
FIELDS = {f"{name}.{field.name}": field for name, reader in READERS.items() for field in reader.fields}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_the_examples_of_a_field_are_read_by_it(field: Field) -> None:
    for example in field.examples:
        field.kind.read(orjson.loads(orjson.dumps(example)))


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_every_field_is_described_in_a_sentence(field: Field) -> None:
    assert field.doc.endswith((".", '"".'))


@pytest.mark.parametrize("name", READERS)
def test_the_description_is_json_schema_that_names_every_field_and_no_other(name: str) -> None:
    schema = orjson.loads(orjson.dumps(READERS[name].schema()))

    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == READERS[name].names


def test_the_description_shows_the_limits_of_the_installation() -> None:
    properties = SCHEMA.reader.schema()["properties"]

    assert properties["attachments"]["maxItems"] == Limits().attachments
    assert properties["to"]["oneOf"][1]["maxItems"] == Limits().recipients
    assert properties["delay_seconds"]["maximum"] == Limits().schedule_days * 86_400


@pytest.mark.parametrize("kind", [Line(9), Filename(), Body(9)])
def test_the_pattern_of_a_text_lets_in_what_its_reader_lets_in(kind: Kind[str]) -> None:
    pattern = re.compile(kind.schema()["pattern"])
    texts = [f"a{chr(number)}b" for number in (*range(0xD800), *range(0xE000, 0x10000))]

    assert [text for text in texts if _is_read(kind, text) != (pattern.search(text) is not None)] == []


def _is_read(kind: Kind[str], text: str) -> bool:
    try:
        kind.read(text)
    except Refused:
        return False
    return True


def test_null_stands_for_a_field_that_is_left_out_but_in_a_change_of_what_has_no_null() -> None:
    reads = {f"{name}.{field.name}": field for name, reader in READERS.items() for field in reader.fields}
    nulls = {place for place, field in reads.items() if _takes_null(field.schema())}

    assert nulls == {place for place, field in reads.items() if not field.required} - {"change.priority", "change.pool"}


def _takes_null(rule: JsonSchema) -> bool:
    return "null" in rule.get("type", [each.get("type") for each in rule.get("oneOf", ())])
