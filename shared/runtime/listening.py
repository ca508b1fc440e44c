"""Opening a port, with an error that says which port, why not, and what to change."""

from __future__ import annotations

import errno
import socket

from aiohttp import web

from shared.domain.errors import ConfigurationError, Fault


async def listen(runner: web.BaseRunner, host: str, port: int, section: str) -> int:
    """Serve `runner` on `host` and `port`, and return the port (the one that was given for 0).

    `section` is the table of the configuration that holds `host` and `port`. Raises
    ConfigurationError where the address cannot be had.
    """
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except socket.gaierror as error:
        detail = f"there is no address '{host}' here ({error.strerror}); set {section}.host to one of this machine"
        raise ConfigurationError((Fault(f"{section}.host", "unknown_host", detail),)) from error
    except (OSError, OverflowError) as error:
        raise ConfigurationError((_fault(error, host, port, section),)) from error
    return int(runner.addresses[0][1])


def _fault(error: OSError | OverflowError, host: str, port: int, section: str) -> Fault:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        detail = f"port {port} on {host} is already taken; stop what listens there, or set {section}.port to another"
        return Fault(f"{section}.port", "port_taken", detail)
    if number == errno.EACCES:
        detail = f"port {port} may be opened by root only; set {section}.port to one above 1023"
        return Fault(f"{section}.port", "port_forbidden", detail)
    if number == errno.EADDRNOTAVAIL:
        detail = f"{host} is no address of this machine; set {section}.host to one that is"
        return Fault(f"{section}.host", "unknown_host", detail)
    return Fault(f"{section}.port", "cannot_listen", f"{host}:{port} cannot be opened: {error}")
