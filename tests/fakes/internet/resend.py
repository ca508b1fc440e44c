"""Resend: single messages, batches in two ways, and idempotency keys."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from mimetypes import guess_type
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Declined, Desk, Item, Native, Order, Refused, Route, bearer, emails
from tests.fakes.internet.shapes import (
    OF_THE_SERVICE,
    Fault,
    Fields,
    Wrong,
    checked,
    checked_email,
    checked_headers,
    decoded,
)
from tests.fakes.internet.taken import File, Taken, our_id

_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_NAMED: Final = re.compile(r"(.+) <([^<>]+)>")
_DAY_SECONDS: Final = 86_400.0
_MISSING: Final = "Missing `to` field."

_NATIVES: Final = {
    "validation_error_400": Native(400, "validation_error", "Invalid `to` field.", "rejected"),
    "missing_required_field": Native(422, "missing_required_field", _MISSING, "rejected"),
    "invalid_attachment": Native(422, "invalid_attachment", "Attachment must have a `content` or `path`.", "rejected"),
    "invalid_parameter": Native(422, "invalid_parameter", "The `parameter` must be a valid UUID.", "rejected"),
    "validation_error": Native(422, "validation_error", "Invalid `to` field.", "rejected"),
    "invalid_from_address": Native(422, "invalid_from_address", "Invalid `from` field.", "misconfigured"),
    "invalid_idempotency_key": Native(400, "invalid_idempotency_key", "1 to 256 characters.", "misconfigured"),
    "missing_api_key": Native(401, "missing_api_key", "Missing API key in the authorization header.", "misconfigured"),
    "restricted_api_key": Native(401, "restricted_api_key", "This API key is restricted.", "misconfigured"),
    "invalid_api_key": Native(403, "invalid_api_key", "API key is invalid.", "misconfigured"),
    "domain_not_verified": Native(403, "validation_error", "The shop.example domain is not verified.", "misconfigured"),
    "invalid_access": Native(422, "invalid_access", "Access must be full_access or sending_access.", "misconfigured"),
    "security_error": Native(451, "security_error", "We found a security issue with the request.", "misconfigured"),
    "not_found": Native(404, "not_found", "The requested endpoint does not exist.", "misconfigured"),
    "method_not_allowed": Native(
        405, "method_not_allowed", "Method is not allowed for the requested path.", "misconfigured"
    ),
    "invalid_idempotent_request": Native(
        409, "invalid_idempotent_request", "This key has been used with another request body.", "rejected"
    ),
    "concurrent_idempotent_requests": Native(
        409, "concurrent_idempotent_requests", "The same key is in use at this moment.", "temporary"
    ),
    "rate_limit_exceeded": Native(
        429,
        "rate_limit_exceeded",
        "Too many requests.",
        "throttled",
        pause_seconds=1,
        headers={"retry-after": "1", "ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": "1"},
    ),
    "daily_quota_exceeded": Native(
        429, "daily_quota_exceeded", "You have reached your daily quota.", "throttled", pause_seconds=600
    ),
    "monthly_quota_exceeded": Native(
        429, "monthly_quota_exceeded", "You have reached your monthly quota.", "throttled", pause_seconds=600
    ),
    "application_error": Native(500, "application_error", "An unexpected error occurred.", "temporary"),
    "internal_server_error": Native(500, "internal_server_error", "An unexpected error occurred.", "temporary"),
    "too_large": Native(413, "validation_error", "The request is too large.", "rejected", scope="provider"),
    "unsupported_media_type": Native(
        415, "invalid_content_type", "Content-Type must be application/json.", "misconfigured"
    ),
}


class ResendDesk(Desk):
    """A team with one API key."""

    kind: ClassVar = "resend"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "rate_limit_exceeded"
    quota_error: ClassVar = "daily_quota_exceeded"
    review_error: ClassVar = "restricted_api_key"
    most_bytes: ClassVar = 40 << 20

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "re_fake"}
        return (
            Route("POST", re.compile("/emails"), self.send),
            Route("POST", re.compile("/emails/batch"), self.send_batch),
            Route("GET", re.compile("/emails/([0-9a-f-]+)"), self.show, asks=True),
        )

    def admit(self, call: Call) -> None:
        if not call.headers.get("User-Agent"):
            raise Refused("invalid_api_key", "error code: 1010: a User-Agent is required")
        if "Authorization" not in call.headers:
            raise Refused("missing_api_key")
        if bearer(call) != self.credentials["api_key"]:
            raise Refused("invalid_api_key")

    def render(self, native: Native, detail: str) -> Answer:
        return Answer.json({"statusCode": native.status, "name": native.code, "message": detail}, native.status)

    def wrong(self, wrong: Wrong) -> str:
        if wrong.fault is Fault.SYNTAX:
            return "validation_error_400"
        if "from" in wrong.field:
            return "invalid_from_address"
        if "attachments" in wrong.field:
            return "invalid_attachment"
        return "missing_required_field" if wrong.fault is Fault.MISSING else "validation_error"

    def throttled(self, seconds: float, _: float) -> Answer:
        answer = self.error("rate_limit_exceeded")
        wait = str(math.ceil(seconds))
        return Answer(answer.status, answer.body, {**answer.headers, "retry-after": wait, "ratelimit-reset": wait})

    def repeat(self, answer: Answer, call: Call, *, is_same: bool) -> Answer:
        if not is_same:
            self.complain(call, "another body under a used key")
            return self.error("invalid_idempotent_request")
        return answer

    def send(self, call: Call, _: re.Match[str]) -> Order:
        key = self._key(call)
        taken = self._read(call.document(), call, key)

        def answer(items: Sequence[Item]) -> Answer:
            (item,) = items
            return self.error(item.error, item.detail) if isinstance(item, Declined) else Answer.json({"id": item.id})

        return self._order([taken], answer, key)

    def send_batch(self, call: Call, _: re.Match[str]) -> Order:
        key = self._key(call)
        documents = call.document()
        if not isinstance(documents, list) or not 0 < len(documents) <= 100:
            raise Refused("validation_error", "an array of 1 to 100 messages")
        mode = call.headers.get("x-batch-validation", "strict")
        if mode not in {"strict", "permissive"}:
            raise Refused("validation_error", f"x-batch-validation {mode!r}")

        def read(document: Any) -> Taken:
            if isinstance(document, dict) and "attachments" in document:
                raise Wrong(Fault.UNKNOWN, "attachments", "not in a batch")
            return self._read(document, call, key)

        if mode == "strict":
            return self._order([read(document) for document in documents], self._strict, key, is_whole=True)
        items = [self.item(call, lambda document=document: read(document)) for document in documents]  # type: ignore[misc]  # a lambda's default has no type
        return self._order(items, self._permissive, key)

    def show(self, _: Call, match: re.Match[str]) -> Answer:
        for taken in self.found(lambda taken: taken.id == match[1]):
            return Answer.json(
                {
                    "object": "email",
                    "id": taken.id,
                    "message_id": taken.internet_message_id,
                    "to": [address.email for address in taken.to],
                    "from": taken.sender,
                    "subject": taken.subject,
                    "last_event": "sent",
                }
            )
        return self.error("not_found", "Email not found")

    def _key(self, call: Call) -> str:
        if "Idempotency-Key" not in call.headers:
            return ""
        key = call.headers["Idempotency-Key"]
        if not 1 <= len(key) <= 256 or not key.isascii():
            raise Refused("invalid_idempotency_key")
        return key

    def _order(self, items: Sequence[Item], answer: Any, key: str, *, is_whole: bool = False) -> Order:
        return Order(items, answer, is_whole=is_whole, recall=key, recall_seconds=_DAY_SECONDS)

    def _strict(self, items: Sequence[Item]) -> Answer:
        for item in items:
            if isinstance(item, Declined):
                return self.error(item.error, item.detail)
        return self._permissive(items)

    def _permissive(self, items: Sequence[Item]) -> Answer:
        answer: dict[str, Any] = {"data": [{"id": item.id} for item in items if isinstance(item, Taken)]}
        errors = [
            {"index": n, "message": item.detail or self.natives[item.error].detail}
            for n, item in enumerate(items)
            if isinstance(item, Declined)
        ]
        return Answer.json({**answer, "errors": errors} if errors else answer)

    def _read(self, document: Any, call: Call, key: str) -> Taken:
        fields = Fields(document)
        sender = _mailbox(fields.text("from", required=True), "from")
        to, cc, bcc, reply_to = (self._addresses(fields, name) for name in ("to", "cc", "bcc", "reply_to"))
        if not to:
            raise Wrong(Fault.MISSING, "to", _MISSING)
        subject = fields.text("subject", required=True)
        text, html = fields.text("text", is_body=True), fields.text("html", is_body=True)
        if not text and not html:
            raise Wrong(Fault.MISSING, "html", "Missing `html` or `text` field.")
        headers = dict(checked_headers(list(fields.strings("headers").items()), "headers", OF_THE_SERVICE))
        tags = {}
        for tag in fields.each("tags"):
            tags[tag.text("name", required=True, pattern=_TAG)] = tag.text("value", required=True, pattern=_TAG)
            tag.done()
        files = tuple(self._file(file, call) for file in fields.each("attachments"))
        if fields.text("scheduled_at") and files:
            raise Wrong(Fault.VALUE, "scheduled_at", "not with attachments")
        fields.skip("topic_id")
        fields.done()
        provider_id = self.next_uuid()
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
            reply_to=reply_to,
            subject=subject,
            text=text,
            html=html,
            attachments=files,
            headers=tuple(headers.items()),
            metadata=tags,
            internet_message_id=next((headers[name] for name in headers if name.lower() == "message-id"), ""),
            message_id=our_id(headers.values(), tags.values(), key),
            key=key,
        )

    def _addresses(self, fields: Fields, name: str) -> tuple[Address, ...]:
        value = fields.any(name)
        if value is None:
            return ()
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not 0 < len(texts) <= 50:
            raise Wrong(Fault.SIZE, name, "a string, or 1 to 50 of them")
        for text in texts:
            if not isinstance(text, str):
                raise Wrong(Fault.TYPE, name)
        found = (_mailbox(text, name) for text in texts)
        return tuple(Address(address.email, decoded(address.name)) for address in found)

    def _file(self, fields: Fields, call: Call) -> File:
        name, content = fields.text("filename", required=True), fields.file("content")
        content_type, content_id = fields.text("content_type"), fields.text("content_id")
        fields.done()
        guessed = guess_type(name)[0]
        if content_type and guessed and guessed != content_type.partition(";")[0].strip().lower():
            self.complain(call, f"mail with {name!r} as {content_type!r} is lost silently")
        return File(name, content_type or guessed or "", content, content_id, is_inline=bool(content_id))


def _mailbox(text: str, path: str) -> Address:
    """Return a mailbox whose name is what stands before the address as it is; in quotes it is refused."""
    named = _NAMED.fullmatch(text)
    if named is None:
        return Address(checked_email(text, path, ascii_only=True))
    if '"' in named[1]:
        raise Wrong(Fault.EMAIL, path, "a name in quotes")
    return Address(checked_email(named[2], path, ascii_only=True), checked(named[1], path))
