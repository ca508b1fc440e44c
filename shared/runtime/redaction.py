"""What must never stand in a log line, and the processor that sees to it."""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict

MASK: Final = "********"

#: A field whose name is one of these, or ends in one after an underscore, is a secret.
SECRET_NAMES: Final = (
    "password",
    "secret",
    "token",
    "authorization",
    "api_key",
    "private_key",
    "secret_access_key",
    "cookie",
)

#: Fences of the queue, not secrets: they prove a lease for a minute and are needed to follow one.
OPEN_NAMES: Final = frozenset({"lease_token", "operation_token"})

_SECRET_NAME: Final = re.compile(rf"(?:^|[_-])(?:{'|'.join(SECRET_NAMES)})s?$", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/]{0,200}:[^\s/]{0,200}@"  # the user part of a URL, to its last @
    r"|(?P<method>\b(?i:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|\b(?:rmk_|SG\.|re_|xkeysib-|key-)[A-Za-z0-9_.-]{16,}",  # keys of ours and of providers, as they look
)
# One part of each credential above, cheap to look for: nearly no text of a log has any of them.
_MAY_HOLD_CREDENTIALS: Final = re.compile(r"://|[Ee]arer|EARER|[Aa]sic|ASIC|rmk_|SG\.|re_|keysib-|key-")
_ADDRESS: Final = re.compile(r"(?P<local>[^\s<>()\[\],;:@\"']{1,64}|\"[^\"\r\n]{0,64}\")@[\w-]+(?:\.[\w-]+)*")

_HARMLESS: Final = frozenset({int, float, bool, type(None)})

#: Deeper nesting is a defect of the caller; its text form is redacted as a whole.
_MAX_DEPTH: Final = 6

# An unkeyed hash of an address is found by trying addresses. A key that dies with the process
# still tells whether two of its lines speak of the same recipient.
_key = secrets.token_bytes(32)


def use_hash_key(key: bytes) -> None:
    """Hash recipients with `key` (up to 64 bytes), so that processes which share it agree."""
    global _key  # noqa: PLW0603 -- one key for a process, set once at its start
    _key = key


def hash_recipient(email: str) -> str:
    """Return an address as a log may show it: a keyed hash of the whole, and the domain in clear."""
    domain = email.rpartition("@")[2].lower()
    digest = hashlib.blake2b(email.lower().encode(errors="surrogatepass"), digest_size=6, key=_key).hexdigest()
    return f"{digest}@{domain}"


def _hide_address(found: re.Match[str]) -> str:
    # The Message-ID of our own making and a URL that was masked look like addresses, and name nobody.
    if found["local"].startswith("msg_") or found["local"].endswith(MASK):
        return found[0]
    return hash_recipient(found[0])


def _hide_credentials(found: re.Match[str]) -> str:
    if found["scheme"]:
        return f"{found['scheme']}{MASK}@"
    return f"{found['method'] or ''}{MASK}"


def redact_text(text: str, *, show_addresses: bool = False) -> str:
    """Return `text` without credentials and, unless they may be shown, without addresses."""
    if _MAY_HOLD_CREDENTIALS.search(text):
        text = _CREDENTIALS.sub(_hide_credentials, text)
    if not show_addresses and "@" in text:
        text = _ADDRESS.sub(_hide_address, text)
    return text


@functools.lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Return whether a field of this name must not be shown."""
    return name not in OPEN_NAMES and _SECRET_NAME.search(name) is not None


def _redact(value: object, show_addresses: bool, depth: int) -> object:  # noqa: FBT001 -- passed on as it came
    if isinstance(value, str):
        return redact_text(value, show_addresses=show_addresses)
    if type(value) in _HARMLESS:
        return value
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return _redact_fields(value, show_addresses, depth + 1)
    if isinstance(value, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
        return [_redact(item, show_addresses, depth + 1) for item in value]
    return redact_text(str(value), show_addresses=show_addresses)


def _redact_fields(
    fields: Mapping[Any, Any],
    show_addresses: bool,  # noqa: FBT001 -- passed on as it came
    depth: int,
) -> dict[str, Any]:
    return {
        (name := str(key)): MASK if is_secret_name(name) else _redact(value, show_addresses, depth)
        for key, value in fields.items()
    }


def redact(_logger: object, method: str, fields: EventDict) -> EventDict:
    """Hide secrets at every level, and addresses at every level above debug (a structlog processor)."""
    return _redact_fields(fields, method == "debug", 0)
