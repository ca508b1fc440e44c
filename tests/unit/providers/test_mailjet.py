from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.interface import Parcel, Phase, Reply, Unsendable
from shared.providers.mailjet import Mailjet, MailjetOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, full_parcel

MAILJET = Mailjet()
OPTIONS = MailjetOptions(public_key="public", private_key=Secret("private"))
HELP = Address("help@bücher.example", "Hilfe, sofort")


def parcel(*recipients: int, **changes: Any) -> Parcel:
    """Return the full message with the one address for replies that Mailjet takes."""
    return full_parcel(recipients or None, **{"reply_to": (HELP,), **changes})


def fields(*recipients: int, **changes: Any) -> Any:
    (message,) = orjson.loads(MAILJET.build(parcel(*recipients, **changes), OPTIONS).body)["Messages"]
    return message


def taken(number: int) -> dict[str, Any]:
    sent = {"Email": "ada@example.org", "MessageUUID": "u", "MessageID": number, "MessageHref": "h"}
    return {"Status": "success", "CustomID": "c", "To": [sent, {**sent, "MessageID": number + 1}], "Cc": [], "Bcc": []}


def refused(status: int, code: str, words: str = "No.") -> dict[str, Any]:
    error = {
        "ErrorIdentifier": "e",
        "ErrorCode": code,
        "StatusCode": status,
        "ErrorMessage": words,
        "ErrorRelatedTo": ["To"],
    }
    return {"Status": "error", "Errors": [error]}


def whole(status: int, code: str | None, words: str = "No.") -> Reply:
    body = {"ErrorIdentifier": "e", "StatusCode": status, "ErrorMessage": words}
    return answer(status, body if code is None else {**body, "ErrorCode": code})


REQUEST = MAILJET.build(parcel(), OPTIONS)


class TestBuild:
    def test_the_request_carries_both_keys(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://api.mailjet.com/v3.1/send",
            {"Authorization": "Basic cHVibGljOnByaXZhdGU=", "Content-Type": "application/json"},
        )

    def test_every_field_travels(self) -> None:
        assert fields() == {
            "From": {"Email": "shop@xn--bcher-kva.example", "Name": "Bücher & Co."},
            "To": [
                {"Email": "ada@example.org", "Name": "Ada Lovelace"},
                {"Email": "grace@xn--zrich-kva.example"},
            ],
            "Cc": [{"Email": "carol@example.org", "Name": "Carol, Accounts"}],
            "Bcc": [{"Email": "archive@example.com"}],
            "ReplyTo": {"Email": "help@xn--bcher-kva.example", "Name": "Hilfe, sofort"},
            "Subject": "Your order № 7: {{ name }}",
            "TextPart": "Grüße, %recipient.name%\n",
            "HTMLPart": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
            "Attachments": [
                {"ContentType": "application/pdf", "Filename": "Übersicht 2026.pdf", "Base64Content": "JVBERi0xLjcK"}
            ],
            "InlinedAttachments": [
                {
                    "ContentType": "image/png",
                    "Filename": "logo.png",
                    "Base64Content": "iVBORw0KGgo=",
                    "ContentID": "logo@shop",
                }
            ],
            "Headers": {
                "X-Reliable-Email-Id": ID,
                "In-Reply-To": "<6@example.com>",
                "List-Unsubscribe": "<https://example.com/u/7>",
                "X-Order": "=?utf-8?b?4oSWIDc=?=",
            },
            "CustomID": f"{ID}.1",
            "CustomCampaign": "receipt",
            "EventPayload": '{"order":"7","größe":"groß"}',
        }

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert MAILJET.build(parcel(), OPTIONS) == REQUEST

    def test_a_retry_names_those_that_are_left(self) -> None:
        left = fields(0, 3)

        assert ([to["Email"] for to in left["To"]], left["Bcc"], "Cc" in left) == (
            ["ada@example.org"],
            [{"Email": "archive@example.com"}],
            False,
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"reply_to": (HELP, Address("desk@example.com"))},
            {"subject": "s" * 256},
            {"headers": (("List-Id", "<a.example.com>"),)},
            {"headers": (("User-Agent", "shop/1"),)},
            {"headers": (("X-Mailer", "shop/1"),)},
            {"headers": (("X-Feedback-Id", "1"),)},
            {"headers": (("X-MJ-CustomID", "1"),)},
            {"headers": (("x-mailjet-campaign", "1"),)},
            {"to": (), "cc": (), "bcc": (Address("a@example.org"), Address("b@example.org"))},
        ],
    )
    def test_what_mailjet_cannot_carry_is_for_another_provider(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Unsendable) as refusal:
            fields(**changes)
        assert refusal.value.scope is Scope.PROVIDER


ERRORS = [
    (401, "mj-0001", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (401, "mj-0015", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (403, "send-0006", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (403, "send-0007", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (403, "send-0008", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (400, "mj-0003", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0004", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0005", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0006", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0007", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0012", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0013", Outcome.REJECTED, Scope.MESSAGE),
    (400, "send-0003", Outcome.REJECTED, Scope.MESSAGE),
    (400, "send-0004", Outcome.REJECTED, Scope.MESSAGE),
    (400, "send-0015", Outcome.REJECTED, Scope.MESSAGE),
    (400, "mj-0008", Outcome.REJECTED, Scope.PROVIDER),
    (400, "mj-0011", Outcome.REJECTED, Scope.PROVIDER),
    (400, "send-0011", Outcome.REJECTED, Scope.PROVIDER),
    (400, "mj-0002", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (400, "send-0010", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (400, "send-0012", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (400, "send-0013", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (400, "send-0016", Outcome.MISCONFIGURED, Scope.MESSAGE),
    (413, "mj-9999", Outcome.REJECTED, Scope.PROVIDER),
    (429, "mj-9999", Outcome.THROTTLED, Scope.MESSAGE),
    (500, "mj-9999", Outcome.TEMPORARY, Scope.MESSAGE),
]


@pytest.mark.parametrize(("status", "code", "outcome", "scope"), ERRORS)
def test_a_refused_message_means(status: int, code: str, outcome: Outcome, scope: Scope) -> None:
    verdict = MAILJET.classify(REQUEST, answer(status, {"Messages": [refused(status, code)]}))

    assert (verdict.outcome, verdict.scope, verdict.detail) == (outcome, scope, f"{status} {code}: No.")


@pytest.mark.parametrize("code", ["mj-0003", "mj-0007", "mj-0012", "send-0004", "send-0015"])
def test_the_code_decides_whatever_the_status(code: str) -> None:
    verdict = MAILJET.classify(REQUEST, answer(403, {"Messages": [refused(403, code)]}))

    assert verdict.outcome is Outcome.REJECTED


@pytest.mark.parametrize(("status", "code", "outcome", "scope"), ERRORS)
def test_a_refused_call_means_the_same(status: int, code: str, outcome: Outcome, scope: Scope) -> None:
    verdict = MAILJET.classify(REQUEST, whole(status, code))

    assert (verdict.outcome, verdict.scope) == (outcome, scope)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (whole(401, None, "API key authentication/authorization failure."), Outcome.MISCONFIGURED),
        (whole(429, None, "Too many requests"), Outcome.THROTTLED),
        (whole(200, None), Outcome.AMBIGUOUS),
        (answer(200, {"Messages": []}), Outcome.AMBIGUOUS),
        (answer(200, {"Messages": [{"Status": "success"}]}), Outcome.AMBIGUOUS),
        (answer(200, {"Messages": [{"Status": "error", "Errors": []}]}), Outcome.AMBIGUOUS),
        (answer(200, b"<html></html>"), Outcome.MISCONFIGURED),
        (answer(504, b""), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
    ],
)
def test_an_answer_means(reply: Reply, outcome: Outcome) -> None:
    assert MAILJET.classify(REQUEST, reply).outcome is outcome


def test_what_was_taken_has_the_first_recipients_id() -> None:
    number = 2**63 - 2

    assert MAILJET.classify(REQUEST, answer(200, {"Messages": [taken(number)]})) == Verdict(
        Outcome.ACCEPTED, f"accepted as {number}", provider_message_id=str(number)
    )


class TestBatch:
    PARCELS = (parcel(), parcel(subject="Second"), parcel(subject="Third"))
    REQUEST = MAILJET.build_batch(PARCELS, OPTIONS)

    def test_messages_stand_in_order_as_they_would_alone(self) -> None:
        alone = [orjson.loads(MAILJET.build(one, OPTIONS).body)["Messages"][0] for one in self.PARCELS]

        assert orjson.loads(self.REQUEST.body) == {"Messages": alone}

    def test_any_message_may_join(self) -> None:
        assert MAILJET.may_join(self.PARCELS[0], OPTIONS)

    def test_each_message_has_its_own_verdict_in_order_whatever_the_status(self) -> None:
        items = [refused(403, "send-0008"), taken(7), refused(400, "mj-0013")]

        verdicts = MAILJET.classify_batch(self.REQUEST, answer(403, {"Messages": items}), 3)

        assert [(verdict.outcome, verdict.provider_message_id) for verdict in verdicts] == [
            (Outcome.MISCONFIGURED, None),
            (Outcome.ACCEPTED, "7"),
            (Outcome.REJECTED, None),
        ]

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (answer(200, {"Messages": [taken(1)]}), Outcome.AMBIGUOUS),
            (whole(400, "mj-0002"), Outcome.MISCONFIGURED),
            (whole(400, "mj-0008"), Outcome.TEMPORARY),
            (whole(429, None), Outcome.THROTTLED),
            (Reply(Phase.CONNECT, "refused"), Outcome.PROVIDER_DOWN),
        ],
    )
    def test_what_befalls_the_request_befalls_all_and_ends_none(self, reply: Reply, outcome: Outcome) -> None:
        verdicts = MAILJET.classify_batch(self.REQUEST, reply, 3)

        assert [verdict.outcome for verdict in verdicts] == [outcome] * 3


class TestLookup:
    REQUEST = MAILJET.build_lookup(parcel(), OPTIONS)

    def test_the_try_is_searched_by_its_id(self) -> None:
        assert (self.REQUEST.method, self.REQUEST.url, self.REQUEST.headers) == (
            "GET",
            f"https://api.mailjet.com/v3/REST/message?CustomID={ID}.1&ShowCustomID=true",
            REQUEST.headers,
        )

    def test_the_id_is_the_one_that_was_sent(self) -> None:
        unkeyed = replace(parcel(), deduplication_key="")
        sent = orjson.loads(MAILJET.build(unkeyed, OPTIONS).body)["Messages"][0]["CustomID"]

        assert f"CustomID={sent}&" in MAILJET.build_lookup(unkeyed, OPTIONS).url

    @pytest.mark.parametrize("shown", [{"CustomID": f"{ID}.1"}, {}])
    def test_a_message_that_is_there_was_accepted(self, shown: dict[str, str]) -> None:
        reply = answer(200, {"Count": 1, "Data": [{"ID": 7, "Status": "sent", **shown}], "Total": 1})

        verdict = MAILJET.classify_lookup(self.REQUEST, reply)

        assert verdict is not None
        assert (verdict.outcome, verdict.provider_message_id) == (Outcome.ACCEPTED, "7")

    @pytest.mark.parametrize(
        "reply",
        [
            answer(200, {"Count": 0, "Data": [], "Total": 0}),
            answer(200, {"Count": 1, "Data": [{"ID": 7, "CustomID": f"{ID}.0"}]}),
            whole(401, None),
            answer(503, b""),
            Reply(Phase.SENT, "reset"),
        ],
    )
    def test_nothing_is_known_of_what_is_not_found(self, reply: Reply) -> None:
        assert MAILJET.classify_lookup(self.REQUEST, reply) is None


KEYS = ("Messages", "Status", "To", "MessageID", "Errors", "ErrorCode", "StatusCode", "ErrorMessage", "Data", "ID")


@given(replies(*KEYS), st.integers(1, 4))
def test_any_reply_has_its_verdicts(reply: Reply, count: int) -> None:
    verdicts = MAILJET.classify_batch(REQUEST, reply, count)

    assert len(verdicts) == count
    assert all(verdict.outcome is not Outcome.ACCEPTED or verdict.provider_message_id for verdict in verdicts)
    MAILJET.classify(REQUEST, reply)
    MAILJET.classify_lookup(TestLookup.REQUEST, reply)
