"""What the service says of itself, as events that a test can wait for.

Every change that matters is a line of the log, so the log is the witness: a test waits for a
line instead of looking again and again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from structlog.typing import EventDict

from shared.runtime import logs

#: How long to wait for something that must come before the code under test is called stuck.
PATIENCE_SECONDS: Final = 30.0

Line = dict[str, Any]


class Journal:
    """Every line that was logged in this process, and a way to wait for the next."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._written = asyncio.Event()

    def __call__(self, _logger: object, method: str, fields: EventDict) -> EventDict:
        """Keep a line, as the last of structlog's processors."""
        self.note(level=method, **fields)
        raise structlog.DropEvent

    def note(self, **fields: Any) -> None:
        """Keep a line and wake who waits."""
        self.lines.append(fields)
        self._written.set()

    def told(self, event: str, **fields: Any) -> list[Line]:
        """Return the lines of an event that have these fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.lines if wanted.items() <= line.items()]

    async def saw(self, event: str, *, times: int = 1, **fields: Any) -> list[Line]:
        """Wait until an event was logged so many times with these fields, and return its lines."""
        await self.until(lambda: len(self.told(event, **fields)) >= times, f"{times} x {event} {fields}")
        return self.told(event, **fields)

    async def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Wait until something holds; it is looked at anew after every line."""

        async def asked() -> object:
            return holds()

        await self.until_so(asked, what)

    async def until_so(self, holds: Callable[[], Awaitable[object]], what: str = "") -> None:
        """Wait until something that must be asked for holds; it is asked anew after every line."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    self._written.clear()
                    if await holds():
                        return
                    await self._written.wait()
        except TimeoutError:
            lately = "\n".join(map(str, self.lines[-40:]))
            raise AssertionError(f"did not come: {what}\nthe last lines were\n{lately}") from None


@contextmanager
def kept_journal() -> Iterator[Journal]:
    """Keep every line of the process in a journal, and let the log be as before afterwards."""
    journal = Journal()
    before = structlog.get_config()
    _forget_bindings()
    structlog.configure(
        processors=[journal],
        wrapper_class=logs._BoundLog,
        context_class=dict,
        logger_factory=logs.LineSink(None),
        cache_logger_on_first_use=False,
    )
    logs.set_level("debug")
    yield journal
    structlog.configure(**before)


def _forget_bindings() -> None:
    """Let the modules' loggers look at the configuration again; a process binds them once."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("services.", "shared.")):
            vars(getattr(module, "log", None) or Journal).get("bind") and vars(module.log).pop("bind")
