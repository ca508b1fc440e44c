"""Resend: a repeated request is known by its key, and makes no second copy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, Final

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.outcome import Outcome, Verdict
from shared.domain.secret import Secret
from shared.mime.encoding import encoded_words, phrase
from shared.providers.http.abilities import (
    is_inline,
    media_type,
    recipients_with_to,
    require_ascii,
    text_of,
)
from shared.providers.http.fields import base64_of, bytes_within, headers_of, json_of_fields, mailbox, travelling
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS, Fault, Rule, accepted, classify, json_of, judge
from shared.providers.http.shares import of_all, of_each
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Phase, Reply, Unsendable

_KEPT_SECONDS: Final = 24 * 3_600.0
_MOST_KEY: Final = 256

# Whether ours survives is not documented, and mailboxes refuse a message that has two.
_NOT_TAKEN: Final = frozenset({"message-id"})

# RFC 5322, section 3.2.3, but the full stop: what Resend refuses in the sender's name, however it is written.
_SPECIAL: Final = re.compile(r'[()<>\[\]:;@\\,"]')

_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_NOT_IN_TAG: Final = re.compile(r"[^A-Za-z0-9_-]")
_ID: Final = "reliable_email_id"

# A message whose file's name contradicts its type is taken and lost, so a type travels only with a
# name that says the same; otherwise Resend takes the type from the name.
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "csv": frozenset({"text/csv"}),
    "docx": frozenset({"application/vnd.openxmlformats-officedocument.wordprocessingml.document"}),
    "eml": frozenset({"message/rfc822"}),
    "gif": frozenset({"image/gif"}),
    "htm": frozenset({"text/html"}),
    "html": frozenset({"text/html"}),
    "ics": frozenset({"text/calendar"}),
    "jpeg": frozenset({"image/jpeg"}),
    "jpg": frozenset({"image/jpeg"}),
    "json": frozenset({"application/json"}),
    "pdf": frozenset({"application/pdf"}),
    "png": frozenset({"image/png"}),
    "pptx": frozenset({"application/vnd.openxmlformats-officedocument.presentationml.presentation"}),
    "svg": frozenset({"image/svg+xml"}),
    "txt": frozenset({"text/plain"}),
    "webp": frozenset({"image/webp"}),
    "xlsx": frozenset({"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}),
    "xml": frozenset({"application/xml", "text/xml"}),
    "zip": frozenset({"application/zip"}),
}

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, (400,), "invalid_idempotency_key"),
    Rule(Outcome.MISCONFIGURED, (422,), "invalid_from_address|invalid_access"),
    Rule(Outcome.REJECTED, (409,), "invalid_idempotent_request"),
    # The first request is still at work and may send the message: another provider must not.
    Rule(Outcome.AMBIGUOUS, (409,), "concurrent_idempotent_requests"),
    Rule(Outcome.THROTTLED, (429,), "(daily|monthly)_quota_exceeded", pause_seconds=QUOTA_PAUSE_SECONDS),
)

# One message of a batch is refused in words alone.
_ITEM_RULES: Final = (Rule(Outcome.MISCONFIGURED, words=r"not verified|testing emails|`from`"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendOptions(HttpOptions):
    """The team at Resend."""

    base_url: str = "https://api.resend.com"
    """The beginning of Resend's addresses, without a slash at the end."""

    api_key: Secret
    """A key that may send. Example: `api_key = {env = "RESEND_API_KEY"}`"""


class Resend:
    """Sends one message, or a batch of messages without files, under a key of the try's own."""

    kind: ClassVar[str] = "resend"
    Options: ClassVar[type[Any]] = ResendOptions
    max_batch: ClassVar[int] = 100
    max_batch_bytes: ClassVar[int] = 20_000_000
    is_keyed: ClassVar[bool] = True

    def capabilities(self, options: ResendOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what any team's account carries."""
        return Capabilities(max_bytes=bytes_within(40_000_000), max_recipients=50, is_ascii_only=True)

    def remembers_seconds(self, options: ResendOptions) -> float:  # noqa: ARG002 - the protocol's argument
        """Return a day."""
        return _KEPT_SECONDS

    def build(self, parcel: Parcel, options: ResendOptions) -> HttpRequest:
        """Return the request. Raises Unsendable for a name or an address that Resend cannot read."""
        body = json_of_fields(_message(parcel))
        return HttpRequest("POST", f"{options.address}/emails", _headers(options, parcel.deduplication_key), body)

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:  # noqa: ARG002 - the protocol's argument
        """Return the verdict; a repetition is answered as the first request was."""
        return classify(reply, lambda _, document: accepted(document["id"]), _complaint, RULES)

    def may_join(self, parcel: Parcel, options: ResendOptions) -> bool:  # noqa: ARG002 - the protocol's argument
        """Return whether the message has no file."""
        return not parcel.envelope.attachments

    def build_batch(self, parcels: Sequence[Parcel], options: ResendOptions) -> HttpRequest:
        """Return one request for all parcels, its key made of theirs."""
        if any(parcel.envelope.attachments for parcel in parcels):
            raise Unsendable("a batch takes no files")
        # Else one message that is refused would hold up all others.
        headers = {**_headers(options, _key_of(parcels)), "x-batch-validation": "permissive"}
        body = json_of_fields([_message(parcel) for parcel in parcels])
        return HttpRequest("POST", f"{options.address}/emails/batch", headers, body)

    def classify_batch(self, request: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:  # noqa: ARG002 - the protocol's argument
        """Return the verdicts: those refused are named by number, those taken follow in their order."""
        document = json_of(reply) if reply.phase is Phase.ANSWERED and 200 <= reply.status < 300 else None
        items = _in_order(document, count)
        if items is None:
            return of_all(classify(reply, lambda _reply, _document: None, _complaint, RULES), count)
        return of_each(reply, items, count, lambda _, item: _item(reply, item))


def _headers(options: ResendOptions, key: str) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {options.api_key.reveal()}",
        "Content-Type": "application/json",
        "User-Agent": "reliable-email",  # without one Resend's edge refuses
    }
    return {**headers, "Idempotency-Key": key[:_MOST_KEY]} if key else headers


def _key_of(parcels: Sequence[Parcel]) -> str:
    keys = [parcel.deduplication_key for parcel in parcels]
    return sha256("\n".join(keys).encode()).hexdigest() if all(keys) else ""


def _message(parcel: Parcel) -> dict[str, Any]:
    envelope = parcel.envelope
    require_ascii(parcel)
    recipients = recipients_with_to(parcel)
    fields: dict[str, Any] = {
        "cc": list(map(_mailbox, recipients.cc)),
        "bcc": list(map(_mailbox, recipients.bcc)),
        "reply_to": list(map(_mailbox, envelope.reply_to)),
        "text": text_of(envelope),
        "html": envelope.html,
        "attachments": [_attachment(envelope, file) for file in envelope.attachments],
    }
    return {
        "from": _sender(envelope.sender),
        "to": list(map(_mailbox, recipients.to)),
        "subject": envelope.subject or " ",
        **{name: value for name, value in fields.items() if value},
        "headers": headers_of(parcel, _NOT_TAKEN),
        "tags": _tags(parcel),
    }


def _sender(address: Address) -> str:
    """Return the sender as Resend wants it, against RFC 5322: a name neither quoted nor encoded."""
    email = travelling(address).email
    if not address.name:
        return email
    if _SPECIAL.search(address.name):
        raise Unsendable("the service takes no punctuation but a full stop in the sender's name")
    return f"{address.name} <{email}>"


def _mailbox(address: Address) -> str:
    """Return a mailbox without quotes, which Resend refuses; encoded words it reads."""
    if not address.name or not phrase(address.name).startswith('"'):
        return mailbox(address)
    return f"{' '.join(encoded_words(address.name, 75))} <{travelling(address).email}>"


def _attachment(envelope: Envelope, file: Attachment) -> dict[str, str]:
    fields = {"filename": file.filename, "content": base64_of(file.content)}
    _, dot, extension = file.filename.rpartition(".")
    declared = media_type(file)
    if not dot or declared.partition(";")[0].strip().lower() in _TYPES.get(extension.lower(), ()):
        fields["content_type"] = declared
    if is_inline(envelope, file) and file.content_id is not None:
        fields["content_id"] = file.content_id
    return fields


def _tags(parcel: Parcel) -> list[dict[str, str]]:
    """Return our id, the client's tags in letters that Resend takes, and the metadata that is of such letters."""
    tags = {_ID: parcel.id}
    for number, tag in enumerate(parcel.envelope.tags, 1):
        tags[f"tag_{number}"] = _NOT_IN_TAG.sub("_", tag)[:_MOST_KEY]
    for name, value in parcel.envelope.metadata.items():
        if _TAG.fullmatch(name) and _TAG.fullmatch(value):
            tags.setdefault(name, value)
    return [{"name": name, "value": value} for name, value in tags.items()]


def _complaint(_reply: Reply, document: Any) -> Fault | None:
    return Fault(document["name"], document["message"])


def _in_order(document: Any, count: int) -> list[Any] | None:
    """Return what was said of each message; None where it is in no format that would tell."""
    if not isinstance(document, dict) or not isinstance(document.get("data"), list):
        return None
    taken, errors = document["data"], document.get("errors") or []
    if not isinstance(errors, list):
        return None
    refused = {
        error["index"]: error
        for error in errors
        if isinstance(error, dict) and type(error.get("index")) is int and 0 <= error["index"] < count
    }
    if len(taken) + len(refused) != count:
        return None
    following = iter(taken)
    return [refused[index] if index in refused else next(following) for index in range(count)]


def _item(reply: Reply, item: Any) -> Verdict:
    if "index" in item:
        return judge(replace(reply, status=422), Fault("", item["message"]), _ITEM_RULES)
    return accepted(item["id"])
