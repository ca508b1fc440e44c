from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from shared.domain.message import Address, Attachment
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.interface import Capabilities, Phase, Reply, Unsendable
from shared.providers.sendgrid import Sendgrid, SendgridOptions
from tests.unit.providers.answers import NOW, answer, replies
from tests.unit.providers.envelopes import ID, INTERNET_MESSAGE_ID, full_parcel

SENDGRID = Sendgrid()
OPTIONS = SendgridOptions(api_key=Secret("SG.key"))
REQUEST = SENDGRID.build(full_parcel(), OPTIONS)


def fields(*recipients: int, **changes: Any) -> Any:
    return orjson.loads(SENDGRID.build(full_parcel(recipients or None, **changes), OPTIONS).body)


def refused(*errors: tuple[str | None, str]) -> dict[str, Any]:
    return {"errors": [{"message": words, "field": field, "help": None} for field, words in errors]}


class TestBuild:
    def test_the_request_carries_the_key(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers, REQUEST.signature) == (
            "POST",
            "https://api.sendgrid.com/v3/mail/send",
            {"Authorization": "Bearer SG.key", "Content-Type": "application/json"},
            None,
        )

    def test_every_field_travels(self) -> None:
        assert fields() == {
            "personalizations": [
                {
                    "to": [
                        {"email": "ada@example.org", "name": "Ada Lovelace"},
                        {"email": "grace@xn--zrich-kva.example"},
                    ],
                    "cc": [{"email": "carol@example.org", "name": '"Carol, Accounts"'}],
                    "bcc": [{"email": "archive@example.com"}],
                }
            ],
            "from": {"email": "shop@xn--bcher-kva.example", "name": "Bücher & Co."},
            "reply_to_list": [
                {"email": "help@xn--bcher-kva.example", "name": "Hilfe"},
                {"email": "desk@example.com"},
            ],
            "subject": "Your order № 7: {{ name }}",
            "content": [
                {"type": "text/plain", "value": "Grüße, %recipient.name%\n"},
                {"type": "text/html", "value": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">'},
            ],
            "headers": {
                "Message-ID": INTERNET_MESSAGE_ID,
                "X-Reliable-Email-Id": ID,
                "In-Reply-To": "<6@example.com>",
                "List-Unsubscribe": "<https://example.com/u/7>",
                "X-Order": "=?utf-8?b?4oSWIDc=?=",
            },
            "attachments": [
                {
                    "content": "JVBERi0xLjcK",
                    "filename": "Übersicht 2026.pdf",
                    "type": "application/pdf",
                    "disposition": "attachment",
                },
                {
                    "content": "iVBORw0KGgo=",
                    "filename": "logo.png",
                    "type": "image/png",
                    "disposition": "inline",
                    "content_id": "logo@shop",
                },
            ],
            "categories": ["receipt", "order.7"],
            "custom_args": {"order": "7", "größe": "groß", "reliable_email_id": ID},
        }

    def test_what_is_empty_is_left_out(self) -> None:
        request = fields(text="", html="<p>x</p>", cc=(), bcc=(), reply_to=(), attachments=(), tags=())

        assert sorted(request) == ["content", "custom_args", "from", "headers", "personalizations", "subject"]
        assert request["content"] == [{"type": "text/html", "value": "<p>x</p>"}]
        assert list(request["personalizations"][0]) == ["to"]

    @pytest.mark.parametrize("text", [None, ""])
    def test_a_message_of_files_alone_has_a_blank_body(self, text: str | None) -> None:
        assert fields(text=text, html=None)["content"] == [{"type": "text/plain", "value": " "}]

    def test_a_message_without_a_subject_has_a_blank_one(self) -> None:
        assert fields(subject="")["subject"] == " "

    @pytest.mark.parametrize(
        ("given", "sent"),
        [("text/calendar; method=REQUEST", "text/calendar"), ("no type", "application/octet-stream")],
    )
    def test_a_file_has_a_bare_media_type(self, given: str, sent: str) -> None:
        files = (Attachment("a.bin", given, 1, b"x"),)

        assert [file["type"] for file in fields(attachments=files)["attachments"]] == [sent]

    def test_there_are_no_more_categories_than_allowed_and_none_twice(self) -> None:
        tags = ("a", "a", *(f"t{number}" for number in range(12)))

        assert fields(tags=tags)["categories"] == ["a", *(f"t{number}" for number in range(9))]

    def test_the_same_parcel_is_the_same_request(self) -> None:
        assert SENDGRID.build(full_parcel(), OPTIONS) == REQUEST

    def test_no_note_hides_a_field_of_an_event_or_the_messages_id(self) -> None:
        notes = {"event": "delivered", "email": "eve@example.com", "reliable_email_id": "x", "order": "7"}

        assert fields(metadata=notes)["custom_args"] == {"order": "7", "reliable_email_id": ID}

    @pytest.mark.parametrize("name", ["X-SG-ID", "x-sg-eid"])
    def test_a_header_that_sendgrid_keeps_for_itself_is_left_to_another(self, name: str) -> None:
        with pytest.raises(Unsendable) as refusal:
            fields(headers=((name, "1"),))
        assert refusal.value.scope is Scope.PROVIDER

    def test_subusers_in_the_eu_have_an_address_of_their_own(self) -> None:
        options = replace(OPTIONS, base_url="https://api.eu.sendgrid.com")

        assert SENDGRID.build(full_parcel(), options).url == "https://api.eu.sendgrid.com/v3/mail/send"


class TestRecipients:
    def test_only_those_that_are_left_are_named(self) -> None:
        assert fields(1, 3)["personalizations"] == [
            {"to": [{"email": "grace@xn--zrich-kva.example"}], "bcc": [{"email": "archive@example.com"}]}
        ]

    def test_where_no_to_is_left_a_copy_takes_its_place(self) -> None:
        assert fields(2, 3)["personalizations"] == [
            {
                "to": [{"email": "carol@example.org", "name": '"Carol, Accounts"'}],
                "bcc": [{"email": "archive@example.com"}],
            }
        ]

    def test_blind_recipients_never_see_each_other(self) -> None:
        blind = (Address("a@example.com"), Address("b@example.com"))

        assert fields(3, 4, bcc=blind)["personalizations"] == [
            {"to": [{"email": "a@example.com"}]},
            {"to": [{"email": "b@example.com"}]},
        ]

    def test_addresses_that_differ_by_case_alone_stand_in_entries_of_their_own(self) -> None:
        entries = fields(
            to=(Address("ada@example.org"),), cc=(Address("Ada@example.org"),), bcc=(Address("ADA@example.org"),)
        )["personalizations"]

        assert entries == [
            {"to": [{"email": "ada@example.org"}]},
            {"to": [{"email": "Ada@example.org"}]},
            {"to": [{"email": "ADA@example.org"}]},
        ]

    def test_only_a_name_that_needs_quotes_gets_them(self) -> None:
        to = (Address("a@x.test", 'A "B" \\; C'), Address("b@x.test", 'A "B"'))

        assert [person["name"] for person in fields(0, 1, to=to)["personalizations"][0]["to"]] == [
            '"A \\"B\\" \\\\; C"',
            'A "B"',
        ]


def test_the_capabilities_are_the_services_limits() -> None:
    assert SENDGRID.capabilities(OPTIONS) == Capabilities(max_bytes=31_457_280 * 57 // 78, max_recipients=1_000)


@pytest.mark.parametrize("status", [202, 200])
def test_the_id_in_the_header_makes_it_accepted(status: int) -> None:
    assert SENDGRID.classify(REQUEST, answer(status, b"", {"x-message-id": "abc"})) == Verdict(
        Outcome.ACCEPTED, "accepted as abc", provider_message_id="abc"
    )


UNVERIFIED = (
    "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."
)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "pause"),
    [
        (400, refused(("from", UNVERIFIED)), Outcome.MISCONFIGURED, None),
        (401, refused((None, "Permission denied, wrong credentials")), Outcome.MISCONFIGURED, None),
        (
            401,
            refused((None, "The provided authorization grant is invalid, expired, or revoked")),
            Outcome.MISCONFIGURED,
            None,
        ),
        (401, refused((None, "Maximum credits exceeded")), Outcome.THROTTLED, 600),
        (403, refused(("from", UNVERIFIED)), Outcome.MISCONFIGURED, None),
        (403, refused((None, "access forbidden")), Outcome.MISCONFIGURED, None),
        (404, refused((None, "not found")), Outcome.MISCONFIGURED, None),
        (405, refused((None, "method not allowed")), Outcome.MISCONFIGURED, None),
        (415, refused((None, "Content-Type should be application/json.")), Outcome.MISCONFIGURED, None),
        (429, refused((None, "too many requests")), Outcome.THROTTLED, 30),
        (500, refused((None, "Internal Server Error")), Outcome.TEMPORARY, None),
        (503, refused((None, "Service Unavailable")), Outcome.TEMPORARY, None),
    ],
)
def test_each_error_has_its_outcome(status: int, body: Any, outcome: Outcome, pause: float | None) -> None:
    headers = {"x-ratelimit-limit": "600", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW // 1000 + 30)}
    verdict = SENDGRID.classify(REQUEST, answer(status, body, headers))

    assert (verdict.outcome, verdict.retry_after_seconds) == (outcome, pause)


@pytest.mark.parametrize(
    ("status", "body", "scope"),
    [
        (400, refused(("personalizations.0.to.0.email", "Does not contain a valid address.")), Scope.MESSAGE),
        (400, refused(("subject", "The subject is required.")), Scope.PROVIDER),
        (
            400,
            refused(("content.0.value", "The content value must be a string at least one character in length.")),
            Scope.PROVIDER,
        ),
        (413, refused((None, "Payload too large")), Scope.PROVIDER),
    ],
)
def test_a_refusal_binds_whom_it_is_about(status: int, body: Any, scope: Scope) -> None:
    verdict = SENDGRID.classify(REQUEST, answer(status, body))

    assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, scope)


def test_all_words_are_kept_under_the_first_field() -> None:
    body = refused(("subject", "Too long."), ("from", "No."))

    assert SENDGRID.classify(REQUEST, answer(400, body)).detail == "400 subject: Too long.; No."


@pytest.mark.parametrize(("reset", "pause"), [("", 4.0), ("soon", 4.0), ("1", 0.0)])
def test_without_a_reset_the_general_header_counts(reset: str, pause: float) -> None:
    headers = {"x-ratelimit-reset": reset, "retry-after": "4"}

    verdict = SENDGRID.classify(REQUEST, answer(429, refused((None, "too many requests")), headers))
    assert verdict.retry_after_seconds == pause


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(202, b""), Outcome.AMBIGUOUS),
        (answer(200, b"<html>Log in</html>"), Outcome.MISCONFIGURED),
        (answer(503, b"<html>Service Unavailable</html>"), Outcome.AMBIGUOUS),
        (answer(502, refused((None, "bad gateway"))), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "reset", "reset"), Outcome.AMBIGUOUS),
        (Reply(Phase.SENDING, "reset", "reset"), Outcome.PROVIDER_DOWN),
    ],
)
def test_what_is_not_an_answer_of_sendgrid_is_judged_as_everywhere(reply: Reply, outcome: Outcome) -> None:
    assert SENDGRID.classify(REQUEST, reply).outcome is outcome


@given(replies("errors", "message", "field", headers=("x-message-id", "x-ratelimit-reset")))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = SENDGRID.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
