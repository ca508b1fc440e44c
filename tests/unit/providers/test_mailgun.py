from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given

from shared.domain.errors import ConfigurationError
from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.mime.writer import render
from shared.providers.interface import Capabilities, HttpRequest, LookupAdapter, Phase, Reply, Unsendable
from shared.providers.mailgun import Mailgun, MailgunOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import DATE, ID, INTERNET_MESSAGE_ID, full_envelope, full_parcel

MAILGUN = Mailgun()
OPTIONS = MailgunOptions(api_key=Secret("key-1"), domain="mg.example.com")
AUTHORIZATION = f"Basic {b64encode(b'api:key-1').decode()}"
REQUEST = MAILGUN.build(full_parcel(), OPTIONS)
MESSAGE = render(full_envelope(), message_id=ID, internet_message_id=INTERNET_MESSAGE_ID, date=DATE)


def form_of(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the fields of the form but the file, which its own test reads."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    form = BytesParser(EmailMessage, policy=HTTP).parsebytes(head + request.body)
    return [
        (str(part.get_param("name", header="content-disposition")), str(part.get_payload()))
        for part in form.iter_parts()
        if part.get_filename() is None
    ]


class TestBuild:
    def test_the_request_names_the_domain_and_carries_the_key(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers, REQUEST.signature) == (
            "POST",
            "https://api.mailgun.net/v3/mg.example.com/messages.mime",
            {"Authorization": AUTHORIZATION, "Content-Type": f'multipart/form-data; boundary="form_{ID}"'},
            None,
        )

    def test_recipients_of_every_kind_and_tags_are_fields(self) -> None:
        assert form_of(REQUEST) == [
            ("to", "ada@example.org"),
            ("to", "grace@xn--zrich-kva.example"),
            ("to", "carol@example.org"),
            ("to", "archive@example.com"),
            ("o:tag", "receipt"),
            ("o:tag", "order.7"),
        ]

    def test_the_message_is_a_file_in_the_form(self) -> None:
        head = b'; name="message"; filename="message.eml"\r\nContent-Type: message/rfc822\r\n\r\n'

        assert head + MESSAGE + b"\r\n--" in REQUEST.body

    def test_a_part_of_the_recipients_gets_the_same_message(self) -> None:
        request = MAILGUN.build(full_parcel((1, 3), tags=()), OPTIONS)

        assert form_of(request) == [("to", "grace@xn--zrich-kva.example"), ("to", "archive@example.com")]
        assert MESSAGE in request.body

    def test_there_are_no_more_tags_than_every_account_takes(self) -> None:
        request = MAILGUN.build(full_parcel(tags=("a", "b", "c", "d")), OPTIONS)

        assert [value for name, value in form_of(request) if name == "o:tag"] == ["a", "b", "c"]

    def test_notes_stay_here_for_recipients_would_see_them(self) -> None:
        assert b"gro" not in MAILGUN.build(full_parcel(text="x", html=None), OPTIONS).body

    def test_the_same_parcel_is_the_same_request(self) -> None:
        assert MAILGUN.build(full_parcel(), OPTIONS) == REQUEST

    def test_a_sender_whose_mail_would_not_arrive_is_left_to_another(self) -> None:
        with pytest.raises(Unsendable) as refusal:
            MAILGUN.build(full_parcel(sender=Address("jürgen@example.org")), OPTIONS)
        assert refusal.value.scope is Scope.PROVIDER

    def test_a_recipient_may_have_a_local_part_beyond_ascii(self) -> None:
        request = MAILGUN.build(full_parcel((0,), to=(Address("jürgen@bücher.example"),), tags=()), OPTIONS)

        assert 'name="to"\r\n\r\njürgen@xn--bcher-kva.example\r\n'.encode() in request.body


@pytest.mark.parametrize(
    "domain", ["", "example", "mg.example.com/", "mg.example.com/v3", "mg example.com", "..", "a.\n"]
)
def test_a_domain_that_would_make_another_path_is_refused(domain: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        replace(OPTIONS, domain=domain)
    assert [fault.where for fault in refusal.value.faults] == ["domain"]


def test_the_capabilities_are_the_services_limits() -> None:
    assert MAILGUN.capabilities(OPTIONS) == Capabilities(max_bytes=25 * 1024 * 1024 * 57 // 78, max_recipients=1_000)


def test_the_services_id_makes_it_accepted() -> None:
    reply = answer(200, {"id": INTERNET_MESSAGE_ID, "message": "Queued. Thank you."})

    assert MAILGUN.classify(REQUEST, reply) == Verdict(
        Outcome.ACCEPTED, f"accepted as {INTERNET_MESSAGE_ID}", provider_message_id=INTERNET_MESSAGE_ID
    )


NOT_ALLOWED = "Domain mg.example.com is not allowed to send: "


@pytest.mark.parametrize(
    ("status", "words", "outcome", "pause"),
    [
        (400, f"{NOT_ALLOWED}Sandbox subdomains are for test purposes only.", Outcome.MISCONFIGURED, None),
        (400, f"{NOT_ALLOWED}The domain is unverified and requires DNS configuration.", Outcome.MISCONFIGURED, None),
        (402, "Payment required", Outcome.MISCONFIGURED, None),
        (403, "Your account is not allowed to send large batches yet", Outcome.MISCONFIGURED, None),
        (403, "Rejected: IP 192.0.2.1 is not allowed", Outcome.MISCONFIGURED, None),
        (404, "Domain not found: mg.example.com", Outcome.MISCONFIGURED, None),
        (
            429,
            f"{NOT_ALLOWED}recipient limit exceeded, try again after Tue, 24 Nov 2026 13:00:00 GMT",
            Outcome.THROTTLED,
            3_600,
        ),
        (
            429,
            f"{NOT_ALLOWED}request limit exceeded, try again after Tue, 24 Nov 2026 12:00:05 UTC",
            Outcome.THROTTLED,
            5,
        ),
        (429, f"{NOT_ALLOWED}bytes limit exceeded, try again after 12 seconds", Outcome.THROTTLED, 12),
        (429, f"{NOT_ALLOWED}account-requests-per-sec limit exceeded, try again after 1 second", Outcome.THROTTLED, 1),
        (429, f"{NOT_ALLOWED}request limit exceeded, try again after a while", Outcome.THROTTLED, None),
        (429, "Too many requests", Outcome.THROTTLED, None),
        (500, "Internal Server Error", Outcome.TEMPORARY, None),
        (503, "Service Unavailable", Outcome.TEMPORARY, None),
        (502, "Bad Gateway", Outcome.AMBIGUOUS, None),
        (504, "Gateway Timeout", Outcome.AMBIGUOUS, None),
    ],
)
def test_each_error_has_its_outcome(status: int, words: str, outcome: Outcome, pause: float | None) -> None:
    verdict = MAILGUN.classify(REQUEST, answer(status, {"message": words}))

    assert (verdict.outcome, verdict.retry_after_seconds, verdict.detail) == (outcome, pause, f"{status} {words}")


@pytest.mark.parametrize("more", [{}, {"message": "Too many requests"}])
def test_a_wait_may_stand_in_a_field_of_its_own(more: dict[str, str]) -> None:
    reply = answer(429, {"retry-seconds": 60, **more})

    assert MAILGUN.classify(REQUEST, reply).retry_after_seconds == 60


@pytest.mark.parametrize(
    ("status", "words", "scope"),
    [
        (400, "to parameter is not a valid address. please check documentation", Scope.MESSAGE),
        (400, "from parameter is missing", Scope.MESSAGE),
        (400, "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified", Scope.MESSAGE),
        (400, "Header name must be pure ASCII", Scope.MESSAGE),
        (400, "Too many recipients", Scope.MESSAGE),
        (413, "request size exceeds 52.4MiB limit", Scope.PROVIDER),
    ],
)
def test_a_refusal_binds_whom_it_is_about(status: int, words: str, scope: Scope) -> None:
    verdict = MAILGUN.classify(REQUEST, answer(status, {"message": words}))

    assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, scope)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(401, b"Forbidden"), Outcome.MISCONFIGURED),
        (answer(200, b"Mailgun Magnificent API"), Outcome.MISCONFIGURED),
        (answer(200, {"message": "Queued. Thank you."}), Outcome.AMBIGUOUS),
        (answer(503, b"<html>Service Unavailable</html>"), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "no answer in 30 s", "timeout"), Outcome.AMBIGUOUS),
        (Reply(Phase.CONNECT, "no such host", "dns"), Outcome.PROVIDER_DOWN),
    ],
)
def test_what_is_not_an_answer_of_mailguns_format_is_judged_as_everywhere(reply: Reply, outcome: Outcome) -> None:
    assert MAILGUN.classify(REQUEST, reply).outcome is outcome


def event(recipient: str, kind: str = "accepted") -> dict[str, Any]:
    headers = {"message-id": INTERNET_MESSAGE_ID.strip("<>")}
    return {"event": kind, "recipient": recipient, "message": {"headers": headers}}


class TestLookup:
    ASKED = MAILGUN.build_lookup(full_parcel((0, 2)), OPTIONS)

    def found(self, *events: dict[str, Any], status: int = 200) -> Verdict | None:
        return MAILGUN.classify_lookup(self.ASKED, answer(status, {"items": list(events), "paging": {}}))

    def test_it_can_be_asked(self) -> None:
        assert isinstance(MAILGUN, LookupAdapter)

    def test_the_question_names_the_message_and_the_recipients_that_are_left(self) -> None:
        parts = urlsplit(self.ASKED.url)

        assert (self.ASKED.method, self.ASKED.headers) == ("GET", {"Authorization": AUTHORIZATION})
        assert (parts.netloc, parts.path) == ("api.mailgun.net", "/v3/mg.example.com/events")
        assert parse_qs(parts.query) == {
            "message-id": [f"{ID}@example.com"],
            "event": ["accepted"],
            "recipient": ["ada@example.org OR carol@example.org"],
            "begin": [str(DATE // 1000 - 300)],
            "ascending": ["yes"],
            "limit": ["300"],
        }

    def test_a_message_that_all_were_taken_for_is_found(self) -> None:
        assert self.found(event("ada@example.org"), event("Carol@Example.ORG")) == Verdict(
            Outcome.ACCEPTED, f"accepted as {INTERNET_MESSAGE_ID}", provider_message_id=INTERNET_MESSAGE_ID
        )

    def test_a_message_that_some_were_taken_for_proves_nothing(self) -> None:
        assert self.found(event("ada@example.org"), event("archive@example.com")) is None

    def test_no_events_prove_nothing(self) -> None:
        assert self.found() is None

    def test_another_event_proves_nothing(self) -> None:
        assert self.found(event("ada@example.org", "rejected"), event("carol@example.org")) is None

    @pytest.mark.parametrize("status", [401, 404, 429, 500])
    def test_a_refused_question_proves_nothing(self, status: int) -> None:
        assert self.found(event("ada@example.org"), event("carol@example.org"), status=status) is None

    @given(replies("items", "event", "recipient", "message", "headers", "message-id"))
    def test_any_reply_is_read(self, reply: Reply) -> None:
        verdict = MAILGUN.classify_lookup(self.ASKED, reply)

        assert verdict is None or verdict.outcome is Outcome.ACCEPTED


@given(replies("id", "message", "retry-seconds"))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = MAILGUN.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or orjson.loads(reply.body)["id"]
