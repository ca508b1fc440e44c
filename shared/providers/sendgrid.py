"""Twilio SendGrid, by its API v3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from shared.domain.message import Address, Attachment, Envelope
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.abilities import media_type
from shared.providers.http.fields import (
    Recipients,
    base64_of,
    bytes_within,
    headers_of,
    json_of_fields,
    recipients_of,
    travelling,
)
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import (
    QUOTA_PAUSE_SECONDS,
    Fault,
    Rule,
    accepted,
    classify,
    seconds_until_unix,
)
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Reply

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, (400,), words="verified sender identity"),
    # A blank stands in for a missing subject or body; should that not do, another service takes the message.
    Rule(
        Outcome.REJECTED,
        (400,),
        words="subject is required|at least one character",
        scope=Scope.PROVIDER,
    ),
    Rule(Outcome.REJECTED, (400,)),
    Rule(Outcome.THROTTLED, (401,), words="maximum credits exceeded", pause_seconds=QUOTA_PAUSE_SECONDS),
    Rule(Outcome.MISCONFIGURED, (401, 403, 404, 405, 415)),
    Rule(Outcome.REJECTED, (413,), scope=Scope.PROVIDER),
    Rule(Outcome.THROTTLED, (429,)),
    Rule(Outcome.TEMPORARY, (500, 503)),
)

_MOST_BYTES: Final = 30 << 20
_MOST_RECIPIENTS: Final = 1_000
_MOST_CATEGORIES: Final = 10

_FORBIDDEN_HEADERS: Final = frozenset({"x-sg-id", "x-sg-eid"})

#: The argument by which events name our message.
ID_ARGUMENT: Final = "reliable_email_id"

#: Arguments come back flattened into each event, where one of these names would hide the event's own field.
_FIELDS_OF_EVENTS: Final = frozenset(
    {
        "asm_group_id",
        "attempt",
        "bounce_classification",
        "category",
        "email",
        "event",
        "ip",
        "reason",
        "response",
        "sg_event_id",
        "sg_machine_open",
        "sg_message_id",
        "smtp-id",
        "status",
        "timestamp",
        "tls",
        "type",
        "url",
        "url_offset",
        "useragent",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendgridOptions(HttpOptions):
    """The account at SendGrid."""

    base_url: str = "https://api.sendgrid.com"
    """Subusers in the EU have theirs at `https://api.eu.sendgrid.com`."""

    api_key: Secret
    """A key that may send mail. Example: `api_key = {env = "SENDGRID_KEY"}`"""


class Sendgrid:
    """Twilio SendGrid, by its API v3."""

    kind: ClassVar[str] = "sendgrid"
    Options: ClassVar[type[Any]] = SendgridOptions

    def capabilities(self, options: SendgridOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return the service's limits."""
        return Capabilities(bytes_within(_MOST_BYTES), _MOST_RECIPIENTS)

    def build(self, parcel: Parcel, options: SendgridOptions) -> HttpRequest:
        """Return the request. Raises Unsendable for a header that SendGrid keeps for itself."""
        envelope = parcel.envelope
        fields: dict[str, Any] = {
            "personalizations": _personalizations(recipients_of(parcel)),
            "from": _person(travelling(envelope.sender)),
            "subject": envelope.subject or " ",
            "content": _content(envelope),
            "headers": headers_of(parcel, _FORBIDDEN_HEADERS),
            "custom_args": _arguments(parcel.id, envelope.metadata),
        }
        if envelope.reply_to:
            fields["reply_to_list"] = [_person(travelling(address)) for address in envelope.reply_to]
        if envelope.attachments:
            fields["attachments"] = [_file(file) for file in envelope.attachments]
        if envelope.tags:
            fields["categories"] = list(dict.fromkeys(envelope.tags))[:_MOST_CATEGORIES]
        return HttpRequest(
            "POST",
            f"{options.address}/v3/mail/send",
            {"Authorization": f"Bearer {options.api_key.reveal()}", "Content-Type": "application/json"},
            json_of_fields(fields),
        )

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:  # noqa: ARG002 - the protocol's argument
        """Return what the answer means, by its status and words."""
        return classify(reply, _accept, _complain, RULES)


def _personalizations(left: Recipients) -> list[dict[str, Any]]:
    """Return who gets the message: one entry that names all, and one for each that no other may see.

    An entry needs a `to`. Where none is left, those in `cc`, who are seen by all anyway, take the
    place; blind recipients alone get an entry each. An address stands once in an entry, whatever
    its case: who differs by case alone gets an entry too.
    """
    if not left.to and not left.cc:
        return [{"to": [_named(address)]} for address in left.bcc]
    entry: dict[str, list[dict[str, str]]] = {}
    alone = []
    seen = set()
    for kind, addresses in (("to", left.to or left.cc), ("cc", left.cc if left.to else ()), ("bcc", left.bcc)):
        for address in addresses:
            if address.email.lower() in seen:
                alone.append({"to": [_named(address)]})
            else:
                seen.add(address.email.lower())
                entry.setdefault(kind, []).append(_named(address))
    return [entry, *alone]


def _named(address: Address) -> dict[str, str]:
    """Return a recipient. Of recipients' names, and of no others, SendGrid puts none in quotes that needs them."""
    if any(mark in address.name for mark in ",;"):
        name = address.name.replace("\\", "\\\\").replace('"', '\\"')
        return _person(Address(address.email, f'"{name}"'))
    return _person(address)


def _person(address: Address) -> dict[str, str]:
    return {"email": address.email, "name": address.name} if address.name else {"email": address.email}


def _content(envelope: Envelope) -> list[dict[str, str]]:
    """Return the bodies in the order that is asked for; an empty one is refused, and so is none at all."""
    bodies = {"text/plain": envelope.text, "text/html": envelope.html}
    content = [{"type": kind, "value": body} for kind, body in bodies.items() if body]
    return content or [{"type": "text/plain", "value": " "}]


def _file(file: Attachment) -> dict[str, str]:
    """Return a file; its type is given without parameters, in which a semicolon would be refused."""
    fields = {
        "content": base64_of(file.content),
        "filename": file.filename,
        "type": media_type(file).partition(";")[0].rstrip(),
        "disposition": file.disposition,
    }
    return fields if file.content_id is None else {**fields, "content_id": file.content_id}


def _arguments(message_id: str, metadata: Mapping[str, str]) -> dict[str, str]:
    notes = {name: value for name, value in metadata.items() if name not in _FIELDS_OF_EVENTS}
    return {**notes, ID_ARGUMENT: message_id}


def _accept(reply: Reply, _: Any) -> Verdict:
    return accepted(reply.headers["x-message-id"])


def _complain(reply: Reply, document: Any) -> Fault:
    errors = document["errors"]
    # Every answer carries the header; only here it says when the next request is welcome.
    reset = reply.headers.get("x-ratelimit-reset", "") if reply.status == 429 else ""
    return Fault(
        errors[0].get("field") or "",
        "; ".join(error["message"] for error in errors),
        seconds_until_unix(reset, reply),
    )
