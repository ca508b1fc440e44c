from __future__ import annotations

import fcntl
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import structlog

from shared.domain.errors import Unavailable
from shared.runtime import logs

if TYPE_CHECKING:
    from tests.unit.runtime.conftest import LogFile

Configured = Callable[..., "LogFile"]


def test_a_line_is_one_json_object_with_the_fields_of_every_line(configured: Configured) -> None:
    log = configured()
    logs.get_logger().info("ops_listening", port=9525)

    (line,) = log.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {"level": "info", "event": "ops_listening", "role": "sender", "port": 9525}


def test_what_is_below_the_level_is_not_written(configured: Configured) -> None:
    log = configured("warning")
    logs.get_logger().info("ops_listening")

    assert log.lines() == []


def test_a_level_changes_in_loggers_that_exist(configured: Configured) -> None:
    log = configured("warning")
    logger = logs.get_logger().bind(actor="router")
    logger.info("ops_listening")
    logs.set_level("info")
    logger.info("ops_listening")

    assert [line["actor"] for line in log.lines()] == ["router"]


def test_a_log_in_use_takes_another_level_and_form(configured: Configured) -> None:
    log = configured("warning")
    logger = logs.get_logger()
    logger.warning("chore_failed")
    logs.reconfigure("sender", "info", "pretty")
    logger.info("ops_listening")

    first, second = log.text().splitlines()
    assert first.startswith("{")
    assert "ops_listening" in second
    assert not second.startswith("{")


def test_a_process_without_a_log_of_ours_has_none_to_change(restored_logging: None) -> None:  # noqa: ARG001 - puts back what this changes
    structlog.reset_defaults()
    logs.reconfigure("sender", "info", "json")

    assert logs.current_sink() is None


def test_a_secret_is_masked_on_its_way(configured: Configured) -> None:
    log = configured("debug")
    logs.get_logger().debug("signal_ignored", password="hunter2", url="redis://u:hunter2@h")

    assert "hunter2" not in log.text()


def test_an_address_in_a_stack_is_masked(configured: Configured) -> None:
    log = configured()
    logs.get_logger().error("callback_failed", exc_info=ValueError("bad recipient ada@example.org"))

    assert "ValueError" in log.text()
    assert "ada@" not in log.text()


def test_json_keeps_the_stack_of_a_defect(configured: Configured) -> None:
    log = configured()
    logs.get_logger().error("task_crashed", exc_info=ZeroDivisionError("x"))

    assert "ZeroDivisionError: x" in log.lines()[0]["exception"]


def test_a_terminal_shows_no_stack(configured: Configured) -> None:
    log = configured(format="pretty")
    logs.get_logger().error("task_crashed", error="x", exc_info=ZeroDivisionError("x"))

    assert "task_crashed" in log.text()
    assert "ZeroDivisionError" not in log.text()


def test_a_terminal_at_debug_shows_the_stack(configured: Configured) -> None:
    log = configured("debug", "pretty")
    logs.get_logger().error("task_crashed", exc_info=ZeroDivisionError("x"))

    assert "ZeroDivisionError" in log.text()


def test_a_value_that_json_does_not_know_is_shown_as_text(configured: Configured) -> None:
    log = configured()
    logs.get_logger().info("process_started", error=Unavailable("no answer"))

    assert log.lines()[0]["error"] == "no answer"


def test_text_that_is_no_unicode_does_not_lose_the_line(configured: Configured) -> None:
    log = configured()
    logs.get_logger().info("process_started", detail="\udce4", count=1)

    assert log.lines()[0]["count"] == 1


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR, 35])
def test_what_a_library_says_becomes_a_line(configured: Configured, level: int) -> None:
    log = configured()
    logging.getLogger("aiohttp.server").log(level, "Error handling %s", "request")

    assert [(line["event"], line["logger"], line["detail"]) for line in log.lines()] == [
        ("library_logged", "aiohttp.server", "Error handling request")
    ]


def test_a_warning_of_the_interpreter_becomes_a_line(configured: Configured) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log = configured()
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)

    assert "soon gone" in log.text()


@pytest.mark.usefixtures("restored_logging")
def test_nothing_is_written_where_stderr_was_closed_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    sink = logs.configure("sender")
    logs.get_logger().info("process_started")

    assert sink.dropped == 1


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def fill(writer: int) -> None:
    """Leave no room in a pipe."""
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        fcntl.fcntl(writer, fcntl.F_SETFL, flags)


def test_a_pipe_that_nobody_reads_loses_lines_and_holds_nobody_up(pipe: list[int]) -> None:
    sink = logs.LineSink(pipe[1])
    fill(pipe[1])
    sink.write(b"lost")

    assert sink.dropped == 1


def test_a_pipe_that_is_read_again_takes_lines_again(pipe: list[int]) -> None:
    sink = logs.LineSink(pipe[1])
    fill(pipe[1])
    sink.write(b"lost")
    os.read(pipe[0], 1 << 21)
    sink.write(b"kept")

    assert os.read(pipe[0], 100) == b"kept\n"


def test_a_line_longer_than_the_room_in_a_pipe_spoils_no_other(pipe: list[int]) -> None:
    sink = logs.LineSink(pipe[1])
    room = fcntl.fcntl(pipe[1], fcntl.F_GETPIPE_SZ)
    sink.write(b"a" * 2 * room)
    head = os.read(pipe[0], 2 * room)
    sink.write(b"whole")

    assert len(head) < 2 * room
    assert sink.dropped == 1
    assert os.read(pipe[0], 100) == b"\nwhole\n"


def test_a_line_longer_than_one_atomic_write_arrives_whole(pipe: list[int]) -> None:
    sink = logs.LineSink(pipe[1])
    sink.write(b"a" * 10_000)

    assert os.read(pipe[0], 20_000) == b"a" * 10_000 + b"\n"


def test_a_pipe_whose_reader_is_gone_loses_lines_without_an_error(pipe: list[int]) -> None:
    sink = logs.LineSink(pipe[1])
    os.close(pipe[0])
    pipe[0] = os.open(os.devnull, os.O_RDONLY)
    sink.write(b"lost")

    assert sink.dropped == 1


def test_a_full_disk_loses_lines_without_an_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    sink = logs.LineSink(full)
    sink.write(b"lost")
    os.close(full)

    assert sink.dropped == 1


def test_the_sink_of_the_process_can_be_found(configured: Configured) -> None:
    log = configured()
    sink = logs.configure("sender", "info", "json", log.descriptor)

    assert logs.current_sink() is sink


def test_each_lost_line_is_told() -> None:
    told: list[None] = []
    sink = logs.LineSink(None)
    sink.on_drop = lambda: told.append(None)
    sink.write(b"lost")

    assert len(told) == 1


def test_the_next_line_that_arrives_says_how_many_were_lost(configured: Configured) -> None:
    log = configured()
    sink = logs.configure("sender", "info", "json", log.descriptor)
    sink.dropped = 3
    logs.get_logger().info("process_started")

    assert log.lines()[0]["lines_dropped"] == 3
