"""Where a service is reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from shared.domain.errors import ConfigurationError, Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """An account that is reached over HTTP; each kind adds its keys and the address of its service.

    Whoever extends this is carried by the HTTP transport. Raises ConfigurationError where the
    address is none, or would carry a secret in the clear over a network, and with the `faults` that
    a kind finds in its own keys.
    """

    base_url: str
    """The beginning of the service's addresses, without a slash at the end."""

    def __post_init__(self) -> None:
        faults = tuple(self.faults())
        address = None if faults else _fault(self.address)
        if address is not None:
            faults = (address,)
        if faults:
            raise ConfigurationError(faults)

    @property
    def address(self) -> str:
        """Where requests go: `base_url`, unless a kind knows the address from its other keys where that is empty."""
        return self.base_url

    def faults(self) -> Iterable[Fault]:
        """Return what is wrong with the kind's own keys, each placed by the key's name."""
        return ()


def _fault(address: str) -> Fault | None:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, 0
    if not host or port == 0 or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        return Fault("base_url", "invalid_url", f"{address!r} is no address like https://api.example.com")
    if address.endswith("/"):
        return Fault("base_url", "invalid_url", "The address must not end with a slash")
    if parts.username or parts.password:
        return Fault("base_url", "insecure", "Credentials do not belong in the address; use the kind's own keys")
    if parts.scheme == "http" and not _is_loopback(host):
        return Fault("base_url", "insecure", "Over http:// a key goes to loopback only; use https://")
    return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
