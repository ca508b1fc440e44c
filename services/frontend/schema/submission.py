"""A message as a client sends it: its fields, what they must be together, and the submission they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from services.frontend.limits import Rules
from services.frontend.schema.fields import message_fields
from services.frontend.schema.keys import FIELD, HEADER, IdempotencyKey, fingerprint
from services.frontend.schema.objects import Reader
from services.frontend.schema.refusal import Faults, Refused, counted, moved
from shared.domain.errors import Fault
from shared.domain.message import Address, Attachment, Envelope, OnAmbiguous, Priority, Submission
from shared.mime.addresses import mail_domain, same_mailbox_key
from shared.policy.routes import pool_for

_DAY_MS: Final = 86_400_000
_RECIPIENTS: Final = ("to", "cc", "bcc")
_KEY: Final = IdempotencyKey()
_NOTHING: Final[Mapping[str, str]] = {}


class SubmissionSchema:
    """Reads submissions by the rules of this installation. One is made at start and serves for ever."""

    def __init__(self, rules: Rules) -> None:
        self.rules: Final = rules
        self.reader: Final = Reader(message_fields(rules.limits, rules.pools))

    def read(self, body: object, now_ms: int, header_key: str | None = None) -> Submission | Faults:
        """Return the submission that a parsed JSON body makes, or everything that is wrong with it.

        `header_key` is the value of the header `Idempotency-Key`. `now_ms` only bounds how far
        ahead a message may be scheduled.
        """
        values, faults = self.reader.examine(body)
        if type(body) is dict:
            faults += self.judge(body, values, now_ms)
        if faults:
            faults = moved(faults, "#")
        if header_key is not None:
            faults += take_header_key(header_key, values)
        if faults or type(body) is not dict:
            return tuple(faults)
        return self.build(values, body)

    def judge(self, body: Mapping[str, object], values: Mapping[str, Any], now_ms: int) -> Iterator[Fault]:
        """Yield what is missing, and what is wrong with fields that are each right by themselves."""
        yield from self.reader.missing(body)
        given = body.get
        if self.rules.default_from is None and given("from") is None:
            yield Fault("/from", "missing", "'from' is required: the service has no sender of its own")
        if given("text") is None and given("html") is None and not given("attachments"):
            yield Fault("/text", "missing", "One of 'text', 'html' and 'attachments' is required")
        yield from self._judge_recipients(body, values)
        for instant, duration in (("send_at", "delay_seconds"), ("expires_at", "ttl_seconds")):
            if given(duration) is not None and given(instant) is not None:
                yield Fault(f"/{duration}", "conflict", f"Give '{instant}' or '{duration}', not both")
        yield from judge_instants(values, now_ms, self.rules.limits.schedule_days)

    def build(self, values: Mapping[str, Any], body: Mapping[str, object], derived: int | None = None) -> Submission:
        """Return the submission made of fields without fault; `body` is the JSON that they were read from."""
        get = values.get
        key = get(FIELD)
        delay = get("delay_seconds")
        ttl = get("ttl_seconds")
        envelope = self._envelope(values)
        priority = get("priority", Priority.NORMAL)
        return Submission(
            envelope=envelope,
            priority=priority,
            pool=get("pool") or pool_for(envelope, priority, self.rules.routes),
            send_at=get("send_at"),
            delay_ms=None if delay is None else delay * 1_000,
            expires_at=get("expires_at"),
            ttl_ms=None if ttl is None else ttl * 1_000,
            idempotency_key=key,
            fingerprint="" if key is None else fingerprint(body),
            derived=derived,
        )

    def _envelope(self, values: Mapping[str, Any]) -> Envelope:
        get = values.get
        sender = cast("Address", get("from", self.rules.default_from))  # `judge` has seen that there is one
        to, cc, bcc = get("to", ()), get("cc", ()), get("bcc", ())
        if cc or bcc or len(to) > 1:
            to, cc, bcc = _each_once(to, cc, bcc)
        return Envelope(
            sender=sender,
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=get("reply_to", ()),
            subject=values["subject"],
            text=get("text"),
            html=get("html"),
            headers=get("headers", ()),
            attachments=get("attachments", ()),
            tags=get("tags", ()),
            metadata=get("metadata", _NOTHING),
            on_ambiguous=get("on_ambiguous", OnAmbiguous.RETRY),
            message_id_domain=self.rules.message_id_domain or mail_domain(sender.email),
            size_bytes=_weight(values),
        )

    def _judge_recipients(self, body: Mapping[str, object], values: Mapping[str, Any]) -> Iterator[Fault]:
        most = self.rules.limits.recipients
        count = 0
        for name in _RECIPIENTS:
            addresses = values.get(name)
            if addresses is None:
                if body.get(name) is not None:
                    return  # how many there are is unknown, and what is wrong with them is said already
                continue
            if count <= most < count + len(addresses):
                total = sum(len(values.get(each, ())) for each in _RECIPIENTS)
                detail = f"There are {counted(total, 'recipient')} in to, cc and bcc; {most:,} are allowed"
                yield Fault(f"/{name}", "too_many", detail)
            count += len(addresses)
        if not count:
            yield Fault("/to", "missing", "At least one recipient is required, in 'to', 'cc' or 'bcc'")


def judge_instants(values: Mapping[str, Any], now_ms: int, schedule_days: int) -> Iterator[Fault]:
    """Yield what is wrong with `send_at` and `expires_at` where they are given as instants.

    A time past is never wrong: an identical retry after an outage must not turn into a refusal.
    """
    send_at = values.get("send_at")
    if send_at is None:
        return
    if send_at > now_ms + schedule_days * _DAY_MS:
        yield Fault("/send_at", "out_of_range", f"Lies more than {counted(schedule_days, 'day')} ahead")
    expires_at = values.get("expires_at")
    if expires_at is not None and expires_at < send_at:
        yield Fault("/expires_at", "wrong_order", "'expires_at' lies before 'send_at'")


def take_header_key(header_key: str, values: dict[str, Any]) -> list[Fault]:
    """Put the key of the header into `values`; return what is wrong with it."""
    try:
        key = _KEY.read(header_key)
    except Refused as refusal:
        return moved(refusal.faults, HEADER)
    if values.setdefault(FIELD, key) != key:
        return [Fault(HEADER, "conflict", f"The header and the field '{FIELD}' hold different keys")]
    return []


def _each_once(*lists: tuple[Address, ...]) -> Iterator[tuple[Address, ...]]:
    """Yield each list without the addresses that it or a list before it has already."""
    seen: set[str] = set()
    for addresses in lists:
        kept = []
        for address in addresses:
            key = same_mailbox_key(address.email)
            if key not in seen:
                seen.add(key)
                kept.append(address)
        yield tuple(kept)


def _weight(values: Mapping[str, Any]) -> int:
    """Return about how many bytes the mail has on its way: bodies in UTF-8, attachments in base64."""
    get = values.get
    size = _octets(values["subject"]) + _octets(get("text", "")) + _octets(get("html", ""))
    for name, text in get("headers", ()):
        size += len(name) + _octets(text) + 4
    for file in get("attachments", ()):
        size += _base64_octets(file)
    return size


def _base64_octets(file: Attachment) -> int:
    # RFC 2045, section 6.8: four characters for three bytes, CRLF after 76 of them.
    return -(-file.size_bytes // 3) * 4 * 78 // 76 + len(file.filename)


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
