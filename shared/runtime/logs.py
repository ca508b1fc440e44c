"""The log of a process: one JSON line for each event, or a readable one on a terminal.

Lines go to stderr, where the interpreter's own last words go too; stdout belongs to answers of
commands. What may be logged is declared in `events.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from shared.runtime.redaction import redact

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
FORMATS: Final = ("auto", "json", "pretty")

_STDERR: Final = 2
#: A write of so much into a pipe that `poll` calls writable returns at once (POSIX: write, PIPE_BUF).
_ATOMIC_BYTES: Final = select.PIPE_BUF
#: The largest pipe that Linux gives without privileges: some 3,000 lines while the reader is away.
_PIPE_BYTES: Final = 1 << 20

# Every logger is of this class, also those that were bound long ago: `set_level` changes it.
_BoundLog: Final = cast("type[FilteringBoundLogger]", type("BoundLog", (structlog.make_filtering_bound_logger(0),), {}))


def get_logger() -> FilteringBoundLogger:
    """Return a logger; a module may make one before the process has configured its log."""
    return cast("FilteringBoundLogger", structlog.get_logger())


class LineSink:
    """Writes lines to a descriptor and never waits for whoever reads them.

    A log that nobody reads must not stop mail from being sent: a full pipe loses the line, so
    does a closed one or a full disk, and `dropped` counts what was lost. structlog calls one of
    the methods named after levels.
    """

    def __init__(self, descriptor: int | None) -> None:
        self.dropped = 0
        self.on_drop: Callable[[], None] | None = None
        self.is_terminal = descriptor is not None and os.isatty(descriptor)
        self._descriptor = descriptor
        self._torn = False
        self._poll = _poll_of(descriptor)

    def __call__(self, *_: object) -> LineSink:
        """Return itself: structlog's maker of loggers and the only one it makes."""
        return self

    def write(self, line: bytes) -> None:
        """Write one line, or count it as dropped."""
        data = (b"\n" if self._torn else b"") + line + b"\n"
        try:
            written = self._write(data)
        except OSError:
            # EPIPE, EBADF, ENOSPC, EIO: there is nowhere left to say so, and mail goes on.
            written = 0
        # The head of a line that could not be finished is closed by the next one.
        self._torn = 0 < written < len(data) or (self._torn and written == 0)
        if written < len(data):
            self.dropped += 1
            if self.on_drop is not None:
                self.on_drop()

    debug = info = warning = error = critical = msg = log = write

    def _write(self, data: bytes) -> int:
        if self._descriptor is None:
            return 0
        if self._poll is None:
            return os.write(self._descriptor, data)
        written = 0
        while written < len(data) and self._poll.poll(0):
            written += os.write(self._descriptor, data[written : written + _ATOMIC_BYTES])
        return written


def _poll_of(descriptor: int | None) -> select.poll | None:
    """Return what tells whether a write would block; None for a file, where none does."""
    if descriptor is None:
        return None
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISFIFO(mode) and sys.platform == "linux":
        # Where the user's share of pipe memory is spent the pipe stays as it is.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll


class _Libraries(logging.Handler):
    """Passes on what libraries say through the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        get_logger().log(
            min(max(record.levelno // 10, 1), 5) * 10,  # libraries make levels of their own between the five
            "library_logged",
            logger=record.name,
            detail=record.getMessage(),
            exc_info=record.exc_info or None,
        )


def current_sink() -> LineSink | None:
    """Return the sink of this process; None before `configure`."""
    sink = structlog.get_config()["logger_factory"]
    return sink if isinstance(sink, LineSink) else None


def set_level(level: str) -> None:
    """Let pass what is at least as grave as `level`, in every logger that exists."""
    filtering = structlog.make_filtering_bound_logger(LEVELS[level])
    for name, method in vars(filtering).items():
        if callable(method) and not name.startswith("__"):
            setattr(_BoundLog, name, method)


def _stamp(_logger: object, _method: str, fields: EventDict) -> EventDict:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"timestamp": now[:-6] + "Z", **fields}


def _stamp_for_people(_logger: object, _method: str, fields: EventDict) -> EventDict:
    return {"timestamp": datetime.now().astimezone().strftime("%H:%M:%S"), **fields}


def _add_role(role: str) -> Processor:
    def add_role(_logger: object, _method: str, fields: EventDict) -> EventDict:
        fields["role"] = role
        return fields

    return add_role


def _without_stack(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """Drop the stack: the line itself must tell a user at a terminal what to do."""
    fields.pop("exc_info", None)
    return fields


def _as_json(sink: LineSink) -> Processor:
    def render(_logger: object, _method: str, fields: EventDict) -> bytes:
        if sink.dropped:
            fields["lines_dropped"] = sink.dropped
        try:
            return orjson.dumps(fields, default=str)
        except TypeError:  # what a provider said need not be Unicode
            return json.dumps(fields, default=str, ensure_ascii=False).encode(errors="replace")

    return render


def _as_text(colours: bool) -> Processor:  # noqa: FBT001 -- read once, below
    console = structlog.dev.ConsoleRenderer(colors=colours)

    def render(logger: object, method: str, fields: EventDict) -> bytes:
        return console(logger, method, fields).encode(errors="backslashreplace")

    return render


def processors(role: str, sink: LineSink, *, pretty: bool, stacks: bool, colours: bool = False) -> list[Processor]:
    """Return the way of an event from a call to a line; `stacks` shows them on a terminal too."""
    head: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _add_role(role),
    ]
    if not pretty:
        return [*head, _stamp, structlog.processors.format_exc_info, redact, _as_json(sink)]
    stack: Processor = structlog.processors.format_exc_info if stacks else _without_stack
    return [*head, _stamp_for_people, stack, redact, _as_text(colours)]


def configure(role: str, level: str = "info", format: str = "auto", descriptor: int | None = _STDERR) -> LineSink:  # noqa: A002 - the setting's own name
    """Send every log line of this process, and of its libraries, to `descriptor`; return the sink.

    `level` is one of `LEVELS`, `format` one of `FORMATS`; `auto` is pretty on a terminal.
    """
    if descriptor == _STDERR and sys.stderr is None:
        # Closed before the interpreter started: by now number 2 may be a socket to Redis.
        descriptor = None
    sink = LineSink(descriptor)
    structlog.configure(
        processors=_way(role, sink, level, format),
        wrapper_class=_BoundLog,
        context_class=dict,
        logger_factory=sink,
        cache_logger_on_first_use=True,
    )
    set_level(level)
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    return sink


def reconfigure(role: str, level: str, format: str) -> None:  # noqa: A002 - the setting's own name
    """Change level and format of a log that is in use, in every logger that exists."""
    sink = current_sink()
    if sink is not None:
        # Loggers keep the list that they were bound with.
        structlog.get_config()["processors"][:] = _way(role, sink, level, format)
        set_level(level)


def _way(role: str, sink: LineSink, level: str, format: str) -> list[Processor]:  # noqa: A002 - the setting's own name
    pretty = format == "pretty" or (format == "auto" and sink.is_terminal)
    colours = sink.is_terminal and "NO_COLOR" not in os.environ
    return processors(role, sink, pretty=pretty, stacks=level == "debug", colours=colours)
