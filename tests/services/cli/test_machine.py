"""The parts of `up` that need no process: its lines, the logs it follows, the ports it looks at."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from reliable_email.cli.machine.data import Data, DataInUse
from reliable_email.cli.machine.plan import PortTaken, Wishes, make_plan
from reliable_email.cli.machine.ports import free_run, is_taken
from reliable_email.cli.machine.screen import Facts, Screen, first_screen, mail_line
from reliable_email.cli.machine.tail import LogTail, last_words
from reliable_email.cli.machine.telling import Telling

MESSAGE_ID = "msg_01kas3v7q2f8x4m9d0w5t6y1zc03"
WISHES = Wishes(config=None, data=Path("data"), host=None, port=None, senders=1)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def event(**fields: Any) -> dict[str, Any]:
    told = {"event": "message_finished", "level": "info", "timestamp": "2026-11-24T12:00:03.000Z"}
    return {**told, "message_id": MESSAGE_ID, "state": "sent", "provider": "outbox", "seconds": 0.009, **fields}


def test_a_sent_mail_shows_its_provider_time_and_file() -> None:
    line = mail_line(event(), "data/outbox/x.eml")

    assert line[8:] == "  msg_01kas3v7q2…03  sent by outbox in 9 ms  →  data/outbox/x.eml"


def test_a_failed_mail_shows_why() -> None:
    line = mail_line(event(state="failed", detail="550 no such user"), None)

    assert line[8:] == "  msg_01kas3v7q2…03  failed in 9 ms: 550 no such user"


def test_real_providers_stand_on_the_first_screen() -> None:
    facts = Facts(
        "./data", "http://x/v1", True, None, ["ses-eu", "relay"], "Valkey 9", 1_204, 2, "frontend", "./data/logs"
    )
    screen = first_screen(facts)

    assert "  Sends    ses-eu · relay\n" in screen
    assert "found 1,204 waiting, 2 failed" in screen
    assert "Authorization: Bearer $KEY" in screen
    assert "Outbox" not in screen
    assert "Real providers" not in screen


class TestTelling:
    @pytest.fixture
    def log(self) -> Path:
        return Path("sender.log")

    @pytest.fixture
    def shown(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def telling(self, log: Path, shown: io.StringIO) -> Telling:
        log.write_text(json.dumps(event()) + "\n")  # of an earlier life
        telling = Telling(make_plan(WISHES, {}), Screen(shown))
        telling.listen_to("sender", log)
        return telling

    def append(self, log: Path, *events: dict[str, Any]) -> None:
        with log.open("a") as file:
            file.writelines(json.dumps(one) + "\n" for one in events)

    def test_what_is_new_is_shown_once(self, log: Path, telling: Telling, shown: io.StringIO) -> None:
        self.append(log, event(), {"event": "batch_settled", "level": "info"})
        telling.look()
        telling.look()

        (line,) = shown.getvalue().splitlines()
        assert line.endswith(f"→  data/outbox/{MESSAGE_ID}.eml")

    def test_errors_are_shown_with_the_process_they_come_from(
        self, log: Path, telling: Telling, shown: io.StringIO
    ) -> None:
        self.append(log, {"event": "provider_misconfigured", "level": "error", "provider": "relay", "detail": "535"})
        telling.look()

        assert shown.getvalue()[8:] == "  sender  provider_misconfigured: relay: 535\n"

    def test_a_flood_is_counted(self, log: Path, telling: Telling, shown: io.StringIO) -> None:
        self.append(log, *[event()] * 500)
        telling.look()

        assert len(shown.getvalue().splitlines()) <= 42  # 20 in each of the seconds it may have touched


class TestTail:
    def test_half_a_line_waits_for_its_other_half(self) -> None:
        log = Path("x.log")
        tail = LogTail(log)
        log.write_bytes(b'{"event": "on')
        assert list(tail.new_events()) == []
        log.write_bytes(b'{"event": "one"}\n')
        assert list(tail.new_events()) == [{"event": "one"}]

    def test_a_log_that_was_emptied_is_read_from_its_beginning(self) -> None:
        log = Path("x.log")
        log.write_bytes(b'{"event": "long ago", "more": "words"}\n')
        tail = LogTail(log)
        log.write_bytes(b'{"event": "new"}\n')

        assert list(tail.new_events()) == [{"event": "new"}]

    def test_a_large_log_is_put_aside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reliable_email.cli.machine.tail._LARGEST_BYTES", 10)
        log = Path("x.log")
        log.write_bytes(b'{"event": "one"}\n')
        tail = LogTail(log)
        tail.put_aside_if_large()

        assert (log.read_bytes(), Path("x.log.1").read_bytes()) == (b"", b'{"event": "one"}\n')

    def test_last_words_are_the_errors_of_this_life(self) -> None:
        log = Path("x.log")
        old = json.dumps({"level": "error", "detail": "old"}) + "\n"
        log.write_text(old + json.dumps({"level": "error", "where": "ops.port", "detail": "taken"}) + "\nTraceback\n")

        assert last_words(log, len(old)) == ["ops.port: taken"]


class TestPlan:
    def test_ports_count_on(self) -> None:
        plan = make_plan(Wishes(None, Path("data"), None, None, 2), {"RELIABLE_EMAIL_OPS__PORT": "9000"})

        assert [(service.name, service.ops_port) for service in plan.services] == [
            ("frontend", 9000),
            ("scheduler", 9001),
            ("sender-1", 9002),
            ("sender-2", 9003),
        ]

    def test_the_outbox_lies_in_the_data_folder(self) -> None:
        plan = make_plan(Wishes(None, Path("/srv/mail"), None, None, 1), {})

        assert plan.environ["RELIABLE_EMAIL_PROVIDERS__OUTBOX__DIRECTORY"] == "/srv/mail/outbox"
        assert plan.file_of("outbox", "msg_x") == "/srv/mail/outbox/msg_x.eml"

    def test_a_folder_that_was_configured_stays(self) -> None:
        Path("f.toml").write_text('[[providers]]\nname = "files"\nkind = "outbox"\ndirectory = "mails"\n')
        plan = make_plan(Wishes("f.toml", Path("/srv/mail"), None, None, 1), {})

        assert plan.outbox == "./mails"

    def test_a_taken_port_of_operations_is_named_with_the_command_that_works(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            wishes = Wishes(None, Path("data"), None, 0, 1)
            plan = make_plan(wishes, {"RELIABLE_EMAIL_OPS__PORT": str(port)})
            with pytest.raises(PortTaken) as error:
                plan.require_ports()

        assert f"port {port} on 127.0.0.1" in str(error.value)
        assert " reliable-email up --port 0" in str(error.value)


def test_a_port_is_taken_while_something_listens_on_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert is_taken("127.0.0.1", port)
        assert free_run("127.0.0.1", port, 1) > port
    assert not is_taken("127.0.0.1", port)


def test_data_stay_taken_as_long_as_a_child_has_them_open() -> None:
    lock = Data(Path("data")).occupy()
    inherited = os.dup(lock)
    os.close(lock)
    with pytest.raises(DataInUse):
        Data(Path("data")).occupy()
    os.close(inherited)
    os.close(Data(Path("data")).occupy())
