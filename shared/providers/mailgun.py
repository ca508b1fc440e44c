"""Mailgun, by its API v3: the whole message as MIME in a form."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from shared.domain.errors import Fault as KeyFault
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.mime.addresses import wire_address
from shared.mime.writer import render
from shared.providers.http.fields import bytes_within
from shared.providers.http.forms import FormFile, multipart_form
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import Fault, Rule, accepted, classify, json_of, seconds_until
from shared.providers.http.shares import addresses_of
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Reply, Unsendable

RULES: Final = (
    Rule(Outcome.MISCONFIGURED, (400,), words="not allowed to send"),
    Rule(Outcome.REJECTED, (400,)),
    Rule(Outcome.MISCONFIGURED, (401, 402, 403, 404)),
    Rule(Outcome.REJECTED, (413,), scope=Scope.PROVIDER),
    Rule(Outcome.THROTTLED, (429,)),
    Rule(Outcome.TEMPORARY, (500, 503)),
)

_MOST_BYTES: Final = 25 << 20
_MOST_RECIPIENTS: Final = 1_000
_MOST_TAGS: Final = 3

#: "Domain … is not allowed to send: … limit exceeded, try again after 12 seconds", or after a date (RFC 1123).
_AGAIN: Final = re.compile(
    r"try again after (?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]+)?) ?s(?:ec(?:onds?)?)?\b|(?P<date>.+))"
)

#: Events are looked for from this long before the first attempt on, for clocks differ.
_CLOCKS_DIFFER_SECONDS: Final = 300
_MOST_EVENTS: Final = 300  # of one page

_OR: Final = " OR "


@dataclass(frozen=True, slots=True, kw_only=True)
class MailgunOptions(HttpOptions):
    """The account at Mailgun. Raises ConfigurationError for a domain that cannot be one."""

    base_url: str = "https://api.mailgun.net"
    """Domains in the EU have theirs at `https://api.eu.mailgun.net`."""

    api_key: Secret
    """The account's key, or one of the domain's. Example: `api_key = {env = "MAILGUN_KEY"}`"""

    domain: str
    """The sending domain, as the account names it. Example: `domain = "mg.example.com"`"""

    def faults(self) -> Iterable[KeyFault]:
        """Return a fault for what would make another path: Mailgun answers that with a friendly 200."""
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", self.domain):
            yield KeyFault("domain", "invalid_domain", f"{self.domain!r} is no domain like mg.example.com")


class Mailgun:
    """Mailgun, by its API v3."""

    kind: ClassVar[str] = "mailgun"
    Options: ClassVar[type[Any]] = MailgunOptions

    def capabilities(self, options: MailgunOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return the service's limits."""
        return Capabilities(bytes_within(_MOST_BYTES), _MOST_RECIPIENTS)

    def build(self, parcel: Parcel, options: MailgunOptions) -> HttpRequest:
        """Return the request: MIME for all, `to` for those that are left, which changes no header.

        Raises Unsendable for a sender whose local part is not ASCII: such mail is taken and never arrives.
        """
        if wire_address(parcel.envelope.sender.email)[1]:
            raise Unsendable("Mailgun sends nothing from an address with a local part beyond ASCII")
        fields = [
            *(("to", email) for email in addresses_of(parcel)),
            *(("o:tag", tag) for tag in parcel.envelope.tags[:_MOST_TAGS]),
        ]
        message = render(
            parcel.envelope,
            message_id=parcel.id,
            internet_message_id=parcel.internet_message_id,
            date=parcel.date,
        )
        file = FormFile("message", "message.eml", "message/rfc822", message)
        media_type, body = multipart_form(parcel.id, fields, file)
        return HttpRequest(
            "POST",
            f"{options.address}/v3/{options.domain}/messages.mime",
            {"Authorization": _authorization(options), "Content-Type": media_type},
            body,
        )

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:  # noqa: ARG002 - the protocol's argument
        """Return what the answer means, by its status and words."""
        return classify(reply, _accept, _complain, RULES)

    def build_lookup(self, parcel: Parcel, options: MailgunOptions) -> HttpRequest:
        """Return the request for the events that tell that the message was taken for these recipients."""
        query = urlencode(
            {
                "message-id": parcel.internet_message_id.strip("<>"),
                "event": "accepted",
                "recipient": _OR.join(addresses_of(parcel)),
                "begin": parcel.date // 1000 - _CLOCKS_DIFFER_SECONDS,
                "ascending": "yes",
                "limit": _MOST_EVENTS,
            }
        )
        return HttpRequest(
            "GET",
            f"{options.address}/v3/{options.domain}/events?{query}",
            {"Authorization": _authorization(options)},
        )

    def classify_lookup(self, request: HttpRequest, reply: Reply) -> Verdict | None:
        """Return `accepted` where each recipient has its event.

        Events come late, and some recipients may have theirs from an attempt of long ago, under the
        same Message-ID: fewer than all prove nothing.
        """
        asked = parse_qs(urlsplit(request.url).query)["recipient"][0]
        wanted = {email.lower() for email in asked.split(_OR)}
        if reply.status != 200:
            return None
        try:
            events = [event for event in json_of(reply)["items"] if event["event"] == "accepted"]
            taken = {event["recipient"].lower() for event in events}
            return accepted(f"<{events[0]['message']['headers']['message-id']}>") if wanted <= taken else None
        except (AttributeError, LookupError, TypeError):
            return None


def _authorization(options: MailgunOptions) -> str:
    return f"Basic {b64encode(f'api:{options.api_key.reveal()}'.encode()).decode()}"


def _accept(_: Reply, document: Any) -> Verdict:
    return accepted(document["id"])


def _complain(reply: Reply, document: Any) -> Fault | None:
    words, seconds = document.get("message"), document.get("retry-seconds")
    if words is None and seconds is None:
        return None
    return Fault(words=words or "", pause_seconds=_pause(words or "", reply) if seconds is None else seconds)


def _pause(words: str, reply: Reply) -> float | None:
    found = _AGAIN.search(words)
    if found is None:
        return None
    return float(found["seconds"]) if found["seconds"] else seconds_until(found["date"], reply)
