"""One right request for every desk, written by hand; tests bend it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from tests.fakes.internet.desk import Call, Desk
from tests.fakes.internet.sigv4 import Account

OURS: Final = "msg_01kas3v7q2f8x4m9d0w5t6000001"
FILE: Final = base64.b64encode(b"%PDF-1.7").decode()
MIME: Final = (
    b"From: Shop <shop@example.com>\r\nTo: ada@example.org\r\nSubject: Hello\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.com>\r\nX-Reliable-Email-Id: " + OURS.encode() + b"\r\n\r\nIt works.\r\n"
)
_RAW: Final = base64.b64encode(MIME).decode()
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "test"}
_BOUNDARY: Final = "=_x"

NOW: Final = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Right:
    """A request as it should be: path, document and what proves the caller."""

    path: str
    document: Any
    proof: Callable[[Desk], dict[str, str]]
    headers: Mapping[str, str]
    #: What the desk is to understand of it.
    subject: str = "Hello"


def _bearer(desk: Desk) -> dict[str, str]:
    return {"Authorization": f"Bearer {desk.credentials['api_key']}"}


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def _own_headers(name: str, key: str = "api_key") -> Callable[[Desk], dict[str, str]]:
    return lambda desk: {name: desk.credentials[key]}


_ADA: Final = {"email": "ada@example.org", "name": "Ada"}
_SHOP: Final = {"email": "shop@example.com", "name": "Shop"}

RIGHT: Final[Mapping[str, Right]] = {
    "ses": Right(
        "/v2/email/outbound-emails",
        {
            "FromEmailAddress": "Shop <shop@example.com>",
            "Destination": {"ToAddresses": ["ada@example.org"]},
            "Content": {"Raw": {"Data": _RAW}},
            "EmailTags": [{"Name": "id", "Value": OURS}],
        },
        lambda _: {},
        _JSON,
    ),
    "sendgrid": Right(
        "/v3/mail/send",
        {
            "personalizations": [{"to": [_ADA], "custom_args": {"id": OURS}}],
            "from": _SHOP,
            "subject": "Hello",
            "content": [{"type": "text/plain", "value": "It works."}, {"type": "text/html", "value": "<p>It works."}],
            "attachments": [{"content": FILE, "filename": "a.pdf", "type": "application/pdf"}],
        },
        _bearer,
        _JSON,
    ),
    "mailgun": Right(
        "/v3/shop.example/messages",
        [
            ("from", "Shop <shop@example.com>"),
            ("to", "Ada <ada@example.org>"),
            ("subject", "Hello"),
            ("text", "It works."),
            ("h:X-Reliable-Email-Id", OURS),
            ("o:tag", "receipt"),
        ],
        lambda desk: _basic("api", desk.credentials["api_key"]),
        {"Content-Type": f'multipart/form-data; boundary="{_BOUNDARY}"'},
    ),
    "sparkpost": Right(
        "/api/v1/transmissions",
        {
            "recipients": [{"address": _ADA, "metadata": {"id": OURS}}],
            "content": {"from": _SHOP, "subject": "Hello", "text": "It works."},
            "options": {"perform_substitutions": False, "transactional": True},
        },
        _own_headers("Authorization"),
        _JSON,
    ),
    "postmark": Right(
        "/email",
        {
            "From": "Shop <shop@example.com>",
            "To": "Ada <ada@example.org>",
            "Subject": "Hello",
            "TextBody": "It works.",
            "Metadata": {"id": OURS},
        },
        _own_headers("X-Postmark-Server-Token", "server_token"),
        _JSON,
    ),
    "resend": Right(
        "/emails",
        {
            "from": "Shop <shop@example.com>",
            "to": ["Ada <ada@example.org>"],
            "subject": "Hello",
            "text": "It works.",
            "tags": [{"name": "id", "value": OURS}],
        },
        _bearer,
        _JSON,
    ),
    "brevo": Right(
        "/v3/smtp/email",
        {
            "sender": _SHOP,
            "to": [_ADA],
            "subject": "Hello",
            "htmlContent": "<p>It works.",
            "headers": {"X-Reliable-Email-Id": OURS},
        },
        _own_headers("api-key"),
        _JSON,
    ),
    "mailjet": Right(
        "/v3.1/send",
        {
            "Messages": [
                {
                    "From": {"Email": "shop@example.com", "Name": "Shop"},
                    "To": [{"Email": "ada@example.org"}],
                    "Subject": "Hello",
                    "TextPart": "It works.",
                    "CustomID": OURS,
                }
            ]
        },
        lambda desk: _basic(*desk.credentials.values()),
        _JSON,
    ),
    "mailersend": Right(
        "/v1/email",
        {"from": _SHOP, "to": [_ADA], "subject": "Hello", "text": "It works.", "tags": [OURS]},
        _bearer,
        _JSON,
    ),
    "mailtrap": Right(
        "/api/send",
        {"from": _SHOP, "to": [_ADA], "subject": "Hello", "text": "It works.", "custom_variables": {"id": OURS}},
        _bearer,
        _JSON,
    ),
    "postal": Right(
        "/api/v1/send/raw",
        {"rcpt_to": ["ada@example.org"], "mail_from": "bounces@example.com", "data": _RAW},
        _own_headers("X-Server-API-Key"),
        _JSON,
    ),
}


def call_of(
    desk: Desk,
    document: Any = None,
    *,
    path: str = "",
    method: str = "POST",
    headers: Mapping[str, str | None] | None = None,
) -> Call:
    """Return a right request, or one with another document, path or method, and other headers (None takes one away)."""
    right = RIGHT[desk.kind]
    body = _body(deepcopy(right.document) if document is None else document)
    sent = {"Host": urlsplit(desk.url).netloc or "api.test", **right.headers, **right.proof(desk)}
    target, _, query = (path or right.path).partition("?")
    if desk.kind == "ses":
        sent.update(signature(desk, method, target, sent, body))
    for name, value in (headers or {}).items():
        sent.pop(name, None)
        if value is not None:
            sent[name] = value
    pairs = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
    return Call(method, target, pairs, _Insensitive(sent), body, NOW, 0.0)


def signature(
    desk: Desk, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float = NOW
) -> dict[str, str]:
    """Return the headers that sign a request to a desk of SES."""
    keys = desk.credentials
    account = Account(keys["access_key_id"], keys["secret_access_key"], keys["region"], "ses")
    return signed(account, method, path, {name: headers[name] for name in ("Content-Type", "Host")}, body, now)


def signed(
    account: Account, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float
) -> dict[str, str]:
    """Return the headers that AWS Signature V4 adds."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{account.region}/{account.service}/aws4_request"
    used = {name.lower(): value for name, value in {**headers, "X-Amz-Date": moment}.items()}
    names = ";".join(sorted(used))
    lines = "".join(f"{name}:{used[name]}\n" for name in sorted(used))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{account.secret_access_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    proof = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={account.access_key_id}/{scope}"
    return {
        "X-Amz-Date": moment,
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={proof}",
    }


def form(*fields: tuple[str, str] | tuple[str, bytes, str, str]) -> bytes:
    """Return a multipart form: fields of name and text, files of name, content, file name and type."""
    parts = []
    for field in fields:
        name, content = field[0], field[1] if isinstance(field[1], bytes) else field[1].encode()
        more = f'; filename="{field[2]}"\r\nContent-Type: {field[3]}' if len(field) == 4 else ""
        parts.append(f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content)
    return b"\r\n".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


def _body(document: Any) -> bytes:
    if isinstance(document, bytes):
        return document
    if isinstance(document, list) and document and isinstance(document[0], tuple):
        return form(*document)
    return orjson.dumps(document)


class _Insensitive(dict[str, str]):
    """Headers, whose names know no case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())
