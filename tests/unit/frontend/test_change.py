from __future__ import annotations

import pytest

from services.frontend.schema import ChangeSchema
from shared.domain.message import Priority
from shared.queue.owners import Change
from tests.unit.frontend.bodies import NOW, RULES, places

CHANGES = ChangeSchema(RULES)


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({}, Change()),
        ({"send_at": None}, Change(send_at=None)),
        ({"expires_at": None}, Change(expires_at=None)),
        ({"send_at": "2026-12-01T09:00:00+01:00"}, Change(send_at=1_796_112_000_000)),
        ({"send_at": "1999-12-01T09:00:00Z"}, Change(send_at=944_038_800_000)),
        ({"priority": "critical", "pool": "sandbox"}, Change(priority=Priority.CRITICAL, pool="sandbox")),
        (
            {"send_at": None, "expires_at": "2026-12-01T08:00:00Z"},
            Change(send_at=None, expires_at=1_796_112_000_000),
        ),
    ],
    ids=str,
)
def test_a_change_says_what_it_names_and_nothing_else(given: dict[str, object], change: Change) -> None:
    changes = CHANGES.read(given, NOW)

    assert isinstance(changes, dict)
    assert Change(**changes) == change


@pytest.mark.parametrize(
    ("given", "code", "place"),
    [
        ([], "wrong_type", "#"),
        ({"subject": "New"}, "unknown_field", "#/subject"),
        ({"ttl_seconds": 60}, "unknown_field", "#/ttl_seconds"),
        ({"send_at": "soon"}, "bad_time", "#/send_at"),
        ({"send_at": "2028-12-01T09:00:00Z"}, "out_of_range", "#/send_at"),
        ({"send_at": "2026-12-02T00:00:00Z", "expires_at": "2026-12-01T00:00:00Z"}, "wrong_order", "#/expires_at"),
        ({"priority": None}, "wrong_type", "#/priority"),
        ({"priority": "urgent"}, "unknown_value", "#/priority"),
        ({"pool": None}, "wrong_type", "#/pool"),
        ({"pool": "nowhere"}, "unknown_pool", "#/pool"),
    ],
    ids=str,
)
def test_a_fault_of_a_change_is_told_with_its_place(given: object, code: str, place: str) -> None:
    result = CHANGES.read(given, NOW)

    assert isinstance(result, tuple)
    assert places(result) == [(code, place)]
