"""Who may ask: static keys, or, without any, this machine alone."""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from services.frontend.answers import REQUEST_ID, Declined
from services.frontend.problem_types import PROBLEM_TYPES
from services.frontend.problems import Problem, problem
from shared.runtime.logs import get_logger
from shared.settings.checks import is_loopback
from shared.settings.model import KeySettings

FAILURES: Final = 10
WINDOW_SECONDS: Final = 60.0
#: Clients that are remembered; the one that failed longest ago is forgotten first.
_REMEMBERED: Final = 10_000

log = get_logger()


class Failures:
    """How often each client brought a wrong key in the last minute, in bounded memory."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, client: str, now: float) -> float | None:
        """Take note of a failure; return in how many seconds another may be tried where there were too many."""
        times = self._clients.setdefault(client, deque(maxlen=FAILURES))
        self._clients.move_to_end(client)
        while len(self._clients) > _REMEMBERED:
            self._clients.popitem(last=False)
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        if len(times) == FAILURES:
            return times[0] + WINDOW_SECONDS - now
        times.append(now)
        return None


class Door:
    """Lets in who shows a key of the configuration; without keys, who speaks from this machine."""

    def __init__(self, keys: Sequence[KeySettings], clock: Callable[[], float]) -> None:
        self._digests: list[bytes] = []
        self._clock = clock
        self._failures = Failures()
        self.know(keys)

    def know(self, keys: Sequence[KeySettings]) -> None:
        """Let in who shows one of these keys, and nobody else, from the next request on."""
        self._digests = [sha256(key.secret.reveal().encode()).digest() for key in keys]

    def admit(self, request: web.Request) -> None:
        """Return where the request may go on. Raises Declined."""
        if not self._digests:
            _require_this_machine(request)
        elif not self._is_known(request.headers.get("Authorization", "")):
            raise self._refusal(request)

    def _is_known(self, authorization: str) -> bool:
        scheme, _, key = authorization.partition(" ")
        digest = sha256(key.strip().encode(errors="surrogateescape")).digest()
        # Every key is compared, and in constant time: how long it takes tells nothing.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches) and scheme.lower() == "bearer"

    def _refusal(self, request: web.Request) -> Declined:
        # A right key always comes through: behind a proxy all clients share one address, and one
        # of them must not be able to lock out the others.
        seconds = self._failures.note(client_of(request.remote), self._clock())
        if seconds is not None:
            detail = f"More than {FAILURES} requests without a valid key within a minute"
            kind = PROBLEM_TYPES["rate_limited"]
            return Declined(Problem(kind, detail, retry_after_seconds=math.ceil(seconds)))
        log.info(
            "request_unauthenticated",
            method=request.method,
            path=request.path,
            request_id=request[REQUEST_ID],
        )
        return Declined(problem("unauthenticated"))


def client_of(address: str | None) -> str:
    """Return whom an address stands for: in IPv6 one client has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if parsed.version == 6:  # noqa: PLR2004 - the protocol's own name
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _require_this_machine(request: web.Request) -> None:
    """Refuse a browser that a strange page, or a strange name for 127.0.0.1, sends here.

    A page elsewhere may make a browser on this machine send requests to loopback. It cannot
    forge these two headers, and its own JSON needs a leave (CORS) that is never given.
    """
    headers = request.headers
    for header in ("Host", "Origin"):
        value = headers.get(header)
        if value is not None and not _names_this_machine(value):
            detail = (
                f"Without [[frontend.keys]] only this machine is served, and the header {header} names another; "
                "use 127.0.0.1 or localhost, or configure a key"
            )
            raise Declined(problem("forbidden", detail))


@lru_cache(maxsize=64)
def _names_this_machine(origin: str) -> bool:
    try:
        host = urlsplit(origin if "://" in origin else f"//{origin}").hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
