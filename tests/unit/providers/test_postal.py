from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import orjson
import pytest
from hypothesis import given

from shared.domain.outcome import Outcome, Scope
from shared.domain.secret import Secret
from shared.mime.writer import render
from shared.providers.interface import Phase, Reply
from shared.providers.postal import Postal, PostalOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import DATE, ID, INTERNET_MESSAGE_ID, full_envelope, full_parcel

POSTAL = Postal()
OPTIONS = PostalOptions(base_url="https://postal.example.com", api_key=Secret("key"))
REQUEST = POSTAL.build(full_parcel(), OPTIONS)
EVERYONE = ["ada@example.org", "grace@xn--zrich-kva.example", "carol@example.org", "archive@example.com"]


def fields(*recipients: int) -> Any:
    return orjson.loads(POSTAL.build(full_parcel(recipients or None), OPTIONS).body)


def taken(*recipients: str) -> Reply:
    messages = {address: {"id": number, "token": "t"} for number, address in enumerate(recipients)}
    data = {"message_id": "p-1@rp.postal.example.com", "messages": messages}
    return answer(200, {"status": "success", "time": 0.1, "flags": {}, "data": data})


def refused(code: str) -> Reply:
    return answer(200, {"status": "error", "time": 0.1, "flags": {}, "data": {"code": code, "message": "No."}})


class TestBuild:
    def test_the_request_carries_the_key(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers) == (
            "POST",
            "https://postal.example.com/api/v1/send/raw",
            {"Content-Type": "application/json", "X-Server-API-Key": "key"},
        )

    def test_the_envelope_names_everyone_and_bounces_go_to_the_return_path(self) -> None:
        sent = fields()

        assert (sent["mail_from"], sent["rcpt_to"], sent["bounce"]) == ("bounces@example.com", EVERYONE, False)

    def test_bounces_go_to_the_sender_where_nobody_chose(self) -> None:
        request = POSTAL.build(replace(full_parcel(), return_path=""), OPTIONS)

        assert orjson.loads(request.body)["mail_from"] == "shop@xn--bcher-kva.example"

    def test_the_message_is_the_one_that_a_relay_would_get(self) -> None:
        data = render(full_envelope(), message_id=ID, internet_message_id=INTERNET_MESSAGE_ID, date=DATE)

        assert b64decode(fields()["data"]) == data

    def test_every_field_is_in_it(self) -> None:
        message = message_from_bytes(b64decode(fields()["data"]), policy=policy.default)

        assert (message["Message-ID"], message["X-Reliable-Email-Id"], message["X-Order"], message["Subject"]) == (
            INTERNET_MESSAGE_ID,
            ID,
            "№ 7",
            "Your order № 7: {{ name }}",
        )
        assert [part.get_content_type() for part in message.walk() if not part.is_multipart()] == [
            "text/plain",
            "text/html",
            "image/png",
            "application/pdf",
        ]

    def test_a_blind_recipient_is_in_no_header(self) -> None:
        assert b"archive@example.com" not in b64decode(fields()["data"])

    def test_a_retry_goes_to_those_that_are_left_with_the_same_headers(self) -> None:
        left = fields(1, 3)

        assert (left["rcpt_to"], left["data"]) == ([EVERYONE[1], EVERYONE[3]], fields()["data"])

    def test_the_same_parcel_makes_the_same_request(self) -> None:
        assert POSTAL.build(full_parcel(), OPTIONS) == REQUEST


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("AccessDenied", Outcome.MISCONFIGURED),
        ("InvalidServerAPIKey", Outcome.MISCONFIGURED),
        ("ServerSuspended", Outcome.MISCONFIGURED),
        ("UnauthenticatedFromAddress", Outcome.MISCONFIGURED),
        ("NoRecipients", Outcome.REJECTED),
        ("NoContent", Outcome.REJECTED),
        ("FromAddressMissing", Outcome.REJECTED),
        ("TooManyToAddresses", Outcome.REJECTED),
        ("TooManyCCAddresses", Outcome.REJECTED),
        ("TooManyBCCAddresses", Outcome.REJECTED),
        ("AttachmentMissingName", Outcome.REJECTED),
        ("AttachmentMissingData", Outcome.REJECTED),
        ("SomethingNew", Outcome.MISCONFIGURED),
    ],
)
def test_a_refusal_under_status_200_means(code: str, outcome: Outcome) -> None:
    verdict = POSTAL.classify(REQUEST, refused(code))

    assert (verdict.outcome, verdict.scope, verdict.detail) == (outcome, Scope.MESSAGE, f"200 {code}: No.")


def test_a_wrong_parameter_may_as_well_be_the_accounts_fault() -> None:
    reply = answer(200, {"status": "parameter-error", "data": {"message": "`data` is required"}})

    verdict = POSTAL.classify(REQUEST, reply)

    assert (verdict.outcome, verdict.is_generic) == (Outcome.REJECTED, True)


class TestAnswer:
    def test_a_message_that_all_recipients_get_is_accepted(self) -> None:
        verdict = POSTAL.classify(REQUEST, taken(*EVERYONE))

        assert (verdict.outcome, verdict.provider_message_id) == (Outcome.ACCEPTED, "p-1@rp.postal.example.com")

    def test_a_recipient_that_is_not_named_among_others_is_in_doubt(self) -> None:
        verdict = POSTAL.classify(REQUEST, taken(EVERYONE[0].upper(), *EVERYONE[2:]))

        assert [share.outcome for share in verdict.recipients] == [
            Outcome.ACCEPTED,
            Outcome.AMBIGUOUS,
            Outcome.ACCEPTED,
            Outcome.ACCEPTED,
        ]

    @pytest.mark.parametrize("named", [(), ("7",)])
    def test_an_answer_that_names_none_of_them_speaks_for_all(self, named: tuple[str, ...]) -> None:
        assert POSTAL.classify(REQUEST, taken(*named)).outcome is Outcome.ACCEPTED

    @pytest.mark.parametrize(
        ("reply", "outcome"),
        [
            (answer(200, {"status": "success", "data": {}}), Outcome.AMBIGUOUS),
            (answer(200, {"status": "success"}), Outcome.AMBIGUOUS),
            (answer(200, b"<html>Postal</html>"), Outcome.MISCONFIGURED),
            (answer(404, b"<html></html>"), Outcome.MISCONFIGURED),
            (answer(413, b"<html></html>"), Outcome.REJECTED),
            (answer(500, b"<html></html>"), Outcome.TEMPORARY),
            (answer(503, b"<html></html>"), Outcome.TEMPORARY),
            (answer(502, b"<html></html>"), Outcome.AMBIGUOUS),
            (Reply(Phase.SENT, "reset"), Outcome.AMBIGUOUS),
        ],
    )
    def test_what_postals_web_server_says_means(self, reply: Reply, outcome: Outcome) -> None:
        assert POSTAL.classify(REQUEST, reply).outcome is outcome


@given(replies("status", "data", "message", "code", "message_id", "messages"))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = POSTAL.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
