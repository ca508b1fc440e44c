"""MailerSend: an empty answer with the id in a header, and warnings about recipients that get nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.abilities import is_inline, only_reply_to, recipients_with_to, text_of
from shared.providers.http.fields import base64_of, bytes_within, header_text, headers_of, json_of_fields, travelling
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS, Fault, Rule, accepted, classify
from shared.providers.http.shares import MailRequest, addresses_of, parted, recipients_in
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Reply, Unsendable

_MOST: Final[Mapping[str, int]] = {"to": 50, "cc": 10, "bcc": 10}
_MOST_TAGS: Final = 5

# These have fields of their own, which every plan may use.
_IN_REPLY_TO: Final = "in-reply-to"
_REFERENCES: Final = "references"

_CODE: Final = re.compile(r"#(MS[0-9]{5})\b")

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, code="MS42207|MS42216|MS42222|MS42225|MS42226"),
    Rule(Outcome.THROTTLED, code="MS42204|MS42901", pause_seconds=QUOTA_PAUSE_SECONDS),
    Rule(Outcome.REJECTED, code="MS42202|MS42206|MS42210", scope=Scope.PROVIDER),
    Rule(Outcome.REJECTED, code="MS422(0[1589]|1[13-57-9]|2[01])"),
    # Its own words for trouble and for maintenance, spoken before a message is looked at.
    Rule(Outcome.TEMPORARY, (408, 421)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailerSendOptions(HttpOptions):
    """The account at MailerSend."""

    base_url: str = "https://api.mailersend.com/v1"
    """The beginning of MailerSend's addresses with their version, without a slash at the end."""

    api_key: Secret
    """A token that may send. Example: `api_key = {env = "MAILERSEND_API_KEY"}`"""

    custom_headers: bool = False
    """Whether the plan allows headers of one's own (enterprise); without, a message that has any goes elsewhere."""


class MailerSend:
    """Sends one message; its batches give no answer for each, so none are used."""

    kind: ClassVar[str] = "mailersend"
    Options: ClassVar[type[Any]] = MailerSendOptions

    def capabilities(self, options: MailerSendOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what an approved account carries."""
        return Capabilities(max_bytes=bytes_within(25_000_000), max_recipients=sum(_MOST.values()))

    def build(self, parcel: Parcel, options: MailerSendOptions) -> MailRequest:
        """Return the request. Raises Unsendable for what MailerSend, or the plan, has no field for."""
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {options.api_key.reveal()}",
            "Content-Type": "application/json",
        }
        body = json_of_fields(_message(parcel, options))
        return MailRequest("POST", f"{options.address}/email", headers, body, recipients=(addresses_of(parcel),))

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:
        """Return the verdict; `partial` where some recipients are suppressed."""
        recipients = recipients_in(request, 0)
        return classify(reply, lambda reply, document: _taken(reply, document, recipients), _complaint, RULES)


def _message(parcel: Parcel, options: MailerSendOptions) -> dict[str, Any]:
    envelope = parcel.envelope
    recipients = recipients_with_to(parcel)
    reply_to = only_reply_to(envelope)
    fields: dict[str, Any] = {
        "cc": _mailboxes("cc", recipients.cc),
        "bcc": _mailboxes("bcc", recipients.bcc),
        "reply_to": _mailbox(reply_to) if reply_to else None,
        "text": text_of(envelope),
        "html": envelope.html,
        "attachments": [_attachment(envelope, file) for file in envelope.attachments],
        "tags": list(envelope.tags[:_MOST_TAGS]),
        **_headers(parcel, options),
    }
    return {
        "from": _mailbox(envelope.sender),
        "to": _mailboxes("to", recipients.to),
        "subject": envelope.subject or " ",
        **{name: value for name, value in fields.items() if value},
    }


def _headers(parcel: Parcel, options: MailerSendOptions) -> dict[str, Any]:
    """Return what stands for the headers; without the plan for them our id does not travel either."""
    own = {name.lower(): value for name, value in parcel.envelope.headers}
    fields: dict[str, Any] = {
        "in_reply_to": header_text(own.get(_IN_REPLY_TO, "")),
        "references": header_text(own.get(_REFERENCES, "")).split(),
    }
    fielded = {"message-id", _IN_REPLY_TO, _REFERENCES}
    if options.custom_headers:
        headers = headers_of(parcel).items()
        fields["headers"] = [{"name": name, "value": value} for name, value in headers if name.lower() not in fielded]
    elif own.keys() - fielded:
        raise Unsendable(f"the plan takes no header {min(own.keys() - fielded)}; `custom_headers` says that it does")
    return fields


def _mailboxes(kind: str, addresses: Sequence[Address]) -> list[dict[str, str]]:
    if len(addresses) > _MOST[kind]:
        raise Unsendable(f"the service takes {_MOST[kind]} recipients in `{kind}`, the message has {len(addresses)}")
    return list(map(_mailbox, addresses))


def _mailbox(address: Address) -> dict[str, str]:
    email = travelling(address).email
    return {"email": email, "name": address.name} if address.name else {"email": email}


def _attachment(envelope: Envelope, file: Attachment) -> dict[str, str]:
    fields = {"content": base64_of(file.content), "filename": file.filename}
    if is_inline(envelope, file) and file.content_id is not None:
        return {**fields, "disposition": "inline", "id": file.content_id}
    return {**fields, "disposition": "attachment"}


def _taken(reply: Reply, document: Any, recipients: Sequence[str]) -> Verdict | None:
    warnings = document.get("warnings", ()) if isinstance(document, dict) else ()
    suppressed = dict(_suppressed(warnings))
    provider_message_id = reply.headers.get("x-message-id", "")
    if not provider_message_id and any(warning["type"] == "ALL_SUPPRESSED" for warning in warnings):
        words = next((share.detail for share in suppressed.values()), "all recipients are suppressed")
        return Verdict(Outcome.REJECTED, words)
    paused = reply.headers.get("x-send-paused", "").lower() == "true"
    fault = "the domain is paused: what was taken waits" if paused else ""
    return parted(recipients, suppressed, accepted(provider_message_id, account_fault=fault))


def _suppressed(warnings: Any) -> Iterator[tuple[str, RecipientVerdict]]:
    for warning in warnings:
        for recipient in warning["recipients"]:
            reasons = ", ".join(recipient.get("reasons") or ("suppressed",))
            yield recipient["email"].lower(), RecipientVerdict(0, Outcome.REJECTED, f"suppressed: {reasons}")


def _complaint(reply: Reply, document: Any) -> Fault | None:
    words = " ".join((document["message"], *_texts(document.get("errors"))))
    code = _CODE.search(words)
    is_daily = code is not None and code[1] == "MS42901"
    pause = _seconds_until(reply.headers.get("x-apiquota-reset", ""), reply) if is_daily else None
    return Fault(code[1] if code else "", words, pause)


def _texts(errors: Any) -> Iterator[str]:
    for texts in errors.values() if isinstance(errors, dict) else ():
        yield from texts if isinstance(texts, list) else (str(texts),)


def _seconds_until(instant: str, reply: Reply) -> float | None:
    """Return the seconds from a reply to an instant in ISO 8601, None where it is none."""
    try:
        at = datetime.fromisoformat(instant)
    except ValueError:
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - reply.at / 1000)
