"""Many messages at once: how they are split, what is asked again, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted import LOST, UNSENT, acceptance, answer, each, problem, results, service, unavailable, world

from reliable_email_client import (
    Acceptance,
    AcceptanceUnknown,
    InvalidMessage,
    Message,
    QueueFull,
    ReliableEmailError,
    Unauthenticated,
    Unavailable,
)
from reliable_email_client.core.wire import Reply, Request

INVALID = problem("invalid_message", 422)
FULL = problem("queue_full", 429, retryable=True)


def messages(number: int, text: str = "It works.") -> list[Message]:
    return [Message(to=f"{i}@example.org", subject="", text=text, idempotency_key=f"k{i}") for i in range(number)]


def taken(request: Request) -> Reply:
    """Take every message of a batch; its id is its key."""
    there = world(answer({}))
    there.requests.append(request)
    return each(*(acceptance(message["idempotency_key"]) for message in there.bodies()[0]["messages"]), status=202)


def ids(outcome: object) -> list[str]:
    assert hasattr(outcome, "__iter__")
    return [result.id if isinstance(result, Acceptance) else type(result).__name__ for result in outcome]


def keys(bodies: list[dict[str, list[dict[str, str]]]]) -> list[list[str]]:
    return [[message["idempotency_key"] for message in body["messages"]] for body in bodies]


def test_nothing_makes_no_batch() -> None:
    there = world(service())

    assert len(there.client().send_batch([])) == 0
    assert there.bodies() == []


def test_results_stand_in_the_order_of_the_messages() -> None:
    outcome = world(service(), taken).client().send_batch(messages(3))

    assert ids(outcome) == ["k0", "k1", "k2"]


def test_a_batch_is_split_by_number() -> None:
    there = world(service(batch_messages=2), taken)
    outcome = there.client().send_batch(messages(5))

    assert ids(outcome) == ["k0", "k1", "k2", "k3", "k4"]
    assert keys(there.bodies()) == [["k0", "k1"], ["k2", "k3"], ["k4"]]


def test_a_batch_is_split_by_bytes_and_no_request_has_more() -> None:
    there = world(service(request_bytes=400), taken)
    outcome = there.client().send_batch(messages(7, "x" * 50))

    assert len(outcome.accepted) == 7
    assert 1 < len(there.bodies()) < 7
    assert max(len(request.body or b"") for request in there.requests) <= 400


def test_a_message_larger_than_a_request_is_not_sent() -> None:
    there = world(service(request_bytes=400), taken)
    one, two, three = messages(3)
    big = Message(to="big@example.org", subject="", text="x" * 500)
    outcome = there.client().send_batch([one, big, two, three])

    assert ids(outcome) == ["k0", "TooLarge", "k1", "k2"]


def test_limits_are_asked_for_once() -> None:
    there = world(service(), taken)
    client = there.client()
    client.send_batch(messages(1))
    client.send_batch(messages(1))

    assert [request.path for request in there.requests].count("/v1") == 1


def test_limits_are_asked_for_again_where_a_batch_was_too_large() -> None:
    there = world(service(), problem("too_large", 413), service(), taken)
    client = there.client()

    assert ids(client.send_batch(messages(2))) == ["TooLarge", "TooLarge"]
    assert ids(client.send_batch(messages(2))) == ["k0", "k1"]


def test_only_what_may_be_repeated_is_asked_again() -> None:
    there = world(service(), each(acceptance("a"), INVALID, FULL), taken)
    outcome = there.client().send_batch(messages(3))

    assert ids(outcome) == ["a", "InvalidMessage", "k2"]
    assert keys(there.bodies()) == [["k0", "k1", "k2"], ["k2"]]


@pytest.mark.parametrize("failure", [UNSENT, LOST, unavailable(), Reply(502, {}, b"<html>")])
def test_a_failed_request_is_sent_again_as_a_whole(failure: Reply) -> None:
    there = world(service(), failure, taken)
    outcome = there.client().send_batch(messages(2))

    assert ids(outcome) == ["k0", "k1"]
    assert keys(there.bodies()) == [["k0", "k1"], ["k0", "k1"]]


def test_a_refusal_of_all_says_what_is_wrong_with_each() -> None:
    there = world(service(), problem("invalid_batch", 422, results=results(INVALID, FULL)), taken)

    assert ids(there.client().send_batch(messages(2))) == ["InvalidMessage", "k1"]


def test_faults_point_into_their_own_message() -> None:
    fault = {"pointer": "#/messages/1/to/0", "code": "invalid_address", "detail": "'grace@' has no domain"}
    there = world(service(), each(acceptance("a"), problem("invalid_message", 422, errors=[fault])))
    _, error = there.client().send_batch(messages(2))

    assert isinstance(error, InvalidMessage)
    assert error.errors[0].pointer == "#/to/0"
    assert "#/to/0: 'grace@' has no domain" in str(error)


def test_what_a_refusal_of_all_asks_to_wait_is_waited() -> None:
    full = problem("queue_full", 429, retryable=True, wait=10, results=results(FULL, FULL))
    there = world(service(), full, taken)
    there.client(base_seconds=0).send_batch(messages(2))

    assert there.pauses == [10]


def test_what_stays_refused_is_a_value_with_its_key() -> None:
    outcome = world(service(), each(acceptance("a"), FULL), each(FULL)).client().send_batch(messages(2))
    ((place, error),) = outcome.errors

    assert (place, type(error), error.idempotency_key) == (1, QueueFull, "k1")


def test_a_lost_answer_leaves_each_in_doubt_that_no_later_one_settled() -> None:
    there = world(service(), LOST, each(acceptance("a"), FULL), each(FULL))
    outcome = there.client().send_batch(messages(2))

    assert ids(outcome) == ["a", "AcceptanceUnknown"]
    assert isinstance(outcome[1], AcceptanceUnknown)


def test_a_service_that_cannot_be_reached_raises_nothing() -> None:
    outcome = world(UNSENT).client().send_batch(messages(2))

    assert ids(outcome) == ["Unreachable", "Unreachable"]
    assert [error.idempotency_key for _, error in outcome.errors] == ["k0", "k1"]


def test_a_key_that_is_not_known_raises_nothing_either() -> None:
    refused = problem("unauthenticated", 401)

    assert [type(error) for _, error in world(refused).client().send_batch(messages(1)).errors] == [Unauthenticated]


@pytest.mark.parametrize(
    "strange",
    [
        answer({"accepted": 2, "results": []}),
        answer({"results": [{"status": 202}, {"status": 202}]}),
        answer([1]),
        Reply(202, {}, b"<html>"),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_each(strange: Reply) -> None:
    assert ids(world(service(), strange).client().send_batch(messages(2))) == ["ServiceError", "ServiceError"]


def test_one_that_cannot_be_written_does_not_keep_the_others_back() -> None:
    one, two = messages(2)
    outcome = world(service(), taken).client().send_batch([one, Message(subject="\ud800"), two])

    assert ids(outcome) == ["k0", "InvalidMessage", "k1"]


def test_an_iterator_is_read_as_requests_are_sent() -> None:
    there = world(service(batch_messages=2), taken)
    sent_before: list[int] = []

    def produced() -> Iterator[Message]:
        for message in messages(6):
            sent_before.append(len(there.bodies()))
            yield message

    there.client().send_batch(produced())

    assert sent_before == [0, 0, 0, 1, 1, 2]


def test_the_deadline_holds_for_each_request() -> None:
    there = world(service(batch_messages=1), taken, takes=50)

    assert len(there.client(deadline_seconds=60).send_batch(messages(4)).accepted) == 4


def test_an_outcome_is_a_sequence_that_can_raise() -> None:
    outcome = world(service(), each(acceptance("a"), INVALID)).client().send_batch(messages(2))

    assert [type(result) for result in outcome[0:2]] == [Acceptance, InvalidMessage]
    assert repr(outcome) == "<BatchOutcome: 1 accepted, 1 not>"
    with pytest.raises(InvalidMessage):
        outcome.raise_for_errors()


def test_an_outcome_without_errors_raises_nothing() -> None:
    world(service(), taken).client().send_batch(messages(1)).raise_for_errors()


def test_every_error_of_a_batch_is_an_object_of_its_own() -> None:
    errors: list[ReliableEmailError] = [
        error for _, error in world(service(), unavailable(wait=999)).client().send_batch(messages(2)).errors
    ]

    assert errors[0] is not errors[1]
    assert {type(error) for error in errors} == {Unavailable}
