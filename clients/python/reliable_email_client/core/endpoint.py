"""Where the service is, and how every request presents itself. The environment is an argument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from platform import python_version
from urllib.parse import urlencode, urlsplit

from reliable_email_client.core.wire import Request

DEFAULT_URL = "http://127.0.0.1:8525"
URL_VARIABLE, KEY_VARIABLE = "RELIABLE_EMAIL_URL", "RELIABLE_EMAIL_API_KEY"

_VISIBLE = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Endpoint:
    """One service, and the key that it knows us by, which no representation shows."""

    url: str
    key: str | None = field(repr=False)
    user_agent: str

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def target(self, request: Request) -> str:
        """Return what the first line of a request names: path and query."""
        path = f"{urlsplit(self.url).path}{request.path}"
        return f"{path}?{urlencode(request.parameters)}" if request.parameters else path

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers of a request."""
        headers = {"Accept": "application/json", "User-Agent": self.user_agent}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        return headers


def endpoint(url: str | None, key: str | None, environment: Mapping[str, str], version: str) -> Endpoint:
    """Return the service that is meant: an argument stands above the environment. Raises ValueError."""
    address = (url or environment.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/").removesuffix("/v1").rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{address!r} is no URL of a service; it looks like {DEFAULT_URL}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("A URL of the service holds no user and no password; the key is an argument of its own")
    secret = key or environment.get(KEY_VARIABLE) or None
    if secret is not None and not _VISIBLE.fullmatch(secret):
        raise ValueError("A key is made of visible ASCII characters, without spaces and line breaks")
    return Endpoint(address, secret, f"reliable-email-client/{version} python/{python_version()}")
