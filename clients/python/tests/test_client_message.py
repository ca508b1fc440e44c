from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from reliable_email_client import Address, Attachment, Message


def test_a_message_is_written_with_the_names_of_the_interface() -> None:
    berlin = timezone(timedelta(hours=1))
    message = Message(
        from_=Address("shop@example.com", "Shop"),
        to=["Ada <ada@example.org>", Address("grace@example.net")],
        cc="linus@example.net",
        reply_to=Address("help@example.com"),
        subject="Your receipt",
        text="Thank you.",
        html="<p>Thank you.</p>",
        headers={"X-Order": "1042"},
        attachments=[Attachment("receipt.pdf", b"%PDF-1.7\n")],
        tags=["receipt"],
        metadata={"order": "1042"},
        priority="high",
        pool="default",
        send_at=datetime(2026, 12, 1, 9, tzinfo=berlin),
        ttl=timedelta(days=1),
        on_ambiguous="fail",
        idempotency_key="order-1042",
    )

    assert message.to_json() == {
        "from": {"email": "shop@example.com", "name": "Shop"},
        "to": ["Ada <ada@example.org>", {"email": "grace@example.net"}],
        "cc": ["linus@example.net"],
        "reply_to": [{"email": "help@example.com"}],
        "subject": "Your receipt",
        "text": "Thank you.",
        "html": "<p>Thank you.</p>",
        "headers": {"X-Order": "1042"},
        "attachments": [{"filename": "receipt.pdf", "content_type": "application/pdf", "content": "JVBERi0xLjcK"}],
        "tags": ["receipt"],
        "metadata": {"order": "1042"},
        "priority": "high",
        "pool": "default",
        "send_at": "2026-12-01T08:00:00Z",
        "ttl_seconds": 86_400,
        "on_ambiguous": "fail",
        "idempotency_key": "order-1042",
    }


def test_what_is_not_given_is_not_written() -> None:
    assert set(Message(subject="").to_json()) == {"subject", "idempotency_key"}


def test_an_empty_text_is_a_text() -> None:
    assert Message(subject="", text="").to_json()["text"] == ""


def test_each_message_has_a_key_of_its_own_and_keeps_it() -> None:
    one, other = Message(subject=""), Message(subject="")

    assert one.key == one.to_json()["idempotency_key"] == one.to_json()["idempotency_key"]
    assert one.key != other.key


def test_a_changed_copy_is_another_message() -> None:
    one = Message(subject="", to="ada@example.org")

    assert dataclasses.replace(one, to="grace@example.net").key != one.key


def test_a_given_key_stays_in_a_copy() -> None:
    one = Message(subject="", idempotency_key="mine")

    assert dataclasses.replace(one, text="more").key == "mine"


def test_iterators_are_read_once_and_kept() -> None:
    message = Message(subject="", to=iter(["ada@example.org"]), tags=iter(["a"]))

    assert message.to_json()["to"] == message.to_json()["to"] == ["ada@example.org"]
    assert message.to_json()["tags"] == ["a"]


@pytest.mark.parametrize("field", ["send_at", "expires_at"])
def test_a_time_without_a_zone_is_refused_when_the_message_is_made(field: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        Message(subject="", **{field: datetime(2026, 12, 1)})  # type: ignore[arg-type]  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("duration", [float("inf"), float("nan")])
def test_a_duration_is_finite(duration: float) -> None:
    with pytest.raises(ValueError, match="no duration"):
        Message(subject="", delay=duration)


@pytest.mark.parametrize(("given", "written"), [(0, 0), (1.2, 2), (timedelta(milliseconds=1), 1), (90, 90)])
def test_durations_are_rounded_up_to_seconds(given: float | timedelta, written: int) -> None:
    assert Message(subject="", delay=given).to_json()["delay_seconds"] == written


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("a.png", "image/png"),
        ("a.unheard-of", "application/octet-stream"),
        ("a.tar.gz", "application/gzip"),
        ("a.eml", "application/octet-stream"),  # a type of a part that travels unencoded
    ],
)
def test_the_name_of_a_file_tells_its_type(filename: str, content_type: str) -> None:
    assert Attachment(filename, b"").to_json()["content_type"] == content_type


def test_a_file_is_attached_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")

    assert Attachment.from_path(tmp_path / "a.txt") == Attachment("a.txt", b"abc")


def test_an_inline_file_is_shown_under_its_content_id(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")

    written = Attachment.inline(tmp_path / "logo.png", "logo").to_json()

    assert (written["content_id"], written["disposition"]) == ("logo", "inline")


def test_contents_stand_in_no_representation() -> None:
    assert "secret" not in repr(Message(subject="", attachments=[Attachment("a", b"secret")]))
