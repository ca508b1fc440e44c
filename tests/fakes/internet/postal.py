"""Postal, hosted by its users: every answer is an HTTP 200."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from tests.fakes.internet.desk import Answer, Call, Desk, Native, Order, Refused, Route, emails, single
from tests.fakes.internet.mime import header_fields
from tests.fakes.internet.shapes import (
    OF_THE_SERVICE,
    Fields,
    Wrong,
    checked_email,
    checked_headers,
    decoded,
    mailboxes,
    one_mailbox,
)
from tests.fakes.internet.taken import File, Taken, our_id


def _native(code: str, detail: str, outcome: str) -> Native:
    return Native(200, code, detail, outcome)


_NATIVES: Final = {
    "AccessDenied": _native("AccessDenied", "Must be authenticated as a server.", "misconfigured"),
    "InvalidServerAPIKey": _native("InvalidServerAPIKey", "The API token provided is not valid.", "misconfigured"),
    "ServerSuspended": _native("ServerSuspended", "The mail server has been suspended.", "misconfigured"),
    "UnauthenticatedFromAddress": _native(
        "UnauthenticatedFromAddress", "The From address is not authorised.", "misconfigured"
    ),
    "NoRecipients": _native("NoRecipients", "There are no recipients defined to receive this message", "rejected"),
    "NoContent": _native("NoContent", "There is no content defined for this e-mail", "rejected"),
    "FromAddressMissing": _native("FromAddressMissing", "The From address is missing and is required", "rejected"),
    "TooManyToAddresses": _native(
        "TooManyToAddresses", "The maximum number of To addresses has been reached (maximum 50)", "rejected"
    ),
    "TooManyCCAddresses": _native(
        "TooManyCCAddresses", "The maximum number of CC addresses has been reached (maximum 50)", "rejected"
    ),
    "TooManyBCCAddresses": _native(
        "TooManyBCCAddresses", "The maximum number of BCC addresses has been reached (maximum 50)", "rejected"
    ),
    "AttachmentMissingName": _native("AttachmentMissingName", "An attachment is missing a name", "rejected"),
    "AttachmentMissingData": _native("AttachmentMissingData", "An attachment is missing data", "rejected"),
    "parameter-error": _native("", "`rcpt_to` parameter is required but is missing", "rejected"),
    "unavailable": Native(503, "proxy", "Service Unavailable", "temporary"),
    "server_error": Native(500, "proxy", "Internal Server Error", "temporary"),
    "not_found": Native(404, "proxy", "Not Found", "misconfigured"),
    "too_large": Native(413, "proxy", "Request Entity Too Large", "rejected", scope="provider"),
}


class PostalDesk(Desk):
    """A mail server with one API key."""

    kind: ClassVar = "postal"
    natives: ClassVar = {**_NATIVES, "unsupported_media_type": _NATIVES["parameter-error"]}
    throttle_error: ClassVar = "unavailable"
    quota_error: ClassVar = "unavailable"
    review_error: ClassVar = "ServerSuspended"

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "postal-fake"}
        return (
            Route("POST", re.compile("/api/v1/send/raw"), self.send_raw),
            Route("POST", re.compile("/api/v1/send/message"), self.send),
        )

    def admit(self, call: Call) -> None:
        if "X-Server-API-Key" not in call.headers:
            raise Refused("AccessDenied")
        if call.headers["X-Server-API-Key"] != self.credentials["api_key"]:
            raise Refused("InvalidServerAPIKey")

    def render(self, native: Native, detail: str) -> Answer:
        if native.code == "proxy":
            return Answer(native.status, detail.encode(), {"Content-Type": "text/plain"})
        if not native.code:
            return self._answer("parameter-error", {"message": detail})
        return self._answer("error", {"code": native.code, "message": detail})

    def wrong(self, _: Wrong) -> str:
        return "parameter-error"

    def send_raw(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        recipients = tuple(checked_email(email, "rcpt_to") for email in fields.texts("rcpt_to", required=True))
        mail_from = fields.email("mail_from")
        data = fields.file("data")
        fields.flag("bounce")
        fields.done()
        headers = header_fields(data, "data")
        message_id = headers.get("message-id", "")
        taken = Taken(
            desk=self.name,
            id=message_id,
            at=call.at,
            call=call.number,
            sender=one_mailbox(headers["from"], "data.from").email,
            recipients=recipients,
            subject=decoded(headers.get("subject", "")),
            return_path=mail_from,
            internet_message_id=message_id,
            message_id=our_id(headers.get("x-reliable-email-id", ""), message_id),
            mime=data,
        )
        return single(self, taken, self._success)

    def send(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        groups = []
        for name, error in (("to", "TooManyToAddresses"), ("cc", "TooManyCCAddresses"), ("bcc", "TooManyBCCAddresses")):
            texts = fields.texts(name)
            if len(texts) > 50:
                raise Refused(error)
            groups.append(tuple(one_mailbox(text, name) for text in texts))
        if not any(groups):
            raise Refused("NoRecipients")
        if not fields.has("from"):
            raise Refused("FromAddressMissing")
        sender = one_mailbox(fields.text("from", required=True), "from")
        text, html = fields.text("plain_body", is_body=True), fields.text("html_body", is_body=True)
        if not text and not html:
            raise Refused("NoContent")
        headers = checked_headers(list(fields.strings("headers").items()), "headers", OF_THE_SERVICE | {"message-id"})
        reply_to = fields.text("reply_to")
        tag = fields.text("tag")
        files = tuple(_file(file) for file in fields.each("attachments"))
        serial = self.next_serial()
        taken = Taken(
            desk=self.name,
            id=f"{serial:08}@rp.postal.example",
            at=call.at,
            call=call.number,
            sender=sender.email,
            sender_name=sender.name,
            recipients=emails(*groups),
            to=groups[0],
            cc=groups[1],
            bcc=groups[2],
            reply_to=mailboxes(reply_to, "reply_to") if reply_to else (),
            subject=fields.text("subject"),
            text=text,
            html=html,
            attachments=files,
            headers=headers,
            tags=(tag,) if tag else (),
            internet_message_id=f"<{serial:08}@rp.postal.example>",
            message_id=our_id((value for _, value in headers), tag),
        )
        fields.skip("sender")
        fields.flag("bounce")
        fields.done()
        return single(self, taken, self._success)

    def _success(self, taken: Taken) -> Answer:
        messages = {
            email: {"id": self.next_serial(), "token": f"fake{self.next_serial()}"} for email in taken.recipients
        }
        return self._answer("success", {"message_id": taken.id.strip("<>"), "messages": messages})

    def _answer(self, status: str, data: dict[str, Any]) -> Answer:
        return Answer.json({"status": status, "time": 0.02, "flags": {}, "data": data})


def _file(fields: Fields) -> File:
    if not fields.has("name"):
        raise Refused("AttachmentMissingName")
    if not fields.has("data"):
        raise Refused("AttachmentMissingData")
    name, content_type = fields.text("name", required=True), fields.text("content_type", required=True)
    content = fields.file("data")
    fields.done()
    return File(name, content_type, content)
