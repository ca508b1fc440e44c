"""MailerSend, version 1 of its email API."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Desk, Native, Order, Refused, Route, bearer, emails, single
from tests.fakes.internet.shapes import OF_THE_SERVICE, Fault, Fields, Wrong, checked_headers
from tests.fakes.internet.taken import File, Taken, our_id

_FILES_BYTES: Final = 25 << 20


def _refusal(code: str, detail: str, outcome: str, scope: str = "message", status: int = 422, **more: Any) -> Native:
    return Native(status, code, f"{detail} #{code}", outcome, scope, **more)


_NATIVES: Final = {
    "unauthenticated": Native(401, "", "Unauthenticated.", "misconfigured"),
    **{
        f"MS4030{n}": _refusal(f"MS4030{n}", detail, "misconfigured", status=403)
        for n, detail in enumerate(
            (
                "The token lacks a scope.",
                "The API is off.",
                "The account is suspended.",
                "The IP is not allowed.",
                "Not allowed.",
            ),
            1,
        )
    },
    "MS42207": _refusal(
        "MS42207", "The from.email domain must be verified in your account to send emails.", "misconfigured"
    ),
    **{
        code: _refusal(code, "The account may not do this.", "misconfigured")
        for code in ("MS42216", "MS42222", "MS42225", "MS42226")
    },
    "MS42204": _refusal("MS42204", "You have reached your monthly limit.", "throttled", pause_seconds=600),
    **{
        f"MS422{n:02}": _refusal(f"MS422{n:02}", "The given data is not valid.", "rejected")
        for n in (1, 5, 8, 9, 11, 13, 14, 15, 17, 18, 19, 20, 21)
    },
    **{
        code: _refusal(code, "This cannot be carried.", "rejected", "provider")
        for code in ("MS42202", "MS42206", "MS42210")
    },
    "MS42903": _refusal(
        "MS42903", "Too Many Attempts.", "throttled", status=429, pause_seconds=9, headers={"retry-after": "9"}
    ),
    "MS42901": _refusal("MS42901", "You have reached your daily API quota limit.", "throttled", status=429),
    "timeout": Native(408, "", "Request timeout", "temporary"),
    "maintenance": Native(421, "", "Service isn't available", "temporary"),
    "server_error": Native(500, "", "Server Error", "temporary"),
    "unavailable": Native(503, "", "Service Unavailable", "temporary"),
    "too_large": Native(413, "", "Payload too large", "rejected", scope="provider"),
    "not_found": Native(404, "", "Not found", "misconfigured"),
    "unsupported_media_type": Native(415, "", "application/json is required", "misconfigured"),
    "not_acceptable": Native(406, "", "Accept: application/json is required", "misconfigured"),
    "all_suppressed": Native(202, "warning", "ALL_SUPPRESSED", "rejected"),
    "paused": Native(202, "paused", "", "accepted"),
}


class MailersendDesk(Desk):
    """An account with one token; `is_enterprise` may set headers."""

    kind: ClassVar = "mailersend"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "MS42903"
    quota_error: ClassVar = "MS42204"
    review_error: ClassVar = "MS40303"

    is_enterprise = False

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "mlsn.fake"}
        return (Route("POST", re.compile("/v1/email"), self.send),)

    def admit(self, call: Call) -> None:
        if bearer(call) != self.credentials["api_key"]:
            raise Refused("unauthenticated")
        if "application/json" not in call.headers.get("Accept", ""):
            raise Refused("not_acceptable")

    def render(self, native: Native, detail: str) -> Answer:
        if native.code == "paused":
            return Answer(202, b"", {"x-message-id": f"{self.next_serial():024x}", "x-send-paused": "true"})
        if native.code == "warning":
            warning = {"type": detail, "warning": "All of the recipients have been suppressed.", "recipients": []}
            return Answer.json({"message": "There are some warnings for your request.", "warnings": [warning]}, 202)
        document: dict[str, Any] = {"message": detail}
        if native.status == 422:
            text = detail if str(native.code) in detail else f"{detail} #{native.code}"
            document = {"message": text, "errors": {"from.email": [text]}}
        return Answer.json(document, native.status)

    def error(self, name: str, detail: str = "") -> Answer:
        answer = super().error(name, detail)
        if name != "MS42901":
            return answer
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        reset = midnight.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Answer(
            answer.status, answer.body, {**answer.headers, "x-apiquota-remaining": "0", "x-apiquota-reset": reset}
        )

    def wrong(self, wrong: Wrong) -> str:
        if wrong.fault is Fault.SIZE:
            return "MS42210"
        return "MS42206" if wrong.field == "headers" else "MS42208"

    def throttled(self, seconds: float, _: float) -> Answer:
        answer = self.error("MS42903")
        wait = {"retry-after": str(math.ceil(seconds)), "x-ratelimit-remaining": "0"}
        return Answer(answer.status, answer.body, {**answer.headers, **wait})

    def send(self, call: Call, _: re.Match[str]) -> Order:
        taken = self._read(Fields(call.document()), call)
        return single(self, taken, lambda taken: Answer(202, b"", {"x-message-id": taken.id}))

    def _read(self, fields: Fields, call: Call) -> Taken:
        sender = fields.fields("from", required=True)
        assert sender is not None
        from_address = _address(sender)
        to, cc, bcc = (
            tuple(map(_address, fields.each(name, required=name == "to", most=most)))
            for name, most in (("to", 50), ("cc", 10), ("bcc", 10))
        )
        reply = fields.fields("reply_to")
        reply_to = (_address(reply),) if reply else ()
        subject = fields.text("subject", required=True, longest=998)
        text, html = fields.text("text", is_body=True), fields.text("html", is_body=True)
        if not text and not html:
            raise Wrong(Fault.MISSING, "text", "text or html is required")
        files = tuple(_file(file) for file in fields.each("attachments"))
        if sum(len(file.content) for file in files) > _FILES_BYTES:
            raise Wrong(Fault.SIZE, "attachments")
        tags = fields.texts("tags", most=5)
        headers = self._headers(fields)
        fields.flag("precedence_bulk")
        in_reply_to, references = fields.text("in_reply_to"), fields.texts("references")
        settings = fields.fields("settings")
        if settings:
            for name in ("track_clicks", "track_opens", "track_content"):
                settings.flag(name)
        fields.skip("send_at")
        fields.done()
        more = [("In-Reply-To", in_reply_to)] if in_reply_to else []
        more += [("References", " ".join(references))] if references else []
        return Taken(
            desk=self.name,
            id=f"{self.next_serial():024x}",
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
            headers=(*headers, *more),
            tags=tuple(tags),
            message_id=our_id((value for _, value in headers), tags, references),
        )

    def _headers(self, fields: Fields) -> tuple[tuple[str, str], ...]:
        if not fields.has("headers"):
            return ()
        if not self.is_enterprise:
            raise Wrong(Fault.HEADER, "headers", "Custom headers are for enterprise plans.")
        pairs = []
        for header in fields.each("headers"):
            pairs.append((header.text("name", required=True), header.text("value", required=True)))
            header.done()
        return checked_headers(pairs, "headers", OF_THE_SERVICE)


def _address(fields: Fields) -> Address:
    address = Address(fields.email(), fields.text("name"))
    fields.done()
    return address


def _file(fields: Fields) -> File:
    content, name = fields.file("content"), fields.text("filename", required=True)
    disposition = fields.text("disposition") or "attachment"
    content_id = fields.text("id", required=disposition == "inline")
    fields.done()
    if disposition not in {"attachment", "inline"}:
        raise Wrong(Fault.VALUE, fields.at("disposition"))
    return File(name, "", content, content_id, is_inline=disposition == "inline")
