"""Twilio SendGrid, version 3 of its Mail Send API."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Declined, Desk, Item, Native, Order, Refused, Route, bearer, emails
from tests.fakes.internet.shapes import Fault, Fields, Wrong, checked_headers
from tests.fakes.internet.taken import File, Taken, our_id

_FORBIDDEN: Final = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"}
    | {"to", "from", "subject", "reply-to", "cc", "bcc"}
)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", re.IGNORECASE)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_IDENTITY: Final = (
    "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."
)

_NATIVES: Final = {
    "bad_request": Native(400, "", "Does not contain a valid address.", "rejected"),
    "identity_400": Native(400, "from", _IDENTITY, "misconfigured"),
    "unauthorized": Native(
        401, "", "The provided authorization grant is invalid, expired, or revoked", "misconfigured"
    ),
    "wrong_credentials": Native(401, "", "Permission denied, wrong credentials", "misconfigured"),
    "credits": Native(401, "", "Maximum credits exceeded", "throttled", pause_seconds=600),
    "identity": Native(403, "from", _IDENTITY, "misconfigured"),
    "forbidden": Native(403, "", "access forbidden", "misconfigured"),
    "not_found": Native(404, "", "not found", "misconfigured"),
    "method": Native(405, "", "method not allowed", "misconfigured"),
    "too_large": Native(413, "", "The payload is too large.", "rejected", scope="provider"),
    "unsupported_media_type": Native(415, "", "Content-Type should be application/json.", "misconfigured"),
    "rate_limit": Native(429, "", "too many requests", "throttled"),
    "server_error": Native(500, "", "server error", "temporary"),
    "unavailable": Native(503, "", "service unavailable", "temporary"),
}


class SendgridDesk(Desk):
    """An account with one API key."""

    kind: ClassVar = "sendgrid"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "rate_limit"
    quota_error: ClassVar = "credits"
    review_error: ClassVar = "wrong_credentials"
    most_bytes: ClassVar = 30 << 20

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "SG.fake"}
        return (Route("POST", re.compile("/v3/mail/send"), self.send),)

    def admit(self, call: Call) -> None:
        if bearer(call) != self.credentials["api_key"]:
            raise Refused("unauthorized")

    def render(self, native: Native, detail: str) -> Answer:
        error = {"message": detail, "field": native.code or None, "help": None}
        return Answer.json({"errors": [error]}, native.status)

    def wrong(self, _: Wrong) -> str:
        return "bad_request"

    def throttled(self, seconds: float, now: float) -> Answer:
        answer = self.error("rate_limit")
        limits = {
            "X-RateLimit-Limit": "600",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(math.ceil(now + seconds)),
        }
        return Answer(answer.status, answer.body, {**answer.headers, **limits})

    def send(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        number = self.next_serial()
        base = self._shared(fields)
        settings = fields.fields("mail_settings")
        sandbox = settings.fields("sandbox_mode") if settings else None
        is_test = bool(sandbox and sandbox.flag("enable"))
        takens: list[Item] = []
        for n, one in enumerate(fields.each("personalizations", required=True, most=1000)):
            takens.append(self._personal(one, base, call, f"fake{number:06}.{n}", is_test=is_test))
        if sum(len(taken.recipients) for taken in takens if isinstance(taken, Taken)) > 1000:
            raise Wrong(Fault.SIZE, "personalizations", "more than 1000 recipients")
        fields.skip("send_at", "batch_id", "asm", "ip_pool_name", "template_id", "tracking_settings")
        fields.done()

        def answer(items: Any) -> Answer:
            for item in items:
                if isinstance(item, Declined):
                    return self.error(item.error, item.detail)
            if is_test:
                return Answer(200)
            return Answer(202, b"", {"X-Message-Id": f"fake{number:06}"})

        return Order(takens, answer, is_whole=True)

    def _shared(self, fields: Fields) -> dict[str, Any]:
        sender = fields.fields("from", required=True)
        assert sender is not None
        one, several = fields.fields("reply_to"), list(fields.each("reply_to_list", most=1000))
        if one is not None and several:
            raise Wrong(Fault.VALUE, "reply_to_list", "not beside reply_to")
        reply_to = [_address(found) for found in ([one] if one is not None else several)]
        bodies = self._content(fields)
        headers = checked_headers(list(fields.strings("headers").items()), "headers", _FORBIDDEN, ascii_only=True)
        tags = fields.texts("categories", most=10, longest=255)
        if len(set(tags)) != len(tags):
            raise Wrong(Fault.VALUE, "categories", "not unique")
        metadata = fields.strings("custom_args")
        if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > 10_000:
            raise Wrong(Fault.SIZE, "custom_args", "more than 10,000 bytes")
        return {
            "from": _address(sender),
            "subject": fields.text("subject"),
            "headers": headers,
            "tags": tuple(tags),
            "metadata": metadata,
            "reply_to": tuple(reply_to),
            "bodies": bodies,
            "files": tuple(_file(file) for file in fields.each("attachments")),
        }

    def _content(self, fields: Fields) -> dict[str, str]:
        bodies: dict[str, str] = {}
        order = {"text/plain": 0, "text/html": 1}
        ranks = []
        for part in fields.each("content", required=True):
            kind = part.text("type", required=True)
            if kind in bodies:
                raise Wrong(Fault.VALUE, part.at("type"), "twice")
            bodies[kind] = part.text("value", required=True, is_body=True)
            ranks.append(order.get(kind, 2))
            part.done()
        if ranks != sorted(ranks):
            raise Wrong(Fault.VALUE, "content", "text/plain comes first, then text/html, then others")
        return bodies

    def _personal(self, one: Fields, base: dict[str, Any], call: Call, provider_id: str, *, is_test: bool) -> Taken:
        to, cc, bcc = (
            tuple(self._recipient(found, call) for found in one.each(name, required=name == "to"))
            for name in ("to", "cc", "bcc")
        )
        seen = [email.lower() for email in emails(to, cc, bcc)]
        if len(set(seen)) != len(seen):
            raise Wrong(Fault.VALUE, one.path, "Each email address should be unique between to, cc, and bcc.")
        subject = one.text("subject") or base["subject"]
        if not subject:
            raise Wrong(Fault.MISSING, "subject")
        own_from = one.fields("from")
        sender: Address = _address(own_from) if own_from else base["from"]
        headers = {
            **dict(base["headers"]),
            **dict(
                checked_headers(list(one.strings("headers").items()), one.at("headers"), _FORBIDDEN, ascii_only=True)
            ),
        }
        metadata = {**base["metadata"], **one.strings("custom_args")}
        one.skip("send_at", "substitutions", "dynamic_template_data")
        one.done()
        return Taken(
            desk=self.name,
            id=provider_id,
            at=call.at,
            call=call.number,
            sender=sender.email,
            sender_name=sender.name,
            recipients=emails(to, cc, bcc),
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=base["reply_to"],
            subject=subject,
            text=base["bodies"].get("text/plain", ""),
            html=base["bodies"].get("text/html", ""),
            attachments=base["files"],
            headers=tuple(headers.items()),
            tags=base["tags"],
            metadata=metadata,
            internet_message_id=headers.get("Message-ID", ""),
            message_id=our_id(headers.values(), metadata.values()),
            is_test=is_test,
        )

    def _recipient(self, fields: Fields, call: Call) -> Address:
        """Return a recipient as a reader sees it: names stand in the header as they are, quoted or not."""
        address = _address(fields)
        quoted = _QUOTED.fullmatch(address.name)
        if quoted:
            return Address(address.email, re.sub(r"\\(.)", r"\1", quoted[1]))
        if re.search("[,;]", address.name):
            self.complain(call, f"the name {address.name!r} would be read as several: it needs quotes")
        return address


def _address(fields: Fields) -> Address:
    address = Address(fields.email(), fields.text("name"))
    fields.done()
    return address


def _file(fields: Fields) -> File:
    content, name = fields.file("content"), fields.text("filename", required=True)
    content_type = fields.text("type", pattern=_MEDIA_TYPE)
    disposition = fields.text("disposition") or "attachment"
    content_id = fields.text("content_id")
    fields.done()
    if disposition not in {"attachment", "inline"}:
        raise Wrong(Fault.VALUE, fields.at("disposition"))
    return File(name, content_type, content, content_id, is_inline=disposition == "inline")
