"""`reliable-email send | status | cancel | reschedule` against a real frontend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.domain.states import State
from tests.services.cli.conftest import Command
from tests.services.frontend.running import Running

SENDER = ("--from", "shop@example.com", "--to", "ada@example.org", "--subject", "Hello")


async def sent(command: Command, *arguments: str) -> str:
    """Send a message and return its id."""
    done = await command("send", *SENDER, "--text", "It works.", *arguments)
    assert done.exit_code == 0, done
    return done.stdout.split()[0]


class TestSend:
    async def test_it_prints_the_id_and_the_state(self, command: Command, frontend: Running) -> None:
        done = await command("send", *SENDER, "--text", "It works.")
        message_id, state = done.stdout.split()

        assert (done.exit_code, state) == (0, "queued")
        assert (await frontend.get(f"/v1/messages/{message_id}")).body["subject"] == "Hello"

    async def test_without_a_body_it_reads_standard_input(self, command: Command, frontend: Running) -> None:
        done = await command("send", *SENDER, "--json", stdin="from a pipe\n")
        record = await frontend.queue.views.read(json.loads(done.stdout)["id"])

        assert record is not None
        assert record.envelope.size_bytes >= len("from a pipe\n")

    async def test_files_are_body_and_attachment(self, command: Command, frontend: Running, tmp_path: Path) -> None:
        (tmp_path / "letter.html").write_text("<p>Hello</p>")
        (tmp_path / "receipt.pdf").write_bytes(b"%PDF")
        done = await command("send", *SENDER, "--file", "letter.html", "--attach", "receipt.pdf")
        record = (await frontend.get(f"/v1/messages/{done.stdout.split()[0]}")).body

        assert [(file["filename"], file["content_type"]) for file in record["attachments"]] == [
            ("receipt.pdf", "application/pdf")
        ]

    async def test_the_same_key_sends_once(self, command: Command) -> None:
        first = await sent(command, "--idempotency-key", "k-1")
        again = await command("send", *SENDER, "--text", "It works.", "--idempotency-key", "k-1")

        assert again.stdout == f"{first}  queued (accepted before)\n"

    async def test_every_fault_is_a_line_with_its_place(self, command: Command) -> None:
        done = await command(
            "send", "--from", "shop@", "--to", "ada@example.org", "--text", "x", "--priority", "urgent"
        )

        assert (done.exit_code, done.stdout) == (1, "")
        assert {line.split(":")[0] for line in done.stderr.splitlines()[1:]} == {"  #/from", "  #/priority"}

    async def test_with_json_a_refusal_is_the_problem_on_stderr(self, command: Command) -> None:
        done = await command("send", "--from", "shop@", "--to", "ada@example.org", "--text", "x", "--json")

        assert json.loads(done.stderr)["code"] == "invalid_message"

    async def test_a_key_that_is_not_known_ends_with_4(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RELIABLE_EMAIL_API_KEY", "a-wrong-key-of-20-ch")
        done = await command("send", *SENDER, "--text", "x")

        assert done.exit_code == 4
        assert "RELIABLE_EMAIL_API_KEY" in done.stderr

    async def test_where_nothing_answers_it_ends_with_75_and_says_what_to_do(self, command: Command) -> None:
        done = await command("send", *SENDER, "--text", "x", "--url", "http://127.0.0.1:9")

        assert done.exit_code == 75
        assert "`reliable-email up` starts a service" in done.stderr
        assert "--idempotency-key cli-" in done.stderr

    async def test_a_file_that_is_not_there_is_wrong_usage(self, command: Command) -> None:
        done = await command("send", *SENDER, "--attach", "nothing.pdf", "--text", "x")

        assert (done.exit_code, done.stderr) == (2, "nothing.pdf cannot be read: No such file or directory\n")


class TestStatus:
    async def test_it_shows_the_record(self, command: Command) -> None:
        message_id = await sent(command)
        done = await command("status", message_id)

        assert done.exit_code == 0
        assert done.stdout.startswith(f"{message_id}  queued\n  subject     Hello\n")

    async def test_an_id_that_is_not_known_is_a_failure(self, command: Command) -> None:
        done = await command("status", "msg_nothing")

        assert done.exit_code == 1

    async def test_a_wait_that_runs_out_ends_with_75(self, command: Command) -> None:
        done = await command("status", await sent(command), "--wait=0.1")

        assert done.exit_code == 75

    async def test_a_bare_wait_ends_with_0_once_the_message_is_sent(self, command: Command, frontend: Running) -> None:
        message_id = await frontend.scenario.message_in(State.SENT)
        done = await command("status", message_id, "--wait", "--json")

        assert (done.exit_code, json.loads(done.stdout)["state"]) == (0, "sent")

    async def test_a_wait_for_what_ended_otherwise_ends_with_1(self, command: Command) -> None:
        message_id = await sent(command)
        await command("cancel", message_id)
        done = await command("status", message_id, "--wait=5")

        assert done.exit_code == 1

    async def test_without_an_id_it_says_what_keeps_mail_from_flowing(self, command: Command) -> None:
        await sent(command)
        done = await command("status")

        assert done.exit_code == 1
        assert done.stdout.splitlines()[:3] == ["Mail does not flow.", "  no scheduler runs", "  no sender runs"]


async def test_cancel_says_the_state_that_follows(command: Command) -> None:
    message_id = await sent(command)
    done = await command("cancel", message_id)

    assert (done.exit_code, done.stdout) == (0, f"{message_id}  cancelled\n")


async def test_reschedule_names_what_is_wrong(command: Command) -> None:
    done = await command("reschedule", await sent(command), "--send-at", "tomorrow")

    assert done.exit_code == 1
    assert "  #/send_at: " in done.stderr


async def test_reschedule_to_now_makes_it_ready(command: Command, frontend: Running) -> None:
    message_id = await sent(command, "--delay", "3600")
    done = await command("reschedule", message_id, "--send-at", "now", "--priority", "critical")

    assert done.exit_code == 0
    record = (await frontend.get(f"/v1/messages/{message_id}")).body
    assert (record["state"], record["priority"]) == ("queued", "critical")


async def test_reschedule_without_a_change_is_wrong_usage(command: Command) -> None:
    assert (await command("reschedule", "msg_x")).exit_code == 2
