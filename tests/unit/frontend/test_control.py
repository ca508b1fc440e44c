"""The bodies of pauses and of tests."""

from __future__ import annotations

import pytest

from services.frontend.limits import Rules
from services.frontend.schema import SubmissionSchema
from services.frontend.schema.control import PauseWish, Trial, compose_test, read_pause, read_test
from shared.domain.message import Address, Priority

ME = Address("me@example.com")
SHOP = Address("shop@example.com")


def test_a_pause_needs_neither_reason_nor_end() -> None:
    assert read_pause({}) == PauseWish()


def test_a_pause_has_a_reason_and_an_end() -> None:
    body = {"reason": "An audit.", "until": "1970-01-01T00:00:01Z"}

    assert read_pause(body) == PauseWish("An audit.", 1_000)


def test_an_end_that_is_null_is_none() -> None:
    assert read_pause({"until": None}) == PauseWish()


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"reason": "x" * 501}, ["#/reason"]),
        ({"reason": "two\nlines"}, ["#/reason"]),
        ({"until": "tomorrow", "reason": 1}, ["#/until", "#/reason"]),
        ({"for": "2h"}, ["#/for"]),
        ([], ["#"]),
    ],
)
def test_every_fault_of_a_pause_is_named(body: object, places: list[str]) -> None:
    faults = read_pause(body)

    assert isinstance(faults, tuple)
    assert [fault.where for fault in faults] == places


def test_a_test_is_sent_by_the_service_unless_it_names_a_sender() -> None:
    assert read_test({"to": "me@example.com"}, SHOP) == Trial(ME, SHOP)
    assert read_test({"to": "me@example.com", "from": "me@example.com"}, SHOP) == Trial(ME, ME)


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["#/to", "#/from"]),
        ({"to": "me@example.com"}, ["#/from"]),
        ({"to": "me@", "from": "you@"}, ["#/to", "#/from"]),
        ({"to": "me@example.com", "from": "me@example.com", "text": "Hi"}, ["#/text"]),
        ("me@example.com", ["#"]),
    ],
)
def test_every_fault_of_a_test_is_named(body: object, places: list[str]) -> None:
    faults = read_test(body, None)

    assert isinstance(faults, tuple)
    assert [fault.where for fault in faults] == places


def test_a_test_is_urgent_short_lived_and_for_one_provider() -> None:
    made = compose_test(Trial(ME, SHOP), "relay", "news", SubmissionSchema(Rules()))

    assert (made.envelope.pinned_to, made.pool, made.priority) == ("relay", "news", Priority.HIGH)
    assert (made.envelope.sender, made.envelope.to, made.ttl_ms) == (SHOP, (ME,), 3_600_000)
    assert "relay" in made.envelope.subject
    assert made.envelope.size_bytes > 0
