"""From ready to a provider: a null one, and a real SMTP server beside bare aiosmtplib."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import aiosmtplib

from shared.domain.states import State
from shared.mime.writer import render
from shared.queue import Queue
from tests.bench.harness import Row, compare
from tests.bench.installation import OTHERS, ROOT, Installation, pin
from tests.bench.storing import envelope, fill
from tests.redis_server import free_port

_NULL_MESSAGES = 20_000
_SMTP_MESSAGES = 6_000
_CONNECTIONS = 20


def rows() -> list[Row]:
    return [_to_null(), _to_smtp()]


def _to_null() -> Row:
    providers = '[[providers]]\nname = "null"\nkind = "sandbox"\nconcurrency = 1000\n'
    with Installation(providers, "[sender]\nconcurrency = 1000\n") as here:
        sender = here.start("sender")
        return compare(
            "ready to a null provider, begin included",
            "messages/s",
            lambda: asyncio.run(_drain(here, sender, _NULL_MESSAGES)),
            lambda: asyncio.run(_pop(here, _NULL_MESSAGES)),
            least=8_000,
            note="reference: LPOP of 100 with a fsync and nothing else",
        )


async def _drain(here: Installation, sender: subprocess.Popen[bytes], count: int) -> float:
    """Fill the queue while the sender is stopped, let it go, and return its speed."""
    queue = here.queue()
    await queue.core.learn_shards(1)
    sender.send_signal(signal.SIGSTOP)
    done = (await queue.views.depths()).total(State.SENT)
    await fill(queue, count)
    started = time.perf_counter()
    sender.send_signal(signal.SIGCONT)
    await until_sent(queue, done + count)
    elapsed = time.perf_counter() - started
    await queue.close()
    return count / elapsed


async def until_sent(queue: Queue, count: int) -> None:
    deadline = time.monotonic() + 120
    while (await queue.views.depths()).total(State.SENT) < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the queue did not drain")
        await asyncio.sleep(0.01)


async def _pop(here: Installation, count: int) -> float:
    queue = here.queue()
    core = queue.core
    tag = core.service_tag
    body = b"x" * 1500
    for _ in range(0, count, 100):
        await core.plain(tag, [("RPUSH", f"{tag}:bare", *[body] * 100)])
    started = time.perf_counter()
    for _ in range(0, count, 100):
        await core.plain(tag, [("LPOP", f"{tag}:bare", 100)])
    elapsed = time.perf_counter() - started
    await queue.close()
    return count / elapsed


class Sink:
    """An SMTP server that takes everything: Postfix's `smtp-sink` where it is, else one of ours."""

    def __init__(self) -> None:
        self.port = free_port()
        program = shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin")
        command: list[Any] = (
            [program, "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "1000"]
            if program
            else [sys.executable, "-m", "tests.fakes.smtp_server", "--port", self.port]
        )
        self.name = "smtp-sink" if program else "aiosmtpd"
        self._process = subprocess.Popen(
            [str(word) for word in command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pin(self._process.pid, OTHERS)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def _to_smtp() -> Row:
    sink = Sink()
    providers = (
        f'[[providers]]\nname = "sink"\nkind = "smtp"\nhost = "127.0.0.1"\nport = {sink.port}\ntls = "none"\n'
        f"concurrency = {_CONNECTIONS}\n"
    )
    try:
        with Installation(providers, "[sender]\nconcurrency = 200\n") as here:
            sender = here.start("sender")
            return compare(
                f"ready to {sink.name}, {_CONNECTIONS} connections",
                "messages/s",
                lambda: asyncio.run(_drain(here, sender, _SMTP_MESSAGES)),
                lambda: _bare_smtp(sink.port),
                bar=0.45,
                note="reference: bare aiosmtplib, the same bytes",
            )
    finally:
        sink.stop()


def _bare_smtp(port: int) -> float:
    """Run the reference on the core of what is measured."""
    command = [sys.executable, "-m", "tests.bench.sending", str(port), str(_SMTP_MESSAGES)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    pin(process.pid, 0)
    output, _ = process.communicate(timeout=120)
    return float(output)


async def _send_bare(port: int, count: int) -> float:
    raw = render(envelope(), message_id="msg_bench", internet_message_id="<msg_bench@example.com>", date=0)
    left = iter(range(count))

    async def connection() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
            for _ in left:
                await smtp.sendmail("shop@example.com", ["ada@example.org"], raw)

    started = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    return count / (time.perf_counter() - started)


def main() -> None:
    import uvloop  # noqa: PLC0415 - only as a process of its own

    port, count = map(int, sys.argv[1:])
    sys.stdout.write(f"{uvloop.run(_send_bare(port, count))}\n")


if __name__ == "__main__":
    main()
