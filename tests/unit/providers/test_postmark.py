from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Address, Attachment
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.shares import MailRequest
from shared.providers.interface import HttpRequest, Phase, Reply, Unsendable
from shared.providers.postmark import Postmark, PostmarkOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import ID, INTERNET_MESSAGE_ID, full_parcel

POSTMARK = Postmark()
OPTIONS = PostmarkOptions(server_token=Secret("token"))
REQUEST = POSTMARK.build(full_parcel(), OPTIONS)

OK = {
    "To": "ada@example.org",
    "SubmittedAt": "2026-11-24T12:00:00Z",
    "MessageID": "b7bc2f4a-e38e-4336-af7d-e6c392c2f817",
    "ErrorCode": 0,
    "Message": "OK",
}
SOME_INACTIVE = {
    **OK,
    "Message": (
        "Message OK, but will not deliver to these inactive addresses: grace@xn--zrich-kva.example, "
        "archive@example.com. Inactive recipients are ones that have generated a hard bounce or a spam complaint."
    ),
}


def fields(*recipients: int, **changes: Any) -> Any:
    return orjson.loads(POSTMARK.build(full_parcel(recipients or None, **changes), OPTIONS).body)


def refusal(code: int, words: str = "No.") -> dict[str, Any]:
    return {"ErrorCode": code, "Message": words}


class TestBuild:
    def test_the_request_carries_the_servers_token(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://api.postmarkapp.com/email",
            {"Accept": "application/json", "Content-Type": "application/json", "X-Postmark-Server-Token": "token"},
        )

    def test_every_field_travels(self) -> None:
        assert fields() == {
            "From": "=?utf-8?b?QsO8Y2hlciAmIENvLg==?= <shop@xn--bcher-kva.example>",
            "To": "Ada Lovelace <ada@example.org>, grace@xn--zrich-kva.example",
            "Cc": '"Carol, Accounts" <carol@example.org>',
            "Bcc": "archive@example.com",
            "ReplyTo": "Hilfe <help@xn--bcher-kva.example>, desk@example.com",
            "Subject": "Your order № 7: {{ name }}",
            "TextBody": "Grüße, %recipient.name%\n",
            "HtmlBody": '<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
            "Tag": "receipt",
            "Attachments": [
                {"Name": "Übersicht 2026.pdf", "Content": "JVBERi0xLjcK", "ContentType": "application/pdf"},
                {
                    "Name": "logo.png",
                    "Content": "iVBORw0KGgo=",
                    "ContentType": "image/png",
                    "ContentID": "cid:logo@shop",
                },
            ],
            "Headers": [
                {"Name": "Message-ID", "Value": INTERNET_MESSAGE_ID},
                {"Name": "X-Reliable-Email-Id", "Value": ID},
                {"Name": "In-Reply-To", "Value": "<6@example.com>"},
                {"Name": "List-Unsubscribe", "Value": "<https://example.com/u/7>"},
                {"Name": "X-Order", "Value": "=?utf-8?b?4oSWIDc=?="},
                {"Name": "X-PM-KeepID", "Value": "true"},
            ],
            "Metadata": {"reliable-email-id": ID, "reliable-email-try": f"{ID}.1", "order": "7"},
            "MessageStream": "outbound",
        }

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert POSTMARK.build(full_parcel(), OPTIONS) == REQUEST

    def test_a_retry_names_those_that_are_left(self) -> None:
        left = fields(1, 3)

        assert (left["To"], left["Bcc"], "Cc" in left) == ("grace@xn--zrich-kva.example", "archive@example.com", False)

    def test_a_copy_that_is_left_alone_goes_to_to(self) -> None:
        assert fields(2)["To"] == '"Carol, Accounts" <carol@example.org>'

    def test_a_blind_recipient_left_alone_goes_to_to(self) -> None:
        left = fields(3)

        assert (left["To"], "Bcc" in left) == ("archive@example.com", False)

    def test_blind_recipients_never_see_each_other(self) -> None:
        with pytest.raises(Unsendable) as refused:
            fields(to=(), cc=(), bcc=(Address("a@example.org"), Address("b@example.org")))
        assert refused.value.scope is Scope.PROVIDER

    def test_the_stream_is_the_accounts_choice(self) -> None:
        request = POSTMARK.build(full_parcel(), replace(OPTIONS, message_stream="broadcast"))

        assert orjson.loads(request.body)["MessageStream"] == "broadcast"

    def test_a_message_of_files_alone_has_a_blank_text(self) -> None:
        assert fields(text=None, html=None)["TextBody"] == " "

    def test_an_image_without_html_is_a_file(self) -> None:
        assert all("ContentID" not in file for file in fields(html=None)["Attachments"])

    def test_a_local_part_beyond_ascii_is_for_another_provider(self) -> None:
        with pytest.raises(Unsendable) as refused:
            fields(cc=(Address("jürgen@example.org"),))
        assert refused.value.scope is Scope.PROVIDER

    def test_a_request_above_ten_megabytes_is_for_another_provider(self) -> None:
        file = Attachment("a.bin", "application/octet-stream", 7_500_000, b"\0" * 7_500_000)

        with pytest.raises(Unsendable) as refused:
            fields(attachments=(file,))
        assert refused.value.scope is Scope.PROVIDER

    @pytest.mark.parametrize(
        "pair",
        [("a-name-of-21-letters-", "1"), ("order", "v" * 81), ("größe", "1"), ("Reliable-Email-Try", "mine")],
    )
    def test_a_pair_that_would_make_postmark_refuse_the_message_stays_behind(self, pair: tuple[str, str]) -> None:
        assert fields(metadata=dict([pair]))["Metadata"].keys() == {"reliable-email-id", "reliable-email-try"}

    def test_no_more_than_ten_pairs_travel(self) -> None:
        assert len(fields(metadata={f"n{number}": "1" for number in range(20)})["Metadata"]) == 10


@pytest.mark.parametrize(
    ("status", "code", "words", "outcome", "scope"),
    [
        (401, 10, "Bad or missing Server API token.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 300, "Invalid 'To' address: 'ada'.", Outcome.REJECTED, Scope.MESSAGE),
        (422, 300, "Error parsing 'Cc': Illegal email domain 'a' in address 'a@a'.", Outcome.REJECTED, Scope.MESSAGE),
        (422, 300, "Error parsing 'Bcc': Illegal email address 'a'.", Outcome.REJECTED, Scope.MESSAGE),
        (422, 300, "Error parsing 'Reply-To': Illegal email address 'a'.", Outcome.REJECTED, Scope.MESSAGE),
        (422, 300, "Invalid metadata content.", Outcome.REJECTED, Scope.MESSAGE),
        (422, 300, "Provide either email TextBody or HtmlBody or both.", Outcome.REJECTED, Scope.MESSAGE),
        (422, 300, "Invalid 'From' address: 'shop'.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 400, "The 'From' address you supplied is not a Sender Signature.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 401, "Sender signature not confirmed.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 402, "Invalid JSON.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 403, "Invalid request field(s).", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 405, "Not allowed to send: out of credits.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (
            422,
            406,
            "You tried to send to a recipient that has been marked as inactive.",
            Outcome.REJECTED,
            Scope.MESSAGE,
        ),
        (422, 409, "JSON required.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 410, "Too many batch messages.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 411, "Forbidden attachment type.", Outcome.REJECTED, Scope.PROVIDER),
        (422, 412, "Account is pending approval.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 413, "Account may not send.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 1235, "The stream provided does not exist.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 1236, "Sending is not supported on this stream.", Outcome.MISCONFIGURED, Scope.MESSAGE),
        (422, 100, "Maintenance.", Outcome.TEMPORARY, Scope.MESSAGE),
        (422, 503, "Service unavailable.", Outcome.TEMPORARY, Scope.MESSAGE),
        (422, 9999, "Something new.", Outcome.REJECTED, Scope.MESSAGE),
        (413, 0, "Payload too large.", Outcome.REJECTED, Scope.PROVIDER),
        (429, 0, "Rate limit exceeded.", Outcome.THROTTLED, Scope.MESSAGE),
        (500, 0, "Internal server error.", Outcome.TEMPORARY, Scope.MESSAGE),
    ],
)
def test_a_refusal_means(status: int, code: int, words: str, outcome: Outcome, scope: Scope) -> None:
    verdict = POSTMARK.classify(REQUEST, answer(status, refusal(code, words)))

    assert (verdict.outcome, verdict.scope, words in verdict.detail) == (outcome, scope, True)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(300, Outcome.REJECTED), (406, Outcome.REJECTED), (10, Outcome.MISCONFIGURED), (100, Outcome.TEMPORARY)],
)
@pytest.mark.parametrize("status", [200, 401, 413, 500])
def test_the_code_decides_whatever_the_status(status: int, code: int, outcome: Outcome) -> None:
    assert POSTMARK.classify(REQUEST, answer(status, refusal(code))).outcome is outcome


def test_a_throttling_names_no_pause() -> None:
    assert POSTMARK.classify(REQUEST, answer(429, refusal(429))).retry_after_seconds is None


class TestAnswer:
    def test_what_was_taken_has_an_id(self) -> None:
        assert POSTMARK.classify(REQUEST, answer(200, OK)) == Verdict(
            Outcome.ACCEPTED,
            f"accepted as {OK['MessageID']}",
            provider_message_id="b7bc2f4a-e38e-4336-af7d-e6c392c2f817",
        )

    def test_a_delayed_delivery_without_a_code_is_accepted(self) -> None:
        words = "Message accepted, but delivery may be delayed."
        body = {name: value for name, value in OK.items() if name != "ErrorCode"}

        verdict = POSTMARK.classify(REQUEST, answer(200, {**body, "Message": words}))

        assert (verdict.outcome, verdict.detail) == (Outcome.ACCEPTED, words)

    def test_inactive_recipients_are_refused_and_the_others_accepted(self) -> None:
        verdict = POSTMARK.classify(REQUEST, answer(200, SOME_INACTIVE))

        assert (verdict.outcome, verdict.provider_message_id) == (Outcome.PARTIAL, OK["MessageID"])
        assert [(share.index, share.outcome) for share in verdict.recipients] == [
            (0, Outcome.ACCEPTED),
            (1, Outcome.REJECTED),
            (2, Outcome.ACCEPTED),
            (3, Outcome.REJECTED),
        ]

    def test_an_index_is_the_place_in_the_parcel(self) -> None:
        request = POSTMARK.build(full_parcel((3, 0)), OPTIONS)

        verdict = POSTMARK.classify(request, answer(200, SOME_INACTIVE))

        assert [share.outcome for share in verdict.recipients] == [Outcome.REJECTED, Outcome.ACCEPTED]

    def test_an_address_is_found_whatever_its_case(self) -> None:
        request = POSTMARK.build(
            full_parcel((0, 1), to=(Address("ada@x.example"), Address("Grace@X.Example"))), OPTIONS
        )
        words = "will not deliver to these inactive addresses: grace@x.example. Inactive recipients are"

        verdict = POSTMARK.classify(request, answer(200, {**OK, "Message": words}))

        assert verdict.recipients[1] == RecipientVerdict(1, Outcome.REJECTED, words)

    def test_a_refusal_under_status_200_is_a_refusal(self) -> None:
        assert POSTMARK.classify(REQUEST, answer(200, refusal(411))).outcome is Outcome.REJECTED

    def test_a_request_that_forgot_its_recipients_takes_the_message_as_accepted(self) -> None:
        assert POSTMARK.classify(HttpRequest("POST", "/email"), answer(200, SOME_INACTIVE)).outcome is Outcome.ACCEPTED

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (answer(200, {"Message": "OK"}), Outcome.AMBIGUOUS),
            (answer(200, b"<html>Log in</html>"), Outcome.MISCONFIGURED),
            (answer(503, b"<html></html>"), Outcome.AMBIGUOUS),
            (answer(502, refusal(0)), Outcome.AMBIGUOUS),
            (answer(401, b""), Outcome.MISCONFIGURED),
            (Reply(Phase.SENT, "reset", "reset"), Outcome.AMBIGUOUS),
            (Reply(Phase.SENDING, "reset", "reset"), Outcome.PROVIDER_DOWN),
            (Reply(Phase.CONNECT, "no", "certificate"), Outcome.MISCONFIGURED),
        ],
    )
    def test_what_is_no_answer_of_postmark_is_judged_as_everywhere(self, reply: Reply, outcome: Outcome) -> None:
        assert POSTMARK.classify(REQUEST, reply).outcome is outcome


class TestBatch:
    PARCELS = (full_parcel(), full_parcel((0, 1), subject="Second"), full_parcel((0,), subject="Third"))
    REQUEST = POSTMARK.build_batch(PARCELS, OPTIONS)

    def test_messages_stand_in_order_as_they_would_alone(self) -> None:
        alone = [orjson.loads(POSTMARK.build(parcel, OPTIONS).body) for parcel in self.PARCELS]

        assert (self.REQUEST.url, orjson.loads(self.REQUEST.body)) == (
            "https://api.postmarkapp.com/email/batch",
            alone,
        )

    def test_any_message_may_join(self) -> None:
        assert POSTMARK.may_join(self.PARCELS[0], OPTIONS)

    def test_each_message_has_its_own_verdict_in_order(self) -> None:
        reply = answer(200, [refusal(406), SOME_INACTIVE, refusal(100)])

        verdicts = POSTMARK.classify_batch(self.REQUEST, reply, 3)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.REJECTED, Outcome.PARTIAL, Outcome.TEMPORARY]
        assert [share.outcome for share in verdicts[1].recipients] == [Outcome.ACCEPTED, Outcome.REJECTED]

    def test_an_item_of_another_shape_leaves_the_others_alone(self) -> None:
        verdicts = POSTMARK.classify_batch(self.REQUEST, answer(200, [OK, "?", {"ErrorCode": []}]), 3)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.ACCEPTED, Outcome.AMBIGUOUS, Outcome.AMBIGUOUS]

    def test_a_missing_item_makes_all_doubtful(self) -> None:
        verdicts = POSTMARK.classify_batch(self.REQUEST, answer(200, [OK, OK]), 3)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.AMBIGUOUS] * 3

    def test_one_acceptance_is_not_everyones(self) -> None:
        verdicts = POSTMARK.classify_batch(self.REQUEST, answer(200, OK), 3)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.AMBIGUOUS] * 3

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (answer(401, refusal(10)), Outcome.MISCONFIGURED),
            (answer(429, refusal(429)), Outcome.THROTTLED),
            (answer(422, refusal(300, "?")), Outcome.TEMPORARY),
            (answer(413, refusal(0)), Outcome.TEMPORARY),
            (answer(200, refusal(410)), Outcome.MISCONFIGURED),
            (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
        ],
    )
    def test_what_befalls_the_request_befalls_all_and_ends_none(self, reply: Reply, outcome: Outcome) -> None:
        verdicts = POSTMARK.classify_batch(self.REQUEST, reply, 3)

        assert [verdict.outcome for verdict in verdicts] == [outcome] * 3


class TestLookup:
    REQUEST = POSTMARK.build_lookup(full_parcel(), OPTIONS)

    def found(self, attempt: str) -> Reply:
        message = {"MessageID": "m-1", "Status": "Sent", "Metadata": {"reliable-email-try": attempt}}
        return answer(200, {"TotalCount": 1, "Messages": [message]})

    def test_the_try_is_searched_by_its_key(self) -> None:
        assert (self.REQUEST.method, self.REQUEST.url, self.REQUEST.headers) == (
            "GET",
            f"https://api.postmarkapp.com/messages/outbound?count=1&offset=0&metadata_reliable-email-try={ID}.1",
            REQUEST.headers,
        )

    def test_a_message_that_is_there_was_accepted(self) -> None:
        verdict = POSTMARK.classify_lookup(self.REQUEST, self.found(f"{ID}.1"))

        assert verdict is not None
        assert (verdict.outcome, verdict.provider_message_id) == (Outcome.ACCEPTED, "m-1")

    @pytest.mark.parametrize(
        "reply",
        [
            answer(200, {"TotalCount": 0, "Messages": []}),
            answer(200, {"TotalCount": 1, "Messages": [{"MessageID": "m-1", "Metadata": {}}]}),
            answer(401, refusal(10)),
            answer(500, b""),
            Reply(Phase.CONNECT, "refused"),
        ],
    )
    def test_nothing_is_known_of_what_is_not_found(self, reply: Reply) -> None:
        assert POSTMARK.classify_lookup(self.REQUEST, reply) is None

    def test_another_try_is_not_this_one(self) -> None:
        assert POSTMARK.classify_lookup(self.REQUEST, self.found(f"{ID}.0")) is None


KEYS = ("ErrorCode", "Message", "MessageID", "To", "Messages", "Metadata", "reliable-email-try")


@given(replies(*KEYS), st.integers(1, 4))
def test_any_reply_has_its_verdicts(reply: Reply, count: int) -> None:
    request = MailRequest("POST", "/", recipients=(("a@x.example", "b@x.example"),) * count)

    verdict = POSTMARK.classify(request, reply)

    assert [share.index for share in verdict.recipients] == ([0, 1] if verdict.outcome is Outcome.PARTIAL else [])
    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
    assert len(POSTMARK.classify_batch(request, reply, count)) == count
    POSTMARK.classify_lookup(TestLookup.REQUEST, reply)
