"""Mailgun, version 3 of its messages API: forms, ready MIME, and the events by which a message is found."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate, parsedate_to_datetime
from typing import ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Desk, Native, Order, Refused, Route, basic_user, emails, single
from tests.fakes.internet.forms import Part, read_form
from tests.fakes.internet.mime import header_fields
from tests.fakes.internet.shapes import (
    OF_THE_SERVICE,
    Fault,
    Wrong,
    checked,
    checked_headers,
    decoded,
    mailboxes,
    one_mailbox,
)
from tests.fakes.internet.taken import File, Taken, our_id

_ONCE: Final = frozenset({"from", "subject", "text", "html", "amp-html", "template", "message"})
_MANY: Final = frozenset({"to", "cc", "bcc", "attachment", "inline", "o:tag"})
_YES_NO: Final = frozenset({"yes", "no", "true", "false"})
_OPTIONS: Final[Mapping[str, frozenset[str] | None]] = {
    "o:tag": None,
    "o:dkim": _YES_NO,
    "o:deliverytime": None,
    "o:deliver-within": None,
    "o:testmode": frozenset({"yes"}),
    "o:tracking": _YES_NO | {"htmlonly"},
    "o:tracking-clicks": _YES_NO | {"htmlonly"},
    "o:tracking-opens": _YES_NO,
    "o:require-tls": _YES_NO,
    "o:skip-verification": _YES_NO,
    "o:sending-ip": None,
    "o:sending-ip-pool": None,
    "o:suppress-headers": None,
}
_FORBIDDEN: Final = OF_THE_SERVICE - {"reply-to"}
_LIMITED: Final = "Domain shop.example is not allowed to send: {} limit exceeded, try again after {}"
_ONE_MORE: Final = "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified"

_NATIVES: Final = {
    "bad_address": Native(400, "", "'to' parameter is not a valid address. please check documentation", "rejected"),
    "missing": Native(400, "", "to parameter is missing", "rejected"),
    "need_one": Native(400, "", _ONE_MORE, "rejected"),
    "too_many": Native(400, "", "Too many recipients", "rejected"),
    "header_ascii": Native(400, "", "Header name must be pure ASCII", "rejected"),
    "bad_date": Native(400, "", "o:deliverytime is not a valid RFC 2822 date", "rejected"),
    "malformed": Native(400, "", "malformed multipart", "rejected"),
    "sandbox": Native(
        400,
        "",
        "Domain shop.example is not allowed to send: Sandbox subdomains are for test purposes only.",
        "misconfigured",
    ),
    "unauthorized": Native(401, "text", "Forbidden", "misconfigured"),
    "payment": Native(402, "", "Payment required", "misconfigured"),
    "large_batches": Native(403, "", "Domain shop.example is not allowed to send large batches yet", "misconfigured"),
    "rejected_ip": Native(403, "", "Rejected: IP 192.0.2.1 is not on the list", "misconfigured"),
    "domain_not_found": Native(404, "", "Domain not found: shop.example", "misconfigured"),
    "too_large": Native(413, "", "request size exceeds 52.4MiB limit", "rejected", scope="provider"),
    "limit_seconds": Native(429, "", _LIMITED.format("recipient", "37 seconds"), "throttled", pause_seconds=37),
    "server_error": Native(500, "", "Internal Server Error", "temporary"),
    "unavailable": Native(503, "", "Service Unavailable", "temporary"),
}


class MailgunDesk(Desk):
    """An account with one domain."""

    kind: ClassVar = "mailgun"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "limit_seconds"
    quota_error: ClassVar = "payment"
    review_error: ClassVar = "unauthorized"
    most_bytes: ClassVar = int(52.4 * (1 << 20))

    domain = "shop.example"

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "key-fake", "domain": self.domain}
        return (
            Route("POST", re.compile(r"/v3/([^/]+)/messages"), self.send),
            Route("POST", re.compile(r"/v3/([^/]+)/messages\.mime"), self.send_mime),
            Route("GET", re.compile(r"/v3/([^/]+)/events"), self.events, asks=True),
        )

    def admit(self, call: Call) -> None:
        if basic_user(call) != ("api", self.credentials["api_key"]):
            raise Refused("unauthorized")

    def render(self, native: Native, detail: str) -> Answer:
        if native.code == "text":
            return Answer(native.status, detail.encode(), {"Content-Type": "text/plain; charset=utf-8"})
        return Answer.json({"message": detail}, native.status)

    def wrong(self, wrong: Wrong) -> str:
        if wrong.fault is Fault.SYNTAX:
            return "malformed"
        if wrong.fault is Fault.MISSING:
            return "need_one" if wrong.field == "text" else "missing"
        return "too_many" if wrong.fault is Fault.SIZE else "bad_address"

    def throttled(self, seconds: float, now: float) -> Answer:
        # Both forms are seen; which one comes must not matter.
        odd = self.next_serial() % 2
        wait = f"{max(1, math.ceil(seconds))} seconds" if odd else formatdate(now + seconds, usegmt=True)
        return self.error("limit_seconds", _LIMITED.format("recipient", wait))

    def not_found(self, _: Call) -> Answer:
        return Answer(200, b"Mailgun Magnificent API", {"Content-Type": "text/plain; charset=utf-8"})

    def send(self, call: Call, match: re.Match[str]) -> Order:
        parts = self._form(call, match)
        one = {part.name: part.text for part in parts if part.name in _ONCE}
        for name in ("from", "to"):
            if not any(part.name == name for part in parts):
                raise Wrong(Fault.MISSING, name)
        if not any(one.get(name) for name in ("text", "html", "amp-html", "template")):
            raise Wrong(Fault.MISSING, "text")
        if any(part.name == "message" for part in parts):
            raise Wrong(Fault.UNKNOWN, "message")
        to, cc, bcc = (self._addresses(parts, name) for name in ("to", "cc", "bcc"))
        sender = one_mailbox(one["from"], "from", ascii_only=True)
        headers = checked_headers(_named(parts, "h:"), "h", _FORBIDDEN)
        reply_to = tuple(
            address
            for name, value in headers
            if name.lower() == "reply-to"
            for address in mailboxes(value, "h:Reply-To")
        )
        taken = replace(
            self._options(parts, call),
            sender=sender.email,
            sender_name=sender.name,
            recipients=emails(to, cc, bcc),
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=reply_to,
            subject=checked(one.get("subject", ""), "subject"),
            text=checked(one.get("text", ""), "text", is_body=True).replace("\r\n", "\n"),
            html=checked(one.get("html", ""), "html", is_body=True).replace("\r\n", "\n"),
            attachments=self._files(parts, call),
            headers=tuple(pair for pair in headers if pair[0].lower() != "reply-to"),
        )
        message_id = taken.header("Message-Id")
        return self._order(
            taken, message_id, our_id(taken.header("X-Reliable-Email-Id"), taken.metadata.values(), message_id)
        )

    def send_mime(self, call: Call, match: re.Match[str]) -> Order:
        if call.content_type != "multipart/form-data":
            raise Wrong(Fault.SYNTAX, "body", "messages.mime demands multipart/form-data")
        parts = self._form(call, match)
        files = [part for part in parts if part.name == "message"]
        if len(files) != 1 or not files[0].filename:
            raise Wrong(Fault.MISSING, "message", "one file part named message")
        to = self._addresses(parts, "to")
        if not to:
            raise Wrong(Fault.MISSING, "to")
        found = header_fields(files[0].content)
        message_id = found.get("message-id", "")
        taken = replace(
            self._options(parts, call),
            sender=one_mailbox(found["from"], "message.from", ascii_only=True).email,
            recipients=emails(to),
            subject=decoded(found.get("subject", "")),
            mime=files[0].content,
        )
        ours = our_id(found.get("x-reliable-email-id", ""), taken.metadata.values(), message_id)
        return self._order(taken, message_id, ours)

    def events(self, call: Call, match: re.Match[str]) -> Answer:
        self._check_domain(match)
        wanted = call.query.get("message-id", "").strip("<>")
        items = [
            {
                "event": "accepted",
                "id": taken.id,
                "timestamp": call.now,
                "recipient": recipient,
                "message": {"headers": {"message-id": wanted, "from": taken.sender, "subject": taken.subject}},
                "user-variables": dict(taken.metadata),
                "tags": list(taken.tags),
            }
            for taken in self.found(lambda taken: taken.internet_message_id.strip("<>") == wanted)
            for recipient in taken.recipients
        ]
        return Answer.json({"items": items, "paging": {}})

    def _check_domain(self, match: re.Match[str]) -> None:
        if match[1] != self.domain:
            raise Refused("domain_not_found")

    def _form(self, call: Call, match: re.Match[str]) -> list[Part]:
        self._check_domain(match)
        parts = read_form(call.headers.get("Content-Type", ""), call.body)
        names = [part.name for part in parts]
        for part in parts:
            name = part.name
            is_known = name in _ONCE or name in _MANY or name in _OPTIONS or name.startswith(("h:", "v:", "t:"))
            if not is_known:
                # With recipient-variables `%recipient.x%` of a body would be replaced.
                raise Wrong(Fault.UNKNOWN, name)
            if name not in _MANY and names.count(name) > 1:
                raise Wrong(Fault.VALUE, name, f"{name} twice")
            if not name.isascii():
                raise Refused("header_ascii")
        if sum(len(part.content) for part in parts if part.name[1:2] == ":") > 16_384:
            raise Wrong(Fault.SIZE, "o:", "options, headers and variables have more than 16 KB")
        return parts

    def _addresses(self, parts: list[Part], name: str) -> tuple[Address, ...]:
        found = tuple(address for part in parts if part.name == name for address in mailboxes(part.text, name))
        if len(found) > 1000:
            raise Wrong(Fault.SIZE, name)
        return found

    def _options(self, parts: list[Part], call: Call) -> Taken:
        tags = tuple(checked(part.text, "o:tag", filled=True) for part in parts if part.name == "o:tag")
        if len(tags) > 3:
            raise Wrong(Fault.SIZE, "o:tag", "more than 3")
        for part in parts:
            allowed = _OPTIONS.get(part.name)
            if allowed is not None and part.text not in allowed:
                raise Wrong(Fault.VALUE, part.name, part.text)
            if part.name == "o:deliverytime":
                try:
                    parsedate_to_datetime(part.text)
                except ValueError:
                    raise Refused("bad_date") from None
        return Taken(
            desk=self.name,
            id="",
            at=call.at,
            call=call.number,
            sender="",
            recipients=(),
            tags=tags,
            metadata=dict(_named(parts, "v:")),
            is_test=any(part.name == "o:testmode" for part in parts),
        )

    def _files(self, parts: list[Part], call: Call) -> tuple[File, ...]:
        files = []
        for part in parts:
            if part.name in {"attachment", "inline"}:
                if not part.filename:
                    self.complain(call, f"{part.name} without a filename is dropped silently")
                    continue
                is_inline = part.name == "inline"
                files.append(
                    File(part.filename, part.content_type, part.content, part.filename if is_inline else "", is_inline)
                )
        return tuple(files)

    def _order(self, taken: Taken, message_id: str, ours: str) -> Order:
        message_id = message_id or f"<{self.next_serial():014}.fake@{self.domain}>"
        if not re.fullmatch(r"<[^<>\s@]+@[^<>\s@]+>", message_id):
            raise Wrong(Fault.VALUE, "h:Message-Id", message_id)
        taken = replace(taken, id=message_id, internet_message_id=message_id, message_id=ours)
        return single(self, taken, lambda taken: Answer.json({"id": taken.id, "message": "Queued. Thank you."}))


def _named(parts: list[Part], prefix: str) -> list[tuple[str, str]]:
    return [(part.name[len(prefix) :], part.text) for part in parts if part.name.startswith(prefix)]
