"""A log for each test, and the one of before afterwards: its configuration is the whole process's."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from shared.runtime import logs


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Put back what `configure` changes for the whole process."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # `configure` removes the handlers of others, pytest's among them, and would close them.
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.configure(**before)
    logs.set_level("debug")


class LogFile:
    """A log that goes to a file, and its lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def text(self) -> str:
        return self.path.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.path.read_bytes().splitlines()]


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[LogFile]:
    file = LogFile(tmp_path / "log")
    yield file
    os.close(file.descriptor)


@pytest.fixture
def configured(restored_logging: None, log_file: LogFile) -> Callable[..., LogFile]:  # noqa: ARG001 - restores what this changes
    """Configure the log into a file and return it."""

    def configure(level: str = "info", format: str = "json") -> LogFile:  # noqa: A002 - the setting's own name
        logs.configure("sender", level, format, log_file.descriptor)
        return log_file

    return configure
