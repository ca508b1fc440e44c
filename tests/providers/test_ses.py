"""SES through moto, which plays AWS and checks signatures as it does, and beside botocore's own client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.session
import pytest
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses.models import RawMessage, ses_backends

from services.sender.transport import HttpConnections, open_channel
from services.sender.transport.aws import signed
from shared.domain.outcome import Outcome, Verdict
from shared.domain.secret import Secret
from shared.providers.interface import AwsSignature, HttpRequest, Parcel
from shared.providers.ses import SesOptions
from shared.settings.model import ProviderSettings
from tests.providers.parcels import RICH, parcel_of

REGION = "eu-west-1"

Send = Callable[[SesOptions, Parcel], Awaitable[Verdict]]


def client(service: str, url: str, token: str | None = None) -> Any:
    """Return botocore's own client."""
    return botocore.session.Session().create_client(
        service,
        REGION,
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        aws_session_token=token,
    )


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def account(moto: str) -> Iterator[SesOptions]:
    """An account that may send for example.com, and nothing else; from then on moto checks who asks."""
    client("sesv2", moto).create_email_identity(EmailIdentity="example.com")
    iam = client("iam", moto)
    iam.create_user(UserName="mailer")
    statement = {"Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="mailer", PolicyName="send", PolicyDocument=policy)
    key = iam.create_access_key(UserName="mailer")["AccessKey"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        patch.setattr(ActionAuthenticatorMixin, "request_count", 0)
        yield SesOptions(
            base_url=moto,
            region=REGION,
            access_key_id=Secret(key["AccessKeyId"]),
            secret_access_key=Secret(key["SecretAccessKey"]),
        )


@pytest.fixture
async def send() -> AsyncIterator[Send]:
    connections = HttpConnections()

    async def send(options: SesOptions, parcel: Parcel) -> Verdict:
        channel = open_channel(ProviderSettings(name="ses", kind="ses", options=options), connections)
        return await channel.deliver(parcel)

    yield send
    await connections.close()


class TestMoto:
    async def test_takes_a_message(self, account: SesOptions, send: Send) -> None:
        verdict = await send(account, parcel_of(RICH))

        assert verdict.outcome is Outcome.ACCEPTED
        assert parcel_of(RICH).internet_message_id in sent_as(verdict).raw_data

    async def test_takes_it_for_all_recipients(self, account: SesOptions, send: Send) -> None:
        verdict = await send(account, parcel_of(RICH))

        assert {"ada@example.org", "archive@example.com"} <= set(sent_as(verdict).destinations)

    async def test_a_large_one_is_signed_as_well(self, account: SesOptions, send: Send) -> None:
        large = replace(RICH, text="Dear Ada,\n" * 40_000, size_bytes=400_000)

        assert (await send(account, parcel_of(large))).outcome is Outcome.ACCEPTED

    @pytest.mark.parametrize("name", ["access_key_id", "secret_access_key"])
    async def test_wrong_credentials_are_the_accounts_fault(self, name: str, account: SesOptions, send: Send) -> None:
        stranger = replace(account, **{name: Secret("AKIAWRONG")})  # type: ignore[arg-type]  # a field by name

        assert (await send(stranger, parcel_of(RICH))).outcome is Outcome.MISCONFIGURED

    async def test_a_sender_that_is_not_verified_is_the_accounts_fault(self, account: SesOptions, send: Send) -> None:
        stranger = replace(RICH, sender=replace(RICH.sender, email="shop@elsewhere.example"))

        assert (await send(account, parcel_of(stranger))).outcome is not Outcome.ACCEPTED


def sent_as(verdict: Verdict) -> RawMessage:
    """Return the message that moto took."""
    taken = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
    return next(
        message for message in taken if isinstance(message, RawMessage) and message.id == verdict.provider_message_id
    )


class TestSignature:
    @pytest.fixture(autouse=True)
    def _at_one_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC))

    @pytest.mark.parametrize("token", [None, "session"])
    @pytest.mark.parametrize(
        "url", ["https://email.eu-west-1.amazonaws.com", "https://localhost:8443", "http://localhost:80/ses"]
    )
    def test_is_that_of_botocores_client(self, url: str, token: str | None) -> None:
        theirs = signed_by_client(url, token)
        headers = {"Content-Type": text_of(theirs.headers["Content-Type"])}
        request = HttpRequest(theirs.method, theirs.url, headers, theirs.body)

        ours = signed(request, signature_of(token))

        assert ours["Authorization"] == text_of(theirs.headers["Authorization"])

    def test_names_its_time_and_leaves_the_other_headers_alone(self) -> None:
        request = HttpRequest("POST", "https://localhost/v2", {"Content-Type": "application/json"}, b"{}")
        headers = signed(request, signature_of(None))

        assert (headers["X-Amz-Date"], headers["Content-Type"]) == ("20270102T030405Z", "application/json")

    def test_carries_the_token_of_temporary_credentials(self) -> None:
        request = HttpRequest("POST", "https://localhost/v2", {}, b"{}")

        assert signed(request, signature_of("session"))["X-Amz-Security-Token"] == "session"
        assert "X-Amz-Security-Token" not in signed(request, signature_of(None))


def signature_of(token: str | None) -> AwsSignature:
    return AwsSignature("ses", REGION, Secret("AKIDEXAMPLE"), Secret("secret"), Secret(token) if token else None)


def signed_by_client(url: str, token: str | None) -> Any:
    """Return the request that botocore's client would have written."""
    requests: list[Any] = []

    def catch(request: Any, **_: Any) -> botocore.awsrequest.AWSResponse:
        requests.append(request)
        return botocore.awsrequest.AWSResponse(request.url, 200, {}, Empty())

    class Empty:
        @staticmethod
        def stream(*_: Any, **__: Any) -> Iterator[bytes]:
            yield b"{}"

    ses = client("sesv2", url, token)
    ses.meta.events.register("before-send.sesv2.SendEmail", catch)
    ses.send_email(Content={"Raw": {"Data": b"Subject: x\r\n\r\n"}})
    return requests[0]


def text_of(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
