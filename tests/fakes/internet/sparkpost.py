"""SparkPost, version 1 of its transmissions; it runs what looks like a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from shared.domain.message import Address
from tests.fakes.internet.desk import Answer, Call, Desk, Native, Order, Refused, Route, single
from tests.fakes.internet.shapes import Fault, Fields, Wrong, checked_headers, mailboxes, one_mailbox
from tests.fakes.internet.taken import File, Taken, our_id

_FORBIDDEN: Final = frozenset(
    {"subject", "from", "to", "reply-to", "content-type", "bcc", "mime-version", "content-transfer-encoding"}
    | {"dkim-signature", "received", "return-path", "date"}
)
_OPTIONS: Final = frozenset(
    {"start_time", "open_tracking", "click_tracking", "initial_open", "transactional", "sandbox", "skip_suppression"}
    | {"ip_pool", "inline_css", "perform_substitutions", "dkim_key"}
)
_SUBSTITUTION: Final = re.compile(r"\{\{\{?\s*([^{}]*?)\s*\}?\}\}")
_MACROS: Final = {
    f"{side}_{size}_curly()": mark * count
    for side, mark in (("opening", "{"), ("closing", "}"))
    for size, count in (("single", 1), ("double", 2), ("triple", 3))
}

_NATIVES: Final = {
    "7001": Native(400, "7001", "Unconfigured or unverified sending domain.", "misconfigured"),
    "7000": Native(400, "7000", "Blacklisted sending domain.", "misconfigured"),
    "1303": Native(401, "1303", "Unauthorized.", "misconfigured"),
    "1304": Native(401, "1304", "Unauthorized.", "misconfigured"),
    "1100": Native(403, "1100", "Forbidden.", "misconfigured"),
    "1601": Native(403, "1601", "Forbidden.", "misconfigured"),
    "not_found": Native(404, "1600", "resource not found", "misconfigured"),
    "method": Native(405, "1800", "method not allowed", "misconfigured"),
    "unsupported_media_type": Native(415, "1305", "Unsupported media type", "misconfigured"),
    "5002": Native(400, "5002", "no valid recipients", "rejected"),
    "1901": Native(400, "1901", "generation rejected", "rejected"),
    "1902": Native(400, "1902", "generation rejected", "rejected"),
    "2008": Native(400, "2008", "content is not valid", "rejected"),
    "1305": Native(400, "1305", "invalid data format/type", "rejected"),
    "1300": Native(422, "1300", "invalid data format/type", "rejected"),
    "1301": Native(422, "1301", "required field is missing", "rejected"),
    "1400": Native(422, "1400", "required field is missing", "rejected"),
    "2002": Native(422, "2002", "invalid data", "rejected"),
    "2007": Native(422, "2007", "invalid data", "rejected"),
    "3000": Native(422, "3000", "substitution syntax error", "rejected"),
    "1502": Native(400, "1502", "server resources unavailable", "temporary"),
    "too_large": Native(413, "1300", "payload too large", "rejected", scope="provider"),
    "2101": Native(420, "2101", "Exceed Sending Limit (hourly)", "throttled", pause_seconds=600),
    "2102": Native(420, "2102", "Exceed Sending Limit (daily)", "throttled", pause_seconds=600),
    "2103": Native(420, "2103", "Exceed Sending Limit (sandbox)", "throttled", pause_seconds=600),
    "2105": Native(420, "2105", "Exceed Sending Limit (monthly)", "throttled", pause_seconds=600),
    "rate_limit": Native(429, "", "Too many requests", "throttled"),
    "server_error": Native(500, "1900", "internal error", "temporary"),
    "1900": Native(503, "1900", "service unavailable", "temporary"),
}


class SparkpostDesk(Desk):
    """An account with one API key."""

    kind: ClassVar = "sparkpost"
    natives: ClassVar = _NATIVES
    throttle_error: ClassVar = "rate_limit"
    quota_error: ClassVar = "2102"
    review_error: ClassVar = "1303"
    most_bytes: ClassVar = 300 << 20

    def paths(self) -> tuple[Route, ...]:
        self.credentials = {"api_key": "sparkpost-fake"}
        return (Route("POST", re.compile("/api/v1/transmissions/?"), self.send),)

    def admit(self, call: Call) -> None:
        if call.headers.get("Authorization") != self.credentials["api_key"]:
            raise Refused("1303")

    def render(self, native: Native, detail: str) -> Answer:
        error = {"message": native.detail, "description": detail}
        if native.code:
            error["code"] = str(native.code)
        return Answer.json({"errors": [error]}, native.status)

    def wrong(self, wrong: Wrong) -> str:
        if wrong.fault is Fault.SYNTAX:
            return "1305"
        if wrong.fault is Fault.EMAIL:
            return "5002"
        return "1400" if wrong.fault is Fault.MISSING else "1300"

    def send(self, call: Call, _: re.Match[str]) -> Order:
        fields = Fields(call.document())
        provider_id = str(10_000_000_000 + self.next_serial())
        options = fields.fields("options")
        set_options = {name: options.any(name) for name in _OPTIONS if options.has(name)} if options else {}
        data = fields.any("substitution_data") or {}
        content = fields.fields("content", required=True)
        assert content is not None
        taken = self._taken(fields, content, call, provider_id, set_options, data)
        for rest in (fields, content, *([options] if options else [])):
            for path in rest.rest:  # it ignores what it does not know: what was meant there is lost
                self.complain(call, f"unknown {path}")

        def answer(taken: Taken) -> Answer:
            counts = {"total_accepted_recipients": len(taken.recipients), "total_rejected_recipients": 0}
            return Answer.json({"results": {"id": taken.id, **counts}})

        return single(self, taken, answer)

    def _taken(
        self,
        fields: Fields,
        content: Fields,
        call: Call,
        provider_id: str,
        options: Mapping[str, Any],
        data: Mapping[str, Any],
    ) -> Taken:
        sender = self._sender(content)
        subject = _substituted(content.text("subject", required=True), data)
        reply_to = content.text("reply_to")
        headers = checked_headers(list(content.strings("headers").items()), "content.headers", _FORBIDDEN)
        headers = tuple((name, _substituted(value, data)) for name, value in headers)
        text, html = (content.text(name, filled=content.has(name), is_body=True) for name in ("text", "html"))
        if not text and not html:
            raise Wrong(Fault.MISSING, "content.text", "content.text or content.html")
        if options.get("perform_substitutions") is not False:
            text, html = _substituted(text, data), _substituted(html, data)
        files = [*self._files(content, "attachments"), *self._files(content, "inline_images")]
        metadata = _metadata(fields)
        campaign = fields.text("campaign_id")
        if len(campaign.encode()) > 64:
            raise Wrong(Fault.SIZE, "campaign_id")
        fields.skip("description", "tracking_domain")
        everyone, tags, own = self._recipients(fields)
        to, cc, bcc = self._groups(everyone, headers, call)
        metadata.update(own)
        return Taken(
            desk=self.name,
            id=provider_id,
            at=call.at,
            call=call.number,
            sender=sender.email,
            sender_name=_substituted(sender.name, data),
            recipients=tuple(address.email for address, _ in everyone),
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=mailboxes(_substituted(reply_to, data), "content.reply_to") if reply_to else (),
            subject=subject,
            text=text,
            html=html,
            attachments=tuple(files),
            headers=tuple((name, value) for name, value in headers if name.lower() != "cc"),
            tags=tuple(dict.fromkeys([*([campaign] if campaign else []), *tags])),
            metadata=metadata,
            return_path=fields.email("return_path", required=False),
            message_id=our_id((value for _, value in headers), metadata.values()),
            is_test=bool(options.get("sandbox")),
        )

    def _sender(self, content: Fields) -> Address:
        sender = content.any("from")
        if isinstance(sender, str):
            return one_mailbox(sender, "content.from")
        found = Fields(sender, "content.from")
        address = Address(found.email(), found.text("name"))
        found.done()
        return address

    def _recipients(self, fields: Fields) -> tuple[list[tuple[Address, str]], list[str], dict[str, str]]:
        everyone: list[tuple[Address, str]] = []
        tags: list[str] = []
        metadata: dict[str, str] = {}
        for recipient in fields.each("recipients", required=True):
            address = recipient.fields("address", required=True)
            assert address is not None
            everyone.append((Address(address.email(), address.text("name")), address.text("header_to")))
            address.done()
            tags.extend(recipient.texts("tags", most=10))
            metadata.update(_metadata(recipient))
            recipient.skip("substitution_data", "return_path")
            recipient.done()
        return everyone, tags, metadata

    def _groups(
        self, everyone: list[tuple[Address, str]], headers: tuple[tuple[str, str], ...], call: Call
    ) -> tuple[tuple[Address, ...], tuple[Address, ...], tuple[Address, ...]]:
        """Return To, Cc and Bcc as readers see them: a To is what `header_to` says, else the recipient alone."""
        shown = {header_to or address.email for address, header_to in everyone}
        if len(shown) > 1:
            self.complain(call, f"recipients are shown different To headers: {sorted(shown)}")
        first, header_to = everyone[0]
        to = mailboxes(header_to, "header_to") if header_to else (first,)
        copied = next((value for name, value in headers if name.lower() == "cc"), "")
        cc = mailboxes(copied, "content.headers.CC") if copied else ()
        visible = {address.email for address in (*to, *cc)}
        bcc = tuple(address for address, _ in everyone if address.email not in visible)
        names = {address.email: address.name for address, _ in everyone if address.name}
        return tuple(Address(found.email, found.name or names.get(found.email, "")) for found in to), cc, bcc

    def _files(self, content: Fields, name: str) -> list[File]:
        is_inline = name == "inline_images"
        files = []
        for file in content.each(name):
            file_name = file.text("name", required=True, longest=255)
            content_type = file.text("type", required=True)
            files.append(File(file_name, content_type, file.file("data"), file_name if is_inline else "", is_inline))
            file.done()
        return files


def _metadata(fields: Fields) -> dict[str, str]:
    metadata = fields.strings("metadata")
    if len(str(metadata).encode()) > 10_240:
        raise Wrong(Fault.SIZE, fields.at("metadata"), "more than 10 KB")
    return dict(metadata)


def _substituted(text: str, data: Mapping[str, Any]) -> str:
    """Return a text after its substitutions; what is unknown becomes nothing."""
    if "{{" not in text:
        return text
    done = _SUBSTITUTION.sub(lambda found: _MACROS.get(found[1], str(data.get(found[1], ""))), text)
    if "{{" in _SUBSTITUTION.sub("", text):
        raise Wrong(Fault.VALUE, "content", f"substitution syntax error: {text[:80]!r}")
    return done
