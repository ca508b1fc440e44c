"""Brevo, version 3 of its transactional mail."""

from __future__ import annotations

import math
import re
from typing import ClassVar, Final
from uuid import UUID

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Desk, Native, Order, Refused, Route, emails, single
from tests.fakes.internet.shapes import OF_THE_SERVICE, Fault, Fields, Wrong, checked_headers, decoded
from tests.fakes.internet.taken import File, Taken, our_id

_EXTENSIONS: Final = frozenset(
    [
        "xlsx",
        "xls",
        "ods",
        "docx",
        "docm",
        "doc",
        "csv",
        "pdf",
        "txt",
        "gif",
        "jpg",
        "jpeg",
        "png",
        "tif",
        "tiff",
        "rtf",
        "bmp",
        "cgm",
        "css",
        "shtml",
        "html",
        "htm",
        "zip",
        "xml",
        "ppt",
        "pptx",
        "tar",
        "ez",
        "ics",
        "mobi",
        "msg",
        "pub",
        "eps",
        "odt",
        "mp3",
        "m4a",
        "m4v",
        "wma",
        "ogg",
        "flac",
        "wav",
        "aif",
        "aifc",
        "aiff",
        "mp4",
        "mov",
        "avi",
        "mkv",
        "mpeg",
        "mpg",
        "wmv",
        "pkpass",
        "xlsm",
    ]
)
_HALF_AN_HOUR: Final = 1_800.0
_PUNCTUATION: Final = re.compile(r"[^\w\s]")

_NATIVES: Final = {
    "invalid_parameter": Native(400, "invalid_parameter", "email is not valid in to", "rejected"),
    "missing_parameter": Native(400, "missing_parameter", "htmlContent is missing", "rejected"),
    "out_of_range": Native(400, "out_of_range", "scheduledAt is out of range", "rejected"),
    "duplicate_parameter": Native(400, "duplicate_parameter", "to has duplicates", "rejected"),
    "sender_invalid": Native(
        400,
        "invalid_parameter",
        "Sending has been rejected because the sender you used shop@example.com is not valid. Validate your sender",
        "misconfigured",
    ),
    "duplicate_request": Native(400, "duplicate_request", "The idempotency key was used before", "accepted"),
    "unauthorized": Native(401, "unauthorized", "Key not found", "misconfigured"),
    "not_enough_credits": Native(402, "not_enough_credits", "You are out of credits.", "throttled", pause_seconds=600),
    "permission_denied": Native(403, "permission_denied", "Your SMTP account is not yet activated.", "misconfigured"),
    "account_under_validation": Native(
        403, "account_under_validation", "Your account is under validation.", "misconfigured"
    ),
    "document_not_found": Native(404, "document_not_found", "Template does not exist", "misconfigured"),
    "method_not_allowed": Native(405, "method_not_allowed", "Method not allowed", "misconfigured"),
    "not_acceptable": Native(406, "not_acceptable", "Not acceptable", "misconfigured"),
    "too_large": Native(413, "request_too_large", "The request is too large", "rejected", scope="provider"),
    "unsupported_media_type": Native(415, "invalid_content_type", "application/json is required", "misconfigured"),
    "too_many_requests": Native(
        429,
        "too_many_requests",
        "You have reached the rate limit.",
        "throttled",
        pause_seconds=7,
        headers={"x-sib-ratelimit-limit": "1000", "x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "7"},
    ),
    "internal_error": Native(500, "internal_error", "Internal error", "temporary"),
    "unavailable": Native(503, "service_unavailable", "Service unavailable", "temporary"),
    "not_found": Native(404, "not_found", "Not found", "misconfigured"),
}


class BrevoDesk(Desk):
    """An account with one key."""

    kind: ClassVar = "brevo"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "too_many_requests"
    quota_error: ClassVar = "not_enough_credits"
    review_error: ClassVar = "account_under_validation"
    most_bytes: ClassVar = 20 << 20

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "xkeysib-fake"}
        return (
            Route("POST", re.compile("/v3/smtp/email"), self.send),
            Route("GET", re.compile("/v3/smtp/emails"), self.list, asks=True),
        )

    def admit(self, call: Call) -> None:
        if call.headers.get("api-key") != self.credentials["api_key"]:
            raise Refused("unauthorized")

    def render(self, native: Native, detail: str) -> Answer:
        return Answer.json({"code": native.code, "message": detail}, native.status)

    def wrong(self, wrong: Wrong) -> str:
        return "missing_parameter" if wrong.fault is Fault.MISSING else "invalid_parameter"

    def throttled(self, seconds: float, _: float) -> Answer:
        answer = self.error("too_many_requests")
        return Answer(answer.status, answer.body, {**answer.headers, "x-sib-ratelimit-reset": str(math.ceil(seconds))})

    def repeat(self, _: Answer, call: Call, *, is_same: bool) -> Answer:
        if not is_same:
            self.complain(call, "another body under a used key")
        return self.error("duplicate_request")

    def send(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        headers = fields.strings("headers")
        key = next((headers.pop(name) for name in list(headers) if name.lower() == "idempotencykey"), "")
        if key:
            _check_uuid(key)
        is_scheduled = fields.has("scheduledAt")
        taken = self._read(fields, headers, call, key)
        return single(
            self,
            taken,
            lambda taken: Answer.json({"messageId": taken.id}, 202 if is_scheduled else 201),
            recall=key,
            recall_seconds=_HALF_AN_HOUR,
        )

    def list(self, call: Call, _: re.Match[str]) -> Answer:
        wanted = call.query.get("messageId", "")
        found = self.found(lambda taken: taken.id.strip("<>") == wanted.strip("<>"))
        entries = [
            {"email": email, "messageId": taken.id, "subject": taken.subject}
            for taken in found
            for email in taken.recipients
        ]
        return Answer.json({"count": len(entries), "transactionalEmails": entries})

    def _read(self, fields: Fields, headers: dict[str, str], call: Call, key: str) -> Taken:
        sender = fields.fields("sender", required=True)
        assert sender is not None
        from_address = self._address(sender, call)
        to, cc, bcc = (
            tuple(self._address(one, call) for one in fields.each(name, required=name == "to"))
            for name in ("to", "cc", "bcc")
        )
        if len(to) + len(cc) + len(bcc) > 99:
            raise Wrong(Fault.SIZE, "to", "more than 99 recipients")
        reply = fields.fields("replyTo")
        reply_to = (self._address(reply, call),) if reply else ()
        subject = fields.text("subject", required=True)
        html = fields.text("htmlContent", required=True, is_body=True)
        text = fields.text("textContent", is_body=True)
        metadata = next((headers.pop(name) for name in list(headers) if name.lower() == "x-mailin-custom"), "")
        shown = checked_headers(
            [(_title(name), value) for name, value in headers.items()], "headers", OF_THE_SERVICE, ascii_only=True
        )
        tags = fields.texts("tags")
        files = tuple(_file(file) for file in fields.each("attachment"))
        fields.skip("params", "scheduledAt", "batchId")
        fields.done()
        provider_id = f"<2026112412.{self.next_serial():011}@smtp-relay.mailin.fr>"
        return Taken(
            desk=self.name,
            id=provider_id,
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
            headers=shown,
            tags=tuple(tags),
            metadata={"X-Mailin-custom": metadata} if metadata else {},
            internet_message_id=next((value for name, value in shown if name == "Message-Id"), provider_id),
            message_id=our_id((value for _, value in shown), metadata, tags, key),
            key=key,
        )

    def _address(self, fields: Fields, call: Call) -> Address:
        name = fields.text("name")
        if not name.isascii() and _PUNCTUATION.search(name):
            self.complain(call, f"the name {name!r} would be mangled: it needs RFC 2047")
        address = Address(fields.email(), decoded(name))
        fields.done()
        return address


def _file(fields: Fields) -> File:
    name, content = fields.text("name", required=True), fields.file("content")
    fields.done()
    if name.rpartition(".")[2].lower() not in _EXTENSIONS:
        raise Wrong(Fault.VALUE, fields.at("name"), f"Unsupported file format: {name!r}")
    return File(name, "", content)


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


def _check_uuid(key: str) -> None:
    try:
        UUID(key)
    except ValueError as error:
        raise Wrong(Fault.VALUE, "headers.idempotencyKey", f"no UUID: {key!r}") from error
