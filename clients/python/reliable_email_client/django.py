"""Django's mail through the service: one setting moves an application over.

    EMAIL_BACKEND = "reliable_email_client.django.EmailBackend"
    RELIABLE_EMAIL = {"url": "http://mail.internal:8525", "api_key": "…"}

or, from Django 6.1 on,

    MAILERS = {"default": {"BACKEND": "reliable_email_client.django.EmailBackend", "OPTIONS": {"url": …}}}

A message may carry attributes of its own, named as those of `reliable_email_client.Message`: `tags`,
`metadata`, `priority`, `pool`, `send_at`, `delay`, `expires_at`, `ttl`, `on_ambiguous`, `idempotency_key`.
After it was sent, its attribute `reliable_email` is the Acceptance, or the error.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from email.errors import HeaderParseError
from email.message import Message as StoredMessage
from email.policy import default as modern_policy
from functools import lru_cache
from typing import Any, Final

import django
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from reliable_email_client.answers import Acceptance
from reliable_email_client.client import Client
from reliable_email_client.core.retrying import Retry
from reliable_email_client.errors import CallerError, InvalidMessage, ReliableEmailError
from reliable_email_client.message import Address, AddressLike, Attachment, Message, guessed_type

if django.VERSION[0] < 6:  # noqa: PLR2004 - a version
    from django.core.mail import BadHeaderError
else:
    BadHeaderError = ValueError  # which Django itself raises from then on

_ATTRIBUTES: Final = (
    "tags",
    "metadata",
    "priority",
    "pool",
    "send_at",
    "delay",
    "expires_at",
    "ttl",
    "on_ambiguous",
    "idempotency_key",
)
_CONNECTION: Final = ("url", "api_key", "deadline_seconds", "attempt_seconds")
_OPTIONS: Final = (*_CONNECTION, "defaults", "ignore_unsupported")


class UnsupportedByService(CallerError):
    """A Django message has something that no request to the service can say, and it was not sent.

    With `ignore_unsupported` in the settings it is sent without that.
    """


class EmailBackend(BaseEmailBackend):  # type: ignore[misc]  # Django ships no types
    """Sends Django's messages through the service.

    Options stand in `settings.RELIABLE_EMAIL` or are arguments: `url`, `api_key`, `deadline_seconds`
    (30: a request of a browser waits for it), `attempt_seconds`, `defaults` (fields for messages that
    do not have them), `ignore_unsupported`.
    """

    def __init__(self, *, fail_silently: bool = False, **options: Any) -> None:  # noqa: ANN401 - Django has no types
        own = {name: options.pop(name) for name in _OPTIONS if name in options}
        if options.get("alias") is None:
            # What `send_mail` and `get_connection` hand on for SMTP means nothing here.
            for name in ("username", "password"):
                options.pop(name, None)
        super().__init__(**options)
        self.fail_silently = fail_silently
        configured = {**getattr(settings, "RELIABLE_EMAIL", {}), **own}
        if strange := configured.keys() - set(_OPTIONS):
            raise ValueError(f"RELIABLE_EMAIL has no option {', '.join(sorted(strange))}; there are {_OPTIONS}")
        self._defaults: Mapping[str, Any] = configured.get("defaults", {})
        self._ignore_unsupported = bool(configured.get("ignore_unsupported", False))
        self._connection = {"deadline_seconds": 30.0, **{k: v for k, v in configured.items() if k in _CONNECTION}}

    def send_messages(self, email_messages: Sequence[Any]) -> int:
        """Send messages, several as a batch, and return how many were accepted.

        Unless it fails silently, the first error is raised, after all were tried.
        """
        errors: list[ReliableEmailError] = []
        ready: list[tuple[Any, Message]] = []
        for email_message in email_messages or ():
            converted = self._converted(email_message) if email_message.recipients() else None
            if isinstance(converted, Message):
                ready.append((email_message, converted))
            elif converted is not None:
                email_message.reliable_email = converted
                errors.append(converted)
        accepted = 0
        results = self._sent([message for _, message in ready])
        for (email_message, _), result in zip(ready, results, strict=True):
            email_message.reliable_email = result
            if isinstance(result, Acceptance):
                accepted += 1
            else:
                errors.append(result)
        if errors and not self.fail_silently:
            raise errors[0]
        return accepted

    def _sent(self, messages: Sequence[Message]) -> Iterable[Acceptance | ReliableEmailError]:
        if not messages:
            return ()
        client = _client(**self._connection)
        if len(messages) > 1:
            return client.send_batch(messages)
        try:
            return (client.send(messages[0]),)
        except ReliableEmailError as error:
            return (error,)

    def _converted(self, email_message: EmailMessage) -> Message | ReliableEmailError:
        converter = Converter(email_message, self._defaults)
        try:
            message = converter.message()
        except InvalidMessage as error:
            return error
        if converter.unsupported and not self._ignore_unsupported:
            return UnsupportedByService(f"The service cannot carry {'; '.join(converter.unsupported)}")
        return message


@lru_cache(maxsize=16)
def _client(
    *,
    url: str | None = None,
    api_key: str | None = None,
    deadline_seconds: float,
    attempt_seconds: float = 10.0,
) -> Client:
    """Return the client for these options: `send_mail` makes a backend for each mail, and connections outlive it."""
    retry = Retry(deadline_seconds=deadline_seconds, attempt_seconds=attempt_seconds)
    return Client(url, api_key, retry=retry)


class Converter:
    """Turns one of Django's messages into ours. `unsupported` names what could not be said."""

    def __init__(self, email_message: Any, defaults: Mapping[str, Any]) -> None:  # noqa: ANN401 - Django has no types
        self._given = email_message
        self._defaults = defaults
        self.unsupported: list[str] = []

    def message(self) -> Message:
        """Return the message. Raises BadHeaderError, as Django does, for a line break in a header."""
        given = self._given
        headers = {str(name): str(value) for name, value in given.extra_headers.items()}
        for name, value in (("Subject", str(given.subject)), *headers.items()):
            _refuse_line_breaks(name, value)
        small = {name.lower(): value for name, value in headers.items()}
        text, html = self._bodies()
        try:
            return Message(
                **self._own_fields(),
                from_=self._address("From", small.get("from", given.from_email)),
                to=self._addresses("To", given.to),
                cc=self._addresses("Cc", given.cc),
                bcc=self._addresses("Bcc", given.bcc),
                reply_to=self._reply_to(small),
                subject=str(given.subject),
                text=text,
                html=html,
                attachments=self._attachments(),
                headers=self._other_headers(headers),
            )
        except ValueError as error:
            raise InvalidMessage(str(error)) from error

    def _own_fields(self) -> dict[str, Any]:
        fields = {**self._defaults}
        for name in _ATTRIBUTES:
            if (value := getattr(self._given, name, None)) is not None:
                fields[name] = value
        for name in ("send_at", "expires_at"):
            if (value := fields.get(name)) is not None and timezone.is_naive(value):
                fields[name] = timezone.make_aware(value)
        return fields

    def _bodies(self) -> tuple[str | None, str | None]:
        """Return text and HTML; a body that is empty beside others is left out, as Django does."""
        found: dict[str, str] = {}
        alternatives: list[Any] = list(getattr(self._given, "alternatives", None) or [])
        body = str(self._given.body)
        if body or not (alternatives or self._given.attachments):
            found[f"text/{self._given.content_subtype}"] = body
        for content, mimetype in alternatives:
            if mimetype not in {"text/plain", "text/html"} or mimetype in found:
                self.unsupported.append(f"an alternative of type {mimetype}")
            else:
                found[mimetype] = content.decode() if isinstance(content, bytes) else str(content)
        for mimetype in found.keys() - {"text/plain", "text/html"}:
            self.unsupported.append(f"a body of type {mimetype}")
        return found.get("text/plain"), found.get("text/html")

    def _addresses(self, name: str, given: Iterable[object]) -> list[AddressLike]:
        return [self._address(name, address) for address in given if address]

    def _address(self, name: str, given: object) -> AddressLike:
        """Return an address; one that the standard library cannot read is left for the service to judge."""
        text = str(given)
        _refuse_line_breaks(name, text)
        addresses = _parsed(text)
        return addresses[0] if len(addresses) == 1 else text

    def _reply_to(self, headers: Mapping[str, str]) -> list[AddressLike]:
        if "reply-to" not in headers:
            return self._addresses("Reply-To", self._given.reply_to)
        return _parsed(headers["reply-to"]) or [headers["reply-to"]]

    def _other_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what can stand beside the headers that the service writes itself."""
        others = {}
        for name, value in headers.items():
            small = name.lower()
            if small in {"from", "reply-to"}:
                continue
            if small in _WRITTEN_BY_SERVICE or small.startswith("content-"):
                self.unsupported.append(f"a header {name} of your own")
            else:
                others[name] = value
        return others

    def _attachments(self) -> list[Attachment]:
        return [self._attachment(number, given) for number, given in enumerate(self._given.attachments, 1)]

    def _attachment(self, number: int, given: Any) -> Attachment:  # noqa: ANN401 - Django has no types
        if isinstance(given, StoredMessage):
            return self._part(number, given)
        filename, content, mimetype = given
        if isinstance(content, (EmailMessage, StoredMessage)):
            content = (content.message() if isinstance(content, EmailMessage) else content).as_bytes()
        charset = ""
        if isinstance(content, str):
            content, charset = content.encode(), "; charset=utf-8"
        elif mimetype and mimetype.startswith("text/"):
            charset = "; charset=utf-8" if _is_utf8(content) else ""
            mimetype = mimetype if charset else "application/octet-stream"
        if not mimetype:
            mimetype = guessed_type(filename or "")
        if mimetype.startswith("text/") and "charset=" not in mimetype:
            mimetype += charset
        return Attachment(filename or _name(number, mimetype), bytes(content), _carried(mimetype))

    def _part(self, number: int, part: Any) -> Attachment:  # noqa: ANN401 - old and new parts have no common type
        mimetype = part.get_content_type()
        if part.is_multipart() and mimetype != "message/rfc822":
            self.unsupported.append(f"an attachment of type {mimetype}")
        content = part.get_payload(0).as_bytes() if part.is_multipart() else part.get_payload(decode=True) or b""
        filename = part.get_filename() or _name(number, mimetype)
        if (charset := part.get_content_charset()) is not None:
            mimetype += f"; charset={charset}"
        content_id = (part.get("Content-ID") or "").strip().removeprefix("<").removesuffix(">") or None
        disposition = part.get_content_disposition()
        if disposition != "inline" and not (disposition is None and content_id):
            disposition = "attachment"
        return Attachment(filename, content, _carried(mimetype), content_id, disposition or "inline")


_WRITTEN_BY_SERVICE: Final = frozenset(
    {
        "to",
        "cc",
        "bcc",
        "subject",
        "sender",
        "date",
        "message-id",
        "mime-version",
        "received",
        "return-path",
        "dkim-signature",
    }
)


def _parsed(text: str) -> list[AddressLike]:
    """Return the addresses of a header, none where the standard library cannot read them all."""
    try:
        header: Any = modern_policy.header_factory("To", text)
        addresses = header.addresses
    except (HeaderParseError, IndexError, ValueError):  # its parser stumbles over some that are none, as over `grace@`
        return []
    if header.defects or not all(address.username and address.domain for address in addresses):
        return []
    return [Address(address.addr_spec, address.display_name or None) for address in addresses]


def _refuse_line_breaks(name: str, value: str) -> None:
    if "\n" in value or "\r" in value:
        raise BadHeaderError(f"Header values can't contain newlines (got {value!r} for header {name!r})")


def _carried(mimetype: str) -> str:
    """Return the type under which a file of any bytes can travel (RFC 2045, section 6.4)."""
    return "application/octet-stream" if mimetype.startswith(("message/", "multipart/")) else mimetype


def _name(number: int, mimetype: str) -> str:
    """Return a name for a file that has none, which the service does not take."""
    return f"attachment-{number}{'.eml' if mimetype == 'message/rfc822' else mimetypes.guess_extension(mimetype) or ''}"


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
