"""Postmark: single messages, batches of unrelated ones, and the search by metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Declined, Desk, Item, Native, Order, Refused, Route, emails, single
from tests.fakes.internet.shapes import OF_THE_SERVICE, Fault, Fields, Wrong, checked_headers, mailboxes, one_mailbox
from tests.fakes.internet.taken import File, Taken, our_id

_REFUSED_FILES: Final = frozenset(
    [
        "vbs",
        "exe",
        "bin",
        "bat",
        "chm",
        "com",
        "cpl",
        "crt",
        "hlp",
        "hta",
        "inf",
        "ins",
        "isp",
        "jse",
        "lnk",
        "mdb",
        "pcd",
        "pif",
        "reg",
        "scr",
        "sct",
        "shs",
        "vbe",
        "vba",
        "wsf",
        "wsh",
        "wsl",
        "msc",
        "msi",
        "msp",
        "mst",
    ]
)
_TRACK_LINKS: Final = re.compile("None|HtmlAndText|HtmlOnly|TextOnly")
_BODY_BYTES: Final = 5 << 20
_TO: Final = "Error parsing 'To': Illegal email address"
_EMPTY: Final = "Provide either email TextBody or HtmlBody or both."

_NATIVES: Final = {
    "10": Native(
        401, 10, "The Server Token you provided in the X-Postmark-Server-Token header is wrong.", "misconfigured"
    ),
    "300_to": Native(422, 300, _TO, "rejected"),
    "300_cc": Native(422, 300, "Error parsing 'Cc': Illegal email domain", "rejected"),
    "300_bcc": Native(422, 300, "Error parsing 'Bcc': Illegal email domain", "rejected"),
    "300_reply_to": Native(422, 300, "Error parsing 'Reply-To': Illegal email address", "rejected"),
    "300_metadata": Native(422, 300, "Invalid metadata: a value is too long", "rejected"),
    "300_body": Native(422, 300, _EMPTY, "rejected"),
    "300_from": Native(422, 300, "Invalid 'From' address: 'shop'.", "misconfigured"),
    "400": Native(422, 400, "The 'From' address is not a Sender Signature on your account.", "misconfigured"),
    "401": Native(422, 401, "The Sender Signature is not confirmed.", "misconfigured"),
    "402": Native(422, 402, "Received invalid JSON input.", "misconfigured"),
    "403": Native(422, 403, "Incompatible JSON: a field is not as expected.", "misconfigured"),
    "405": Native(422, 405, "Not allowed to send: out of credits.", "misconfigured"),
    "406": Native(422, 406, "You tried to send to recipient(s) that have been marked as inactive.", "rejected"),
    "409": Native(422, 409, "JSON required.", "misconfigured"),
    "410": Native(422, 410, "Too many batch messages.", "misconfigured"),
    "411": Native(422, 411, "Forbidden attachment type.", "rejected", scope="provider"),
    "412": Native(422, 412, "The account is pending approval.", "misconfigured"),
    "413": Native(422, 413, "The account may not send.", "misconfigured"),
    "1235": Native(422, 1235, "The message stream does not exist.", "misconfigured"),
    "1236": Native(422, 1236, "The message stream is archived.", "misconfigured"),
    "100": Native(422, 100, "Maintenance.", "temporary"),
    "503": Native(422, 503, "Service unavailable.", "temporary"),
    "too_large": Native(413, 0, "Request entity too large.", "rejected", scope="provider"),
    "rate_limit": Native(429, 429, "Rate limit exceeded.", "throttled"),
    "server_error": Native(500, 500, "Internal Server Error", "temporary"),
    "not_found": Native(404, 701, "Not found.", "misconfigured"),
    "unsupported_media_type": Native(415, 409, "JSON required.", "misconfigured"),
    "not_acceptable": Native(406, 409, "Accept: application/json is required.", "misconfigured"),
}


class PostmarkDesk(Desk):
    """A server with one token and the streams `outbound` and `broadcast`."""

    kind: ClassVar = "postmark"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "rate_limit"
    quota_error: ClassVar = "405"
    review_error: ClassVar = "10"
    most_bytes: ClassVar = 50 << 20

    streams = ("outbound", "broadcast")
    most_message_bytes = 10 << 20

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"server_token": "0f0f0f0f-fa4e-4000-8000-000000000000"}
        return (
            Route("POST", re.compile("/email"), self.send),
            Route("POST", re.compile("/email/batch"), self.send_batch),
            Route("GET", re.compile("/messages/outbound"), self.search, asks=True),
        )

    def admit(self, call: Call) -> None:
        if call.headers.get("X-Postmark-Server-Token") != self.credentials["server_token"]:
            raise Refused("10")
        if "application/json" not in call.headers.get("Accept", ""):
            raise Refused("not_acceptable")

    def render(self, native: Native, detail: str) -> Answer:
        return Answer.json({"ErrorCode": native.code, "Message": detail}, native.status)

    def wrong(self, wrong: Wrong) -> str:
        member = wrong.field.rpartition(".")[2]
        if wrong.fault is Fault.SYNTAX:
            return "402"
        if wrong.fault is Fault.SIZE and member == "body":
            return "too_large"
        if wrong.fault in {Fault.UNKNOWN, Fault.TYPE}:
            return "403"
        named = {
            "From": "300_from",
            "TextBody": "300_body",
            "Cc": "300_cc",
            "Bcc": "300_bcc",
            "ReplyTo": "300_reply_to",
        }
        return named.get(member, "300_metadata" if "Metadata" in wrong.field else "300_to")

    def send(self, call: Call, _: re.Match[str]) -> Order:
        if len(call.body) > self.most_message_bytes:
            raise Refused("too_large")
        return single(self, self._read(call.document(), call), lambda taken: Answer.json(_taken(taken)))

    def send_batch(self, call: Call, _: re.Match[str]) -> Order:
        documents = call.document()
        if not isinstance(documents, list) or not documents:
            raise Refused("403", "an array of messages")
        if len(documents) > 500:
            raise Refused("410")
        items = [self.item(call, lambda document=document: self._read(document, call)) for document in documents]  # type: ignore[misc]  # a lambda's default has no type
        return Order(items, self._batch_answer)

    def search(self, call: Call, _: re.Match[str]) -> Answer:
        wanted = {
            name.removeprefix("metadata_"): value for name, value in call.query.items() if name.startswith("metadata_")
        }
        if "count" not in call.query or "offset" not in call.query:
            raise Refused("403", "count and offset are required")
        found = self.found(
            lambda taken: bool(wanted) and all(taken.metadata.get(key) == value for key, value in wanted.items())
        )
        messages = [
            {
                "Tag": "".join(taken.tags),
                "MessageID": taken.id,
                "To": [{"Email": address.email, "Name": address.name} for address in taken.to],
                "Recipients": list(taken.recipients),
                "From": taken.sender,
                "Subject": taken.subject,
                "Status": "Sent",
                "Metadata": dict(taken.metadata),
            }
            for taken in found
        ]
        return Answer.json({"TotalCount": len(messages), "Messages": messages[: int(call.query["count"])]})

    def _batch_answer(self, items: Sequence[Item]) -> Answer:
        return Answer.json([self._declined(item) if isinstance(item, Declined) else _taken(item) for item in items])

    def _declined(self, item: Declined) -> dict[str, Any]:
        native = self.natives[item.error]
        return {"ErrorCode": native.code, "Message": item.detail or native.detail}

    def _read(self, document: Any, call: Call) -> Taken:
        fields = Fields(document)
        sender = one_mailbox(fields.text("From", required=True), "From")
        to, cc, bcc, reply_to = (self._addresses(fields, name) for name in ("To", "Cc", "Bcc", "ReplyTo"))
        if not to:
            raise Wrong(Fault.MISSING, "To")
        if len(to) + len(cc) + len(bcc) > 50:
            raise Wrong(Fault.SIZE, "To", "more than 50 addresses in all")
        text, html = fields.text("TextBody", is_body=True), fields.text("HtmlBody", is_body=True)
        if not text and not html:
            raise Wrong(Fault.MISSING, "TextBody", _EMPTY)
        if max(len(text.encode()), len(html.encode())) > _BODY_BYTES:
            raise Wrong(Fault.SIZE, "body", "a body of more than 5 MB")
        stream = fields.text("MessageStream") or "outbound"
        if stream not in self.streams:
            raise Refused("1235")
        headers = self._headers(fields)
        tag = fields.text("Tag")
        metadata = fields.strings("Metadata")
        subject = fields.text("Subject")
        fields.flag("TrackOpens")
        fields.text("TrackLinks", pattern=_TRACK_LINKS)
        fields.skip("InlineCss")
        files = tuple(self._file(file) for file in fields.each("Attachments"))
        fields.done()
        keeps = headers.pop("X-PM-KeepID", "") == "true"
        serial = self.next_uuid()
        internet_id = headers.get("Message-ID", "") if keeps else f"<{serial}@mtasv.net>"
        return Taken(
            desk=self.name,
            id=serial,
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
            tags=(tag,) if tag else (),
            metadata=metadata,
            internet_message_id=internet_id,
            message_id=our_id(headers.values(), metadata.values()),
        )

    def _addresses(self, fields: Fields, name: str) -> tuple[Address, ...]:
        text = fields.text(name)
        return mailboxes(text, name) if text else ()

    def _headers(self, fields: Fields) -> dict[str, str]:
        pairs = []
        for header in fields.each("Headers"):
            pairs.append((header.text("Name", required=True), header.text("Value", required=True)))
            header.done()
        return dict(checked_headers(pairs, "Headers", OF_THE_SERVICE))

    def _file(self, file: Fields) -> File:
        name, content = file.text("Name", required=True), file.file("Content")
        content_type, content_id = file.text("ContentType", required=True), file.text("ContentID")
        file.done()
        if name.rpartition(".")[2].lower() in _REFUSED_FILES:
            raise Refused("411")
        if content_id and not content_id.startswith("cid:"):
            raise Wrong(Fault.VALUE, file.at("ContentID"), "does not begin with cid:")
        return File(name, content_type, content, content_id.removeprefix("cid:"), is_inline=bool(content_id))


def _taken(taken: Taken) -> Mapping[str, Any]:
    return {
        "To": ",".join(address.email for address in taken.to),
        "SubmittedAt": "2026-11-24T12:00:00.1234567-05:00",
        "MessageID": taken.id,
        "ErrorCode": 0,
        "Message": "OK",
    }
