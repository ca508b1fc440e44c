"""What a client decides, in a world without network, clock and chance."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone

import pytest
from scripted import LOST, UNSENT, Scripted, World, accepted, answer, problem, record, unavailable, world

from reliable_email_client import (
    AcceptanceUnknown,
    AnswerLost,
    Client,
    Conflict,
    Forbidden,
    InvalidMessage,
    InvalidRequest,
    KeyReused,
    Message,
    NotFound,
    QueueFull,
    QuotaExceeded,
    RateLimited,
    ReliableEmailError,
    Retry,
    ServiceError,
    StillWaiting,
    TemporaryError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Untrusted,
)
from reliable_email_client.core.wire import Failure, Reply

HELLO = Message(from_="shop@example.com", to="ada@example.org", subject="Hello", text="It works.")
HTML = b"<html>"


def error_of(script: Scripted, **retry: float) -> ReliableEmailError:
    """Return what a submission that always meets this ends with."""
    with pytest.raises(ReliableEmailError) as caught:
        world(script).client(**retry).send(HELLO)
    return caught.value


# Submissions


def test_an_accepted_message_is_answered() -> None:
    result = world(accepted("msg_7")).client().send(HELLO)

    assert (result.id, result.state, result.replayed) == ("msg_7", "queued", False)


def test_a_replayed_answer_says_so() -> None:
    assert world(accepted(idempotent_replayed="true")).client().send(HELLO).replayed


@pytest.mark.parametrize(
    "failure",
    [
        UNSENT,
        LOST,
        unavailable(),
        problem("acceptance_unknown", 503, retryable=True, message_id="msg_1"),
        problem("rate_limited", 429, retryable=True),
        problem("queue_full", 429, retryable=True),
        problem("request_timeout", 408, retryable=True),
        problem("from_the_future", 418, retryable=True),
        Reply(502, {}, HTML),
        Reply(503, {}, HTML),
        Reply(504, {}, HTML),
        Reply(429, {}, b""),
    ],
)
def test_what_failed_for_now_is_sent_again_under_the_same_key(failure: Scripted) -> None:
    there = world(failure, failure, accepted())
    there.client().send(HELLO)

    assert [body["idempotency_key"] for body in there.bodies()] == [HELLO.key] * 3


def test_every_attempt_has_the_very_same_bytes() -> None:
    there = world(LOST, accepted())
    there.client().send(HELLO)

    assert there.requests[0] == there.requests[1]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (problem("invalid_message", 422), InvalidMessage),
        (problem("idempotency_key_reused", 422), KeyReused),
        (problem("too_large", 413), TooLarge),
        (problem("unauthenticated", 401), Unauthenticated),
        (problem("forbidden", 403), Forbidden),
        (problem("sender_not_allowed", 403), Forbidden),
        (problem("bad_parameter", 400), InvalidRequest),
        (problem("from_the_future", 418), InvalidRequest),
        (problem("internal", 500), ServiceError),
        (problem("unavailable", 503, retryable=False), ServiceError),
        (Reply(500, {}, HTML), ServiceError),
        (Reply(404, {}, HTML), NotFound),
        (Reply(418, {}, HTML), InvalidRequest),
        (Reply(302, {"location": "https://elsewhere.test/"}), ServiceError),
        (Reply(202, {}, b"{"), ServiceError),
        (Reply(202, {}, b"[]"), ServiceError),
        (Reply(202, {}, b'{"state": "queued"}'), ServiceError),
        (Failure("untrusted", "expired certificate"), Untrusted),
    ],
)
def test_what_is_refused_for_good_is_an_error_after_one_attempt(
    refusal: Scripted, kind: type[ReliableEmailError]
) -> None:
    error = error_of(refusal)

    assert type(error) is kind
    assert error.attempts == 1
    assert not isinstance(error, TemporaryError)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (UNSENT, Unreachable),
        (unavailable(), Unavailable),
        (problem("rate_limited", 429, retryable=True), RateLimited),
        (problem("quota_exceeded", 429, retryable=True), QuotaExceeded),
        (problem("queue_full", 429, retryable=True), QueueFull),
        (problem("from_the_future", 418, retryable=True), TemporaryError),
        (LOST, AcceptanceUnknown),
        (Reply(502, {}, HTML), AcceptanceUnknown),
        (problem("acceptance_unknown", 503, retryable=True, message_id="msg_1"), AcceptanceUnknown),
    ],
)
def test_what_never_ceases_to_fail_is_an_error_when_time_is_over(
    failure: Scripted, kind: type[ReliableEmailError]
) -> None:
    error = error_of(failure)

    assert type(error) is kind
    assert error.attempts > 5


def test_a_lost_answer_stays_in_doubt_though_later_attempts_stored_nothing() -> None:
    with pytest.raises(AcceptanceUnknown) as caught:
        world(LOST, unavailable()).client().send(HELLO)

    assert caught.value.in_doubt
    assert isinstance(caught.value.__cause__, Unavailable)


def test_the_id_that_an_earlier_attempt_named_is_kept() -> None:
    named = problem("acceptance_unknown", 503, retryable=True, message_id="msg_9")
    with pytest.raises(AcceptanceUnknown) as caught:
        world(named, UNSENT).client().send(HELLO)

    assert caught.value.message_id == "msg_9"


def test_what_was_never_sent_is_not_in_doubt() -> None:
    assert not error_of(UNSENT).in_doubt


def test_an_error_names_the_key_of_its_message() -> None:
    assert error_of(UNSENT).idempotency_key == HELLO.key


def test_the_faults_of_a_message_have_their_places() -> None:
    fault = {"pointer": "#/to", "code": "invalid_address", "detail": "'grace@' has no domain"}
    error = error_of(problem("invalid_message", 422, errors=[fault]))

    assert isinstance(error, InvalidMessage)
    assert [(one.pointer, one.code) for one in error.errors] == [("#/to", "invalid_address")]
    assert error.request_id == "req_1"
    assert "#/to: 'grace@' has no domain" in str(error)


def test_a_text_that_utf_8_cannot_write_is_an_invalid_message() -> None:
    there = world(accepted())
    with pytest.raises(InvalidMessage):
        there.client().send(Message(subject="\ud800"))

    assert there.requests == []


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(error_of(problem("invalid_message", 422))))  # noqa: S301 - our own

    assert (type(error), error.code, error.idempotency_key) == (InvalidMessage, "invalid_message", HELLO.key)


def test_what_would_become_of_a_message_can_be_asked() -> None:
    fault = {"pointer": "#/to", "code": "invalid_address", "detail": "'grace@' has no domain"}
    there = world(answer({"valid": False, "pool": None, "route": None, "errors": [fault]}))
    validation = there.client().validate(HELLO)

    assert (validation.valid, validation.errors[0].place) == (False, "#/to")
    assert there.requests[0].path == "/v1/messages/validate"


# Pauses


def test_pauses_grow_to_their_ceiling() -> None:
    there = world(UNSENT)
    with pytest.raises(Unreachable):
        there.client(deadline_seconds=9, base_seconds=0.5, max_seconds=2).send(HELLO)

    assert there.pauses == [0.5, 1, 2, 2, 2]


def test_pauses_are_drawn_from_zero_on() -> None:
    there = world(UNSENT, UNSENT, accepted(), drawn=0.0)
    there.client().send(HELLO)

    assert there.pauses == []


def test_what_the_service_asks_to_wait_is_waited_and_a_little_more() -> None:
    there = world(unavailable(wait=7), accepted())
    there.client(base_seconds=0.5).send(HELLO)

    assert there.pauses == [7.5]


def test_a_date_to_wait_for_is_counted_from_the_answers_own() -> None:
    dates = {"date": "Tue, 24 Nov 2026 11:00:00 GMT", "retry-after": "Tue, 24 Nov 2026 11:00:09 GMT"}
    there = world(Reply(503, dates, HTML), accepted())
    there.client(base_seconds=0).send(HELLO)

    assert there.pauses == [9]


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "٣", "Tue, 24 Nov 2026 11:00:09 GMT"])
def test_a_wait_that_makes_no_sense_is_passed_over(value: str) -> None:
    there = world(Reply(503, {"retry-after": value}, HTML), accepted())
    there.client(base_seconds=1).send(HELLO)

    assert there.pauses == [1]


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    there = world(unavailable(wait=3_600))
    with pytest.raises(Unavailable) as caught:
        there.client(deadline_seconds=60).send(HELLO)

    assert there.pauses == []
    assert caught.value.retry_after_seconds == 3_600


def test_the_deadline_bounds_attempts_and_pauses_together() -> None:
    there = world(LOST, takes=4)
    with pytest.raises(AcceptanceUnknown):
        there.client(deadline_seconds=10, attempt_seconds=5, base_seconds=1).send(HELLO)

    assert there.timeouts == [5, 5]


def test_the_last_attempt_ends_with_the_deadline() -> None:
    there = world(LOST, takes=4)
    with pytest.raises(AcceptanceUnknown):
        there.client(deadline_seconds=9, attempt_seconds=5, base_seconds=1).send(HELLO)

    assert there.timeouts == [5, 4]


def test_with_no_time_at_all_there_is_one_attempt() -> None:
    assert world(accepted()).client(deadline_seconds=0).send(HELLO).id == "msg_1"


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_policy_is_made_of_finite_times(seconds: float) -> None:
    with pytest.raises(ValueError, match="deadline_seconds"):
        Retry(deadline_seconds=seconds)


def test_attempts_can_be_counted() -> None:
    there = world(UNSENT)
    with pytest.raises(Unreachable):
        there.client(attempts=2).send(HELLO)

    assert len(there.requests) == 2


def test_there_is_at_least_one_attempt() -> None:
    with pytest.raises(ValueError, match="attempts"):
        Retry(attempts=0)


def test_a_thousand_attempts_do_not_overflow_the_pause() -> None:
    assert Retry(max_seconds=20).pause(5_000, None, 1.0) == 20


# One message


def test_a_record_is_read_by_its_id() -> None:
    there = world(answer(record()))

    assert there.client().get("msg_1").final
    assert (there.requests[0].method, there.requests[0].path) == ("GET", "/v1/messages/msg_1")


def test_an_id_cannot_lead_elsewhere() -> None:
    there = world(answer(record()))
    there.client().get("../queue?x=/#")

    assert there.requests[0].path == "/v1/messages/..%2Fqueue%3Fx%3D%2F%23"


def test_a_lost_read_is_a_lost_answer_and_no_doubtful_acceptance() -> None:
    with pytest.raises(AnswerLost) as caught:
        world(LOST).client().get("msg_1")

    assert not isinstance(caught.value, AcceptanceUnknown)


def test_waiting_ends_with_the_final_state() -> None:
    waits = answer(record("queued", final=False))
    there = world(waits, waits, answer(record("sent")))

    assert there.client().wait("msg_1").state == "sent"
    assert there.pauses == [0.05, 0.05 * 1.5]


def test_looks_grow_rarer_up_to_every_five_seconds() -> None:
    there = world(answer(record("queued", final=False)))
    with pytest.raises(StillWaiting):
        there.client().wait("msg_1", timeout=120)

    assert sorted(there.pauses[:-1]) == there.pauses[:-1]
    assert max(there.pauses) == 5.0


def test_waiting_gives_up_with_what_was_last_seen() -> None:
    there = world(answer(record("retrying", final=False)))
    with pytest.raises(TimeoutError) as caught:
        there.client().wait("msg_1", timeout=10)

    assert isinstance(caught.value, StillWaiting)
    assert caught.value.record is not None
    assert caught.value.record.state == "retrying"
    assert sum(there.pauses) == pytest.approx(10)


def test_a_message_that_has_ended_is_not_cancelled() -> None:
    there = world(problem("not_cancellable", 409, state="sent"))
    with pytest.raises(Conflict) as caught:
        there.client().cancel("msg_1")

    assert caught.value.state == "sent"
    assert (there.requests[0].method, there.requests[0].path) == ("POST", "/v1/messages/msg_1/cancel")


def test_a_change_says_only_what_is_changed() -> None:
    there = world(answer(record("scheduled", final=False)))
    there.client().change("msg_1", expires_at=None, priority="high")

    assert there.bodies() == [{"expires_at": None, "priority": "high"}]


def test_a_message_is_rescheduled_to_an_instant_or_to_now() -> None:
    there = world(answer(record("scheduled", final=False)))
    there.client().reschedule("msg_1", datetime(2026, 12, 1, 9, tzinfo=timezone.utc))
    there.client().reschedule("msg_1", None)

    assert there.bodies() == [{"send_at": "2026-12-01T09:00:00Z"}, {"send_at": None}]


def test_a_requeue_answers_with_the_record() -> None:
    assert world(answer(record("queued", final=False))).client().requeue("msg_1").state == "queued"


def test_a_deletion_answers_with_nothing() -> None:
    world(Reply(204)).client().delete("msg_1")


def test_deleting_what_is_not_there_is_an_error() -> None:
    with pytest.raises(NotFound):
        world(problem("not_found", 404)).client().delete("msg_1")


def test_what_an_attempt_with_a_lost_answer_deleted_is_deleted() -> None:
    world(LOST, problem("not_found", 404)).client().delete("msg_1")


# Lists


def test_a_list_is_read_page_by_page_and_not_further_than_needed() -> None:
    row = record("failed", recipients_total=1)
    first = answer({"data": [row, row], "next_cursor": "c1"})
    there = world(first, answer({"data": [row], "next_cursor": None}))
    rows = there.client().messages("failed", page_size=2)

    next(rows)
    assert len(there.requests) == 1
    assert len(list(rows)) == 2
    assert there.requests[0].parameters == (("state", "failed"), ("limit", "2"))
    assert there.requests[1].parameters == (("state", "failed"), ("limit", "2"), ("cursor", "c1"))


def test_several_states_are_asked_for_at_once() -> None:
    there = world(answer({"data": [], "next_cursor": None}))
    list(there.client().messages(["failed", "partly_sent"]))

    assert there.requests[0].parameters[:2] == (("state", "failed"), ("state", "partly_sent"))


# Where the service is


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, "http://127.0.0.1:8525"),
        ("http://mail.test/", "http://mail.test"),
        ("http://mail.test/v1", "http://mail.test"),
        ("https://mail.test:8443/mail/v1/", "https://mail.test:8443/mail"),
    ],
)
def test_an_address_is_taken_with_or_without_its_version(
    given: str | None, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RELIABLE_EMAIL_URL", raising=False)

    assert Client(given).url == url


def test_the_environment_names_service_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELIABLE_EMAIL_URL", "http://mail.test:1/v1")
    monkeypatch.setenv("RELIABLE_EMAIL_API_KEY", "rmk_2")
    client = Client()

    assert client.url == "http://mail.test:1"
    assert client._endpoint.key == "rmk_2"


@pytest.mark.parametrize(
    "url", ["mail.test", "ftp://mail.test", "http://", "http://a:b@mail.test", "http://mail.test?x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url)


@pytest.mark.parametrize("key", ["rmk 1", "rmk\n1", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        Client("http://mail.test", key)


def test_a_key_stands_in_no_representation() -> None:
    client = Client("http://mail.test", "rmk_secret")

    assert "rmk_secret" not in f"{client!r}{client._endpoint!r}"


def test_a_request_carries_the_key_and_names_the_client() -> None:
    client = Client("http://mail.test/mail", "rmk_1")
    there = World([answer({"data": [], "next_cursor": None})])
    list(Client("http://mail.test", transport=there, clock=there).messages("failed"))
    headers = client._endpoint.headers(there.requests[0])

    assert headers["Authorization"] == "Bearer rmk_1"
    assert headers["User-Agent"].startswith("reliable-email-client/")
    assert client._endpoint.target(there.requests[0]) == "/mail/v1/messages?state=failed&limit=50"
