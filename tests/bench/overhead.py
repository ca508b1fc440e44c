"""What a frontend's metrics cost: counting, and asked every second, beside doing neither.

One frontend under a steady load changes between the two; what counts is the ratio in each group of turns.
"""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from tests.bench.alternating import GROUP, TURN_SECONDS, TURNS_VARIABLE, Turn
from tests.bench.harness import Row
from tests.bench.installation import OTHERS, Installation, load_of
from tests.bench.submitting import MESSAGE

#: The first group warms up.
_GROUPS: Final = 25
_CONNECTIONS: Final = 64
#: Metrics may cost 3 %.
_BAR: Final = 0.97


class Figures(NamedTuple):
    """What was done in the turns of one kind: messages a second, and microseconds of the processor for each."""

    per_second: float
    cpu_us: float

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Figures:
        """Return the figures of some turns together."""
        messages = sum(turn.messages for turn in turns)
        return cls(
            messages / sum(turn.seconds for turn in turns), 1e6 * sum(turn.cpu_seconds for turn in turns) / messages
        )


class Companion:
    """Hears of each turn: empties the queue at the start of a group, and asks once in it for the metrics.

    A group counts for a second in all, so that they are asked for once a second.
    """

    def __init__(self, here: Installation) -> None:
        self.address = str(here.folder / "turns")
        self.turns: list[Turn] = []
        self._here = here
        self._ops_port = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._thread = threading.Thread(target=self._listen)

    @contextlib.contextmanager
    def listening(self, ops_port: int) -> Iterator[None]:
        """Do so for a while."""
        self._ops_port = ops_port
        self._thread.start()
        try:
            yield
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._socket.close()

    def _listen(self) -> None:
        if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
            os.sched_setaffinity(0, {OTHERS})  # of this thread alone
        while told := self._socket.recv(1024):
            turn = Turn(**orjson.loads(told))
            if turn.seconds:
                self.turns.append(turn)
            elif turn.kind == "rest":
                self._here.redis.command("FLUSHALL", "ASYNC")
            elif turn.place == 1:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._ops_port}/metrics", timeout=5) as answer:
                    answer.read()

    def groups(self) -> Iterator[tuple[Figures, Figures]]:
        """Yield what was done while counting and while not, for each whole group but the first."""
        starts = [number for number, turn in enumerate(self.turns) if turn.kind == "rest"]
        for start in starts[1:]:
            group = self.turns[start : start + len(GROUP)]
            if len(group) == len(GROUP):
                yield (
                    Figures.of([turn for turn in group if turn.kind == "counting"]),
                    Figures.of([turn for turn in group if turn.kind == "silent"]),
                )


def rows() -> list[Row]:
    with Installation('[[providers]]\nname = "null"\nkind = "sandbox"\n') as here:
        body = here.folder / "single.json"
        body.write_bytes(orjson.dumps(MESSAGE))
        companion = Companion(here)
        here.start("frontend", program="tests.bench.alternating", environ={TURNS_VARIABLE: companion.address})
        with companion.listening(here.ops_port):
            seconds = (_GROUPS + 2) * len(GROUP) * TURN_SECONDS
            result = load_of(here.api_port, _CONNECTIONS, seconds, "/v1/messages", body)
        assert set(result["statuses"]) == {"202"}, result
        # The last turns may have seen the load end.
        groups = list(companion.groups())[:_GROUPS]
    return [
        _row(
            "submissions while counting, scraped each second",
            "messages/s",
            [(on.per_second, off.per_second) for on, off in groups],
            [on.per_second / off.per_second for on, off in groups],
        ),
        _row(
            "… and the frontend's own time for each",
            "µs",
            [(on.cpu_us, off.cpu_us) for on, off in groups],
            [off.cpu_us / on.cpu_us for on, off in groups],
        ),
    ]


def _row(name: str, unit: str, figures: Sequence[tuple[float, float]], ratios: Sequence[float]) -> Row:
    lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    spread = f"{middle:.3f}, half of them {lower:.3f} to {upper:.3f}"
    return Row(
        name,
        unit,
        statistics.median(on for on, _ in figures),
        statistics.median(off for _, off in figures),
        middle,
        _BAR,
        note=f"reference: metrics off; ratio of {len(ratios)} pairs {spread}",
    )
