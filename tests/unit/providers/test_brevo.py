from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope
from shared.domain.secret import Secret
from shared.providers.brevo import Brevo, BrevoOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS
from shared.providers.interface import Parcel, Phase, Reply, Unsendable
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, REPORT, full_parcel

BREVO = Brevo()
OPTIONS = BrevoOptions(api_key=Secret("xkeysib-1"))
HELP = Address("help@bücher.example", "Hilfe")


def parcel(*recipients: int, **changes: Any) -> Parcel:
    """Return the full message as far as Brevo carries it."""
    able: dict[str, Any] = {"reply_to": (HELP,), "headers": (("X-Order", "7"),), "attachments": (REPORT,)}
    return full_parcel(recipients or None, **{**able, **changes})


def fields(*recipients: int, **changes: Any) -> Any:
    return orjson.loads(BREVO.build(parcel(*recipients, **changes), OPTIONS).body)


def refusal(status: int, code: str, words: str = "No.", headers: dict[str, str] | None = None) -> Reply:
    return answer(status, {"code": code, "message": words}, headers)


REQUEST = BREVO.build(parcel(), OPTIONS)


class TestBuild:
    def test_the_request_carries_the_key(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://api.brevo.com/v3/smtp/email",
            {"Accept": "application/json", "Content-Type": "application/json", "api-key": "xkeysib-1"},
        )

    def test_every_field_travels(self) -> None:
        assert fields() == {
            "sender": {"email": "shop@xn--bcher-kva.example", "name": "=?utf-8?b?QsO8Y2hlciAmIENvLg==?="},
            "to": [
                {"email": "ada@example.org", "name": "Ada Lovelace"},
                {"email": "grace@xn--zrich-kva.example"},
            ],
            "cc": [{"email": "carol@example.org", "name": "Carol, Accounts"}],
            "bcc": [{"email": "archive@example.com"}],
            "replyTo": {"email": "help@xn--bcher-kva.example", "name": "Hilfe"},
            "subject": "Your order № 7: {{ name }}",
            "textContent": "Grüße, %recipient.name%\n",
            "htmlContent": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
            "headers": {
                "X-Reliable-Email-Id": ID,
                "X-Order": "7",
                "idempotencyKey": fields()["headers"]["idempotencyKey"],
            },
            "attachment": [{"name": "Übersicht 2026.pdf", "content": "JVBERi0xLjcK"}],
            "tags": ["receipt", "order.7"],
        }

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert BREVO.build(parcel(), OPTIONS) == REQUEST

    def test_the_key_is_a_uuid_of_the_try(self) -> None:
        keys = {
            orjson.loads(BREVO.build(replace(parcel(), deduplication_key=key), OPTIONS).body)["headers"][
                "idempotencyKey"
            ]
            for key in ("a", "b", "a")
        }

        assert sorted(str(uuid.UUID(key)) for key in keys) == sorted(keys)
        assert len(keys) == 2

    def test_a_parcel_without_a_key_travels_without(self) -> None:
        request = BREVO.build(replace(parcel(), deduplication_key=""), OPTIONS)

        assert "idempotencyKey" not in orjson.loads(request.body)["headers"]

    def test_a_repetition_is_safe_for_half_an_hour(self) -> None:
        assert (BREVO.is_keyed, BREVO.remembers_seconds(OPTIONS)) == (True, 1_800)

    def test_metadata_which_recipients_would_see_stays_behind(self) -> None:
        assert b"gro" not in BREVO.build(parcel(html=None, text="x"), OPTIONS).body

    def test_a_text_becomes_html_as_well(self) -> None:
        sent = fields(html=None, text="1 < 2\n  & so on")

        assert sent["textContent"] == "1 < 2\n  & so on"
        assert '<div style="white-space:pre-wrap">1 &lt; 2\n  &amp; so on</div>' in sent["htmlContent"]

    def test_an_empty_subject_is_a_blank(self) -> None:
        assert fields(subject="")["subject"] == " "

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("Grüße", "Grüße"),
            ("Smith, Ada", "Smith, Ada"),
            ("Müller, Ada", "=?utf-8?b?TcO8bGxlciwgQWRh?="),
            ("Bücher GmbH & Co. KG", "=?utf-8?b?QsO8Y2hlciBHbWJIICYgQ28uIEtH?="),
        ],
    )
    def test_a_name_that_brevo_would_drop_travels_in_encoded_words(self, name: str, sent: str) -> None:
        assert fields(reply_to=(Address("a@example.com", name),))["replyTo"]["name"] == sent

    def test_a_retry_names_those_that_are_left(self) -> None:
        left = fields(1, 2)

        assert (left["to"], "bcc" in left) == ([{"email": "grace@xn--zrich-kva.example"}], False)

    @pytest.mark.parametrize(
        "changes",
        [
            {"attachments": full_parcel().envelope.attachments},
            {"reply_to": (HELP, Address("desk@example.com"))},
            {"headers": (("X-Order", "№ 7"),)},
            {"headers": (("In-Reply-To", "<6@example.com>"),)},
            {"headers": (("List-Unsubscribe", "<https://example.com/u/7>"),)},
        ],
    )
    def test_what_brevo_cannot_carry_is_for_another_provider(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Unsendable) as refused:
            fields(**changes)
        assert refused.value.scope is Scope.PROVIDER


@pytest.mark.parametrize(
    ("status", "code", "words", "outcome", "scope"),
    [
        (400, "invalid_parameter", "email is not valid in to", Outcome.REJECTED, Scope.MESSAGE),
        (400, "missing_parameter", "htmlContent is missing", Outcome.REJECTED, Scope.MESSAGE),
        (400, "out_of_range", "too many recipients", Outcome.REJECTED, Scope.MESSAGE),
        (400, "duplicate_parameter", "Duplicate tag", Outcome.REJECTED, Scope.MESSAGE),
        (400, "invalid_parameter", "Unsupported file format: exe", Outcome.REJECTED, Scope.PROVIDER),
        (400, "invalid_parameter", "attachment is too large", Outcome.REJECTED, Scope.PROVIDER),
        (400, "invalid_parameter", "valid sender email required", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (
            400,
            "invalid_parameter",
            "Sending has been rejected because the sender you used a@b is not valid. Validate your sender",
            Outcome.MISCONFIGURED,
            Scope.MESSAGE,
        ),
        (400, "invalid_parameter", "sender not verified", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (401, "unauthorized", "Key not found", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (403, "permission_denied", "Not allowed", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (403, "account_under_validation", "Under validation", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (404, "document_not_found", "Template not found", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (405, "method_not_allowed", "No.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (406, "not_acceptable", "No.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (402, "not_enough_credits", "Not enough credits", Outcome.THROTTLED, Scope.MESSAGE),
        (429, "too_many_requests", "Slow down", Outcome.THROTTLED, Scope.MESSAGE),
        (413, "too_large", "Too large", Outcome.REJECTED, Scope.PROVIDER),
        (500, "internal", "Oops", Outcome.TEMPORARY, Scope.MESSAGE),
        (503, "unavailable", "Oops", Outcome.TEMPORARY, Scope.MESSAGE),
    ],
)
def test_a_refusal_means(status: int, code: str, words: str, outcome: Outcome, scope: Scope) -> None:
    verdict = BREVO.classify(REQUEST, refusal(status, code, words))

    assert (verdict.outcome, verdict.scope, verdict.detail) == (outcome, scope, f"{status} {code}: {words}")


@pytest.mark.parametrize(
    ("code", "words"),
    [("duplicate_request", "Duplicate"), ("duplicate_parameter", "idempotencyKey was already used")],
)
def test_a_repetition_says_that_the_message_was_accepted_before(code: str, words: str) -> None:
    assert BREVO.classify(REQUEST, refusal(400, code, words)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("reply", "pause"),
    [
        (refusal(429, "too_many_requests", headers={"x-sib-ratelimit-reset": "12"}), 12.0),
        (refusal(429, "too_many_requests"), None),
        (refusal(429, "too_many_requests", headers={"x-sib-ratelimit-reset": "soon"}), None),
        (refusal(402, "not_enough_credits", headers={"x-sib-ratelimit-reset": "1"}), QUOTA_PAUSE_SECONDS),
    ],
)
def test_a_throttling_pauses(reply: Reply, pause: float | None) -> None:
    verdict = BREVO.classify(REQUEST, reply)

    assert (verdict.outcome, verdict.retry_after_seconds) == (Outcome.THROTTLED, pause)


def test_what_was_taken_has_an_id() -> None:
    verdict = BREVO.classify(REQUEST, answer(201, {"messageId": "<1@smtp-relay.mailin.fr>"}))

    assert (verdict.outcome, verdict.provider_message_id) == (Outcome.ACCEPTED, "<1@smtp-relay.mailin.fr>")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(201, {}), Outcome.AMBIGUOUS),
        (answer(200, b"<html></html>"), Outcome.MISCONFIGURED),
        (answer(502, b""), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
    ],
)
def test_what_is_no_answer_of_brevo_is_judged_as_everywhere(reply: Reply, outcome: Outcome) -> None:
    assert BREVO.classify(REQUEST, reply).outcome is outcome


@given(replies("code", "message", "messageId", headers=("x-sib-ratelimit-reset",)))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = BREVO.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
