from __future__ import annotations

import pytest

from services.frontend.schema.suggest import Suggester
from tests.unit.frontend.bodies import SCHEMA

SUGGESTER = Suggester(SCHEMA.reader.names)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sendAt", "send_at"),
        ("SendAt", "send_at"),
        ("send-at", "send_at"),
        ("sent_at", "send_at"),
        ("subjet", "subject"),
        ("subjectt", "subject"),
        ("sujbect", "subject"),
        ("replyTo", "reply_to"),
        ("From", "from"),
        ("sender", "from"),
        ("recipients", "to"),
        ("body", "text"),
        ("htmlContent", "html"),
        ("scheduled_at", "send_at"),
        ("ttl", "ttl_seconds"),
        ("idempotencyKey", "idempotency_key"),
    ],
)
def test_a_name_is_recognised_by_spelling_or_by_custom(name: str, meant: str) -> None:
    assert SUGGESTER.meant(name) == meant


@pytest.mark.parametrize("name", ["", "x", "co", "template", "unsubscribe", "quux", "subject" * 1_000])
def test_what_resembles_nothing_is_not_guessed(name: str) -> None:
    assert SUGGESTER.meant(name) is None


def test_a_synonym_is_offered_only_where_its_field_exists() -> None:
    assert Suggester(("limit",)).meant("sender") is None
