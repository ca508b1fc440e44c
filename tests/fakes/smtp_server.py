"""An SMTP server with a scripted life, on loopback, that keeps a ledger of what it took.

In a test:

    async with SmtpServer() as server:
        server.plan("mail", PASS, Say("451 4.3.0 later"))   # the second MAIL is answered so
        ...
        (mail,) = await server.received(1)                    # waits for the event, not for time

Recipients may ask for their own fate, which also works from another process: `reply-550-5.1.1@…`
is refused so at RCPT, `greylist@…` once and then taken, `end-451@…` at the final dot,
`end-hang@…` is taken and never answered, `end-reset@…` is taken and the connection reset.

As a process: `python -m tests.fakes.smtp_server --port 2525 --ledger FILE` prints one line with
its address once it listens, and appends one JSON object a message to FILE before it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import signal
import socket
import ssl
import struct
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self


class Act(Enum):
    """What the server does at a stage, other than to speak."""

    PASS = "do what is usual"
    HANG = "never answer"
    DEAF = "never read again"
    CLOSE = "close without an answer"
    RESET = "reset without an answer"


@dataclass(frozen=True)
class Say:
    """Answer with this line instead of the usual one."""

    line: str


Action = Act | Say
PASS: Final = Act.PASS
HANG: Final = Act.HANG
DEAF: Final = Act.DEAF
CLOSE: Final = Act.CLOSE
RESET: Final = Act.RESET

STAGES: Final = frozenset(
    {"greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", "end", "rset", "quit"}
)
"""`content` comes with the first line of the message, `end` after its final dot. At `end` HANG,
CLOSE and RESET take the message first; what is refused by a Say is not taken."""

_PATH: Final = re.compile(r"(?:FROM|TO):<([^<>]*)>(.*)", re.IGNORECASE)
_MESSAGE_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Mail:
    """A message as it was taken: the envelope, its parameters and the bytes without dot-stuffing."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    parameters: tuple[str, ...] = ()
    connection: int = 0
    is_secure: bool = False
    user: str | None = None

    @property
    def message(self) -> EmailMessage:
        """The message as the standard library reads it."""
        policy = SMTP if self.data.isascii() else SMTPUTF8
        parsed = message_from_bytes(self.data, policy=policy)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def as_json(self) -> str:
        """Return one line for a ledger file."""
        return json.dumps(
            {
                "sender": self.sender,
                "recipients": self.recipients,
                "id": self.message["X-Reliable-Email-Id"],
                "internet_message_id": self.message["Message-ID"],
                "data": base64.b64encode(self.data).decode(),
            }
        )


class SmtpServer:
    """The server. `mails` is its ledger, `commands` all it was told, `reached` how often it came to each stage."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        extensions: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"),
        size: int | None = None,
        starttls: ssl.SSLContext | None = None,
        tls: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
        mechanisms: Sequence[str] = ("PLAIN", "LOGIN", "CRAM-MD5"),
        ledger: Path | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.extensions = list(extensions)
        self.size = size
        self.starttls = starttls
        self.users = dict(users or {})
        self.mechanisms = list(mechanisms)
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.reached: Counter[str] = Counter()
        self.connections = 0
        self.greylisted: set[str] = set()
        self._tls = tls
        self._plans: dict[str, deque[Action]] = {stage: deque() for stage in STAGES}
        self._always: dict[str, Action] = {}
        self._server: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._changed = asyncio.Condition()
        self._ledger = ledger.open("a", encoding="utf-8") if ledger else None
        self.session: type[Session] = Session

    def plan(self, stage: str, *actions: Action) -> None:
        """Do these at the next times the server comes to the stage, one each, then again what is usual."""
        self._plans[stage].extend(actions)

    def always(self, stage: str, action: Action) -> None:
        """Do this at the stage from now on; PASS takes it back."""
        assert stage in STAGES
        self._always[stage] = action

    async def received(self, count: int) -> list[Mail]:
        """Wait until the ledger holds so many messages, and return it."""
        await self.until(lambda: len(self.mails) >= count)
        return list(self.mails)

    async def at(self, stage: str, count: int = 1) -> None:
        """Wait until the server came to the stage so many times."""
        await self.until(lambda: self.reached[stage] >= count)

    async def all_gone(self) -> None:
        """Wait until no client is connected."""
        await self.until(lambda: not self._sessions)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to be true of the server."""
        async with self._changed:
            await self._changed.wait_for(holds)

    @property
    def connected(self) -> int:
        """How many clients are connected now."""
        return len(self._sessions)

    async def start(self) -> None:
        """Listen; again on the same port after `refuse`."""
        self._server = await asyncio.start_server(
            self._serve, self.host, self.port, ssl=self._tls, limit=_MESSAGE_BYTES, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening and drop every client: the next connection is refused until `start`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Reset every connection that there is now."""
        for task, writer in list(self._sessions.items()):
            writer.transport.abort()
            task.cancel()
        await self.all_gone()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        if self._ledger is not None:
            self._ledger.close()

    # -- for sessions -----------------------------------------------------------------------------

    async def note(self, change: Callable[[], object]) -> None:
        """Change something and wake those who wait for it."""
        async with self._changed:
            change()
            self._changed.notify_all()

    async def act(self, stage: str) -> Action:
        """Return what to do at a stage that was just reached."""
        await self.note(lambda: self.reached.update([stage]))
        plan = self._plans[stage]
        action = plan.popleft() if plan else Act.PASS
        return self._always.get(stage, Act.PASS) if action is Act.PASS else action

    async def take(self, mail: Mail) -> None:
        """Put a message into the ledger."""
        if self._ledger is not None:
            self._ledger.write(mail.as_json() + "\n")
            self._ledger.flush()
        await self.note(lambda: self.mails.append(mail))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        await self.note(lambda: self._sessions.update({task: writer}))
        session = self.session(self, reader, writer, self.connections, is_secure=self._tls is not None)
        try:
            await session.run()
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            await self.note(lambda: self._sessions.pop(task, None))


class _Gone(EOFError):
    """The session ends here."""


class Session:
    """One client's dialogue."""

    def __init__(
        self,
        server: SmtpServer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        *,
        is_secure: bool,
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.number = number
        self.is_secure = is_secure
        self.user: str | None = None
        self.sender: str | None = None
        self.parameters: tuple[str, ...] = ()
        self.recipients: list[str] = []

    async def run(self) -> None:
        await self.answer("greeting", "220 fake.test ESMTP")
        while True:
            line = (await self.reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "surrogateescape")
            self.server.commands.append(line)
            verb, _, rest = line.partition(" ")
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler is None:
                self.say("502 5.5.2 what?")
            else:
                await handler(rest)

    async def answer(self, stage: str, usual: str) -> bool:
        """Do what is planned at a stage, else give the usual answer; tell whether it was that."""
        return await self.perform(await self.server.act(stage), usual)

    async def perform(self, action: Action, usual: str) -> bool:
        match action:
            case Say(line):
                self.say(line)
                if line.startswith("421"):
                    await self.writer.drain()
                    raise _Gone
                return False
            case Act.HANG:
                await self.reader.read()  # until the client leaves
                raise _Gone
            case Act.DEAF:
                self.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads, too
                await asyncio.Event().wait()
            case Act.CLOSE:
                raise _Gone
            case Act.RESET:
                self.reset()
        self.say(usual)
        return True

    def say(self, text: str) -> None:
        self.writer.write(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def reset(self) -> None:
        # Lingering for no time: closing sends RST instead of FIN.
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise _Gone

    def forget(self) -> None:
        self.sender, self.parameters, self.recipients = None, (), []

    async def do_helo(self, _: str) -> None:
        await self.answer("ehlo", "250 fake.test")

    async def do_ehlo(self, _: str) -> None:
        server = self.server
        offers = ["fake.test", *server.extensions]
        if server.size is not None:
            offers.append(f"SIZE {server.size}")
        if server.starttls is not None and not self.is_secure:
            offers.append("STARTTLS")
        if server.users and (self.is_secure or server.starttls is None):
            offers.append("AUTH " + " ".join(server.mechanisms))
        lines = [f"250{'-' if offer is not offers[-1] else ' '}{offer}" for offer in offers]
        self.forget()
        await self.answer("ehlo", "\r\n".join(lines))

    async def do_starttls(self, _: str) -> None:
        if self.server.starttls is None or self.is_secure:
            self.say("503 5.5.1 not now")
            return
        action = await self.server.act("starttls")
        if not await self.perform(action, "220 2.0.0 go ahead") and not (
            isinstance(action, Say) and action.line.startswith("220")
        ):
            return
        await self.writer.start_tls(self.server.starttls)
        self.is_secure = True

    async def do_auth(self, rest: str) -> None:
        action = await self.server.act("auth")
        if action is not Act.PASS:
            await self.perform(action, "")
            return
        mechanism, _, initial = rest.partition(" ")
        user, is_right = await self.credentials(mechanism.upper(), initial)
        if is_right:
            self.user = user
            self.say("235 2.7.0 welcome")
        else:
            self.say("535 5.7.8 authentication credentials invalid")

    async def credentials(self, mechanism: str, initial: str) -> tuple[str, bool]:
        users = self.server.users
        if mechanism == "PLAIN":
            _, user, password = base64.b64decode(initial or await self.ask("")).decode().split("\0")
            return user, users.get(user) == password
        if mechanism == "LOGIN":
            user = base64.b64decode(initial or await self.ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(await self.ask("UGFzc3dvcmQ6")).decode()
            return user, users.get(user) == password
        challenge = b"<1.1@fake.test>"
        proof = base64.b64decode(await self.ask(base64.b64encode(challenge).decode())).decode()
        user, _, digest = proof.rpartition(" ")
        wanted = hmac.new(users.get(user, "").encode(), challenge, hashlib.md5).hexdigest()
        return user, user in users and hmac.compare_digest(digest, wanted)

    async def ask(self, challenge: str) -> str:
        self.say(f"334 {challenge}")
        return (await self.reader.readuntil(b"\r\n"))[:-2].decode()

    async def do_mail(self, rest: str) -> None:
        path = _PATH.fullmatch(rest)
        if path is None or self.sender is not None:
            self.say("503 5.5.1 bad MAIL")
        elif self.server.users and self.user is None:
            self.say("530 5.7.0 authentication required")
        elif await self.answer("mail", "250 2.1.0 ok"):
            self.sender = path[1]
            self.parameters = tuple(path[2].split())

    async def do_rcpt(self, rest: str) -> None:
        path = _PATH.fullmatch(rest)
        if path is None or self.sender is None:
            self.say("503 5.5.1 bad RCPT")
            return
        action = await self.server.act("rcpt")
        if action is Act.PASS:
            action = self.fate(path[1])
        if await self.perform(action, "250 2.1.5 ok"):
            self.recipients.append(path[1])

    def fate(self, recipient: str) -> Action:
        local = recipient.partition("@")[0]
        wanted = re.fullmatch(r"reply-(\d{3})(?:-(\d\.\d+\.\d+))?", local)
        if wanted:
            return Say(" ".join(filter(None, (wanted[1], wanted[2], f"<{recipient}> asked for it"))))
        if local.startswith("greylist") and recipient not in self.server.greylisted:
            self.server.greylisted.add(recipient)
            return Say("451 4.7.1 greylisted, come back later")
        return Act.PASS

    async def do_data(self, _: str) -> None:
        if not self.recipients:
            self.say("554 5.5.1 no valid recipients")
            return
        if not await self.answer("data", "354 go ahead"):
            return
        data = await self.content()
        action = await self.server.act("end")
        if action is Act.PASS:
            action = self.final_fate()
        if not isinstance(action, Say):
            await self.take(data)
        number = len(self.server.mails)
        self.forget()
        await self.perform(action, f"250 2.0.0 Ok: queued as FAKE{number:06}")

    async def content(self) -> bytes:
        data = b"\r\n" + await self.reader.readuntil(b"\r\n")
        action = await self.server.act("content")
        if action is not Act.PASS:
            await self.perform(action, "")
        while not data.endswith(b"\r\n.\r\n"):
            data += await self.reader.readuntil(b".\r\n")
        return data[:-3].replace(b"\r\n.", b"\r\n")[2:]

    def final_fate(self) -> Action:
        for recipient in self.recipients:
            wanted = re.fullmatch(r"end-(hang|reset|\d{3})", recipient.partition("@")[0])
            if wanted:
                acts: dict[str, Action] = {"hang": Act.HANG, "reset": Act.RESET}
                return acts.get(wanted[1], Say(f"{wanted[1]} asked for it"))
        return Act.PASS

    async def take(self, data: bytes) -> None:
        mail = Mail(
            self.sender or "",
            tuple(self.recipients),
            data,
            self.parameters,
            self.number,
            is_secure=self.is_secure,
            user=self.user,
        )
        await self.server.take(mail)

    async def do_rset(self, _: str) -> None:
        self.forget()
        await self.answer("rset", "250 2.0.0 ok")

    async def do_noop(self, _: str) -> None:
        self.say("250 2.0.0 ok")

    async def do_quit(self, _: str) -> None:
        await self.answer("quit", "221 2.0.0 bye")
        await self.writer.drain()
        raise _Gone


async def _run(arguments: argparse.Namespace) -> None:
    context = None
    if arguments.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.certificate, arguments.key)
    users = dict(user.split(":", 1) for user in arguments.user)
    server = SmtpServer(
        host=arguments.host,
        port=arguments.port,
        size=arguments.size,
        starttls=context,
        users=users,
        ledger=arguments.ledger,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with server:
        sys.stdout.write(f"listening on {server.host}:{server.port}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Run the server until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.smtp_server", description="A fake SMTP server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the first line of output names it")
    parser.add_argument("--ledger", type=Path, help="append one JSON object for each message taken")
    parser.add_argument("--size", type=int, help="announce SIZE")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD", help="ask for AUTH")
    parser.add_argument("--certificate", type=Path, help="offer STARTTLS with this certificate (PEM)")
    parser.add_argument("--key", type=Path, help="the certificate's key")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments))


if __name__ == "__main__":
    main()
