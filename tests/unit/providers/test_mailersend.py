from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS
from shared.providers.interface import Parcel, Phase, Reply, Unsendable
from shared.providers.mailersend import MailerSend, MailerSendOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, full_parcel

MAILERSEND = MailerSend()
OPTIONS = MailerSendOptions(api_key=Secret("mlsn.key"))
ENTERPRISE = replace(OPTIONS, custom_headers=True)
HELP = Address("help@bücher.example", "Hilfe")
THREAD = (("In-Reply-To", "<6@example.com>"), ("References", "<5@example.com> <6@example.com>"))


def parcel(*recipients: int, **changes: Any) -> Parcel:
    """Return the full message with the one address for replies that MailerSend takes."""
    return full_parcel(recipients or None, **{"reply_to": (HELP,), **changes})


def fields(*recipients: int, options: MailerSendOptions = ENTERPRISE, **changes: Any) -> Any:
    return orjson.loads(MAILERSEND.build(parcel(*recipients, **changes), options).body)


def refusal(status: int, *codes: str, headers: dict[str, str] | None = None) -> Reply:
    errors = {"errors": {"from.email": [f"No. #{code}" for code in codes]}} if codes else {}
    return answer(status, {"message": "The given data was invalid.", **errors}, headers)


def warning(kind: str, *emails: str) -> dict[str, Any]:
    recipients = [{"email": email, "name": None, "reasons": ["hard_bounced"]} for email in emails]
    return {
        "message": "There are some warnings for your request.",
        "warnings": [{"type": kind, "recipients": recipients}],
    }


REQUEST = MAILERSEND.build(parcel(), ENTERPRISE)


class TestBuild:
    def test_the_request_carries_the_token(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://api.mailersend.com/v1/email",
            {
                "Accept": "application/json",
                "Authorization": "Bearer mlsn.key",
                "Content-Type": "application/json",
            },
        )

    def test_every_field_travels(self) -> None:
        assert fields() == {
            "from": {"email": "shop@xn--bcher-kva.example", "name": "Bücher & Co."},
            "to": [
                {"email": "ada@example.org", "name": "Ada Lovelace"},
                {"email": "grace@xn--zrich-kva.example"},
            ],
            "cc": [{"email": "carol@example.org", "name": "Carol, Accounts"}],
            "bcc": [{"email": "archive@example.com"}],
            "reply_to": {"email": "help@xn--bcher-kva.example", "name": "Hilfe"},
            "subject": "Your order № 7: {{ name }}",
            "text": "Grüße, %recipient.name%\n",
            "html": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
            "attachments": [
                {"content": "JVBERi0xLjcK", "filename": "Übersicht 2026.pdf", "disposition": "attachment"},
                {"content": "iVBORw0KGgo=", "filename": "logo.png", "disposition": "inline", "id": "logo@shop"},
            ],
            "tags": ["receipt", "order.7"],
            "in_reply_to": "<6@example.com>",
            "headers": [
                {"name": "X-Reliable-Email-Id", "value": ID},
                {"name": "List-Unsubscribe", "value": "<https://example.com/u/7>"},
                {"name": "X-Order", "value": "=?utf-8?b?4oSWIDc=?="},
            ],
        }

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert MAILERSEND.build(parcel(), ENTERPRISE) == REQUEST

    def test_a_thread_is_told_in_fields_of_any_plan(self) -> None:
        sent = fields(options=OPTIONS, headers=THREAD)

        assert (sent["in_reply_to"], sent["references"], "headers" in sent) == (
            "<6@example.com>",
            ["<5@example.com>", "<6@example.com>"],
            False,
        )

    def test_another_header_is_for_another_provider_where_the_plan_has_none(self) -> None:
        with pytest.raises(Unsendable) as refused:
            fields(options=OPTIONS)
        assert refused.value.scope is Scope.PROVIDER

    def test_metadata_has_no_field(self) -> None:
        assert "größe".encode() not in REQUEST.body

    def test_five_tags_travel(self) -> None:
        assert fields(tags=tuple("abcdef"))["tags"] == list("abcde")

    def test_a_retry_names_those_that_are_left(self) -> None:
        left = fields(1)

        assert (left["to"], "cc" in left, "bcc" in left) == ([{"email": "grace@xn--zrich-kva.example"}], False, False)

    @pytest.mark.parametrize(
        "changes",
        [
            {"reply_to": (HELP, Address("desk@example.com"))},
            {"cc": tuple(Address(f"r{number}@example.org") for number in range(11))},
            {"bcc": tuple(Address(f"r{number}@example.org") for number in range(11))},
        ],
    )
    def test_what_mailersend_cannot_carry_is_for_another_provider(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Unsendable) as refused:
            fields(**changes)
        assert refused.value.scope is Scope.PROVIDER


def rows(status: int, numbers: str, outcome: Outcome, scope: Scope = Scope.MESSAGE) -> list[Any]:
    return [(status, f"MS{number}", outcome, scope) for number in numbers.split()]


@pytest.mark.parametrize(
    ("status", "code", "outcome", "scope"),
    [
        *rows(403, "40301 40302 40303 40304 40305", Outcome.MISCONFIGURED),
        *rows(422, "42207 42216 42222 42225 42226", Outcome.MISCONFIGURED),
        *rows(422, "42204", Outcome.THROTTLED),
        *rows(422, "42201 42205 42208 42209 42211 42213 42214 42215", Outcome.REJECTED),
        *rows(422, "42217 42218 42219 42220 42221", Outcome.REJECTED),
        *rows(422, "42202 42206 42210", Outcome.REJECTED, Scope.PROVIDER),
        *rows(422, "42299", Outcome.REJECTED),
        *rows(429, "42903 42901", Outcome.THROTTLED),
    ],
)
def test_a_code_means(status: int, code: str, outcome: Outcome, scope: Scope) -> None:
    verdict = MAILERSEND.classify(REQUEST, refusal(status, code))

    assert (verdict.outcome, verdict.scope) == (outcome, scope)
    assert verdict.detail == f"{status} {code}: The given data was invalid. No. #{code}"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, Outcome.MISCONFIGURED),
        (403, Outcome.MISCONFIGURED),
        (404, Outcome.MISCONFIGURED),
        (422, Outcome.REJECTED),
        (429, Outcome.THROTTLED),
        (408, Outcome.TEMPORARY),
        (421, Outcome.TEMPORARY),
        (500, Outcome.TEMPORARY),
        (503, Outcome.TEMPORARY),
        (504, Outcome.AMBIGUOUS),
    ],
)
def test_a_status_without_a_code_means(status: int, outcome: Outcome) -> None:
    assert MAILERSEND.classify(REQUEST, refusal(status)).outcome is outcome


@pytest.mark.parametrize(
    ("reply", "pause"),
    [
        (refusal(429, "MS42903", headers={"retry-after": "42"}), 42.0),
        (refusal(429, "MS42903"), None),
        (refusal(429, "MS42901", headers={"x-apiquota-reset": "2026-11-25T00:00:00Z", "retry-after": "1"}), 43_200.0),
        (refusal(429, "MS42901", headers={"x-apiquota-reset": "2026-11-25T00:00:00"}), 43_200.0),
        (refusal(429, "MS42901", headers={"x-apiquota-reset": "2026-11-25T02:00:00+02:00"}), 43_200.0),
        (refusal(429, "MS42901", headers={"x-apiquota-reset": "soon"}), QUOTA_PAUSE_SECONDS),
        (refusal(429, "MS42901"), QUOTA_PAUSE_SECONDS),
        (refusal(422, "MS42204"), QUOTA_PAUSE_SECONDS),
    ],
)
def test_a_throttling_pauses(reply: Reply, pause: float | None) -> None:
    assert MAILERSEND.classify(REQUEST, reply).retry_after_seconds == pause


class TestAnswer:
    def test_an_empty_answer_has_the_id_in_its_header(self) -> None:
        assert MAILERSEND.classify(REQUEST, answer(202, b"", {"x-message-id": "m-1"})) == Verdict(
            Outcome.ACCEPTED, "accepted as m-1", provider_message_id="m-1"
        )

    def test_a_paused_domain_took_this_message_and_gets_no_others(self) -> None:
        verdict = MAILERSEND.classify(REQUEST, answer(202, b"", {"x-message-id": "m-1", "x-send-paused": "true"}))

        assert (verdict.outcome, bool(verdict.account_fault)) == (Outcome.ACCEPTED, True)

    def test_suppressed_recipients_are_refused_and_the_others_accepted(self) -> None:
        body = warning("SOME_SUPPRESSED", "Grace@xn--zrich-kva.example")

        verdict = MAILERSEND.classify(REQUEST, answer(202, body, {"x-message-id": "m-1"}))

        assert (verdict.outcome, verdict.provider_message_id) == (Outcome.PARTIAL, "m-1")
        assert [(share.index, share.outcome, share.detail) for share in verdict.recipients] == [
            (0, Outcome.ACCEPTED, "accepted as m-1"),
            (1, Outcome.REJECTED, "suppressed: hard_bounced"),
            (2, Outcome.ACCEPTED, "accepted as m-1"),
            (3, Outcome.ACCEPTED, "accepted as m-1"),
        ]

    def test_a_message_for_suppressed_recipients_alone_is_refused(self) -> None:
        body = warning("ALL_SUPPRESSED", "ada@example.org")

        verdict = MAILERSEND.classify(REQUEST, answer(202, body))

        assert (verdict.outcome, verdict.scope, verdict.detail) == (
            Outcome.REJECTED,
            Scope.MESSAGE,
            "suppressed: hard_bounced",
        )

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (answer(202, b""), Outcome.AMBIGUOUS),
            (answer(202, warning("SOME_SUPPRESSED", "ada@example.org")), Outcome.AMBIGUOUS),
            (answer(200, b"<html>Log in</html>"), Outcome.MISCONFIGURED),
            (answer(502, b"<html></html>"), Outcome.AMBIGUOUS),
            (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
        ],
    )
    def test_what_is_no_answer_of_mailersend_is_judged_as_everywhere(self, reply: Reply, outcome: Outcome) -> None:
        assert MAILERSEND.classify(REQUEST, reply).outcome is outcome


KEYS = ("message", "errors", "warnings", "type", "recipients", "email", "reasons")
HEADERS = ("x-message-id", "x-send-paused", "x-apiquota-reset")


@given(replies(*KEYS, headers=HEADERS))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = MAILERSEND.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
