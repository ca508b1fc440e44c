"""The one table of fields reads bodies and describes them."""

from __future__ import annotations

import orjson
import pytest

from services.frontend.limits import Limits
from services.frontend.schema import BatchSchema, ChangeSchema, MoveSchema
from services.frontend.schema.fields import filter_fields
from services.frontend.schema.objects import Field, Reader
from services.frontend.schema.repair import SELECTION
from tests.unit.frontend.bodies import RULES, SCHEMA

READERS = {
    "message": SCHEMA.reader,
    "batch": BatchSchema(SCHEMA).reader,
    "change": ChangeSchema(RULES).reader,
    "selection": SELECTION,
    "filter": Reader(filter_fields()),
    "move": MoveSchema(RULES.pools).reader,
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
