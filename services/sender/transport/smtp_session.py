"""From nothing to a connection that is secured and logged in."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast

import aiosmtplib

from services.sender.transport.smtp_failures import FAILURES, Unsupported, describe, kind_of, spoken
from shared.domain.errors import ConfigurationError, Fault, ReliableEmailError
from shared.providers.interface import Phase, Reply
from shared.providers.smtp import SmtpOptions

#: Best first. One is tried, not all: each try with a wrong password brings a lock-out nearer.
_MECHANISMS: Final = ("plain", "login", "cram-md5")

_FULL_NAME: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


class NotOpened(ReliableEmailError):
    """A session could not be opened; `reply` says at which stage it ended, and how."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(reply.error)


def tls_context(options: SmtpOptions) -> ssl.SSLContext | None:
    """Return what verifies the server's certificate and name. Raises ConfigurationError for a bad `ca_file`."""
    if options.tls == "none":
        return None
    try:
        return ssl.create_default_context(cafile=options.ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        detail = f"The certificates in {options.ca_file!r} cannot be read: {error}"
        raise ConfigurationError((Fault("ca_file", "unreadable", detail),)) from error


async def open_session(options: SmtpOptions, tls: ssl.SSLContext | None, *, step_seconds: float) -> aiosmtplib.SMTP:
    """Return a client that may send mail. Raises NotOpened; then nothing is left open.

    `step_seconds` bounds each step: connection with greeting, EHLO, STARTTLS, and the log-in.
    """
    smtp = aiosmtplib.SMTP(
        hostname=options.host,
        port=options.port,
        local_hostname="localhost",  # a placeholder; EHLO gives the name that is known only then
        timeout=None,  # each step and stage has its own
        use_tls=options.tls == "tls",
        start_tls=False,
        tls_context=tls,
    )
    stage = ""
    opened = False
    try:
        for stage, step in _steps(smtp, options):  # noqa: B007 - the one it ended at
            async with asyncio.timeout(step_seconds):
                await step()
        opened = True
    except FAILURES as failure:
        line = spoken(failure)
        error, kind = ("", "") if line else (describe(failure), kind_of(failure))
        raise NotOpened(Reply(Phase.CONNECT, error, kind, stage=stage, final=line)) from failure
    finally:
        if not opened:
            abort(smtp)
    return smtp


def abort(smtp: aiosmtplib.SMTP) -> None:
    """Close a connection at once and drop what was not yet written."""
    if smtp.transport is not None:
        cast(asyncio.WriteTransport, smtp.transport).abort()
    smtp.close()


def _steps(smtp: aiosmtplib.SMTP, options: SmtpOptions) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    yield "greeting", smtp.connect
    yield "ehlo", lambda: smtp.ehlo(hostname=_own_name(smtp))
    if options.tls == "starttls":
        yield "starttls", lambda: _secure(smtp)
        # RFC 3207, 4.2: what was said before is forgotten, for anyone may have said it.
        yield "ehlo", lambda: smtp.ehlo(hostname=_own_name(smtp))
    if options.username is not None:
        yield "auth", lambda: _log_in(smtp, options)


async def _secure(smtp: aiosmtplib.SMTP) -> None:
    if not smtp.supports_extension("starttls"):
        raise Unsupported("the server does not offer STARTTLS")
    await smtp.starttls()


async def _log_in(smtp: aiosmtplib.SMTP, options: SmtpOptions) -> None:
    if options.username is None or options.password is None:
        return
    if options.tls == "none" and not ip_address(smtp.get_transport_info("peername")[0]).is_loopback:
        raise Unsupported("a password goes over TLS or to loopback only")
    methods = {"plain": smtp.auth_plain, "login": smtp.auth_login, "cram-md5": smtp.auth_crammd5}
    for mechanism in _MECHANISMS:
        if mechanism in smtp.server_auth_methods:
            await methods[mechanism](options.username, options.password.reveal())
            return
    raise Unsupported("the server offers none of AUTH PLAIN, LOGIN and CRAM-MD5")


def _own_name(smtp: aiosmtplib.SMTP) -> str:
    """Return how this side calls itself: its full name, else its address (RFC 5321, 4.1.4).

    The resolver is not asked, as `socket.getfqdn` does: where it is broken that takes half a minute.
    """
    name = socket.gethostname()
    if _FULL_NAME.fullmatch(name):
        return name
    address = ip_address(smtp.get_transport_info("sockname")[0].partition("%")[0])
    return f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"
