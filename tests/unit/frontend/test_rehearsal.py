from __future__ import annotations

import pytest

from services.frontend.limits import Rules
from services.frontend.schema import Rehearsal, SubmissionSchema, rehearse
from services.frontend.views import rehearsal_view
from shared.domain.errors import Fault
from shared.policy.routes import Route
from tests.unit.frontend.bodies import NOW, SCHEMA, body

ROUTES = (
    Route("sandbox", tags=frozenset({"e2e"})),
    Route("news", sender_domains=frozenset({"news.example"})),
    Route("default", tags=frozenset({"late"})),
)
ROUTED = SubmissionSchema(Rules(pools=frozenset({"default", "sandbox", "news"}), routes=ROUTES))


@pytest.mark.parametrize(
    ("fields", "pool", "route"),
    [
        ({}, "default", None),
        ({"tags": ["e2e"]}, "sandbox", 0),
        ({"from": "a@news.example"}, "news", 1),
        ({"tags": ["late"]}, "default", 2),
        ({"tags": ["e2e"], "pool": "news"}, "news", None),
        ({"tags": ["e2e"], "pool": None}, "sandbox", 0),
    ],
)
def test_a_rehearsal_tells_the_pool_and_the_route_that_leads_there(
    fields: dict[str, object], pool: str, route: int | None
) -> None:
    assert rehearse(ROUTED, body(**fields), NOW) == Rehearsal(pool, route)


def test_a_rehearsal_finds_what_a_submission_would_be_refused_for() -> None:
    bad = body(to="grace@", subject=...)

    assert rehearse(SCHEMA, bad, NOW, "").faults == SCHEMA.read(bad, NOW, "")


def test_what_is_valid_is_shown_with_the_route_that_was_met() -> None:
    assert rehearsal_view(Rehearsal("news", 1)) == {
        "valid": True,
        "pool": "news",
        "route": {"index": 1, "pool": "news"},
        "errors": [],
    }


def test_what_is_not_valid_is_shown_with_its_faults() -> None:
    assert rehearsal_view(Rehearsal(faults=(Fault("#/to", "missing", "No recipient"),))) == {
        "valid": False,
        "pool": None,
        "route": None,
        "errors": [{"pointer": "#/to", "code": "missing", "detail": "No recipient"}],
    }
