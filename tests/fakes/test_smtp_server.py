"""The fake SMTP server as a process, as system tests use it."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MESSAGE = b"X-Reliable-Email-Id: msg_1\r\nMessage-ID: <1@x.test>\r\n\r\nbody\r\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def client(ledger: Path) -> Iterator[smtplib.SMTP]:
    command = [sys.executable, "-m", "tests.fakes.smtp_server", "--ledger", str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        host, port = process.stdout.readline().split()[-1].split(":")
        with smtplib.SMTP(host, int(port)) as smtp:
            yield smtp
        process.terminate()
    assert process.returncode == 0


def test_a_message_is_in_the_ledger_before_it_is_answered(client: smtplib.SMTP, ledger: Path) -> None:
    client.sendmail("a@x.test", ["b@x.test"], MESSAGE)

    (entry,) = map(json.loads, ledger.read_text().splitlines())
    assert (entry["sender"], entry["recipients"], entry["id"]) == ("a@x.test", ["b@x.test"], "msg_1")


def test_recipients_ask_for_their_own_fate(client: smtplib.SMTP) -> None:
    refused = client.sendmail("a@x.test", ["b@x.test", "reply-550-5.1.1@x.test", "greylist@x.test"], MESSAGE)

    assert {recipient: code for recipient, (code, _) in refused.items()} == {
        "reply-550-5.1.1@x.test": 550,
        "greylist@x.test": 451,
    }
