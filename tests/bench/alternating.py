"""A frontend that counts and does not count by turns, and tells what it did in each.

    BENCH_TURNS=/path/to/a/socket python -m tests.bench.alternating frontend --config config.toml

Two frontends side by side never run equally fast: what one finds in the caches the other does not, and the machine
changes its speed from second to second. Here one and the same changes its mind four times a second. While it does not
count, what would be counted, set or observed is thrown away where the metrics' library, or the tally of answers,
would take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from prometheus_client import Counter, Gauge, Histogram

from reliable_email.cli import main
from services.frontend import app
from services.frontend.commit import Commit
from services.frontend.edge import Edge
from shared.queue.submissions import Result

#: Names the socket to which each turn is told.
TURNS_VARIABLE: Final = "BENCH_TURNS"
TURN_SECONDS: Final = 0.25
#: What is drifting, as the memory of Redis, meets both kinds of turns alike; in the first the queue is emptied.
GROUP: Final = ("rest", *2 * ("counting", "silent", "silent", "counting"))

_TAKEN: Final[Sequence[tuple[type, str]]] = (
    *((Counter, "inc"), (Gauge, "inc"), (Gauge, "set"), (Histogram, "observe")),
    (Edge, "_count"),
)
_METHODS: Final = {(kind, verb): getattr(kind, verb) for kind, verb in _TAKEN}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: messages that were stored in it, and the seconds and the processor's seconds that it took."""

    kind: str
    place: int
    messages: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Turns:
    """Changes between counting and not counting, and tells of it before and after."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(address)
        self._messages = 0
        report = Commit._report

        def counted(commit: Commit, results: Sequence[Result], seconds: float) -> None:
            self._messages += len(results)
            report(commit, results, seconds)

        # What tells the two apart must not be one of the metrics.
        Commit._report = counted  # type: ignore[assignment, method-assign]

    async def take(self) -> None:
        """Take turns, until cancelled."""
        while True:
            for place, kind in enumerate(GROUP):
                self._tell(Turn(kind, place))
                _let_count(kind != "silent")
                messages, at, cpu = self._messages, time.perf_counter(), time.process_time()
                await asyncio.sleep(TURN_SECONDS)
                spent = time.perf_counter() - at, time.process_time() - cpu
                self._tell(Turn(kind, place, self._messages - messages, *spent))

    def _tell(self, turn: Turn) -> None:
        with contextlib.suppress(OSError):  # whoever listened has heard enough
            self._socket.send(orjson.dumps(turn))


def _let_count(is_counting: bool) -> None:
    for (kind, verb), method in _METHODS.items():
        setattr(kind, verb, method if is_counting else _nothing)


def _nothing(*_: object, **__: object) -> None:
    """Throw a value away."""


async def _run(*arguments: Any) -> None:
    turns = asyncio.create_task(Turns(os.environ[TURNS_VARIABLE]).take())
    try:
        await _run_frontend(*arguments)
    finally:
        turns.cancel()


if __name__ == "__main__":
    _run_frontend = app.run
    app.run = _run  # type: ignore[assignment]  # it takes what it takes
    main()
