"""AWS Signature Version 4, the server's side."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, quote

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)
_SKEW_SECONDS: Final = 300


class SignatureFault(Exception):
    """A signature that does not hold; `error` is the service's name for it."""

    def __init__(self, error: str, detail: str) -> None:
        self.error = error
        self.detail = detail
        super().__init__(f"{error}: {detail}")


@dataclass(frozen=True, slots=True)
class Account:
    """Whose signature is expected."""

    access_key_id: str
    secret_access_key: str
    region: str
    service: str
    session_token: str = ""


def verify(
    account: Account, method: str, target: tuple[str, str], headers: Mapping[str, str], body: bytes, now: float
) -> None:
    """Raise SignatureFault unless the request was signed by the account; `target` is path and query as sent."""
    written = headers.get("Authorization", "")
    if not written:
        raise SignatureFault("MissingAuthenticationToken", "Missing Authentication Token")
    parts = _AUTHORIZATION.fullmatch(written)
    if parts is None:
        raise SignatureFault("IncompleteSignature", f"Authorization header is not whole: {written[:40]!r}")
    key_id, day, region, service, names, signature = parts.groups()
    signed = names.split(";")
    if key_id != account.access_key_id or headers.get("X-Amz-Security-Token", "") != account.session_token:
        raise SignatureFault("UnrecognizedClientException", "The security token included in the request is invalid.")
    if (region, service) != (account.region, account.service):
        raise SignatureFault(
            "InvalidSignatureException", f"Credential should be scoped to {account.region}/{account.service}"
        )
    moment = headers.get("X-Amz-Date", "")
    _check_moment(moment, day, now)
    required = {"host"} | {name.lower() for name in headers if name.lower().startswith("x-amz-")}
    if "Content-Type" in headers:
        required.add("content-type")
    if not required <= set(signed) or signed != sorted(signed):
        raise SignatureFault(
            "InvalidSignatureException", f"not signed, or not in order: {sorted(required - set(signed))}"
        )
    path, query = target
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(parse_qsl(query, True))),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            names,
            sha256(body).hexdigest(),
        )
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{account.secret_access_key}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature):
        raise SignatureFault("SignatureDoesNotMatch", f"The canonical string should have been {canonical!r}")


def _check_moment(moment: str, day: str, now: float) -> None:
    try:
        instant = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SignatureFault("IncompleteSignature", f"no X-Amz-Date: {moment!r}") from error
    if not moment.startswith(day):
        raise SignatureFault("SignatureDoesNotMatch", "Date in Credential scope does not match")
    if abs(now - instant) > _SKEW_SECONDS:
        raise SignatureFault("InvalidSignatureException", f"Signature expired: {moment} is not near the server's time")
