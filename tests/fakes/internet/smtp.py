"""A relay that speaks SMTP, with the same life and ledger as the desks."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar, Final

from tests.fakes.internet.acts import PASS as USUAL
from tests.fakes.internet.acts import Act as Fate
from tests.fakes.internet.acts import Kind
from tests.fakes.internet.desk import Complaint, Native, Station
from tests.fakes.internet.listener import listening, reserved
from tests.fakes.internet.mime import header_fields
from tests.fakes.internet.shapes import Wrong, decoded, one_mailbox
from tests.fakes.internet.taken import Taken, our_id
from tests.fakes.smtp_server import Act, Action, Say, Session, SmtpServer


def _at(stage: str, code: int, text: str, outcome: str, scope: str = "message", **more: Any) -> Native:
    return Native(code, stage, text, outcome, scope, **more)


_NATIVES: Final = {
    "421_mail": _at("mail", 421, "4.3.2 shutting down", "provider_down"),
    "421_end": _at("end", 421, "4.3.2 shutting down", "provider_down"),
    "530_mail": _at("mail", 530, "5.7.0 authentication required", "misconfigured"),
    "throttled": _at("mail", 454, "4.7.0 Throttling failure: Maximum sending rate exceeded.", "throttled"),
    "quota": _at("mail", 454, "4.7.0 Throttling failure: Daily message quota exceeded.", "throttled"),
    "rate": _at("mail", 451, "4.7.1 too many messages, slow down", "throttled"),
    "not_allowed": _at("mail", 550, "5.7.1 not allowed to send as this address", "misconfigured"),
    "too_large": _at("mail", 552, "5.3.4 message size exceeds the limit", "rejected", "provider"),
    "no_such_user": _at("rcpt", 550, "5.1.1 no such user", "rejected"),
    "relay_denied": _at("rcpt", 550, "5.7.1 relay access denied", "misconfigured"),
    "greylisted": _at("rcpt", 451, "4.7.1 greylisted, come back later", "temporary"),
    "mailbox_full": _at("rcpt", 452, "4.2.2 mailbox full", "temporary"),
    "content": _at("end", 554, "5.6.0 content refused", "rejected", "provider"),
    "storage": _at("end", 452, "4.3.1 insufficient storage", "temporary"),
    "later": _at("end", 451, "4.3.0 try again later", "temporary"),
    "syntax": _at("mail", 501, "5.5.4 syntax error in parameters", "misconfigured"),
    "auth": _at("auth", 535, "5.7.8 authentication credentials invalid", "misconfigured"),
}


class SmtpDesk(Station):
    """A relay. `server` is what listens, with stages to plan of its own; a request is a mail transaction.

    Of the life's faults, DRIP makes a late reply, PAGE and ANSWER a senseless one; an error is spoken at the
    stage that its row names.
    """

    kind: ClassVar = "smtp"
    natives: ClassVar[Mapping[str, Native]] = _NATIVES
    throttle_error: ClassVar = "throttled"
    quota_error: ClassVar = "quota"
    review_error: ClassVar = "auth"

    def __init__(self, name: str, random: Random, complaints: list[Complaint], *, is_light: bool = False) -> None:
        super().__init__(name, random, complaints, is_light=is_light)
        self.server = _Server(self)

    def complain(self, what: str) -> None:
        """Note that a client did what no correct client does."""
        self.complaints.append(Complaint(self.name, what, "DATA"))


class SmtpListener:
    """The door of a relay."""

    def __init__(self, desk: SmtpDesk, host: str = "127.0.0.1", port: int = 0) -> None:
        self.desk = desk
        self._reservation = reserved(host, port)
        self._server = desk.server
        self._server.host = host
        self._server.port = self.port = self._reservation.getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections_made(self) -> int:
        """How many connections were taken."""
        return self._server.connections

    async def start(self) -> None:
        """Take connections."""
        self._server.listen()
        await self._server.start()

    async def stop(self) -> None:
        """Break every connection and listen no more."""
        self._server.shut()
        await self._server.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reservation.close()

    def open(self) -> None:
        """Take connections; from this moment on they wait in the system's queue until they are met."""
        if self._server.listen():
            self._spawn(self._server.start())

    def shut(self) -> None:
        """Refuse connections and break those there are."""
        self._server.shut()
        self._spawn(self._server.drop())

    def drop(self) -> None:
        """Break the connections there are."""
        self._spawn(self._server.drop())

    def deafen(self, *, deaf: bool) -> None:
        """Greet nobody and read nothing of new connections."""
        self._server.always("greeting", Act.DEAF if deaf else Act.PASS)
        self._server.always("mail", Act.DEAF if deaf else Act.PASS)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Server(SmtpServer):
    def __init__(self, desk: SmtpDesk) -> None:
        super().__init__()
        self.desk = desk
        self.session = _Session
        self._socket: socket.socket | None = None

    def listen(self) -> bool:
        """Listen; False where that is so already."""
        if self._socket is not None:
            return False
        self._socket = listening(self.host, self.port)
        return True

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def start(self) -> None:
        sock = self._socket
        server = await asyncio.start_server(self._serve, sock=sock, limit=64 << 20)
        if self._socket is sock:
            self._server = server
        else:
            server.close()


class _Session(Session):
    server: _Server
    met: Fate = USUAL
    line: str = ""
    stage: str = ""

    @property
    def desk(self) -> SmtpDesk:
        return self.server.desk

    async def do_mail(self, rest: str) -> None:
        desk = self.desk
        self.met, self.line, self.stage = desk.life.meet(), "", ""
        desk.ledger.arrive(time.monotonic())
        if self.met.kind is Kind.EARLY:
            self.reset()
        error = ""
        if self.met.kind is Kind.FAIL:
            error = desk.named_error(self.met) or "later"
        elif desk.wait(1):
            error = desk.throttle_error
        elif desk.life.quota_left < 1:
            error = desk.quota_error
        if error:
            native = desk.natives[error]
            self.line = f"{native.status} {native.detail}"
            # Who is logged in already hears of a closed account at the next transaction.
            self.stage = "mail" if native.code == "auth" else str(native.code)
        if not await self.refused("mail"):
            await super().do_mail(rest)

    async def do_auth(self, rest: str) -> None:
        if self.desk.life.is_under_review:
            self.say("535 5.7.8 authentication credentials invalid")
        else:
            await super().do_auth(rest)

    async def do_rcpt(self, rest: str) -> None:
        if not await self.refused("rcpt"):
            await super().do_rcpt(rest)

    async def refused(self, stage: str) -> bool:
        if self.stage != stage:
            return False
        self.desk.ledger.answer(int(self.line[:3]))
        await self.perform(Say(self.line), "")
        return True

    async def content(self) -> bytes:
        data = await super().content()
        life = self.desk.life
        await life.held()
        if seconds := life.delay() + self.met.seconds:
            await asyncio.sleep(seconds)
        kinds: dict[Kind, Action] = {Kind.HANG: Act.HANG, Kind.RESET: Act.RESET, Kind.CLOSE: Act.CLOSE}
        if self.met.kind in kinds and not self.met.taken:
            self.desk.ledger.answer("lost")
            await self.perform(kinds[self.met.kind], "")
        return data

    def final_fate(self) -> Action:
        if self.stage == "end":
            self.desk.ledger.answer(int(self.line[:3]))
            return Say(self.line)
        match self.met.kind:
            case Kind.HANG:
                return Act.HANG
            case Kind.RESET:
                return Act.RESET
            case Kind.CLOSE:
                return Act.CLOSE
        return super().final_fate()

    async def take(self, data: bytes) -> None:
        await super().take(data)
        desk = self.desk
        desk.spend()
        desk.take(self.understood(data))
        match self.met.kind:
            case Kind.CUT:
                desk.ledger.answer("cut")
                self.writer.write(b"250 2.0")
                self.reset()
            case Kind.GARBAGE | Kind.PAGE | Kind.ANSWER:
                desk.ledger.answer("cut")
                self.say("<html>this is no SMTP</html>")
                await self.writer.drain()
                raise EOFError
            case Kind.PASS | Kind.DRIP:
                desk.ledger.answer(250)
            case _:
                desk.ledger.answer("lost")

    def understood(self, data: bytes) -> Taken:
        try:
            headers = header_fields(data)
            sender = one_mailbox(headers["from"], "from").email
        except Wrong as wrong:
            self.desk.complain(str(wrong))
            headers, sender = {}, self.sender or ""
        message_id = headers.get("message-id", "")
        number = self.desk.next_serial()
        return Taken(
            desk=self.desk.name,
            id=f"FAKE{number:06}",
            at=time.monotonic(),
            call=number,
            sender=sender,
            recipients=tuple(self.recipients),
            subject=decoded(headers.get("subject", "")),
            return_path=self.sender or "",
            internet_message_id=message_id,
            message_id=our_id(headers.get("x-reliable-email-id", ""), message_id),
            mime=data,
        )
