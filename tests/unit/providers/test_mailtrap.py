from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope
from shared.domain.secret import Secret
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS
from shared.providers.interface import Parcel, Phase, Reply, Unsendable
from shared.providers.mailtrap import Mailtrap, MailtrapOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, full_parcel

MAILTRAP = Mailtrap()
OPTIONS = MailtrapOptions(api_key=Secret("key"))
HELP = Address("help@bücher.example", "Hilfe")


def parcel(*recipients: int, **changes: Any) -> Parcel:
    """Return the full message with the one address for replies that Mailtrap takes."""
    return full_parcel(recipients or None, **{"reply_to": (HELP,), **changes})


def fields(*recipients: int, **changes: Any) -> Any:
    return orjson.loads(MAILTRAP.build(parcel(*recipients, **changes), OPTIONS).body)


def refused(*words: str) -> dict[str, Any]:
    return {"success": False, "errors": list(words)}


def taken(*ids: str) -> dict[str, Any]:
    return {"success": True, "message_ids": list(ids)}


REQUEST = MAILTRAP.build(parcel(), OPTIONS)


class TestBuild:
    def test_the_request_carries_the_token_and_says_who_asks(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://send.api.mailtrap.io/api/send",
            {
                "Accept": "application/json",
                "Authorization": "Bearer key",
                "Content-Type": "application/json",
                "User-Agent": "reliable-email",
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
            "category": "receipt",
            "headers": {
                "X-Reliable-Email-Id": ID,
                "In-Reply-To": "<6@example.com>",
                "List-Unsubscribe": "<https://example.com/u/7>",
                "X-Order": "=?utf-8?b?4oSWIDc=?=",
            },
            "custom_variables": {"reliable-email-id": ID, "order": "7", "größe": "groß"},
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
        }

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert MAILTRAP.build(parcel(), OPTIONS) == REQUEST

    def test_a_retry_names_those_that_are_left(self) -> None:
        left = fields(3)

        assert (left["to"], "cc" in left, "bcc" in left) == ([{"email": "archive@example.com"}], False, False)

    def test_a_variable_that_does_not_fit_stays_behind(self) -> None:
        assert fields(metadata={"long": "x" * 1_000, "order": "7"})["custom_variables"].keys() == {
            "reliable-email-id",
            "order",
        }

    def test_two_addresses_for_replies_are_for_another_provider(self) -> None:
        with pytest.raises(Unsendable) as refusal:
            fields(reply_to=(HELP, Address("desk@example.com")))
        assert refusal.value.scope is Scope.PROVIDER


@pytest.mark.parametrize(
    ("status", "words", "outcome"),
    [
        (400, "'to' address is invalid", Outcome.REJECTED),
        (400, "'from' domain example.com is not allowed", Outcome.MISCONFIGURED),
        (400, "Sending from domain example.com is not verified", Outcome.MISCONFIGURED),
        (400, "Daily sending limit reached", Outcome.THROTTLED),
        (403, "Your plan quota has been exceeded", Outcome.THROTTLED),
        (400, "Attachments exceed the size limit", Outcome.REJECTED),
        (401, "Unauthorized", Outcome.MISCONFIGURED),
        (403, "Forbidden", Outcome.MISCONFIGURED),
        (429, "Rate limit exceeded", Outcome.THROTTLED),
        (500, "Internal error", Outcome.TEMPORARY),
    ],
)
def test_a_refusal_means(status: int, words: str, outcome: Outcome) -> None:
    verdict = MAILTRAP.classify(REQUEST, answer(status, refused(words)))

    assert (verdict.outcome, verdict.scope, verdict.detail) == (outcome, Scope.MESSAGE, f"{status} {words}")


def test_a_spent_quota_pauses_for_long() -> None:
    verdict = MAILTRAP.classify(REQUEST, answer(403, refused("Monthly limit exceeded")))

    assert verdict.retry_after_seconds == QUOTA_PAUSE_SECONDS


def test_a_refusal_may_stand_under_another_name() -> None:
    assert MAILTRAP.classify(REQUEST, answer(401, {"error": "Incorrect API token"})).detail == "401 Incorrect API token"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, taken("a", "b")), Outcome.ACCEPTED),
        (answer(200, taken()), Outcome.AMBIGUOUS),
        (answer(200, refused("'to' address is invalid")), Outcome.REJECTED),
        (answer(200, {}), Outcome.AMBIGUOUS),
        (answer(200, b"<html></html>"), Outcome.MISCONFIGURED),
        (answer(520, b""), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
    ],
)
def test_an_answer_means(reply: Reply, outcome: Outcome) -> None:
    assert MAILTRAP.classify(REQUEST, reply).outcome is outcome


def test_what_was_taken_has_the_first_recipients_id() -> None:
    assert MAILTRAP.classify(REQUEST, answer(200, taken("a", "b"))).provider_message_id == "a"


class TestBatch:
    PARCELS = (parcel(), parcel(subject="Second"), parcel(subject="Third"))
    REQUEST = MAILTRAP.build_batch(PARCELS, OPTIONS)

    def test_messages_stand_in_order_as_they_would_alone(self) -> None:
        alone = [orjson.loads(MAILTRAP.build(one, OPTIONS).body) for one in self.PARCELS]

        assert (self.REQUEST.url, orjson.loads(self.REQUEST.body)) == (
            "https://send.api.mailtrap.io/api/batch",
            {"base": {}, "requests": alone},
        )

    def test_any_message_may_join(self) -> None:
        assert MAILTRAP.may_join(self.PARCELS[0], OPTIONS)

    def test_each_message_has_its_own_verdict_in_order(self) -> None:
        responses = [taken("a"), refused("'to' address is invalid"), refused("domain x is not verified")]

        verdicts = MAILTRAP.classify_batch(self.REQUEST, answer(200, {"success": True, "responses": responses}), 3)

        assert [(verdict.outcome, verdict.provider_message_id) for verdict in verdicts] == [
            (Outcome.ACCEPTED, "a"),
            (Outcome.REJECTED, None),
            (Outcome.MISCONFIGURED, None),
        ]

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (answer(200, {"success": True, "responses": [taken("a")]}), Outcome.AMBIGUOUS),
            (answer(200, {"success": False, "errors": ["Unauthorized"], "responses": []}), Outcome.MISCONFIGURED),
            (answer(200, refused("'requests' is too large")), Outcome.TEMPORARY),
            (answer(200, {"success": True}), Outcome.AMBIGUOUS),
            (answer(429, refused("Rate limit exceeded")), Outcome.THROTTLED),
            (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
        ],
    )
    def test_what_befalls_the_request_befalls_all_and_ends_none(self, reply: Reply, outcome: Outcome) -> None:
        verdicts = MAILTRAP.classify_batch(self.REQUEST, reply, 3)

        assert [verdict.outcome for verdict in verdicts] == [outcome] * 3


@given(replies("success", "message_ids", "errors", "error", "responses"), st.integers(1, 4))
def test_any_reply_has_its_verdicts(reply: Reply, count: int) -> None:
    verdicts = (MAILTRAP.classify(REQUEST, reply), *MAILTRAP.classify_batch(REQUEST, reply, count))

    assert len(verdicts) == count + 1
    assert all(verdict.outcome is not Outcome.ACCEPTED or verdict.provider_message_id for verdict in verdicts)
