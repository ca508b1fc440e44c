"""Amazon SES, by its API v2: the whole message as MIME, signed with AWS Signature V4."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from shared.domain.errors import Fault as KeyFault
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.mime.addresses import wire_address
from shared.mime.writer import render
from shared.providers.http.abilities import require_ascii
from shared.providers.http.fields import base64_of, bytes_within, json_of_fields, recipients_of
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS, Fault, Rule, accepted, classify
from shared.providers.interface import AwsSignature, Capabilities, HttpRequest, Parcel, Reply, Unsendable

_THROTTLING: Final = "TooManyRequestsException|Throttling(Exception)?"

#: Names of the errors that speak of credentials; they come with 403, now and then with 400.
_CREDENTIALS: Final = (
    "AccessDenied(Exception)?|UnrecognizedClient(Exception)?|InvalidClientTokenId|SignatureDoesNotMatch"
    "|InvalidSignature(Exception)?|ExpiredToken(Exception)?|RequestExpired|IncompleteSignature(Exception)?"
    "|OptInRequired|MissingAuthenticationToken(Exception)?|NotAuthorized"
)

RULES: Final = (
    # The quota is of a rolling day, so a little of it frees all the time.
    Rule(
        Outcome.THROTTLED,
        (400, 429),
        f"{_THROTTLING}|LimitExceededException",
        "message quota",
        pause_seconds=QUOTA_PAUSE_SECONDS,
    ),
    Rule(Outcome.THROTTLED, (400, 429), "LimitExceededException", pause_seconds=QUOTA_PAUSE_SECONDS),
    Rule(Outcome.THROTTLED, (400, 429), _THROTTLING, pause_seconds=1.0),
    # An account in the sandbox may write to verified recipients alone: that is no fault of theirs.
    Rule(Outcome.MISCONFIGURED, (400,), "MessageRejected", "not verified"),
    Rule(Outcome.REJECTED, (400,), "MessageRejected", "suppression list"),
    # What one service takes for a virus or for spam another may take for a mail.
    Rule(Outcome.REJECTED, (400,), "MessageRejected", scope=Scope.PROVIDER),
    Rule(
        Outcome.MISCONFIGURED,
        (400,),
        "MailFromDomainNotVerifiedException|AccountSuspendedException|SendingPausedException",
    ),
    Rule(Outcome.MISCONFIGURED, (404,)),
    Rule(Outcome.REJECTED, (400,), "BadRequestException|ValidationException"),
    Rule(Outcome.MISCONFIGURED, code=_CREDENTIALS),
    Rule(Outcome.MISCONFIGURED, (401, 403)),
    Rule(Outcome.REJECTED, (413,), scope=Scope.PROVIDER),
    Rule(Outcome.TEMPORARY, (408, 500, 503)),
)

_MOST_BYTES: Final = 40 << 20  # after MIME and base64
_MOST_RECIPIENTS: Final = 50

#: The tag by which events name our message: SES replaces the Message-ID.
ID_TAG: Final = "reliable_email_id"

_NO_TAG: Final = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SesOptions(HttpOptions):
    """The account at Amazon SES. Raises ConfigurationError for a region that cannot be one."""

    base_url: str = ""
    """Where SES answers, if not at the region's public address: a FIPS or a private endpoint."""

    region: str
    """The region whose identities and quotas are used. Example: `region = "eu-west-1"`"""

    access_key_id: Secret
    """Of a user that may send mail. Example: `access_key_id = {env = "SES_KEY_ID"}`"""

    secret_access_key: Secret
    """The key to it. Example: `secret_access_key = {env = "SES_SECRET"}`"""

    session_token: Secret | None = None
    """Goes with temporary credentials. Example: `session_token = {file = "/run/secrets/ses-token"}`"""

    configuration_set: str = ""
    """The configuration set whose event destinations hear of the mail; "" is the identity's own."""

    @property
    def address(self) -> str:
        """Where requests go: the region's public address, unless `base_url` names another."""
        if self.base_url:
            return self.base_url
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return f"https://email.{self.region}.{domain}"

    def faults(self) -> Iterable[KeyFault]:
        """Return a fault for a region that is no name of one."""
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", self.region):
            yield KeyFault("region", "invalid_region", f"{self.region!r} is no region like eu-west-1")


class Ses:
    """Amazon SES, by its API v2."""

    kind: ClassVar[str] = "ses"
    Options: ClassVar[type[Any]] = SesOptions

    def capabilities(self, options: SesOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return the service's limits. It knows no SMTPUTF8."""
        return Capabilities(bytes_within(_MOST_BYTES), _MOST_RECIPIENTS, is_ascii_only=True)

    def build(self, parcel: Parcel, options: SesOptions) -> HttpRequest:
        """Return the request: MIME for all, `Destination` for those that are left, which changes no header.

        Raises Unsendable for an address that is not ASCII.
        """
        require_ascii(parcel)
        data = render(
            parcel.envelope,
            message_id=parcel.id,
            internet_message_id=parcel.internet_message_id,
            date=parcel.date,
        )
        if not data.isascii():  # a header names one who is not among those that are left
            raise Unsendable("the service takes only ASCII before the @ of an address")
        fields = {
            "Destination": _destination(parcel),
            "Content": {"Raw": {"Data": base64_of(data)}},
            "EmailTags": _tags(parcel),
        }
        if options.configuration_set:
            fields["ConfigurationSetName"] = options.configuration_set
        if parcel.return_path:
            fields["FeedbackForwardingEmailAddress"] = wire_address(parcel.return_path)[0]
        return HttpRequest(
            "POST",
            f"{options.address}/v2/email/outbound-emails",
            {"Content-Type": "application/json"},
            json_of_fields(fields),
            _signature(options),
        )

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:  # noqa: ARG002 - the protocol's argument
        """Return what the answer means, by the error's name and words."""
        return classify(reply, _accept, _complain, RULES)


def _signature(options: SesOptions) -> AwsSignature:
    return AwsSignature(
        service="ses",
        region=options.region,
        access_key_id=options.access_key_id,
        secret_access_key=options.secret_access_key,
        session_token=options.session_token,
    )


def _destination(parcel: Parcel) -> dict[str, list[str]]:
    left = recipients_of(parcel)
    named = {"ToAddresses": left.to, "CcAddresses": left.cc, "BccAddresses": left.bcc}
    return {kind: [address.email for address in addresses] for kind, addresses in named.items() if addresses}


def _tags(parcel: Parcel) -> list[dict[str, str]]:
    """Return each tag under a name of its own, in the few characters that SES allows, and ours last."""
    tags = {_NO_TAG.sub("_", tag): "true" for tag in parcel.envelope.tags}
    return [{"Name": name, "Value": value} for name, value in (tags | {ID_TAG: parcel.id}).items()]


def _accept(_: Reply, document: Any) -> Verdict:
    return accepted(document["MessageId"])


def _complain(reply: Reply, document: Any) -> Fault | None:
    body = document if isinstance(document, dict) else {}
    name = reply.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code")
    if not name:
        return None
    # The name may stand between a namespace and an address: `com.amazonaws.ses#MessageRejected:http://…`.
    name = name.partition(":")[0].rpartition("#")[2].strip()
    return Fault(name, body.get("message") or body.get("Message") or "")
