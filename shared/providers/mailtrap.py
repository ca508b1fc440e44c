"""Mailtrap: one message or a batch, an id for each recipient, and reasons in words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import orjson

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.outcome import Outcome, Verdict
from shared.domain.secret import Secret
from shared.providers.http.abilities import is_inline, media_type, only_reply_to, recipients_with_to, text_of
from shared.providers.http.fields import base64_of, bytes_within, headers_of, json_of_fields, travelling
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS, Fault, Rule, accepted, classify, json_of, judge
from shared.providers.http.shares import of_all, of_each
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Phase, Reply

_ID: Final = "reliable-email-id"

# Whether ours survives is not documented, and mailboxes refuse a message that has two.
_NOT_TAKEN: Final = frozenset({"message-id"})

# Of all variables as JSON.
_MOST_VARIABLES_BYTES: Final = 1_000
_MOST_CATEGORY: Final = 255

_LIMITS: Final = r"(sending|daily|monthly|hourly|plan)"
RULES: Final = (
    Rule(
        Outcome.THROTTLED,
        (400, 403),
        words=rf"{_LIMITS}\b.{{0,20}}\b(limit|quota)\b.{{0,20}}\b(reached|exceeded)|exceeded.{{0,20}}\b{_LIMITS}\b",
        pause_seconds=QUOTA_PAUSE_SECONDS,
    ),
    Rule(Outcome.MISCONFIGURED, (400,), words=r"\bdomain\b.*\b(allowed|verified)|unauthorized"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailtrapOptions(HttpOptions):
    """The account at Mailtrap."""

    base_url: str = "https://send.api.mailtrap.io"
    """The beginning of Mailtrap's addresses, without a slash at the end; for bulk mail `https://bulk.api.mailtrap.io`."""

    api_key: Secret
    """A token that may send. Example: `api_key = {env = "MAILTRAP_API_KEY"}`"""


class Mailtrap:
    """Sends one message or a batch."""

    kind: ClassVar[str] = "mailtrap"
    Options: ClassVar[type[Any]] = MailtrapOptions
    max_batch: ClassVar[int] = 500
    max_batch_bytes: ClassVar[int] = bytes_within(50_000_000)

    def capabilities(self, options: MailtrapOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what any account carries."""
        return Capabilities(max_bytes=bytes_within(10_000_000), max_recipients=1_000)

    def build(self, parcel: Parcel, options: MailtrapOptions) -> HttpRequest:
        """Return the request. Raises Unsendable for what Mailtrap has no field for."""
        return _post(options, "/api/send", _message(parcel))

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:  # noqa: ARG002 - the protocol's argument
        """Return the verdict."""
        return classify(reply, _item, _complaint, RULES)

    def may_join(self, parcel: Parcel, options: MailtrapOptions) -> bool:  # noqa: ARG002 - the protocol's arguments
        """Return true: messages of a batch have nothing in common."""
        return True

    def build_batch(self, parcels: Sequence[Parcel], options: MailtrapOptions) -> HttpRequest:
        """Return one request for all parcels."""
        return _post(options, "/api/batch", {"base": {}, "requests": [_message(parcel) for parcel in parcels]})

    def classify_batch(self, request: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:  # noqa: ARG002 - the protocol's argument
        """Return the verdicts, which Mailtrap gives in the order of the messages."""
        document = json_of(reply) if reply.phase is Phase.ANSWERED and 200 <= reply.status < 300 else None
        items = document.get("responses") if isinstance(document, dict) else None
        if not isinstance(items, list) or not items:
            return of_all(classify(reply, _refused_whole, _complaint, RULES), count)
        return of_each(reply, items, count, lambda _, item: _item(reply, item))


def _post(options: MailtrapOptions, path: str, fields: Any) -> HttpRequest:
    headers = {
        "Accept": "application/json",
        "Authorization": f"Bearer {options.api_key.reveal()}",
        "Content-Type": "application/json",
        "User-Agent": "reliable-email",  # without one Mailtrap's edge refuses
    }
    return HttpRequest("POST", options.address + path, headers, json_of_fields(fields))


def _message(parcel: Parcel) -> dict[str, Any]:
    envelope = parcel.envelope
    recipients = recipients_with_to(parcel)
    reply_to = only_reply_to(envelope)
    fields: dict[str, Any] = {
        "cc": _mailboxes(recipients.cc),
        "bcc": _mailboxes(recipients.bcc),
        "reply_to": _mailbox(reply_to) if reply_to else None,
        "text": text_of(envelope),
        "html": envelope.html,
        "category": envelope.tags[0][:_MOST_CATEGORY] if envelope.tags else None,
        "attachments": [_attachment(envelope, file) for file in envelope.attachments],
    }
    return {
        "from": _mailbox(envelope.sender),
        "to": _mailboxes(recipients.to),
        "subject": envelope.subject or " ",
        **{name: value for name, value in fields.items() if value},
        "headers": headers_of(parcel, _NOT_TAKEN),
        "custom_variables": _variables(parcel),
    }


def _mailboxes(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return list(map(_mailbox, addresses))


def _mailbox(address: Address) -> dict[str, str]:
    email = travelling(address).email
    return {"email": email, "name": address.name} if address.name else {"email": email}


def _attachment(envelope: Envelope, file: Attachment) -> dict[str, str]:
    fields = {"content": base64_of(file.content), "filename": file.filename, "type": media_type(file)}
    if is_inline(envelope, file) and file.content_id is not None:
        return {**fields, "disposition": "inline", "content_id": file.content_id}
    return {**fields, "disposition": "attachment"}


def _variables(parcel: Parcel) -> Mapping[str, str]:
    """Return our id and the pairs of the client's that fit; recipients do not see them."""
    variables = {_ID: parcel.id}
    for name, value in parcel.envelope.metadata.items():
        more = {name: value, **variables}
        if len(orjson.dumps(more)) <= _MOST_VARIABLES_BYTES:
            variables = more
    return variables


def _item(reply: Reply, item: Any) -> Verdict:
    refused = _refused_whole(reply, item)
    return accepted(item["message_ids"][0]) if refused is None else refused


def _refused_whole(reply: Reply, item: Any) -> Verdict | None:
    if item["success"] is True:
        return None
    return judge(replace(reply, status=400), _complaint(reply, item), RULES)


def _complaint(_reply: Reply, document: Any) -> Fault:
    errors = document["errors"] if "errors" in document else document["error"]
    return Fault("", "; ".join(errors) if isinstance(errors, list) else errors)
