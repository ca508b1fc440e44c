from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from shared.domain.errors import ConfigurationError
from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.mime.writer import render
from shared.providers.interface import AwsSignature, Capabilities, Phase, Reply, Unsendable
from shared.providers.ses import Ses, SesOptions
from tests.unit.providers.answers import answer, replies
from tests.unit.providers.envelopes import DATE, ID, INTERNET_MESSAGE_ID, full_envelope, full_parcel

SES = Ses()
KEY_ID, SECRET, TOKEN = Secret("AKIAEXAMPLE"), Secret("secret"), Secret("token")
OPTIONS = SesOptions(region="eu-west-1", access_key_id=KEY_ID, secret_access_key=SECRET)
REQUEST = SES.build(full_parcel(), OPTIONS)

NOT_VERIFIED = (
    "Email address is not verified. The following identities failed the check in region EU-WEST-1: shop@example.com"
)


def options(**changes: Any) -> SesOptions:
    return replace(OPTIONS, **changes)


def fields(request: Any) -> Any:
    return orjson.loads(request.body)


class TestBuild:
    def test_the_request_goes_to_the_region_and_is_signed_for_ses(self) -> None:
        assert (REQUEST.method, REQUEST.url, REQUEST.headers, REQUEST.signature) == (
            "POST",
            "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
            {"Content-Type": "application/json"},
            AwsSignature("ses", "eu-west-1", KEY_ID, SECRET),
        )

    def test_temporary_credentials_bring_their_token(self) -> None:
        signature = SES.build(full_parcel(), options(session_token=TOKEN)).signature

        assert signature is not None
        assert signature.session_token is TOKEN

    def test_every_field_travels(self) -> None:
        data = render(full_envelope(), message_id=ID, internet_message_id=INTERNET_MESSAGE_ID, date=DATE)
        request = fields(SES.build(full_parcel(), options(configuration_set="shop")))
        raw = request["Content"]["Raw"].pop("Data")

        assert b64decode(raw) == data
        assert request == {
            "Destination": {
                "ToAddresses": ["ada@example.org", "grace@xn--zrich-kva.example"],
                "CcAddresses": ["carol@example.org"],
                "BccAddresses": ["archive@example.com"],
            },
            "Content": {"Raw": {}},
            "EmailTags": [
                {"Name": "receipt", "Value": "true"},
                {"Name": "order_7", "Value": "true"},
                {"Name": "reliable_email_id", "Value": ID},
            ],
            "ConfigurationSetName": "shop",
            "FeedbackForwardingEmailAddress": "bounces@example.com",
        }

    def test_the_message_is_in_seven_bits(self) -> None:
        assert b64decode(fields(REQUEST)["Content"]["Raw"]["Data"]).isascii()

    def test_what_is_not_configured_is_not_sent(self) -> None:
        request = fields(SES.build(replace(full_parcel(), return_path=""), OPTIONS))

        assert sorted(request) == ["Content", "Destination", "EmailTags"]

    def test_a_part_of_the_recipients_gets_the_same_headers(self) -> None:
        request = fields(SES.build(full_parcel((1, 3)), OPTIONS))

        assert request["Destination"] == {
            "ToAddresses": ["grace@xn--zrich-kva.example"],
            "BccAddresses": ["archive@example.com"],
        }
        assert request["Content"] == fields(REQUEST)["Content"]

    def test_no_tag_hides_the_one_that_names_the_message(self) -> None:
        request = fields(SES.build(full_parcel(tags=("reliable.email:id",)), OPTIONS))

        assert request["EmailTags"] == [{"Name": "reliable_email_id", "Value": ID}]

    def test_the_same_parcel_is_the_same_request(self) -> None:
        assert SES.build(full_parcel(), OPTIONS) == REQUEST

    @pytest.mark.parametrize("field", ["sender", "to", "bcc", "reply_to"])
    def test_an_address_that_ses_cannot_name_is_left_to_another(self, field: str) -> None:
        address = Address("jürgen@example.org")
        changes: dict[str, Any] = {field: address if field == "sender" else (address,)}

        with pytest.raises(Unsendable) as refusal:
            SES.build(full_parcel(None, **changes), OPTIONS)
        assert refusal.value.scope is Scope.PROVIDER

    def test_nor_may_a_header_name_one_who_has_the_message_already(self) -> None:
        parcel = full_parcel((1,), to=(Address("jürgen@example.org"), Address("ada@example.org")))

        with pytest.raises(Unsendable):
            SES.build(parcel, OPTIONS)


class TestOptions:
    def test_the_chinese_regions_have_a_domain_of_their_own(self) -> None:
        assert options(region="cn-north-1").address == "https://email.cn-north-1.amazonaws.com.cn"

    def test_an_address_may_be_given(self) -> None:
        request = SES.build(full_parcel(), options(base_url="https://email-fips.us-west-2.amazonaws.com"))

        assert request.url == "https://email-fips.us-west-2.amazonaws.com/v2/email/outbound-emails"

    @pytest.mark.parametrize("region", ["", "eu", "eu-west-1.example.com/", "EU-WEST-1", "eu west 1", "eu-west-1\n"])
    def test_a_region_that_cannot_be_one_is_refused(self, region: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            options(region=region)
        assert [fault.where for fault in refusal.value.faults] == ["region"]

    def test_a_key_never_goes_over_a_network_in_the_clear(self) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            options(base_url="http://email.example.com")
        assert [fault.where for fault in refusal.value.faults] == ["base_url"]


def test_the_capabilities_are_the_services_limits() -> None:
    assert SES.capabilities(OPTIONS) == Capabilities(
        max_bytes=40 * 1024 * 1024 * 57 // 78, max_recipients=50, is_ascii_only=True
    )


def test_the_services_id_makes_it_accepted() -> None:
    assert SES.classify(REQUEST, answer(200, {"MessageId": "0102-abc"})) == Verdict(
        Outcome.ACCEPTED, "accepted as 0102-abc", provider_message_id="0102-abc"
    )


@pytest.mark.parametrize(
    ("status", "name", "words", "outcome", "pause"),
    [
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", Outcome.THROTTLED, 1),
        (400, "ThrottlingException", "Maximum sending rate exceeded.", Outcome.THROTTLED, 1),
        (400, "Throttling", "Maximum sending rate exceeded.", Outcome.THROTTLED, 1),
        (429, "TooManyRequestsException", "Daily message quota exceeded.", Outcome.THROTTLED, 600),
        (400, "ThrottlingException", "Daily message quota exceeded.", Outcome.THROTTLED, 600),
        (400, "LimitExceededException", "Daily message quota exceeded", Outcome.THROTTLED, 600),
        (400, "LimitExceededException", "", Outcome.THROTTLED, 600),
        (400, "MessageRejected", NOT_VERIFIED, Outcome.MISCONFIGURED, None),
        (400, "MailFromDomainNotVerifiedException", "", Outcome.MISCONFIGURED, None),
        (400, "AccountSuspendedException", "", Outcome.MISCONFIGURED, None),
        (400, "SendingPausedException", "Sending is paused for this account.", Outcome.MISCONFIGURED, None),
        (404, "NotFoundException", "Configuration set <shop> does not exist.", Outcome.MISCONFIGURED, None),
        (403, "AccessDeniedException", "User is not authorized", Outcome.MISCONFIGURED, None),
        (403, "UnrecognizedClientException", "The security token is invalid.", Outcome.MISCONFIGURED, None),
        (403, "InvalidClientTokenId", "", Outcome.MISCONFIGURED, None),
        (403, "SignatureDoesNotMatch", "Signature expired", Outcome.MISCONFIGURED, None),
        (403, "InvalidSignatureException", "Signature not yet current", Outcome.MISCONFIGURED, None),
        (403, "ExpiredTokenException", "The security token has expired", Outcome.MISCONFIGURED, None),
        (400, "ExpiredTokenException", "The security token has expired", Outcome.MISCONFIGURED, None),
        (403, "IncompleteSignature", "", Outcome.MISCONFIGURED, None),
        (403, "OptInRequired", "", Outcome.MISCONFIGURED, None),
        (403, "MissingAuthenticationToken", "Missing Authentication Token", Outcome.MISCONFIGURED, None),
        (403, "SomethingNew", "", Outcome.MISCONFIGURED, None),
        (401, "NotAuthorized", "", Outcome.MISCONFIGURED, None),
        (408, "RequestTimeoutException", "", Outcome.TEMPORARY, None),
        (500, "InternalFailure", "", Outcome.TEMPORARY, None),
        (503, "ServiceUnavailable", "", Outcome.TEMPORARY, None),
    ],
)
def test_each_error_has_its_outcome(status: int, name: str, words: str, outcome: Outcome, pause: float | None) -> None:
    verdict = SES.classify(REQUEST, answer(status, {"message": words}, {"x-amzn-errortype": name}))

    assert (verdict.outcome, verdict.retry_after_seconds) == (outcome, pause)
    assert verdict.detail == (f"{status} {name}: {words}" if words else f"{status} {name}")


@pytest.mark.parametrize(
    ("status", "name", "words", "scope", "is_generic"),
    [
        (400, "MessageRejected", "Address is on the suppression list for your account", Scope.MESSAGE, True),
        (400, "MessageRejected", "Message contained a virus: EICAR", Scope.PROVIDER, True),
        (400, "MessageRejected", "Illegal content", Scope.PROVIDER, True),
        (400, "BadRequestException", "Missing final '@domain'", Scope.MESSAGE, True),
        (400, "BadRequestException", "Local address contains control or whitespace", Scope.MESSAGE, True),
        (400, "ValidationException", "1 validation error detected", Scope.MESSAGE, True),
        (400, "BadRequestException", "Recipient count exceeds 50.", Scope.MESSAGE, True),
        (413, "RequestEntityTooLargeException", "", Scope.PROVIDER, False),
    ],
)
def test_a_refusal_binds_whom_it_is_about(status: int, name: str, words: str, scope: Scope, is_generic: bool) -> None:
    verdict = SES.classify(REQUEST, answer(status, {"message": words}, {"x-amzn-errortype": name}))

    assert (verdict.outcome, verdict.scope, verdict.is_generic) == (Outcome.REJECTED, scope, is_generic)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"message": "no"}, {"x-amzn-errortype": "AccountSuspendedException"}),
        ({"message": "no"}, {"x-amzn-errortype": "AccountSuspendedException:http://internal.amazon.com/doc/"}),
        ({"message": "no"}, {"x-amzn-errortype": "com.amazonaws.ses#AccountSuspendedException:http://x#y"}),
        ({"Message": "no", "__type": "com.amazonaws.ses#AccountSuspendedException"}, {}),
        ({"message": "no", "code": "AccountSuspendedException"}, {}),
    ],
)
def test_the_errors_name_is_found_wherever_it_stands(body: Any, headers: dict[str, str]) -> None:
    assert SES.classify(REQUEST, answer(400, body, headers)).detail == "400 AccountSuspendedException: no"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(503, b"<html>Service Unavailable</html>"), Outcome.AMBIGUOUS),
        (answer(503, {"message": "Service Unavailable"}), Outcome.AMBIGUOUS),
        (answer(502, b""), Outcome.AMBIGUOUS),
        (answer(200, b"<html>Log in to the network</html>"), Outcome.MISCONFIGURED),
        (answer(200, {}), Outcome.AMBIGUOUS),
        (Reply(Phase.SENT, "no answer in 30 s", "timeout"), Outcome.AMBIGUOUS),
        (Reply(Phase.CONNECT, "refused", "refused"), Outcome.PROVIDER_DOWN),
    ],
)
def test_what_is_not_an_answer_of_ses_is_judged_as_everywhere(reply: Reply, outcome: Outcome) -> None:
    assert SES.classify(REQUEST, reply).outcome is outcome


@given(replies("MessageId", "message", "__type", "code", headers=("x-amzn-errortype",)))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = SES.classify(REQUEST, reply)

    assert verdict.outcome is not Outcome.ACCEPTED or (reply.status // 100 == 2 and verdict.provider_message_id)
