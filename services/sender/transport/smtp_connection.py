"""One connection to an SMTP server, and the mail transactions on it.

aiosmtplib connects, secures, logs in, frames commands and parses replies. The transaction is
driven command by command, because its `sendmail` fails alike wherever the connection breaks, and
before or after the final dot is the difference between a safe retry and a possible duplicate.
It reads one reply for each write, so commands are not pipelined.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Final, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from services.sender.transport.smtp_failures import FAILURES, describe, kind_of, smtp_line
from services.sender.transport.smtp_session import abort
from shared.providers.interface import Phase, Reply, SmtpLine, SmtpTransaction

#: RFC 5321, 4.5.3.2: how long to wait for the reply to MAIL and RCPT, for the one to DATA, and
#: until a block of the message is taken.
_COMMAND_SECONDS: Final = 300.0
_DATA_SECONDS: Final = 120.0
_BLOCK_SECONDS: Final = 180.0
#: A farewell is a courtesy.
_QUIT_SECONDS: Final = 5.0

_SERVICE_CLOSING: Final = 421
_START_INPUT: Final = 354
_POSITIVE: Final = range(200, 300)
_NEGATIVE: Final = range(400, 600)

_BLOCK_BYTES: Final = 64 << 10
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


@dataclass(slots=True)
class _Progress:
    """How far a transaction came. Everything that waits for the server notes here what for, and how long."""

    limit: asyncio.Timeout
    stage: str = "mail"
    phase: Phase = Phase.SENDING
    rcpt: list[SmtpLine] = field(default_factory=list)
    answers: int = 0

    def wait(self, stage: str, seconds: float) -> None:
        self.stage = stage
        self.limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def answered(self, line: SmtpLine) -> Reply:
        return Reply(Phase.ANSWERED, stage=self.stage, final=line, rcpt=tuple(self.rcpt))

    def broken_off(self, failure: BaseException) -> Reply:
        return Reply(self.phase, describe(failure), kind_of(failure), stage=self.stage, rcpt=tuple(self.rcpt))


class SmtpConnection:
    """A session that is logged in, and carries one transaction at a time.

    `broke_at_once` is true after a transaction whose first command was answered by the end of the
    connection: if it had lain idle before, the server had given it up, and nothing else is wrong.
    `idle_since` is the pool's note.
    """

    def __init__(self, smtp: aiosmtplib.SMTP, *, answer_seconds: float) -> None:
        self.messages = 0
        self.broke_at_once = False
        self.idle_since = 0.0
        self._smtp = smtp
        self._answer_seconds = answer_seconds
        self._needs_reset = False
        self._size_limit = _size_limit(smtp)
        self._writer: asyncio.StreamWriter | None = None

    @property
    def is_open(self) -> bool:
        """Whether the connection stands, as far as this side knows."""
        return self._smtp.is_connected

    async def transact(self, request: SmtpTransaction) -> Reply:
        """Carry one message and return how far it came; broken off, cancelled or told 421, the connection is closed."""
        lack = self._lack(request)
        if lack:
            return Reply(Phase.SENDING, lack, "unsupported", stage="mail")
        self.messages += 1
        progress = _Progress(asyncio.timeout(None))
        is_sound = False
        try:
            async with progress.limit:
                reply = await self._dialogue(request, progress)
            is_sound = _is_in_step(reply)
            self.broke_at_once = progress.answers == 1 and _is_closing(reply.final)
        except FAILURES as failure:
            reply = progress.broken_off(failure)
            self.broke_at_once = progress.answers == 0 and reply.error_kind == "reset"
        finally:
            if not is_sound:
                self.abort()
        return reply

    async def quit(self) -> None:
        """Say goodbye and close; a server that does not answer soon is left without."""
        try:
            async with asyncio.timeout(_QUIT_SECONDS):
                await self._smtp.quit()
        except FAILURES:
            return  # it is gone, which is what was wanted
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once and drop what was not yet written."""
        abort(self._smtp)

    def _lack(self, request: SmtpTransaction) -> str:
        """Return what the server would need to take the message and does not offer."""
        if request.needs_smtputf8 and not self._smtp.supports_extension("smtputf8"):
            return "the server does not offer SMTPUTF8, which an address needs"
        if request.needs_8bitmime and not self._smtp.supports_extension("8bitmime"):
            return "the server does not offer 8BITMIME, which the message needs"
        if self._size_limit is not None and len(request.data) > self._size_limit:
            return f"the server takes {self._size_limit} bytes at most, the message has {len(request.data)}"
        return ""

    async def _dialogue(self, request: SmtpTransaction, progress: _Progress) -> Reply:
        progress.wait("mail", _COMMAND_SECONDS)
        if self._needs_reset:
            await self._reset()
        self._needs_reset = True
        line = await self._command(progress, b"MAIL", b"FROM:" + _path(request.sender), *self._parameters(request))
        if not _is_positive(line):
            return progress.answered(line)
        for recipient in request.recipients:
            progress.wait("rcpt", _COMMAND_SECONDS)
            line = await self._command(progress, b"RCPT", b"TO:" + _path(recipient))
            progress.rcpt.append(line)
            if _is_closing(line):
                return progress.answered(line)
        if not any(map(_is_positive, progress.rcpt)):
            return progress.answered(line)
        progress.wait("data", _DATA_SECONDS)
        line = await self._command(progress, b"DATA")
        if line.code != _START_INPUT:
            return progress.answered(line)
        return progress.answered(await self._content(request.data, progress))

    async def _command(self, progress: _Progress, *words: bytes) -> SmtpLine:
        code, text = await self._smtp.execute_command(*words)
        progress.answers += 1
        return smtp_line(code, text)

    async def _reset(self) -> None:
        code, text = await self._smtp.execute_command(b"RSET")
        if code not in _POSITIVE:
            raise aiosmtplib.SMTPServerDisconnected(f"the connection cannot be used again: {code} {text}")

    def _parameters(self, request: SmtpTransaction) -> list[bytes]:
        parameters = []
        if self._size_limit is not None or self._smtp.supports_extension("size"):
            parameters.append(b"SIZE=%d" % len(request.data))
        if request.needs_8bitmime:
            parameters.append(b"BODY=8BITMIME")
        if request.needs_smtputf8:
            parameters.append(b"SMTPUTF8")
        return parameters

    async def _content(self, data: bytes, progress: _Progress) -> SmtpLine:
        """Write the message and wait for its reply; only the last write carries the final dot."""
        protocol = self._smtp.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        wire = dotted(data)
        start = 0
        while len(wire) - start > _BLOCK_BYTES:
            protocol.write(wire[start : start + _BLOCK_BYTES])
            start += _BLOCK_BYTES
            progress.wait("end", _BLOCK_SECONDS)
            await self._drained(protocol)
        protocol.write(wire[start:])
        progress.phase = Phase.SENT
        progress.wait("end", self._answer_seconds)
        code, text = await protocol.read_response()
        self._needs_reset = False
        return smtp_line(code, text)

    async def _drained(self, protocol: SMTPProtocol) -> None:
        """Wait until the transport takes more. asyncio lets only a StreamWriter ask for that."""
        if self._writer is None:
            transport = cast(asyncio.WriteTransport, protocol.transport)
            self._writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
        await self._writer.drain()


def dotted(data: bytes) -> bytes:
    """Return a message as DATA wants it: CRLF line ends alone, leading dots doubled, the final dot behind it.

    The writer of messages leaves no lone CR or LF; one that came in otherwise could end the message
    early on a server that takes it for a line end, and begin another (CVE-2023-51764 and its kin).
    """
    ends = data.count(b"\r\n")
    if data.count(b"\n") != ends or data.count(b"\r") != ends:
        data = _LINE_END.sub(b"\r\n", data)
    if data.startswith(b"."):
        data = b"." + data
    if b"\n." in data:
        data = data.replace(b"\r\n.", b"\r\n..")
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")


def _path(address: str) -> bytes:
    return b"<" + address.encode() + b">"


def _is_positive(line: SmtpLine) -> bool:
    return line.code in _POSITIVE


def _is_closing(line: SmtpLine | None) -> bool:
    return line is not None and line.code == _SERVICE_CLOSING


def _is_in_step(reply: Reply) -> bool:
    """Return whether both sides still agree on whose turn it is, so that another transaction may follow."""
    code = reply.final.code if reply.final else 0
    wanted = reply.stage == "end" and code in _POSITIVE
    return wanted or (code in _NEGATIVE and code != _SERVICE_CLOSING)


def _size_limit(smtp: aiosmtplib.SMTP) -> int | None:
    """Return the largest message that the server announced; RFC 1870 lets 0 and nothing mean "no limit"."""
    announced = smtp.esmtp_extensions.get("size", "").strip()
    return int(announced) or None if announced.isdigit() else None
