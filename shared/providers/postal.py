"""Postal, one's own server: our MIME as it is, and an answer that is HTTP 200 whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from shared.domain.outcome import Outcome, RecipientVerdict, Verdict
from shared.domain.secret import Secret
from shared.mime.addresses import wire_address
from shared.mime.writer import render
from shared.providers.http.fields import base64_of, json_of_fields
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import Fault, Rule, accepted, classify, judge
from shared.providers.http.shares import MailRequest, addresses_of, parted, recipients_in
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Reply

_PARAMETER_ERROR: Final = "parameter-error"

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, code="AccessDenied|InvalidServerAPIKey|ServerSuspended|UnauthenticatedFromAddress"),
    Rule(
        Outcome.REJECTED,
        code=rf"NoRecipients|NoContent|FromAddressMissing|TooMany\w*Addresses|Attachment\w*|{_PARAMETER_ERROR}",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalOptions(HttpOptions):
    """The mail server in a Postal installation."""

    base_url: str
    """The installation's address, without a slash at the end. Example: `base_url = "https://postal.example.com"`"""

    api_key: Secret
    """A key of the server, of the type "API". Example: `api_key = {env = "POSTAL_API_KEY"}`"""


class Postal:
    """Hands over the complete message: only so its Message-ID and the images in its html are kept."""

    kind: ClassVar[str] = "postal"
    Options: ClassVar[type[Any]] = PostalOptions

    def capabilities(self, options: PostalOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what Postal carries; how large a message may be is its operator's choice."""
        return Capabilities(max_recipients=50)

    def build(self, parcel: Parcel, options: PostalOptions) -> MailRequest:
        """Return the request: the headers name everyone, the envelope those that are left."""
        data = render(
            parcel.envelope,
            message_id=parcel.id,
            internet_message_id=parcel.internet_message_id,
            date=parcel.date,
        )
        recipients = addresses_of(parcel)
        fields = {
            "mail_from": wire_address(parcel.return_path or parcel.envelope.sender.email)[0],
            "rcpt_to": recipients,
            "data": base64_of(data),
            "bounce": False,
        }
        headers = {"Content-Type": "application/json", "X-Server-API-Key": options.api_key.reveal()}
        url = f"{options.address}/api/v1/send/raw"
        return MailRequest("POST", url, headers, json_of_fields(fields), recipients=(recipients,))

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:
        """Return the verdict; `partial` where Postal names messages for some recipients only."""
        recipients = recipients_in(request, 0)
        return classify(reply, lambda reply, document: _answer(reply, document, recipients), _complaint, RULES)


def _answer(reply: Reply, document: Any, recipients: Sequence[str]) -> Verdict | None:
    data = document["data"]
    if document["status"] == "success":
        return parted(recipients, _unnamed(data.get("messages"), recipients), accepted(data["message_id"]))
    if document["status"] == _PARAMETER_ERROR:
        # In these words the account may be at fault as well as the message.
        verdict = judge(reply, Fault(_PARAMETER_ERROR, data["message"]), RULES)
        return replace(verdict, is_generic=True)
    return judge(reply, Fault(data["code"], data["message"]), RULES)


def _unnamed(messages: Any, recipients: Sequence[str]) -> dict[str, RecipientVerdict]:
    """Return those of whom nothing is said, where something is said of others."""
    named = {address.lower() for address in messages} if isinstance(messages, dict) else set()
    wanted = {address.lower() for address in recipients}
    if wanted.isdisjoint(named):
        return {}
    share = RecipientVerdict(0, Outcome.AMBIGUOUS, "the answer does not name this recipient")
    return dict.fromkeys(wanted - named, share)


def _complaint(reply: Reply, _document: Any) -> Fault | None:
    # Postal itself answers 200 always; its web server says in these that nobody took the request.
    return Fault() if reply.status in {500, 503} else None
