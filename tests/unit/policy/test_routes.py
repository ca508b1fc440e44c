from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.message import Address, Envelope, Priority
from shared.policy.routes import Route, pool_for

MESSAGE = Envelope(
    sender=Address("shop@Example.COM"),
    to=(Address("ada@one.test"), Address("grace@TWO.test")),
    bcc=(Address('"odd@local"@one.test'),),
    tags=("e2e", "receipt"),
    size_bytes=1_000,
)


def pool(*routes: Route) -> str:
    return pool_for(MESSAGE, Priority.HIGH, routes)


@pytest.mark.parametrize(
    ("route", "meets"),
    [
        (Route("x"), True),
        (Route("x", recipient_domains=frozenset({"one.test", "two.test"})), True),
        (Route("x", recipient_domains=frozenset({"one.test"})), False),
        (Route("x", sender_domains=frozenset({"example.com"})), True),
        (Route("x", sender_domains=frozenset({"one.test"})), False),
        (Route("x", tags=frozenset({"other", "e2e"})), True),
        (Route("x", tags=frozenset({"other"})), False),
        (Route("x", priorities=frozenset({Priority.HIGH, Priority.CRITICAL})), True),
        (Route("x", priorities=frozenset({Priority.BULK})), False),
        (Route("x", larger_than_bytes=999), True),
        (Route("x", larger_than_bytes=1_000), False),
        (Route("x", tags=frozenset({"e2e"}), larger_than_bytes=1_000), False),
    ],
)
def test_a_route_is_met_by_a_message_that_meets_all_its_conditions(route: Route, *, meets: bool) -> None:
    assert pool(route) == ("x" if meets else "default")


def test_the_first_route_wins() -> None:
    assert pool(Route("no", tags=frozenset({"no"})), Route("first"), Route("second")) == "first"


def test_a_domain_is_compared_as_it_travels() -> None:
    message = replace(MESSAGE, to=(Address("ada@b\u00fccher.test"),), bcc=())
    route = Route("x", recipient_domains=frozenset({"xn--bcher-kva.test"}))

    assert pool_for(message, Priority.HIGH, [route]) == "x"
