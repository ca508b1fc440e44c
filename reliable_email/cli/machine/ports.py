"""Ports: whether they can be had, and which could be had instead."""

from __future__ import annotations

import errno
import socket
from typing import Final

_PORTS: Final = 65_536


def is_taken(host: str, port: int) -> bool:
    """Return whether something listens there already; any other trouble is left to who opens it."""
    if port == 0:
        return False
    try:
        candidates = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return any(_is_taken(family, address) for family, _, _, _, address in candidates)


def free_run(host: str, start: int, count: int) -> int:
    """Return the first of `count` neighbouring ports from `start` on that are all free."""
    first = start
    while first + count <= _PORTS:
        taken = [port for port in range(first, first + count) if is_taken(host, port)]
        if not taken:
            return first
        first = taken[-1] + 1
    return 0


def _is_taken(family: socket.AddressFamily, address: object) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the services do: what a dead connection left does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(address)  # type: ignore[arg-type]  # its type depends on the family
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
