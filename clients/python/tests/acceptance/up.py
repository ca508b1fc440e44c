"""A whole service, `reliable-email up`, as its user has it, with an SMTP server that keeps what it is sent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, TypeAlias

from aiosmtpd.controller import Controller
from tests.redis_server import free_port

PATIENCE_SECONDS = 60.0
ID_HEADER = "X-Reliable-Email-Id"

#: Recipients and content.
Mail: TypeAlias = tuple[list[str], EmailMessage]


@dataclass
class Sink:
    """What came to an SMTP server, in the order of its arrival."""

    mails: list[Mail] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = message_from_bytes(envelope.content, policy=SMTP)
        assert isinstance(message, EmailMessage)
        with self._changed:
            self.mails.append((list(envelope.rcpt_tos), message))
            self._changed.notify_all()
        return "250 OK"

    def through_service(self, message_id: str) -> Mail:
        """Wait for the mail of one of the service's messages."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ours(message_id), PATIENCE_SECONDS), message_id
            (mail,) = self._ours(message_id)
            return mail

    def last_direct(self) -> Mail:
        """Return what last came from anyone else."""
        return [mail for mail in self.mails if mail[1][ID_HEADER] is None][-1]

    def _ours(self, message_id: str) -> list[Mail]:
        return [mail for mail in self.mails if mail[1][ID_HEADER] == message_id]


@contextlib.contextmanager
def running_sink() -> Iterator[tuple[Sink, int]]:
    sink = Sink()
    port = free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=PATIENCE_SECONDS)
    controller.start()
    try:
        yield sink, port
    finally:
        controller.stop()


@contextlib.contextmanager
def running_service(folder: Path, config: str = "") -> Iterator[str]:
    """Run the service and return its address."""
    (folder / "config.toml").write_text(config)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RELIABLE_EMAIL_")}
    process = subprocess.Popen(
        [Path(sys.executable).with_name("reliable-email"), "up", "--port", "0", "--config", "config.toml"],
        cwd=folder,
        env={**clean, "RELIABLE_EMAIL_OPS__PORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if found := re.search(r"API +(http://\S+)/v1$", line.rstrip()):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield found[1]
                break
        else:
            raise AssertionError(printed)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def smtp_config(port: int) -> str:
    return f"""
[[providers]]
name = "sink"
kind = "smtp"
host = "127.0.0.1"
port = {json.dumps(port)}
tls = "none"
"""
