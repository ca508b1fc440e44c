from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from shared.domain.message import Address
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.interface import Capabilities, Phase, Reply
from shared.providers.sparkpost import Sparkpost, SparkpostOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, INTERNET_MESSAGE_ID, full_parcel

SPARKPOST = Sparkpost()
OPTIONS = SparkpostOptions(api_key=Secret("key"))
REQUEST = SPARKPOST.build(full_parcel(), OPTIONS)

TO = "Ada Lovelace <ada@example.org>, grace@xn--zrich-kva.example"


def fields(*recipients: int, **changes: Any) -> Any:
    return orjson.loads(SPARKPOST.build(full_parcel(recipients or None, **changes), OPTIONS).body)


def refused(code: str | None, words: str, description: str | None = None) -> dict[str, Any]:
    more = {} if description is None else {"description": description}
    return {"errors": [{"message": words, **more, "code": code}]}


class TestBuild:
    def test_the_request_carries_the_bare_key(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers, REQUEST.signature) == (
            "POST",
            "https://api.sparkpost.com/api/v1/transmissions",
            {"Authorization": "key", "Content-Type": "application/json"},
            None,
        )

    def test_every_field_travels(self) -> None:
        tags = ["receipt", "order.7"]

        assert fields(subject="Your order № 7") == {
            "recipients": [
                {"address": {"email": "ada@example.org", "header_to": TO}, "tags": tags},
                {"address": {"email": "grace@xn--zrich-kva.example", "header_to": TO}, "tags": tags},
                {"address": {"email": "carol@example.org", "header_to": TO}, "tags": tags},
                {"address": {"email": "archive@example.com", "header_to": TO}, "tags": tags},
            ],
            "content": {
                "from": {"email": "shop@xn--bcher-kva.example", "name": "Bücher & Co."},
                "reply_to": "Hilfe <help@xn--bcher-kva.example>, desk@example.com",
                "subject": "Your order № 7",
                "text": "Grüße, %recipient.name%\n",
                "html": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
                "headers": {
                    "Message-ID": INTERNET_MESSAGE_ID,
                    "X-Reliable-Email-Id": ID,
                    "In-Reply-To": "<6@example.com>",
                    "List-Unsubscribe": "<https://example.com/u/7>",
                    "X-Order": "=?utf-8?b?4oSWIDc=?=",
                    "CC": '"Carol, Accounts" <carol@example.org>',
                },
                "attachments": [{"name": "Übersicht 2026.pdf", "type": "application/pdf", "data": "JVBERi0xLjcK"}],
                "inline_images": [{"name": "logo@shop", "type": "image/png", "data": "iVBORw0KGgo="}],
            },
            "options": {"transactional": True, "perform_substitutions": False},
            "campaign_id": "receipt",
            "metadata": {"order": "7", "größe": "groß", "reliable_email_id": ID},
            "return_path": "bounces@example.com",
        }

    def test_what_is_empty_is_left_out(self) -> None:
        parcel = full_parcel(text="", html="<p>x</p>", cc=(), bcc=(), reply_to=(), attachments=(), tags=(), headers=())
        request = orjson.loads(SPARKPOST.build(replace(parcel, return_path=""), OPTIONS).body)

        assert sorted(request) == ["content", "metadata", "options", "recipients"]
        assert sorted(request["content"]) == ["from", "headers", "html", "subject"]
        assert list(request["content"]["headers"]) == ["Message-ID", "X-Reliable-Email-Id"]

    @pytest.mark.parametrize("text", [None, ""])
    def test_a_message_of_files_alone_has_a_blank_body(self, text: str | None) -> None:
        assert fields(text=text, html=None)["content"]["text"] == " "

    def test_a_message_without_a_subject_has_a_blank_one(self) -> None:
        assert fields(subject="")["content"]["subject"] == " "

    def test_an_image_without_html_is_a_file(self) -> None:
        content = fields(html=None)["content"]

        assert [file["name"] for file in content["attachments"]] == ["Übersicht 2026.pdf", "logo.png"]
        assert "inline_images" not in content

    def test_no_note_hides_the_messages_id(self) -> None:
        assert fields(metadata={"reliable_email_id": "x"})["metadata"] == {"reliable_email_id": ID}

    def test_the_same_parcel_is_the_same_request(self) -> None:
        assert SPARKPOST.build(full_parcel(), OPTIONS) == REQUEST


class TestRecipients:
    def test_those_that_are_left_see_the_same_headers(self) -> None:
        request, whole = fields(1, 3), fields()

        assert request["recipients"] == [whole["recipients"][1], whole["recipients"][3]]
        assert request["content"] == whole["content"]

    def test_blind_recipients_alone_see_only_themselves(self) -> None:
        blind = (Address("a@example.com"), Address("b@example.com"))

        assert fields(to=(), cc=(), bcc=blind, tags=())["recipients"] == [
            {"address": {"email": "a@example.com"}},
            {"address": {"email": "b@example.com"}},
        ]


class TestTemplates:
    """SparkPost reads templates in headers even where it is told to read none."""

    @pytest.mark.parametrize(
        ("text", "literal"),
        [
            ("Hello {{ name }}", "Hello {{opening_double_curly()}} name {{closing_double_curly()}}"),
            ("{{{ html }}}", "{{opening_triple_curly()}} html {{closing_triple_curly()}}"),
            ("{ one } }}", "{ one } {{closing_double_curly()}}"),
        ],
    )
    def test_every_header_is_written_as_it_is(self, text: str, literal: str) -> None:
        content = fields(
            subject=text,
            sender=Address("shop@example.com", text),
            headers=(("X-Note", text),),
        )["content"]

        assert (content["subject"], content["from"]["name"], content["headers"]["X-Note"]) == (literal,) * 3

    def test_in_names_beside_addresses_braces_are_hidden(self) -> None:
        ada = Address("ada@example.org", "{{ ada }}")
        request = fields(to=(ada,), cc=(ada,), reply_to=(ada,))
        shown = "=?utf-8?b?e3sgYWRhIH19?= <ada@example.org>"

        assert request["recipients"][0]["address"]["header_to"] == shown
        assert (request["content"]["headers"]["CC"], request["content"]["reply_to"]) == (shown, shown)

    def test_bodies_stay_as_they_are(self) -> None:
        assert fields(text="{{ name }}")["content"]["text"] == "{{ name }}"


def test_the_capabilities_are_the_services_limits() -> None:
    assert SPARKPOST.capabilities(OPTIONS) == Capabilities(max_bytes=20 * 1024 * 1024 * 57 // 78, max_recipients=2_000)


def results(accepted: int, rejected: int, *refusals: str, id_: str = "1160") -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": id_,
        "total_accepted_recipients": accepted,
        "total_rejected_recipients": rejected,
    }
    if not refusals:
        return {"results": told}
    told["rcpt_to_errors"] = [
        {"message": "invalid data format/type", "description": words, "code": "1300"} for words in refusals
    ]
    return {
        "errors": [{"message": "transmission created, but with validation errors", "code": "2000"}],
        "results": told,
    }


class TestAcceptance:
    def test_the_services_id_makes_it_accepted(self) -> None:
        assert SPARKPOST.classify(REQUEST, answer(200, results(4, 0))) == Verdict(
            Outcome.ACCEPTED, "accepted as 1160", provider_message_id="1160"
        )

    def test_recipients_that_are_named_as_refused_part_from_the_others(self) -> None:
        verdict = SPARKPOST.classify(REQUEST, answer(200, results(3, 1, "Invalid address: Carol@example.org")))
        words = "invalid data format/type: Invalid address: Carol@example.org"

        assert verdict == Verdict(
            Outcome.PARTIAL,
            "3 accepted, 1 rejected",
            provider_message_id="1160",
            recipients=(
                RecipientVerdict(0, Outcome.ACCEPTED, "accepted as 1160"),
                RecipientVerdict(1, Outcome.ACCEPTED, "accepted as 1160"),
                RecipientVerdict(2, Outcome.REJECTED, words),
                RecipientVerdict(3, Outcome.ACCEPTED, "accepted as 1160"),
            ),
        )

    def test_positions_are_those_of_the_recipients_that_were_left(self) -> None:
        request = SPARKPOST.build(full_parcel((2, 3)), OPTIONS)
        verdict = SPARKPOST.classify(request, answer(200, results(1, 1, "carol@example.org")))

        assert [(share.index, share.outcome) for share in verdict.recipients] == [
            (0, Outcome.REJECTED),
            (1, Outcome.ACCEPTED),
        ]

    def test_where_nobody_is_named_nobody_knows(self) -> None:
        verdict = SPARKPOST.classify(REQUEST, answer(200, results(3, 1, "address.email is required")))

        assert verdict.outcome is Outcome.AMBIGUOUS

    def test_where_none_was_taken_all_were_refused(self) -> None:
        verdict = SPARKPOST.classify(REQUEST, answer(200, results(0, 4, *["bad address"] * 4)))

        assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, Scope.MESSAGE)


@pytest.mark.parametrize(
    ("status", "code", "words", "outcome", "pause"),
    [
        (400, "7001", "Invalid domain", Outcome.MISCONFIGURED, None),
        (400, "7000", "Blacklisted domain", Outcome.MISCONFIGURED, None),
        (401, "1303", "Unauthorized.", Outcome.MISCONFIGURED, None),
        (401, "1304", "Unauthorized.", Outcome.MISCONFIGURED, None),
        (401, None, "Unauthorized.", Outcome.MISCONFIGURED, None),
        (403, "1100", "Forbidden.", Outcome.MISCONFIGURED, None),
        (403, "1601", "Forbidden.", Outcome.MISCONFIGURED, None),
        (404, "1600", "resource not found", Outcome.MISCONFIGURED, None),
        (405, None, "method not allowed", Outcome.MISCONFIGURED, None),
        (415, None, "unsupported media type", Outcome.MISCONFIGURED, None),
        (400, "1502", "Server resources are unavailable", Outcome.TEMPORARY, None),
        (500, "1900", "Internal server error", Outcome.TEMPORARY, None),
        (503, "1900", "Service unavailable", Outcome.TEMPORARY, None),
        (420, "2101", "Exceed Sending Limit (hourly)", Outcome.THROTTLED, 600),
        (420, "2102", "Exceed Sending Limit (daily)", Outcome.THROTTLED, 600),
        (420, "2103", "Exceed Sandbox Limit", Outcome.THROTTLED, 600),
        (420, "2105", "Exceed Sending Limit (monthly)", Outcome.THROTTLED, 600),
        (420, None, "Exceed something new", Outcome.THROTTLED, 600),
        (429, None, "Too many requests", Outcome.THROTTLED, 2),
    ],
)
def test_each_error_has_its_outcome(
    status: int, code: str | None, words: str, outcome: Outcome, pause: float | None
) -> None:
    verdict = SPARKPOST.classify(REQUEST, answer(status, refused(code, words)))

    assert (verdict.outcome, verdict.retry_after_seconds) == (outcome, pause)
    assert verdict.detail == (f"{status} {code}: {words}" if code else f"{status} {words}")


@pytest.mark.parametrize(
    ("status", "code", "words", "scope"),
    [
        (400, "5002", "At least one valid recipient is required", Scope.MESSAGE),
        (400, "1902", "Recipient address suppressed due to customer policy", Scope.MESSAGE),
        (400, "1901", "Message generation rejected", Scope.MESSAGE),
        (400, "2008", "Campaign is too long", Scope.MESSAGE),
        (400, "1305", "Bad request", Scope.MESSAGE),
        (400, "9999", "Something new", Scope.MESSAGE),
        (422, "1300", "invalid data format/type", Scope.MESSAGE),
        (422, "1301", "Both content object and template_id are specified", Scope.MESSAGE),
        (422, "1400", "required field is missing", Scope.MESSAGE),
        (422, "2002", "invalid", Scope.MESSAGE),
        (422, "2007", "invalid", Scope.MESSAGE),
        (422, "3005", "template language error", Scope.MESSAGE),
        (413, None, "Payload too large", Scope.PROVIDER),
    ],
)
def test_a_refusal_binds_whom_it_is_about(status: int, code: str | None, words: str, scope: Scope) -> None:
    verdict = SPARKPOST.classify(REQUEST, answer(status, refused(code, words)))

    assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, scope)


def test_the_words_hold_message_and_description() -> None:
    reply = answer(400, refused("7001", "Invalid domain", "Unconfigured Sending Domain <example.com>"))

    assert (
        SPARKPOST.classify(REQUEST, reply).detail
        == "400 7001: Invalid domain: Unconfigured Sending Domain <example.com>"
    )


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, {"results": {}}), Outcome.AMBIGUOUS),
        (answer(200, b"<html>Log in</html>"), Outcome.MISCONFIGURED),
        (answer(503, b"<html>Service Unavailable</html>"), Outcome.AMBIGUOUS),
        (answer(504, b""), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "reset", "reset"), Outcome.AMBIGUOUS),
        (Reply(Phase.CONNECT, "refused", "refused"), Outcome.PROVIDER_DOWN),
    ],
)
def test_what_is_not_an_answer_of_sparkpost_is_judged_as_everywhere(reply: Reply, outcome: Outcome) -> None:
    assert SPARKPOST.classify(REQUEST, reply).outcome is outcome


KEYS = ("results", "id", "total_rejected_recipients", "rcpt_to_errors", "errors", "message", "description", "code")


@given(replies(*KEYS))
def test_any_reply_has_a_verdict_that_names_each_recipient_at_most_once(reply: Reply) -> None:
    verdict = SPARKPOST.classify(REQUEST, reply)

    wanted = list(range(4)) if verdict.outcome is Outcome.PARTIAL else []
    assert [share.index for share in verdict.recipients] == wanted
    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
