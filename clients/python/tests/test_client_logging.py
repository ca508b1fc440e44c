"""Errors as mail: what is mailed, what is counted, and that the application never notices."""

from __future__ import annotations

import io
import logging
import os
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from scripted import UNSENT, World, accepted, world

from reliable_email_client.core.wire import Reply, Request
from reliable_email_client.logging import EmailHandler, Thinning


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    own = logging.Logger("shop")  # noqa: LOG001 - no other test shall see it
    yield own
    for handler in own.handlers:
        handler.close()


def handler(there: World, **options: Any) -> EmailHandler:
    return EmailHandler("ops@example.com", "app@example.com", client=there.client(deadline_seconds=0), **options)


def failed(logger: logging.Logger, number: int = 1) -> None:
    """Log from one place."""
    for i in range(number):
        logger.error("Order %d failed", i)


def test_an_error_becomes_a_mail(logger: logging.Logger) -> None:
    there = world(accepted())
    logger.addHandler(handler(there))
    try:
        dict[str, str]()["stock"]
    except KeyError:
        logger.exception("Order 7\nfailed")
    logger.handlers[0].flush()

    (body,) = there.bodies()
    assert body["subject"].startswith("ERROR in shop: Order 7 failed")
    assert "KeyError: 'stock'" in body["text"]
    assert (body["to"], body["from"], body["priority"], body["tags"]) == (
        ["ops@example.com"],
        "app@example.com",
        "high",
        ["log"],
    )


def test_what_is_below_the_level_is_not_mailed(logger: logging.Logger) -> None:
    there = world(accepted())
    logger.addHandler(handler(there))
    logger.warning("nearly")
    logger.handlers[0].flush()

    assert there.requests == []


def test_a_record_is_mailed_as_it_was_when_it_was_logged(logger: logging.Logger) -> None:
    there = world(accepted())
    logger.addHandler(handler(there))
    order = {"number": 1}
    logger.error("Order %s failed", order)
    order["number"] = 2
    logger.handlers[0].flush()

    assert "{'number': 1}" in there.bodies()[0]["text"]


def test_what_repeats_is_counted_and_told_with_the_next_mail(logger: logging.Logger) -> None:
    there, time_ = world(accepted()), [0.0]
    logger.addHandler(handler(there, repeat_seconds=60, now=lambda: time_[0]))
    failed(logger, 5)
    time_[0] = 61.0
    failed(logger)
    logger.handlers[0].flush()

    assert len(there.bodies()) == 2
    assert "4 more from the same place" in there.bodies()[1]["text"]


def test_other_places_are_mailed_meanwhile(logger: logging.Logger) -> None:
    there = world(accepted())
    logger.addHandler(handler(there))
    failed(logger, 2)
    logger.error("Something else")
    logger.handlers[0].flush()

    assert len(there.bodies()) == 2


def test_no_more_mails_leave_than_allowed_and_the_next_says_how_many_were_held_back(logger: logging.Logger) -> None:
    there, time_ = world(accepted()), [0.0]
    logger.addHandler(handler(there, per_hour=2, repeat_seconds=0, now=lambda: time_[0]))
    failed(logger, 7)
    time_[0] = 1_800.0
    failed(logger)
    logger.handlers[0].flush()

    assert len(there.bodies()) == 3
    assert "5 held back" in there.bodies()[2]["text"]


def test_a_full_queue_blocks_nobody(logger: logging.Logger) -> None:
    may_answer = threading.Event()

    def slow(_: Request) -> Reply:
        may_answer.wait(10)
        return accepted()

    there = world(slow)
    logger.addHandler(handler(there, capacity=3, repeat_seconds=0, per_hour=1_000))
    failed(logger, 100)
    may_answer.set()
    logger.handlers[0].flush()
    failed(logger)
    logger.handlers[0].flush()

    # Whether the thread had taken the first one before the queue filled is chance.
    told = [int(number) for body in there.bodies() for number in re.findall(r"(\d+) lost", body["text"])]
    assert len(there.bodies()) in {4, 5}
    assert sum(told) == 101 - len(there.bodies())


def test_a_service_that_is_down_fails_nobody_and_is_told_of_later(logger: logging.Logger) -> None:
    there = world(UNSENT, accepted())
    logger.addHandler(handler(there, repeat_seconds=0))
    failed(logger)
    logger.handlers[0].flush()
    failed(logger)
    logger.handlers[0].flush()

    assert "1 lost" in there.bodies()[1]["text"]


def test_a_defect_in_the_client_does_not_end_the_thread(logger: logging.Logger) -> None:
    def defect(_: Request) -> Reply:
        raise KeyError("defect")

    there = world(defect, accepted())
    logger.addHandler(handler(there, repeat_seconds=0))
    failed(logger, 2)
    logger.handlers[0].flush()

    assert len(there.bodies()) == 2


def test_a_record_that_cannot_be_formatted_raises_nothing(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    logger.addHandler(handler(world(accepted())))

    logger.error("%d", "no number")


def test_what_mailing_has_to_say_is_not_mailed(logger: logging.Logger) -> None:
    def talks(_: Request) -> Reply:
        logger.error("The client says something")
        return accepted()

    there = world(talks)
    logger.addHandler(handler(there))
    failed(logger)
    logger.handlers[0].flush()

    assert len(there.bodies()) == 1


def test_what_mailing_has_to_say_holds_up_no_shutdown(logger: logging.Logger) -> None:
    may_talk = threading.Event()

    def talks(_: Request) -> Reply:
        may_talk.wait(10)
        logger.error("The client says something")
        return accepted()

    own = handler(world(talks), flush_seconds=5)
    logger.addHandler(own)
    failed(logger)
    with own.lock or threading.RLock():  # as logging.shutdown holds it
        may_talk.set()
        own.flush()

        assert not own._busy


def test_closing_mails_what_waits_and_takes_nothing_more(logger: logging.Logger) -> None:
    there = world(accepted())
    own = handler(there)
    logger.addHandler(own)
    failed(logger)
    own.close()
    logger.error("too late")

    assert len(there.bodies()) == 1
    assert own._worker is not None
    own._worker.join(10)
    assert not own._worker.is_alive()


def test_flushing_gives_up_after_its_time(logger: logging.Logger) -> None:
    never = threading.Event()

    def hangs(_: Request) -> Reply:
        never.wait(30)
        return accepted()

    logger.addHandler(handler(world(hangs), flush_seconds=0.01))
    failed(logger)
    logger.handlers[0].flush()
    never.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_made_by_fork_mails_its_own_and_not_what_waits_in_its_parent(logger: logging.Logger) -> None:
    may_answer = threading.Event()

    def slow(_: Request) -> Reply:
        may_answer.wait(10)
        return accepted()

    there = world(slow)
    own = handler(there, repeat_seconds=0)
    logger.addHandler(own)
    failed(logger, 2)
    child = os.fork()
    if child == 0:
        own._client = (mine := world(accepted())).client()
        failed(logger)
        own.flush()
        os._exit(len(mine.bodies()))
    may_answer.set()

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    own.flush()
    assert len(there.bodies()) == 2


def test_what_is_remembered_has_a_bound() -> None:
    thinning = Thinning(per_hour=10**9, repeat_seconds=60)
    for place in range(25_000):
        thinning.takes(place, 0.0)

    assert len(thinning._mailed_at) <= 10_000
