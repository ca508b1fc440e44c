"""Postmark: the code in the body decides, whatever the status says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, quote, urlsplit

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.abilities import (
    is_inline,
    media_type,
    recipients_with_to,
    require_ascii,
    text_of,
)
from shared.providers.http.fields import base64_of, bytes_within, headers_of, json_of_fields, mailbox
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import Fault, Rule, accepted, classify, json_of, judge
from shared.providers.http.shares import MailRequest, addresses_of, of_all, of_each, parted, recipients_in
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Phase, Reply, Unsendable

# Of the request, files in base64.
_MOST_BYTES: Final = 10_000_000

# Metadata names the message and this try of it: a message that is sent again after a requeue must not
# be found under its first sending.
_ID: Final = "reliable-email-id"
_TRY: Final = "reliable-email-try"

# A message has at most ten pairs; one that does not fit makes Postmark refuse the message.
_MOST_PAIRS: Final = 10
_MOST_VALUE: Final = 80
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")

_INACTIVE: Final = re.compile(r"inactive addresses:(.*)", re.IGNORECASE | re.DOTALL)

# By the body's ErrorCode alone; 401, 413 and 503 are no HTTP codes there.
RULES: Final = (
    Rule(Outcome.MISCONFIGURED, code="300", words="'From'"),
    Rule(Outcome.REJECTED, code="300|406"),
    Rule(Outcome.REJECTED, code="411", scope=Scope.PROVIDER),
    Rule(Outcome.TEMPORARY, code="100|503"),
    Rule(Outcome.MISCONFIGURED, code="10|400|401|402|403|405|409|410|412|413|1235|1236"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostmarkOptions(HttpOptions):
    """The server at Postmark."""

    base_url: str = "https://api.postmarkapp.com"
    """The beginning of Postmark's addresses, without a slash at the end."""

    server_token: Secret
    """The token of the server that sends. Example: `server_token = {env = "POSTMARK_SERVER_TOKEN"}`"""

    message_stream: str = "outbound"
    """The stream that messages go through; one for transactional mail is there from the start."""


class Postmark:
    """Sends one message or a batch, and finds a lost one by its metadata."""

    kind: ClassVar[str] = "postmark"
    Options: ClassVar[type[Any]] = PostmarkOptions
    max_batch: ClassVar[int] = 500
    max_batch_bytes: ClassVar[int] = bytes_within(50_000_000)

    def capabilities(self, options: PostmarkOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return what any server carries."""
        return Capabilities(max_bytes=bytes_within(_MOST_BYTES), max_recipients=50, is_ascii_only=True)

    def build(self, parcel: Parcel, options: PostmarkOptions) -> MailRequest:
        """Return the request. Raises Unsendable for what Postmark has no field for."""
        return _post(options, "/email", _body(parcel, options), (addresses_of(parcel),))

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:
        """Return the verdict; `partial` where some recipients are inactive."""
        recipients = recipients_in(request, 0)
        return classify(reply, lambda reply, item: _item(reply, item, recipients), _complaint, RULES)

    def may_join(self, parcel: Parcel, options: PostmarkOptions) -> bool:  # noqa: ARG002 - the protocol's arguments
        """Return true: messages of a batch have nothing in common."""
        return True

    def build_batch(self, parcels: Sequence[Parcel], options: PostmarkOptions) -> MailRequest:
        """Return one request for all parcels."""
        body = b"[" + b",".join(_body(parcel, options) for parcel in parcels) + b"]"
        return _post(options, "/email/batch", body, tuple(addresses_of(parcel) for parcel in parcels))

    def classify_batch(self, request: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:
        """Return the verdicts, which Postmark gives in the order of the messages."""
        items = json_of(reply) if reply.phase is Phase.ANSWERED and reply.status == 200 else None
        if not isinstance(items, list):
            return of_all(classify(reply, _refused_whole, _complaint, RULES), count)
        return of_each(reply, items, count, lambda index, item: _item(reply, item, recipients_in(request, index)))

    def build_lookup(self, parcel: Parcel, options: PostmarkOptions) -> HttpRequest:
        """Return the search for this try of the message."""
        query = f"count=1&offset=0&metadata_{_TRY}={quote(parcel.deduplication_key, safe='')}"
        return HttpRequest("GET", f"{options.address}/messages/outbound?{query}", _headers(options))

    def classify_lookup(self, request: HttpRequest, reply: Reply) -> Verdict | None:
        """Return `accepted` where the search found this very try."""
        wanted = parse_qs(urlsplit(request.url).query).get(f"metadata_{_TRY}", [""])[0]
        verdict = classify(reply, lambda _, document: _found(document, wanted), _complaint, RULES)
        return verdict if wanted and verdict.outcome is Outcome.ACCEPTED else None


def _headers(options: PostmarkOptions) -> Mapping[str, str]:
    return {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "X-Postmark-Server-Token": options.server_token.reveal(),
    }


def _post(options: PostmarkOptions, path: str, body: bytes, recipients: tuple[tuple[str, ...], ...]) -> MailRequest:
    return MailRequest("POST", options.address + path, _headers(options), body, recipients=recipients)


def _body(parcel: Parcel, options: PostmarkOptions) -> bytes:
    body = json_of_fields(_message(parcel, options))
    if len(body) > _MOST_BYTES:
        raise Unsendable(f"the request has {len(body)} bytes, the service takes {_MOST_BYTES}")
    return body


def _message(parcel: Parcel, options: PostmarkOptions) -> dict[str, Any]:
    envelope = parcel.envelope
    require_ascii(parcel)
    recipients = recipients_with_to(parcel)
    # Without X-PM-KeepID Postmark writes a Message-ID of its own.
    headers = {**headers_of(parcel), "X-PM-KeepID": "true"}
    fields: dict[str, Any] = {
        "From": mailbox(envelope.sender),
        "To": _line(recipients.to),
        "Cc": _line(recipients.cc),
        "Bcc": _line(recipients.bcc),
        "ReplyTo": _line(envelope.reply_to),
        "TextBody": text_of(envelope),
        "HtmlBody": envelope.html,
        "Tag": envelope.tags[0] if envelope.tags else None,
        "Attachments": [_attachment(envelope, file) for file in envelope.attachments],
    }
    return {
        **{name: value for name, value in fields.items() if value},
        "Subject": envelope.subject,
        "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
        "Metadata": _metadata(parcel),
        "MessageStream": options.message_stream,
    }


def _line(addresses: Sequence[Address]) -> str:
    return ", ".join(map(mailbox, addresses))


def _attachment(envelope: Envelope, file: Attachment) -> dict[str, str]:
    fields = {"Name": file.filename, "Content": base64_of(file.content), "ContentType": media_type(file)}
    return {**fields, "ContentID": f"cid:{file.content_id}"} if is_inline(envelope, file) else fields


def _metadata(parcel: Parcel) -> dict[str, str]:
    """Return our own pairs and those of the client's that fit; recipients do not see them."""
    pairs = {_ID: parcel.id}
    if parcel.deduplication_key:
        pairs[_TRY] = parcel.deduplication_key
    taken = set(pairs)  # no two names may differ only in case
    for name, value in parcel.envelope.metadata.items():
        fits = _NAME.fullmatch(name) and len(value) <= _MOST_VALUE and len(pairs) < _MOST_PAIRS
        if fits and name.lower() not in taken:
            taken.add(name.lower())
            pairs[name] = value
    return pairs


def _item(reply: Reply, item: Any, recipients: Sequence[str]) -> Verdict:
    # The code is missing in "Message accepted, but delivery may be delayed."
    words = " ".join(item["Message"].split())
    refused = _refused_whole(reply, {"ErrorCode": 0, **item})
    if refused is not None:
        return refused
    taken = accepted(item["MessageID"], "" if words == "OK" else words)
    return parted(recipients, _inactive(words), taken)


def _refused_whole(reply: Reply, item: Any) -> Verdict | None:
    fault = _complaint(reply, item)
    if fault is None or fault.code == "0":
        return None
    return judge(replace(reply, status=422), fault, RULES)


def _inactive(words: str) -> Mapping[str, RecipientVerdict]:
    """Return the refusals of those that a taken message will not reach, named in lower case in its words."""
    named = _INACTIVE.search(words)
    addresses = (word.rstrip(".") for word in re.split(r"[,\s]+", named[1])) if named else ()
    return {address: RecipientVerdict(0, Outcome.REJECTED, words) for address in addresses}


def _complaint(_reply: Reply, document: Any) -> Fault | None:
    code = document["ErrorCode"]
    if type(code) is not int:
        raise TypeError("an ErrorCode is a number")
    return Fault(str(code), document["Message"])


def _found(document: Any, wanted: str) -> Verdict | None:
    for message in document["Messages"]:
        if message["Metadata"][_TRY] == wanted:
            return accepted(message["MessageID"], "found by its metadata")
    return None
