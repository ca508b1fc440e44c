"""Brevo: one message at a time, with html, without images in it, and with a key against repetitions."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar, Final

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.mime.encoding import encoded_words
from shared.providers.http.abilities import is_inline, only_reply_to, recipients_with_to, require_no_header, text_of
from shared.providers.http.fields import base64_of, bytes_within, headers_of, json_of_fields, travelling
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS, Fault, Rule, accepted, classify
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Reply, Unsendable

_KEPT_SECONDS: Final = 30 * 60.0
_KEYS: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "reliable-email")

# RFC 5322, section 3.2.3. With one of these and a letter beyond ASCII Brevo drops the whole name.
_SPECIAL: Final = re.compile(r'[()<>\[\]:;@\\,."]')

# Brevo takes only headers that no standard has named, hence no Message-ID either.
_STANDARD: Final = frozenset(
    {
        "auto-submitted",
        "comments",
        "disposition-notification-to",
        "expires",
        "importance",
        "in-reply-to",
        "keywords",
        "message-id",
        "organization",
        "priority",
        "references",
        "sensitivity",
    }
)
_STANDARD_STARTS: Final = ("list-", "resent-")

RULES: Final = (
    Rule(Outcome.ACCEPTED, (400,), "duplicate_request"),
    # The manual names this code for the same case.
    Rule(Outcome.ACCEPTED, (400,), "duplicate_parameter", words="idempoten"),
    Rule(
        Outcome.MISCONFIGURED,
        (400,),
        words=r"valid(ate)? (your )?sender|\bsender\b.*\b(invalid|not (valid|verified|active|allowed|found))\b",
    ),
    # The list of endings that Brevo takes is its own, and grows.
    Rule(
        Outcome.REJECTED,
        (400,),
        words=r"\battachment|unsupported (file|format|extension)|file (format|extension|type)",
        scope=Scope.PROVIDER,
    ),
    Rule(Outcome.THROTTLED, (402,), pause_seconds=QUOTA_PAUSE_SECONDS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrevoOptions(HttpOptions):
    """The account at Brevo."""

    base_url: str = "https://api.brevo.com/v3"
    """The beginning of Brevo's addresses with their version, without a slash at the end."""

    api_key: Secret
    """A key of the account. Example: `api_key = {env = "BREVO_API_KEY"}`"""


class Brevo:
    """Sends one message under a key of the try's own."""

    kind: ClassVar[str] = "brevo"
    Options: ClassVar[type[Any]] = BrevoOptions
    is_keyed: ClassVar[bool] = True

    def capabilities(self, options: BrevoOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what any account carries."""
        return Capabilities(max_bytes=bytes_within(20_000_000), max_recipients=99)

    def remembers_seconds(self, options: BrevoOptions) -> float:  # noqa: ARG002 - the protocol's argument
        """Return half an hour."""
        return _KEPT_SECONDS

    def build(self, parcel: Parcel, options: BrevoOptions) -> HttpRequest:
        """Return the request. Raises Unsendable for what Brevo drops or breaks in silence."""
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "api-key": options.api_key.reveal(),
        }
        return HttpRequest("POST", f"{options.address}/smtp/email", headers, json_of_fields(_message(parcel)))

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:  # noqa: ARG002 - the protocol's argument
        """Return the verdict; a repetition is refused with words that say it was taken before."""
        return classify(reply, lambda _, document: accepted(document["messageId"]), _complaint, RULES)


def _message(parcel: Parcel) -> dict[str, Any]:
    envelope = parcel.envelope
    recipients = recipients_with_to(parcel)
    reply_to = only_reply_to(envelope)
    fields: dict[str, Any] = {
        "cc": _mailboxes(recipients.cc),
        "bcc": _mailboxes(recipients.bcc),
        "replyTo": _mailbox(reply_to) if reply_to else None,
        "textContent": envelope.text,
        "tags": list(envelope.tags),
        "attachment": [_attachment(envelope, file) for file in envelope.attachments],
    }
    return {
        "sender": _mailbox(envelope.sender),
        "to": _mailboxes(recipients.to),
        "subject": envelope.subject or " ",
        "htmlContent": envelope.html or _html_of(text_of(envelope) or ""),
        **{name: value for name, value in fields.items() if value},
        "headers": _headers(parcel),
    }


def _headers(parcel: Parcel) -> dict[str, str]:
    """Return our id, the key, and the client's headers; metadata has no field but a header that recipients see."""
    for name, value in parcel.envelope.headers:
        # Encoded words do not help: Brevo decodes them and sends eight bits.
        if not value.isascii():
            raise Unsendable(f"the service takes only ASCII in a header, and {name} has more")
    require_no_header(parcel.envelope, _STANDARD_STARTS)
    headers = headers_of(parcel, _STANDARD)
    if parcel.deduplication_key:
        headers["idempotencyKey"] = str(uuid.uuid5(_KEYS, parcel.deduplication_key))
    return headers


def _mailboxes(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return list(map(_mailbox, addresses))


def _mailbox(address: Address) -> dict[str, str]:
    fields = {"email": travelling(address).email}
    if not address.name:
        return fields
    name = address.name
    if not name.isascii() and _SPECIAL.search(name):
        name = " ".join(encoded_words(name, 75))
    return {**fields, "name": name}


def _attachment(envelope: Envelope, file: Attachment) -> dict[str, str]:
    if is_inline(envelope, file):
        raise Unsendable("the service takes no images in the html")
    return {"name": file.filename, "content": base64_of(file.content)}


def _html_of(text: str) -> str:
    """Return a text as html, which Brevo insists on, its lines and spaces as they are."""
    return f'<!doctype html><html><body><div style="white-space:pre-wrap">{escape(text)}</div></body></html>'


def _complaint(reply: Reply, document: Any) -> Fault | None:
    reset = reply.headers.get("x-sib-ratelimit-reset")
    pause = float(reset) if reply.status == 429 and reset else None
    return Fault(document["code"], document["message"], pause)
