"""Mailjet (Send API v3.1): a list of messages, an answer for each, whatever the status says."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, quote, urlsplit

from shared.domain.message import Address, Attachment
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.abilities import (
    is_inline,
    media_type,
    only_reply_to,
    recipients_with_to,
    require_no_header,
    text_of,
)
from shared.providers.http.fields import base64_of, bytes_within, headers_of, json_of_fields, travelling
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import Fault, Rule, accepted, classify, json_of, judge
from shared.providers.http.shares import of_all, of_each
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Phase, Reply, Unsendable

_MOST_SUBJECT: Final = 255

# What has a field, Mailjet's own, and what it writes itself; a message with one is refused (send-0011).
_FORBIDDEN: Final = frozenset(
    {
        "bcc",
        "cc",
        "date",
        "from",
        "list-id",
        "message-id",
        "received",
        "reply-to",
        "return-path",
        "sender",
        "subject",
        "to",
        "user-agent",
        "x-feedback-id",
        "x-mailer",
    }
)
_FORBIDDEN_STARTS: Final = ("x-mj-", "x-mailjet-")

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, code="mj-0001|mj-0002|mj-0015|send-000[678]|send-001[0236]"),
    Rule(Outcome.REJECTED, code="mj-0008|mj-0011|send-0011", scope=Scope.PROVIDER),
    Rule(Outcome.REJECTED, code="mj-000[34567]|mj-001[23]|send-000[34]|send-0015"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailjetOptions(HttpOptions):
    """The account at Mailjet."""

    base_url: str = "https://api.mailjet.com"
    """The beginning of Mailjet's addresses, without a slash at the end; for the US `https://api.us.mailjet.com`."""

    public_key: str
    """The public half of the key, Mailjet's "API key". Example: `public_key = "0123456789abcdef0123456789abcdef"`"""

    private_key: Secret
    """The private half, Mailjet's "secret key". Example: `private_key = {env = "MAILJET_PRIVATE_KEY"}`"""


class Mailjet:
    """Sends one message or a batch, and finds a lost one by an id of ours."""

    kind: ClassVar[str] = "mailjet"
    Options: ClassVar[type[Any]] = MailjetOptions
    max_batch: ClassVar[int] = 50
    max_batch_bytes: ClassVar[int] = bytes_within(15_000_000)

    def capabilities(self, options: MailjetOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what any account carries."""
        return Capabilities(max_bytes=bytes_within(15_000_000), max_recipients=50)

    def build(self, parcel: Parcel, options: MailjetOptions) -> HttpRequest:
        """Return the request. Raises Unsendable for what Mailjet has no field for."""
        return self.build_batch((parcel,), options)

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:
        """Return the verdict of the only message."""
        return self.classify_batch(request, reply, 1)[0]

    def may_join(self, parcel: Parcel, options: MailjetOptions) -> bool:  # noqa: ARG002 - the protocol's arguments
        """Return true: messages of a batch have nothing in common."""
        return True

    def build_batch(self, parcels: Sequence[Parcel], options: MailjetOptions) -> HttpRequest:
        """Return one request for all parcels."""
        body = json_of_fields({"Messages": [_message(parcel) for parcel in parcels]})
        return HttpRequest("POST", f"{options.address}/v3.1/send", _headers(options), body)

    def classify_batch(self, request: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:  # noqa: ARG002 - the protocol's argument
        """Return the verdicts, which Mailjet gives in the order of the messages."""
        document = json_of(reply) if reply.phase is Phase.ANSWERED else None
        items = document.get("Messages") if isinstance(document, dict) else None
        if not isinstance(items, list):
            return of_all(classify(reply, lambda _reply, _document: None, _complaint, RULES), count)
        return of_each(reply, items, count, lambda _, item: _item(reply, item))

    def build_lookup(self, parcel: Parcel, options: MailjetOptions) -> HttpRequest:
        """Return the search for this try of the message."""
        query = f"CustomID={quote(_custom_id(parcel), safe='')}&ShowCustomID=true"
        return HttpRequest("GET", f"{options.address}/v3/REST/message?{query}", _headers(options))

    def classify_lookup(self, request: HttpRequest, reply: Reply) -> Verdict | None:
        """Return `accepted` where the search found this very try."""
        wanted = parse_qs(urlsplit(request.url).query).get("CustomID", [""])[0]
        verdict = classify(reply, lambda _, document: _found(document, wanted), _complaint, RULES)
        return verdict if wanted and verdict.outcome is Outcome.ACCEPTED else None


def _headers(options: MailjetOptions) -> Mapping[str, str]:
    credentials = f"{options.public_key}:{options.private_key.reveal()}".encode()
    return {"Authorization": f"Basic {b64encode(credentials).decode()}", "Content-Type": "application/json"}


def _custom_id(parcel: Parcel) -> str:
    """Return the id of this try: a message sent again after a requeue must not be found under its first sending."""
    return parcel.deduplication_key or parcel.id


def _message(parcel: Parcel) -> dict[str, Any]:
    envelope = parcel.envelope
    if len(envelope.subject) > _MOST_SUBJECT:
        raise Unsendable(f"the service takes a subject of {_MOST_SUBJECT} characters")
    recipients = recipients_with_to(parcel)
    reply_to = only_reply_to(envelope)
    require_no_header(envelope, _FORBIDDEN_STARTS)
    fields: dict[str, Any] = {
        "Cc": _mailboxes(recipients.cc),
        "Bcc": _mailboxes(recipients.bcc),
        "ReplyTo": _mailbox(reply_to) if reply_to else None,
        "TextPart": text_of(envelope),
        "HTMLPart": envelope.html,
        "Attachments": [_attachment(file) for file in envelope.attachments if not is_inline(envelope, file)],
        "InlinedAttachments": [
            {**_attachment(file), "ContentID": file.content_id}
            for file in envelope.attachments
            if is_inline(envelope, file)
        ],
        "CustomCampaign": envelope.tags[0] if envelope.tags else None,
        "EventPayload": json_of_fields(dict(envelope.metadata)).decode() if envelope.metadata else None,
    }
    return {
        "From": _mailbox(envelope.sender),
        "To": _mailboxes(recipients.to),
        "Subject": envelope.subject,
        **{name: value for name, value in fields.items() if value},
        "Headers": headers_of(parcel, _FORBIDDEN),
        "CustomID": _custom_id(parcel),
    }


def _mailboxes(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return list(map(_mailbox, addresses))


def _mailbox(address: Address) -> dict[str, str]:
    email = travelling(address).email
    return {"Email": email, "Name": address.name} if address.name else {"Email": email}


def _attachment(file: Attachment) -> dict[str, str]:
    return {"ContentType": media_type(file), "Filename": file.filename, "Base64Content": base64_of(file.content)}


def _item(reply: Reply, item: Any) -> Verdict:
    if item["Status"] == "success":
        recipients = (*item.get("To", ()), *item.get("Cc", ()), *item.get("Bcc", ()))
        return accepted(_id_of(recipients[0]["MessageID"]))
    error = item["Errors"][0]
    status = error["StatusCode"]
    if type(status) is not int:
        raise TypeError("a StatusCode is a number")
    return judge(replace(reply, status=status), Fault(error["ErrorCode"], error["ErrorMessage"]), RULES)


def _complaint(_reply: Reply, document: Any) -> Fault | None:
    # Errors before the messages are looked at may have no code.
    return Fault(document.get("ErrorCode", ""), document["ErrorMessage"])


def _found(document: Any, wanted: str) -> Verdict | None:
    for message in document["Data"]:
        if message.get("CustomID", wanted) == wanted:
            return accepted(_id_of(message["ID"]), "found by its CustomID")
    return None


def _id_of(value: Any) -> str:
    """Return an id, which Mailjet writes as a number of 64 bits, as a text."""
    if type(value) is not int and not isinstance(value, str):
        raise TypeError("an id is a number or a text")
    return str(value)
