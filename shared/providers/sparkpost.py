"""SparkPost, by its API v1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

from shared.domain.message import Address, Attachment
from shared.domain.outcome import Outcome, RecipientVerdict, Verdict
from shared.domain.secret import Secret
from shared.mime.addresses import wire_address
from shared.mime.encoding import encoded_words
from shared.providers.http.abilities import is_inline, media_type, text_of
from shared.providers.http.fields import (
    base64_of,
    bytes_within,
    headers_of,
    json_of_fields,
    mailbox,
    travelling,
)
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import QUOTA_PAUSE_SECONDS, Fault, Rule, accepted, classify
from shared.providers.http.shares import MailRequest, addresses_of, parted, recipients_in
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Reply

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, (400,), "7000|7001"),
    Rule(Outcome.MISCONFIGURED, (401, 403, 404, 405, 415)),
    Rule(Outcome.REJECTED, (400,), "5002|1901|1902|2008|1305"),
    Rule(Outcome.REJECTED, (422,), "1300|1301|1400|2002|2007|3[0-9]{3}"),
    Rule(Outcome.TEMPORARY, (400,), "1502"),
    Rule(Outcome.TEMPORARY, (500, 503)),
    # 2101 by the hour, 2102 by the day, 2103 in the sandbox, 2105 by the month.
    Rule(Outcome.THROTTLED, (420,), pause_seconds=QUOTA_PAUSE_SECONDS),
    Rule(Outcome.THROTTLED, (429,), pause_seconds=2.0),
)

_MOST_BYTES: Final = 20 << 20
_MOST_RECIPIENTS: Final = 2_000

#: The key of the metadata by which events name our message.
ID_KEY: Final = "reliable_email_id"

#: Braces in which SparkPost looks for templates, in headers even where it is told not to, and what it writes for them.
_BRACES: Final = re.compile(r"\{\{\{?|\}\}\}?")
_LITERALS: Final = {
    "{{": "{{opening_double_curly()}}",
    "{{{": "{{opening_triple_curly()}}",
    "}}": "{{closing_double_curly()}}",
    "}}}": "{{closing_triple_curly()}}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkpostOptions(HttpOptions):
    """The account at SparkPost."""

    base_url: str = "https://api.sparkpost.com"
    """Accounts in the EU have theirs at `https://api.eu.sparkpost.com`, enterprises at a host of their own."""

    api_key: Secret
    """A key that may use transmissions. Example: `api_key = {env = "SPARKPOST_KEY"}`"""


class Sparkpost:
    """SparkPost, by its API v1."""

    kind: ClassVar[str] = "sparkpost"
    Options: ClassVar[type[Any]] = SparkpostOptions

    def capabilities(self, options: SparkpostOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return the service's limits."""
        return Capabilities(bytes_within(_MOST_BYTES), _MOST_RECIPIENTS)

    def build(self, parcel: Parcel, options: SparkpostOptions) -> MailRequest:
        """Return the request: `recipients` are those that are left, the headers name all."""
        envelope = parcel.envelope
        fields: dict[str, Any] = {
            "recipients": _recipients(parcel),
            "content": _content(parcel),
            "options": {"transactional": True, "perform_substitutions": False},
            "metadata": {**envelope.metadata, ID_KEY: parcel.id},
        }
        if envelope.tags:
            fields["campaign_id"] = envelope.tags[0]
        if parcel.return_path:
            fields["return_path"] = wire_address(parcel.return_path)[0]
        return MailRequest(
            "POST",
            f"{options.address}/api/v1/transmissions",
            {"Authorization": options.api_key.reveal(), "Content-Type": "application/json"},
            json_of_fields(fields),
            recipients=(addresses_of(parcel),),
        )

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:
        """Return what the answer means, by the error's number."""
        return classify(reply, partial(_accept, recipients_in(request, 0)), _complain, RULES)


def _recipients(parcel: Parcel) -> list[dict[str, Any]]:
    """Return an entry for each recipient, whatever header names it: `header_to` is what all of them see.

    Without it each sees its own address alone, as it should be where nobody is named in `to`.
    """
    envelope = parcel.envelope
    header = {"header_to": _mailboxes(envelope.to)} if envelope.to else {}
    tags = {"tags": list(envelope.tags)} if envelope.tags else {}
    return [{"address": {"email": email, **header}, **tags} for email in addresses_of(parcel)]


def _content(parcel: Parcel) -> dict[str, Any]:
    envelope = parcel.envelope
    headers = {name: _literal(value) for name, value in headers_of(parcel).items()}
    if envelope.cc:
        headers["CC"] = _mailboxes(envelope.cc)
    content: dict[str, Any] = {
        "from": _person(envelope.sender),
        "subject": _literal(envelope.subject or " "),  # an empty one is refused
        "headers": headers,
    }
    bodies = {"text": text_of(envelope), "html": envelope.html}
    content.update({name: body for name, body in bodies.items() if body})
    if envelope.reply_to:
        content["reply_to"] = _mailboxes(envelope.reply_to)
    images = [file for file in envelope.attachments if is_inline(envelope, file)]
    files = [file for file in envelope.attachments if not is_inline(envelope, file)]
    if files:
        content["attachments"] = [_file(file.filename, file) for file in files]
    if images:
        content["inline_images"] = [_file(image.content_id or "", image) for image in images]
    return content


def _file(name: str, file: Attachment) -> dict[str, str]:
    return {"name": name, "type": media_type(file), "data": base64_of(file.content)}


def _person(address: Address) -> dict[str, str]:
    email = travelling(address).email
    return {"email": email, "name": _literal(address.name)} if address.name else {"email": email}


def _mailboxes(addresses: Sequence[Address]) -> str:
    return ", ".join(map(_mailbox, addresses))


def _mailbox(address: Address) -> str:
    """Return an address with its name. Braces are hidden in encoded words: a macro's parentheses would be a comment."""
    if not _BRACES.search(address.name):
        return mailbox(address)
    return f"{' '.join(encoded_words(address.name, 75))} <{travelling(address).email}>"


def _literal(text: str) -> str:
    """Return a header's text so that SparkPost writes it as it is."""
    return _BRACES.sub(lambda braces: _LITERALS[braces[0]], text)


def _accept(recipients: Sequence[str], _: Reply, document: Any) -> Verdict:
    results = document["results"]
    verdict = accepted(results["id"])
    refusals = results.get("rcpt_to_errors") or []
    count = results.get("total_rejected_recipients") or len(refusals)
    if not count:
        return verdict
    return _partly(recipients, verdict, count, "; ".join(map(_words, refusals)))


def _partly(recipients: Sequence[str], verdict: Verdict, count: int, words: str) -> Verdict:
    """Return the verdict where `count` recipients were refused, in words that may name them.

    Where they do not, each recipient may have it or not.
    """
    if count >= len(recipients):
        return Verdict(Outcome.REJECTED, words)
    refused = [email.lower() for email in recipients if email.lower() in words.lower()]
    if len(refused) != count:
        return Verdict(
            Outcome.AMBIGUOUS, f"{count} of {len(recipients)} recipients were refused, and not named: {words}"
        )
    return parted(recipients, {email: RecipientVerdict(0, Outcome.REJECTED, words) for email in refused}, verdict)


def _complain(_: Reply, document: Any) -> Fault:
    first = document["errors"][0]
    return Fault(str(first.get("code") or ""), _words(first))


def _words(error: Any) -> str:
    return ": ".join(part for part in (error.get("message"), error.get("description")) if part)
