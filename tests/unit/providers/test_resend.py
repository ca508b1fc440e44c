from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Address, Attachment
from shared.domain.outcome import Outcome, Scope
from shared.domain.secret import Secret
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS
from shared.providers.interface import Phase, Reply, Unsendable
from shared.providers.resend import Resend, ResendOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, full_parcel

RESEND = Resend()
OPTIONS = ResendOptions(api_key=Secret("re_key"))
REQUEST = RESEND.build(full_parcel(), OPTIONS)


def fields(*recipients: int, **changes: Any) -> Any:
    return orjson.loads(RESEND.build(full_parcel(recipients or None, **changes), OPTIONS).body)


def refusal(status: int, name: str, words: str = "No.") -> Reply:
    return answer(status, {"statusCode": status, "name": name, "message": words})


class TestBuild:
    def test_the_request_carries_the_key_and_the_trys_own(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://api.resend.com/emails",
            {
                "Authorization": "Bearer re_key",
                "Content-Type": "application/json",
                "User-Agent": "reliable-email",
                "Idempotency-Key": f"{ID}.1",
            },
        )

    def test_every_field_travels(self) -> None:
        assert fields() == {
            "from": "Bücher & Co. <shop@xn--bcher-kva.example>",
            "to": ["Ada Lovelace <ada@example.org>", "grace@xn--zrich-kva.example"],
            "cc": ["=?utf-8?q?Carol=2C_Accounts?= <carol@example.org>"],
            "bcc": ["archive@example.com"],
            "reply_to": ["Hilfe <help@xn--bcher-kva.example>", "desk@example.com"],
            "subject": "Your order № 7: {{ name }}",
            "text": "Grüße, %recipient.name%\n",
            "html": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
            "headers": {
                "X-Reliable-Email-Id": ID,
                "In-Reply-To": "<6@example.com>",
                "List-Unsubscribe": "<https://example.com/u/7>",
                "X-Order": "=?utf-8?b?4oSWIDc=?=",
            },
            "attachments": [
                {"filename": "Übersicht 2026.pdf", "content": "JVBERi0xLjcK", "content_type": "application/pdf"},
                {
                    "filename": "logo.png",
                    "content": "iVBORw0KGgo=",
                    "content_type": "image/png",
                    "content_id": "logo@shop",
                },
            ],
            "tags": [
                {"name": "reliable_email_id", "value": ID},
                {"name": "tag_1", "value": "receipt"},
                {"name": "tag_2", "value": "order_7"},
                {"name": "order", "value": "7"},
            ],
        }

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert RESEND.build(full_parcel(), OPTIONS) == REQUEST

    def test_a_retry_names_those_that_are_left(self) -> None:
        left = fields(2, 3)

        assert (left["to"], left["bcc"], "cc" in left) == (
            ["=?utf-8?q?Carol=2C_Accounts?= <carol@example.org>"],
            ["archive@example.com"],
            False,
        )

    @pytest.mark.parametrize("name", ["Shop, Inc.", 'The "Shop"', "Shop <shop>", "Shop: Sales", "Shop (DE)"])
    def test_a_senders_name_that_resend_cannot_read_is_for_another_provider(self, name: str) -> None:
        with pytest.raises(Unsendable) as refused:
            fields(sender=Address("shop@example.com", name))
        assert refused.value.scope is Scope.PROVIDER

    def test_a_local_part_beyond_ascii_is_for_another_provider(self) -> None:
        with pytest.raises(Unsendable):
            fields(sender=Address("jürgen@example.com"))

    @pytest.mark.parametrize(
        ("filename", "declared", "sent"),
        [
            ("report.pdf", "application/pdf", "application/pdf"),
            ("REPORT.PDF", "application/pdf", "application/pdf"),
            ("invite.ics", "text/calendar; method=REQUEST", "text/calendar; method=REQUEST"),
            ("data.xml", "text/xml", "text/xml"),
            ("report", "application/pdf", "application/pdf"),
            ("report.pdf", "application/octet-stream", None),
            ("report.pdf", "text/html", None),
            ("report.xyz", "application/pdf", None),
        ],
    )
    def test_a_type_that_the_name_contradicts_stays_behind(
        self, filename: str, declared: str, sent: str | None
    ) -> None:
        (file,) = fields(attachments=(Attachment(filename, declared, 1, b"1"),))["attachments"]

        assert file.get("content_type") == sent

    @pytest.mark.parametrize(
        ("extension", "declared"),
        [
            ("csv", "text/csv"),
            ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("eml", "message/rfc822"),
            ("gif", "image/gif"),
            ("htm", "text/html"),
            ("html", "text/html"),
            ("jpeg", "image/jpeg"),
            ("jpg", "image/jpeg"),
            ("json", "application/json"),
            ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
            ("svg", "image/svg+xml"),
            ("txt", "text/plain; charset=utf-8"),
            ("webp", "image/webp"),
            ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            ("zip", "application/zip"),
        ],
    )
    def test_a_usual_file_keeps_its_type(self, extension: str, declared: str) -> None:
        (file,) = fields(attachments=(Attachment(f"file.{extension}", declared, 1, b"1"),))["attachments"]

        assert file["content_type"] == declared

    def test_a_parcel_without_a_key_travels_without(self) -> None:
        request = RESEND.build(replace(full_parcel(), deduplication_key=""), OPTIONS)

        assert "Idempotency-Key" not in request.headers

    def test_a_repetition_is_safe_for_a_day(self) -> None:
        assert (RESEND.is_keyed, RESEND.remembers_seconds(OPTIONS)) == (True, 86_400)


@pytest.mark.parametrize(
    ("status", "name", "outcome"),
    [
        (400, "validation_error", Outcome.REJECTED),
        (422, "missing_required_field", Outcome.REJECTED),
        (422, "invalid_attachment", Outcome.REJECTED),
        (422, "invalid_parameter", Outcome.REJECTED),
        (422, "validation_error", Outcome.REJECTED),
        (422, "invalid_from_address", Outcome.MISCONFIGURED),
        (400, "invalid_idempotency_key", Outcome.MISCONFIGURED),
        (401, "missing_api_key", Outcome.MISCONFIGURED),
        (401, "restricted_api_key", Outcome.MISCONFIGURED),
        (403, "invalid_api_key", Outcome.MISCONFIGURED),
        (403, "validation_error", Outcome.MISCONFIGURED),
        (422, "invalid_access", Outcome.MISCONFIGURED),
        (451, "security_error", Outcome.MISCONFIGURED),
        (404, "not_found", Outcome.MISCONFIGURED),
        (405, "method_not_allowed", Outcome.MISCONFIGURED),
        (409, "invalid_idempotent_request", Outcome.REJECTED),
        (409, "concurrent_idempotent_requests", Outcome.AMBIGUOUS),
        (429, "rate_limit_exceeded", Outcome.THROTTLED),
        (429, "daily_quota_exceeded", Outcome.THROTTLED),
        (429, "monthly_quota_exceeded", Outcome.THROTTLED),
        (500, "application_error", Outcome.TEMPORARY),
        (500, "internal_server_error", Outcome.TEMPORARY),
    ],
)
def test_a_refusal_means(status: int, name: str, outcome: Outcome) -> None:
    verdict = RESEND.classify(REQUEST, refusal(status, name))

    assert (verdict.outcome, verdict.scope, verdict.detail) == (outcome, Scope.MESSAGE, f"{status} {name}: No.")


@pytest.mark.parametrize(
    ("name", "headers", "pause"),
    [
        ("rate_limit_exceeded", {"retry-after": "3"}, 3.0),
        ("rate_limit_exceeded", {}, None),
        ("daily_quota_exceeded", {}, QUOTA_PAUSE_SECONDS),
        ("monthly_quota_exceeded", {"retry-after": "3600"}, 3_600.0),
    ],
)
def test_a_throttling_pauses(name: str, headers: dict[str, str], pause: float | None) -> None:
    reply = replace(refusal(429, name), headers=headers)

    assert RESEND.classify(REQUEST, reply).retry_after_seconds == pause


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, {"id": "re-1"}), Outcome.ACCEPTED),
        (answer(200, {"id": ""}), Outcome.AMBIGUOUS),
        (answer(200, {}), Outcome.AMBIGUOUS),
        (answer(200, b"hello"), Outcome.MISCONFIGURED),
        (answer(403, b"error code: 1010"), Outcome.MISCONFIGURED),
        (answer(504, b""), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "time-out", "timeout"), Outcome.AMBIGUOUS),
        (Reply(Phase.CONNECT, "refused", "refused"), Outcome.PROVIDER_DOWN),
    ],
)
def test_an_answer_means(reply: Reply, outcome: Outcome) -> None:
    assert RESEND.classify(REQUEST, reply).outcome is outcome


def test_what_was_taken_has_an_id() -> None:
    assert RESEND.classify(REQUEST, answer(200, {"id": "re-1"})).provider_message_id == "re-1"


class TestBatch:
    PARCELS = tuple(full_parcel((0,), subject=subject, attachments=()) for subject in ("First", "Second", "Third"))
    REQUEST = RESEND.build_batch(PARCELS, OPTIONS)

    def outcomes(self, reply: Reply) -> list[Outcome]:
        return [verdict.outcome for verdict in RESEND.classify_batch(self.REQUEST, reply, 3)]

    def test_a_message_with_a_file_goes_alone(self) -> None:
        assert [RESEND.may_join(parcel, OPTIONS) for parcel in (full_parcel(), self.PARCELS[0])] == [False, True]

    def test_a_file_is_never_left_behind(self) -> None:
        with pytest.raises(Unsendable):
            RESEND.build_batch([self.PARCELS[0], full_parcel()], OPTIONS)

    def test_messages_stand_in_order_as_they_would_alone(self) -> None:
        alone = [orjson.loads(RESEND.build(parcel, OPTIONS).body) for parcel in self.PARCELS]

        assert (self.REQUEST.url, orjson.loads(self.REQUEST.body)) == ("https://api.resend.com/emails/batch", alone)

    def test_one_that_is_refused_does_not_hold_up_the_others(self) -> None:
        assert self.REQUEST.headers["x-batch-validation"] == "permissive"

    def test_its_key_is_made_of_the_messages_keys(self) -> None:
        key = sha256(f"{ID}.1\n{ID}.1\n{ID}.1".encode()).hexdigest()

        assert self.REQUEST.headers["Idempotency-Key"] == key

    def test_it_has_no_key_where_one_message_has_none(self) -> None:
        request = RESEND.build_batch([self.PARCELS[0], replace(self.PARCELS[1], deduplication_key="")], OPTIONS)

        assert "Idempotency-Key" not in request.headers

    def test_all_were_taken_in_order(self) -> None:
        reply = answer(200, {"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]})

        verdicts = RESEND.classify_batch(self.REQUEST, reply, 3)

        assert [verdict.provider_message_id for verdict in verdicts] == ["a", "b", "c"]

    def test_those_refused_are_named_by_number_and_the_others_follow_in_order(self) -> None:
        errors = [{"index": 1, "message": "The `to` field is invalid."}]
        reply = answer(200, {"data": [{"id": "a"}, {"id": "c"}], "errors": errors})

        verdicts = RESEND.classify_batch(self.REQUEST, reply, 3)

        assert [(verdict.outcome, verdict.provider_message_id) for verdict in verdicts] == [
            (Outcome.ACCEPTED, "a"),
            (Outcome.REJECTED, None),
            (Outcome.ACCEPTED, "c"),
        ]

    @pytest.mark.parametrize(
        "words",
        ["The example.com domain is not verified.", "You can only send testing emails to…", "Invalid `from` field."],
    )
    def test_the_accounts_fault_is_not_the_messages(self, words: str) -> None:
        errors = [{"index": number, "message": words} for number in range(3)]

        assert self.outcomes(answer(200, {"data": [], "errors": errors})) == [Outcome.MISCONFIGURED] * 3

    @pytest.mark.parametrize(
        "body",
        [
            {"data": [{"id": "a"}, {"id": "b"}]},
            {"data": [{"id": "a"}], "errors": [{"index": 7, "message": "?"}, {"index": 8, "message": "?"}]},
            {"data": [], "errors": 3},
            {"data": {}},
            [],
        ],
    )
    def test_nobody_knows_whose_is_whose_where_the_numbers_disagree(self, body: Any) -> None:
        assert self.outcomes(answer(200, body)) == [Outcome.AMBIGUOUS] * 3

    def test_an_item_of_another_shape_leaves_the_others_alone(self) -> None:
        reply = answer(200, {"data": [{"id": "a"}, None, {"id": 3}]})

        assert self.outcomes(reply) == [Outcome.ACCEPTED, Outcome.AMBIGUOUS, Outcome.AMBIGUOUS]

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (refusal(422, "validation_error"), Outcome.TEMPORARY),
            (refusal(403, "invalid_api_key"), Outcome.MISCONFIGURED),
            (refusal(429, "rate_limit_exceeded"), Outcome.THROTTLED),
            (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
        ],
    )
    def test_what_befalls_the_request_befalls_all_and_ends_none(self, reply: Reply, outcome: Outcome) -> None:
        assert self.outcomes(reply) == [outcome] * 3


@given(replies("id", "name", "message", "data", "errors", "index"), st.integers(1, 4))
def test_any_reply_has_its_verdicts(reply: Reply, count: int) -> None:
    verdict = RESEND.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
    assert len(RESEND.classify_batch(REQUEST, reply, count)) == count
