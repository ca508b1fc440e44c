"""Mailjet, version 3.1 of its send API, and the search by CustomID of version 3."""

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
    basic_user,
    emails,
)
from tests.fakes.internet.shapes import OF_THE_SERVICE, Fault, Fields, Wrong, checked_headers
from tests.fakes.internet.taken import File, Taken, our_id

_FORBIDDEN: Final = OF_THE_SERVICE | {"message-id", "sender", "user-agent", "x-mailer", "x-feedback-id", "list-id"}
_TRACKING: Final = re.compile("account_default|disabled|enabled")
_FILES_BYTES: Final = 15 << 20
_WHOLE: Final = frozenset({"mj-0001", "mj-0015", "mj-0002", "rate_limit", "server_error", "unavailable"})


def _of_a_message(code: str, detail: str, outcome: str, scope: str = "message", status: int = 400) -> Native:
    return Native(status, code, detail, outcome, scope)


_NATIVES: Final = {
    "mj-0001": Native(401, "mj-0001", "The account is suspended.", "misconfigured"),
    "mj-0015": Native(401, "mj-0015", "API key authentication/authorization failure.", "misconfigured"),
    "mj-0002": Native(
        400, "mj-0002", "Malformed JSON, please review the syntax and properties types.", "misconfigured"
    ),
    "mj-0003": _of_a_message("mj-0003", "A mandatory property is missing.", "rejected"),
    "mj-0004": _of_a_message("mj-0004", "Type mismatch.", "rejected"),
    "mj-0005": _of_a_message("mj-0005", "The value is invalid.", "rejected"),
    "mj-0006": _of_a_message("mj-0006", "A property is not known.", "rejected"),
    "mj-0007": _of_a_message("mj-0007", "The value is too long.", "rejected"),
    "mj-0012": _of_a_message("mj-0012", "The value is not allowed.", "rejected"),
    "mj-0013": _of_a_message("mj-0013", '"ada" is an invalid email address.', "rejected"),
    "mj-0008": _of_a_message("mj-0008", "Too many messages or recipients.", "rejected", "provider"),
    "mj-0011": _of_a_message("mj-0011", "Attachments are too large.", "rejected", "provider"),
    "send-0003": _of_a_message("send-0003", "At least HTMLPart, TextPart or TemplateID must be provided.", "rejected"),
    "send-0004": _of_a_message("send-0004", "The recipient is not valid.", "rejected"),
    "send-0006": _of_a_message("send-0006", "The sender is not validated.", "misconfigured", status=403),
    "send-0007": _of_a_message("send-0007", "The sender is not validated.", "misconfigured", status=403),
    "send-0008": _of_a_message(
        "send-0008", '"shop@example.com" is not an authorized sender.', "misconfigured", status=403
    ),
    "send-0010": _of_a_message("send-0010", "Template error.", "misconfigured"),
    "send-0011": _of_a_message(
        "send-0011", "A header cannot be customized using the Headers collection.", "rejected", "provider"
    ),
    "send-0012": _of_a_message("send-0012", "Template error.", "misconfigured"),
    "send-0013": _of_a_message("send-0013", "Template error.", "misconfigured"),
    "send-0015": _of_a_message("send-0015", "The content is not valid.", "rejected"),
    "send-0016": _of_a_message("send-0016", "Template error.", "misconfigured"),
    "too_large": Native(413, "", "Request entity too large", "rejected", scope="provider"),
    "rate_limit": Native(429, "", "Too many requests", "throttled"),
    "server_error": Native(500, "", "Internal error", "temporary"),
    "unavailable": Native(503, "", "Service unavailable", "temporary"),
    "not_found": Native(404, "", "Resource not found", "misconfigured"),
    "unsupported_media_type": Native(415, "", "application/json is required", "misconfigured"),
}


class MailjetDesk(Desk):
    """An account with a public and a private key."""

    kind: ClassVar = "mailjet"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "rate_limit"
    quota_error: ClassVar = "rate_limit"
    review_error: ClassVar = "mj-0001"

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"public_key": "mailjet-public", "private_key": "mailjet-private"}
        return (
            Route("POST", re.compile(r"/v3\.1/send"), self.send),
            Route("GET", re.compile("/v3/REST/message"), self.search, asks=True),
        )

    def admit(self, call: Call) -> None:
        if basic_user(call) != tuple(self.credentials.values()):
            raise Refused("mj-0015")

    def render(self, native: Native, detail: str) -> Answer:
        error = self._error(native, detail)
        if not native.code or native.code in _WHOLE:
            return Answer.json(error, native.status)
        return Answer.json(
            {"Messages": [{"Status": "error", "Errors": [{**error, "ErrorRelatedTo": []}]}]}, native.status
        )

    def wrong(self, wrong: Wrong) -> str:
        if wrong.fault is Fault.SIZE:
            if wrong.field.endswith("Attachments"):
                return "mj-0011"
            return "mj-0008" if wrong.field.endswith("To") else "mj-0007"
        if wrong.fault is Fault.MISSING and wrong.field.endswith("TextPart"):
            return "send-0003"
        return {
            Fault.SYNTAX: "mj-0002",
            Fault.MISSING: "mj-0003",
            Fault.TYPE: "mj-0004",
            Fault.UNKNOWN: "mj-0006",
            Fault.EMAIL: "mj-0013",
            Fault.HEADER: "send-0011",
        }.get(wrong.fault, "mj-0005")

    def send(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        messages = fields.array("Messages", required=True)
        if len(messages) > 50:
            raise Refused("mj-0008", "more than 50 messages")
        is_test = bool(fields.flag("SandboxMode"))
        fields.skip("AdvanceErrorHandling")
        fields.done()
        key = call.headers.get("Idempotency-Key", "")
        items = [
            self.item(call, lambda message=message: self._read(message, call, key, is_test=is_test))  # type: ignore[misc]  # a lambda's default has no type
            for message in messages
        ]
        return Order(items, self._answer)

    def search(self, call: Call, _: re.Match[str]) -> Answer:
        wanted = call.query.get("CustomID", "")
        found = self.found(lambda taken: bool(wanted) and taken.metadata.get("CustomID") == wanted)
        entries = [
            {"ID": self._number(taken, n), "UUID": _uuid(self._number(taken, n)), "Status": "sent"}
            for taken in found
            for n, _ in enumerate(taken.recipients)
        ]
        return Answer.json({"Count": len(entries), "Data": entries, "Total": len(entries)})

    def _answer(self, items: Sequence[Item]) -> Answer:
        messages = []
        status = 200
        for item in items:
            if isinstance(item, Declined):
                native = self.natives[item.error]
                if not native.code:  # no error of a message
                    return self.error(item.error, item.detail)
                status = native.status
                error = self._error(native, item.detail or native.detail)
                messages.append({"Status": "error", "Errors": [{**error, "ErrorRelatedTo": []}]})
            else:
                messages.append(self._success(item))
        return Answer.json({"Messages": messages}, status)

    def _success(self, taken: Taken) -> dict[str, Any]:
        n = 0
        groups: dict[str, Any] = {}
        for name, group in (("To", taken.to), ("Cc", taken.cc), ("Bcc", taken.bcc)):
            groups[name] = []
            for address in group:
                number = self._number(taken, n)
                n += 1
                href = f"https://api.mailjet.com/v3/REST/message/{number}"
                groups[name].append(
                    {"Email": address.email, "MessageUUID": _uuid(number), "MessageID": number, "MessageHref": href}
                )
        return {"Status": "success", "CustomID": taken.metadata.get("CustomID", ""), **groups}

    def _number(self, taken: Taken, recipient: int) -> int:
        return int(taken.id) + recipient

    def _error(self, native: Native, detail: str) -> dict[str, Any]:
        error: dict[str, Any] = {
            "ErrorIdentifier": self.next_uuid(),
            "StatusCode": native.status,
            "ErrorMessage": detail,
        }
        return {**error, "ErrorCode": native.code} if native.code else error

    def _read(self, message: Any, call: Call, key: str, *, is_test: bool) -> Taken:
        fields = Fields(message)
        sender = fields.fields("From", required=True)
        assert sender is not None
        from_address = _address(sender)
        to, cc, bcc = (tuple(map(_address, fields.each(name, required=name == "To"))) for name in ("To", "Cc", "Bcc"))
        if len(to) + len(cc) + len(bcc) > 50:
            raise Wrong(Fault.SIZE, "To", "more than 50 recipients")
        reply = fields.fields("ReplyTo")
        reply_to = (_address(reply),) if reply else ()
        subject = fields.text("Subject", longest=255)
        text, html = fields.text("TextPart", is_body=True), fields.text("HTMLPart", is_body=True)
        if not text and not html:
            raise Wrong(Fault.MISSING, "TextPart")
        files = [_file(file) for file in fields.each("Attachments")]
        files += [_file(file, is_inline=True) for file in fields.each("InlinedAttachments")]
        if sum(len(file.content) for file in files) > _FILES_BYTES:
            raise Wrong(Fault.SIZE, "Attachments", "more than 15 MB")
        pairs = list(fields.strings("Headers").items())
        headers = checked_headers(pairs, "Headers", _FORBIDDEN)
        for name, _ in pairs:
            if name.lower().startswith(("x-mj-", "x-mailjet-")):
                raise Wrong(Fault.HEADER, f"Headers.{name}")
        metadata = {name: fields.text(name) for name in ("CustomID", "EventPayload") if fields.has(name)}
        tags = [fields.text(name) for name in ("CustomCampaign", "MonitoringCategory") if fields.has(name)]
        for name in ("TrackOpens", "TrackClicks"):
            fields.text(name, pattern=_TRACKING)
        if fields.flag("TemplateLanguage"):
            self.complain(call, "the bodies are evaluated as a template")
        fields.skip("Priority", "URLTags", "DeduplicateCampaign")
        fields.done()
        serial = 1_152_921_504_606_846_976 + 100 * self.next_serial()
        return Taken(
            desk=self.name,
            id=str(serial),
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
            attachments=tuple(files),
            headers=headers,
            tags=tuple(tags),
            metadata=metadata,
            message_id=our_id((value for _, value in headers), metadata.values()),
            key=key,
            is_test=is_test,
        )


def _address(fields: Fields) -> Address:
    address = Address(fields.email("Email"), fields.text("Name"))
    fields.done()
    return address


def _file(fields: Fields, *, is_inline: bool = False) -> File:
    content_type, name = fields.text("ContentType", required=True), fields.text("Filename", required=True)
    content = fields.file("Base64Content")
    content_id = fields.text("ContentID", required=True) if is_inline else ""
    fields.done()
    return File(name, content_type, content, content_id, is_inline)


def _uuid(number: int) -> str:
    return f"{number:032x}"
