"""Mailtrap: single messages and batches with a shared base."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import (
    Answer,
    Call,
    Declined,
    Desk,
    Item,
    Native,
    Order,
    Refused,
    Route,
    bearer,
    emails,
    single,
)
from tests.fakes.internet.shapes import OF_THE_SERVICE, Fault, Fields, Wrong, checked_headers
from tests.fakes.internet.taken import File, Taken, our_id

_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+")

_NATIVES: Final = {
    "bad_request": Native(400, "", "'to' address is invalid", "rejected"),
    "not_verified": Native(
        400, "", "Sending from domain shop.example is not allowed: it is not verified", "misconfigured"
    ),
    "unauthorized": Native(401, "error", "Unauthorized", "misconfigured"),
    "forbidden": Native(403, "", "Forbidden", "misconfigured"),
    "rate_limit": Native(429, "", "Too many requests", "throttled"),
    "server_error": Native(500, "", "Internal error", "temporary"),
    "unavailable": Native(503, "", "Service unavailable", "temporary"),
    "too_large": Native(413, "", "Request entity too large", "rejected", scope="provider"),
    "not_found": Native(404, "error", "Not found", "misconfigured"),
    "unsupported_media_type": Native(415, "", "application/json is required", "misconfigured"),
}


class MailtrapDesk(Desk):
    """An account with one token."""

    kind: ClassVar = "mailtrap"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "rate_limit"
    quota_error: ClassVar = "rate_limit"
    review_error: ClassVar = "unauthorized"
    most_bytes: ClassVar = 50 << 20

    most_message_bytes = 10 << 20

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "mailtrap-fake"}
        return (
            Route("POST", re.compile("/api/send(?:/[0-9]+)?"), self.send),
            Route("POST", re.compile("/api/batch(?:/[0-9]+)?"), self.send_batch),
        )

    def admit(self, call: Call) -> None:
        if not call.headers.get("User-Agent"):
            raise Refused("forbidden", "a User-Agent is required")
        if self.credentials["api_key"] not in {bearer(call), call.headers.get("Api-Token", "")}:
            raise Refused("unauthorized")

    def render(self, native: Native, detail: str) -> Answer:
        if native.code == "error":
            return Answer.json({"success": False, "error": detail}, native.status)
        return Answer.json({"success": False, "errors": [detail]}, native.status)

    def wrong(self, _: Wrong) -> str:
        return "bad_request"

    def send(self, call: Call, _: re.Match[str]) -> Order:
        if len(call.body) > self.most_message_bytes:
            raise Refused("too_large")
        return single(self, self._read(call.document(), call), lambda taken: Answer.json(_success(taken)))

    def send_batch(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        base = fields.any("base") or {}
        if not isinstance(base, dict):
            raise Wrong(Fault.TYPE, "base")
        requests = fields.array("requests", required=True, most=500)
        fields.done()
        items = [
            self.item(call, lambda request=request: self._read({**base, **_object(request)}, call))  # type: ignore[misc]  # a lambda's default has no type
            for request in requests
        ]
        return Order(items, self._batch_answer)

    def _batch_answer(self, items: Sequence[Item]) -> Answer:
        responses = [
            {"success": False, "errors": [item.detail or self.natives[item.error].detail]}
            if isinstance(item, Declined)
            else _success(item)
            for item in items
        ]
        return Answer.json({"success": True, "responses": responses})

    def _read(self, document: Any, call: Call) -> Taken:
        fields = Fields(document)
        sender = fields.fields("from", required=True)
        assert sender is not None
        from_address = _address(sender)
        to, cc, bcc = (tuple(map(_address, fields.each(name, most=1000))) for name in ("to", "cc", "bcc"))
        if not (to or cc or bcc):
            raise Wrong(Fault.MISSING, "to")
        reply = fields.fields("reply_to")
        reply_to = (_address(reply),) if reply else ()
        subject = fields.text("subject", required=True)
        text, html = fields.text("text", is_body=True), fields.text("html", is_body=True)
        if not text and not html:
            raise Wrong(Fault.MISSING, "text", "text or html is required")
        category = fields.text("category", longest=255)
        headers = checked_headers(list(fields.strings("headers").items()), "headers", OF_THE_SERVICE)
        metadata = fields.strings("custom_variables")
        files = tuple(_file(file) for file in fields.each("attachments"))
        fields.done()
        return Taken(
            desk=self.name,
            id=self.next_uuid(),
            at=call.at,
            call=call.number,
            sender=from_address.email,
            sender_name=from_address.name,
            recipients=emails(to, cc, bcc),
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=reply_to,
            subject=subject,
            text=text,
            html=html,
            attachments=files,
            headers=headers,
            tags=(category,) if category else (),
            metadata=metadata,
            message_id=our_id((value for _, value in headers), metadata.values()),
        )


def _success(taken: Taken) -> dict[str, Any]:
    ids = [taken.id, *(f"{taken.id[:-4]}{n:04x}" for n in range(1, len(taken.recipients)))]
    return {"success": True, "message_ids": ids}


def _object(request: Any) -> dict[str, Any]:
    if not isinstance(request, dict):
        raise Wrong(Fault.TYPE, "requests")
    return request


def _address(fields: Fields) -> Address:
    address = Address(fields.email(), fields.text("name"))
    fields.done()
    return address


def _file(fields: Fields) -> File:
    content, name = fields.file("content"), fields.text("filename", required=True)
    content_type = fields.text("type", pattern=_MEDIA_TYPE)
    disposition = fields.text("disposition") or "attachment"
    content_id = fields.text("content_id", required=disposition == "inline")
    fields.done()
    if disposition not in {"attachment", "inline"}:
        raise Wrong(Fault.VALUE, fields.at("disposition"))
    return File(name, content_type, content, content_id, is_inline=disposition == "inline")
