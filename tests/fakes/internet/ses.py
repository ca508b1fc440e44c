"""Amazon SES, version 2 of its API: SigV4, simple and raw messages."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet import sigv4
from tests.fakes.internet.desk import Answer, Call, Desk, Native, Order, Refused, Route, emails, single
from tests.fakes.internet.mime import header_fields
from tests.fakes.internet.shapes import (
    OF_THE_SERVICE,
    Fault,
    Fields,
    Wrong,
    checked,
    checked_headers,
    decoded,
    one_mailbox,
)
from tests.fakes.internet.taken import File, Taken, our_id

_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FORBIDDEN: Final = OF_THE_SERVICE | {"message-id", "content-disposition"}
_NOISE: Final = "http://internal.amazon.com/coral/com.amazonaws.services.simpleemail.v2.model/"


def _native(status: int, code: str, detail: str, outcome: str, **more: Any) -> Native:
    return Native(status, code, detail, outcome, **more)


_NATIVES: Final = {
    "TooManyRequestsException": _native(429, "TooManyRequestsException", "Maximum sending rate exceeded.", "throttled"),
    "ThrottlingException": _native(400, "ThrottlingException", "Maximum sending rate exceeded.", "throttled"),
    "Throttling": _native(400, "Throttling", "Maximum sending rate exceeded.", "throttled"),
    "quota": _native(429, "TooManyRequestsException", "Daily message quota exceeded.", "throttled", pause_seconds=600),
    "LimitExceededException": _native(
        400, "LimitExceededException", "Daily message quota exceeded", "throttled", pause_seconds=600
    ),
    "unverified": _native(
        400,
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@b.example",
        "misconfigured",
    ),
    "MessageRejected": _native(400, "MessageRejected", "Message contains a virus.", "rejected", scope="any"),
    "MailFromDomainNotVerifiedException": _native(
        400, "MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified.", "misconfigured"
    ),
    "AccountSuspendedException": _native(400, "AccountSuspendedException", "Account is suspended.", "misconfigured"),
    "SendingPausedException": _native(400, "SendingPausedException", "Sending is paused.", "misconfigured"),
    "NotFoundException": _native(404, "NotFoundException", "Configuration set <x> does not exist.", "misconfigured"),
    "BadRequestException": _native(400, "BadRequestException", "Missing final '@domain'", "rejected"),
    "ValidationException": _native(
        400, "ValidationException", "Local address contains control or whitespace", "rejected"
    ),
    "AccessDeniedException": _native(
        403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail", "misconfigured"
    ),
    "UnrecognizedClientException": _native(
        403, "UnrecognizedClientException", "The security token included in the request is invalid.", "misconfigured"
    ),
    "InvalidClientTokenId": _native(403, "InvalidClientTokenId", "The security token is invalid.", "misconfigured"),
    "SignatureDoesNotMatch": _native(403, "SignatureDoesNotMatch", "The signature does not match.", "misconfigured"),
    "InvalidSignatureException": _native(403, "InvalidSignatureException", "Signature expired.", "misconfigured"),
    "ExpiredTokenException": _native(403, "ExpiredTokenException", "The security token has expired.", "misconfigured"),
    "IncompleteSignature": _native(403, "IncompleteSignature", "Authorization header is not whole.", "misconfigured"),
    "OptInRequired": _native(403, "OptInRequired", "The account needs a subscription.", "misconfigured"),
    "MissingAuthenticationToken": _native(
        403, "MissingAuthenticationToken", "Missing Authentication Token", "misconfigured"
    ),
    "NotAuthorized": _native(401, "NotAuthorized", "Not authorized.", "misconfigured"),
    "RequestEntityTooLargeException": _native(
        413, "RequestEntityTooLargeException", "Request is too large.", "rejected", scope="provider"
    ),
    "InternalFailure": _native(500, "InternalFailure", "Internal failure.", "temporary"),
    "ServiceUnavailable": _native(503, "ServiceUnavailable", "The service is unavailable.", "temporary"),
    "UnknownOperationException": _native(404, "UnknownOperationException", "Unknown operation.", "misconfigured"),
    "unsupported_media_type": _native(
        415, "UnsupportedMediaTypeException", "Content-Type is not JSON.", "misconfigured"
    ),
}
_NATIVES["not_found"] = _NATIVES["UnknownOperationException"]
_NATIVES["too_large"] = _NATIVES["RequestEntityTooLargeException"]


class SesDesk(Desk):
    """An account in one region. `session_token` may be set to ask for temporary credentials."""

    kind: ClassVar = "ses"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "TooManyRequestsException"
    quota_error: ClassVar = "quota"
    review_error: ClassVar = "AccountSuspendedException"
    unit: ClassVar = "recipients"
    most_bytes: ClassVar = 60 << 20

    most_message_bytes = 40 << 20

    region = "eu-west-1"
    session_token = ""

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"region": self.region, "access_key_id": "AKIAFAKE", "secret_access_key": "ses/secret+key"}
        return (Route("POST", re.compile("/v2/email/outbound-emails"), self.send),)

    def admit(self, call: Call) -> None:
        account = sigv4.Account(
            self.credentials["access_key_id"],
            self.credentials["secret_access_key"],
            self.region,
            "ses",
            self.session_token,
        )
        try:
            sigv4.verify(account, call.method, (call.path, ""), call.headers, call.body, call.now)
        except sigv4.SignatureFault as fault:
            raise Refused(fault.error, fault.detail) from fault

    def render(self, native: Native, detail: str) -> Answer:
        kind = f"{native.code}:{_NOISE}" if native.status == 400 else str(native.code)
        word = "Message" if native.status == 403 else "message"
        return Answer.json({word: detail}, native.status, **{"x-amzn-ErrorType": kind})

    def wrong(self, _: Wrong) -> str:
        return "BadRequestException"

    def send(self, call: Call, _: re.Match[str]) -> Order:
        serial = self.next_serial()
        ses_id = f"0102018{serial:09x}-fa4e0000-0000-4000-8000-000000000000-000000"
        taken = self._read(Fields(call.document()), call, ses_id)
        return single(self, taken, lambda taken: Answer.json({"MessageId": taken.id}))

    def _read(self, fields: Fields, call: Call, ses_id: str) -> Taken:
        sender = fields.text("FromEmailAddress")
        destination = fields.fields("Destination", required=True)
        assert destination is not None
        groups = [self._addresses(destination, f"{name}Addresses") for name in ("To", "Cc", "Bcc")]
        destination.done()
        recipients = emails(*groups)
        if not 0 < len(recipients) <= 50:
            raise Wrong(Fault.SIZE, "Destination", f"Recipient count is {len(recipients)}, not 1 to 50.")
        reply_to = self._addresses(fields, "ReplyToAddresses")
        return_path = fields.text("FeedbackForwardingEmailAddress")
        tags = {
            tag.text("Name", required=True, pattern=_TAG): tag.text("Value", required=True, pattern=_TAG)
            for tag in fields.each("EmailTags")
        }
        fields.skip("ConfigurationSetName", "TenantName", "ConfigurationOverrides", "ListManagementOptions")
        content = fields.fields("Content", required=True)
        assert content is not None
        fields.done()
        simple, raw = content.fields("Simple"), content.fields("Raw")
        content.done()
        if (simple is None) == (raw is None):
            raise Wrong(Fault.VALUE, "Content", "exactly one of Simple, Raw and Template")
        from_address = self._sender(sender, raw)
        to, cc, bcc = groups
        base = Taken(
            desk=self.name,
            id=ses_id,
            at=call.at,
            call=call.number,
            sender=from_address.email,
            sender_name=from_address.name,
            recipients=recipients,
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=reply_to,
            metadata=tags,
            return_path=return_path,
            internet_message_id=f"<{ses_id}@{self.region}.amazonses.com>",
        )
        return self._raw(raw, base) if raw is not None else self._simple(simple, base)

    def _sender(self, text: str, raw: Fields | None) -> Address:
        if text:
            return one_mailbox(_ascii(text, "FromEmailAddress"), "FromEmailAddress", ascii_only=True)
        if raw is None:
            raise Wrong(Fault.MISSING, "FromEmailAddress")
        return Address("")

    def _addresses(self, fields: Fields, name: str) -> tuple[Address, ...]:
        path = fields.at(name)
        return tuple(
            one_mailbox(_ascii(text, path), path, ascii_only=True) for text in fields.texts(name, longest=2048)
        )

    def _raw(self, raw: Fields, taken: Taken) -> Taken:
        data = raw.file("Data")
        raw.done()
        if len(data) > self.most_message_bytes:
            raise Refused("too_large", f"{len(data)} bytes of MIME")
        headers = header_fields(data, "Content.Raw.Data", is_7bit=True)
        written = one_mailbox(headers["from"], "Content.Raw.Data.From")
        if taken.sender and written.email != taken.sender:
            raise Wrong(Fault.VALUE, "FromEmailAddress", "would replace another From of the message")
        own = headers.get("x-reliable-email-id", "")
        return replace(
            taken,
            sender=written.email,
            subject=decoded(headers.get("subject", "")),
            mime=data,
            message_id=our_id(own, taken.metadata.values(), headers.get("message-id", "")),
        )

    def _simple(self, simple: Fields | None, taken: Taken) -> Taken:
        assert simple is not None
        subject = _data(simple.fields("Subject", required=True), is_body=False)
        body = simple.fields("Body", required=True)
        assert body is not None
        text, html = _data(body.fields("Text")), _data(body.fields("Html"))
        body.done()
        headers = checked_headers(
            [
                (header.text("Name", required=True, longest=126), header.text("Value", required=True, longest=995))
                for header in simple.each("Headers", most=15)
            ],
            "Content.Simple.Headers",
            _FORBIDDEN,
            ascii_only=True,
        )
        files = tuple(_file(file) for file in simple.each("Attachments"))
        simple.done()
        return replace(
            taken,
            subject=subject,
            text=text,
            html=html,
            headers=headers,
            attachments=files,
            message_id=our_id((value for _, value in headers), taken.metadata.values()),
        )


def _data(fields: Fields | None, *, is_body: bool = True) -> str:
    if fields is None:
        return ""
    data, charset = fields.text("Data", required=is_body, is_body=is_body), fields.text("Charset")
    fields.done()
    if not data.isascii() and charset.upper() != "UTF-8":
        raise Wrong(Fault.VALUE, fields.at("Charset"), "7-bit ASCII unless it says UTF-8")
    return data


def _file(fields: Fields) -> File:
    name = fields.text("FileName", required=True, longest=255)
    content = fields.file("RawContent")
    content_type = fields.text("ContentType", longest=78)
    disposition = fields.text("ContentDisposition") or "ATTACHMENT"
    content_id = fields.text("ContentId", longest=78)
    fields.skip("ContentDescription", "ContentTransferEncoding")
    fields.done()
    if disposition not in {"ATTACHMENT", "INLINE"}:
        raise Wrong(Fault.VALUE, fields.at("ContentDisposition"))
    return File(name, content_type, content, content_id.strip("<>"), is_inline=disposition == "INLINE")


def _ascii(text: str, path: str) -> str:
    if not text.isascii():
        raise Wrong(Fault.EMAIL, path, "not ASCII: names are written as encoded words, domains as A-labels")
    return checked(text, path)
