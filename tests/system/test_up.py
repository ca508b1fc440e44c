"""`reliable-email up` as its user has it: real processes, a real terminal's signals, a real disk."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SECONDS = 30.0
MESSAGE = {"from": "you@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works."}


class Up:
    """One `up` in a folder of its own; what it prints is read line by line."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RELIABLE_EMAIL_")}
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("reliable-email"), "up", *arguments],
            cwd=folder,
            env={**clean, "RELIABLE_EMAIL_OPS__PORT": "0", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.data = folder / "data"
        self.printed: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line_with(self, pattern: str) -> re.Match[str]:
        """Return the match of the first line to come that has the pattern."""
        deadline = time.monotonic() + SECONDS
        while True:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, "\n".join(self.printed)
            self.printed.append(line)
            if found := re.search(pattern, line):
                return found

    def ready(self) -> Up:
        """Wait for the first screen."""
        self.api = self.line_with(r"API +(http://\S+/v1)$")[1]
        self.line_with("Real providers")
        return self

    def submit(self) -> str:
        """Submit a message and return its id."""
        request = urllib.request.Request(  # noqa: S310 -- our own URL
            f"{self.api}/messages", json.dumps(MESSAGE).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 -- our own URL
            assert answer.status == 202
            return str(json.load(answer)["id"])

    def record(self, message_id: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.api}/messages/{message_id}", timeout=SECONDS) as answer:  # noqa: S310 - loopback only
            record: dict[str, Any] = json.load(answer)
            return record

    def pid_of(self, child: str) -> int:
        return int(json.loads((self.data / "run" / f"{child}.json").read_bytes())["pid"])

    def pids(self) -> set[int]:
        return {process.pid for process in psutil.Process(self.process.pid).children(recursive=True)}

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal to the whole group, as a terminal does, and return the exit code."""
        os.killpg(self.process.pid, number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        while (line := self._lines.get()) is not None:
            self.printed.append(line)
        return code


#: Starts `up` in a folder.
Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Up] = []

    def start_one(*arguments: str, **variables: str) -> Up:
        started.append(Up(tmp_path, *(arguments or ("--port", "0")), **variables))
        return started[-1]

    yield start_one
    for up in started:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)
        assert up.process.stdout is not None
        up.process.stdout.close()


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_mail_becomes_a_file_and_is_shown_as_sent(start: Start) -> None:
    up = start().ready()
    message_id = up.submit()

    eventually(lambda: up.record(message_id)["state"] == "sent")
    assert (up.data / "outbox" / f"{message_id}.eml").read_bytes().count(b"It works.") == 1


def test_the_first_screen_tells_where_everything_is(start: Start) -> None:
    up = start().ready()
    port = up.api.split(":")[2].removesuffix("/v1")

    assert "\n".join(up.printed) == (
        "reliable-email 0.1.0 on this machine. Ctrl-C stops it; your mail stays in ./data\n"
        "\n"
        f"  API      http://127.0.0.1:{port}/v1\n"
        "  Outbox   ./data/outbox                   every mail becomes an .eml file; nothing leaves this machine\n"
        "  Queue    Valkey 9.1.2, fsync before every answer       0 waiting · 0 failed\n"
        "  Running  frontend · scheduler · sender                 logs: ./data/logs\n"
        "\n"
        "Send one from another terminal:\n"
        "\n"
        f"  curl http://127.0.0.1:{port}/v1/messages -H 'Content-Type: application/json' \\\n"
        """    -d '{"from":"you@example.com","to":"ada@example.org","subject":"Hello","text":"It works."}'\n"""
        "\n"
        "Real providers: reliable-email config init"
    )


def test_each_mail_is_a_line_with_its_file_and_no_address(start: Start) -> None:
    up = start().ready()
    message_id = up.submit()
    line = up.line_with("sent by outbox")

    short, file = f"{message_id[:14]}…{message_id[-2:]}", f"data/outbox/{message_id}.eml"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  {short}  sent by outbox in \d+ ms  →  {file}", line.string)


def test_each_process_has_its_role_in_its_command_line(start: Start) -> None:
    up = start("--port", "0", "--senders", "2").ready()

    for child, role in (("frontend", "frontend"), ("scheduler", "scheduler"), ("sender-2", "sender")):
        assert role in psutil.Process(up.pid_of(child)).cmdline()


def test_a_killed_sender_is_started_again(start: Start) -> None:
    up = start().ready()
    os.kill(up.pid_of("sender"), signal.SIGKILL)

    up.line_with("sender was ended by signal 9; it is started again")
    message_id = up.submit()
    up.line_with("sender was started again")
    eventually(lambda: up.record(message_id)["state"] == "sent")


def test_a_killed_valkey_is_started_again_and_has_lost_nothing(start: Start) -> None:
    up = start().ready()
    message_id = up.submit()
    eventually(lambda: up.record(message_id)["state"] == "sent")
    os.kill(up.pid_of("valkey"), signal.SIGKILL)

    up.line_with("valkey was started again")
    eventually(lambda: answers(up, message_id))
    assert up.record(message_id)["state"] == "sent"


def answers(up: Up, message_id: str) -> bool:
    try:
        return bool(up.record(message_id))
    except urllib.error.HTTPError as error:
        error.close()
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_ends_everything_with_0(start: Start, number: signal.Signals) -> None:
    up = start().ready()
    pids = up.pids()

    assert up.end(number) == 0
    assert [pid for pid in pids if is_running(pid)] == []
    assert [path.name for path in (up.data / "run").iterdir()] == ["lock"]


def test_services_end_in_order_though_the_signal_went_to_all(start: Start) -> None:
    up = start().ready()
    up.end(signal.SIGINT)
    for child in ("frontend", "scheduler", "sender"):
        last = json.loads((up.data / "logs" / f"{child}.log").read_text().splitlines()[-1])
        assert last["event"] == "process_stopped", last
    valkey = (up.data / "logs" / "valkey.log").read_text()
    assert "Received SIGTERM" in valkey
    assert "Received SIGINT" not in valkey


def test_what_waits_is_found_again(start: Start) -> None:
    first = start().ready()
    os.kill(first.pid_of("sender"), signal.SIGSTOP)  # nothing is sent any more
    first.submit()
    os.kill(first.pid_of("sender"), signal.SIGKILL)
    first.end()
    second = start().ready()

    assert "found 1 waiting, 0 failed" in "\n".join(second.printed)


def test_a_second_one_on_the_same_data_is_refused(start: Start) -> None:
    first = start().ready()
    second = start()

    assert second.process.wait(SECONDS) == 1
    found = second.line_with(r"another `reliable-email up` works on it \(pid (\d+)\)")
    assert int(found[1]) == first.process.pid


def test_a_taken_port_is_named_with_the_command_that_works(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        up = start("--port", str(port))

        assert up.process.wait(SECONDS) == 1
    up.line_with(rf"port {port} on 127\.0\.0\.1 is taken")
    command = up.line_with(r"reliable-email up --port (\d+)$")
    assert int(command[1]) != port


def test_a_faulty_configuration_is_told_in_words(start: Start) -> None:
    up = start("--host", "0.0.0.0")  # noqa: S104 -- it is refused

    assert up.process.wait(SECONDS) == 2
    up.line_with(r"^--host: .*add \[\[frontend\.keys\]\]")


def test_all_processes_end_with_a_killed_up_and_the_next_one_goes_on(start: Start) -> None:
    first = start().ready()
    message_id = first.submit()
    eventually(lambda: first.record(message_id)["state"] == "sent")
    pids = first.pids()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(SECONDS)

    eventually(lambda: not any(is_running(pid) for pid in pids))
    last = json.loads((first.data / "logs" / "sender.log").read_text().splitlines()[-1])
    assert last["event"] == "process_stopped"
    assert start().ready().record(message_id)["state"] == "sent"


def test_what_a_killed_up_left_is_named(start: Start) -> None:
    first = start().ready()
    pids = first.pids()
    sender = first.pid_of("sender")
    os.kill(sender, signal.SIGSTOP)  # it cannot end
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(SECONDS)
    try:
        second = start()

        assert second.process.wait(SECONDS) == 1
        second.line_with(rf"what a killed `reliable-email up` left: .*sender \(pid {sender}\)")
    finally:
        os.kill(sender, signal.SIGCONT)
    eventually(lambda: not any(is_running(pid) for pid in pids))
