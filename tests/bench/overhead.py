"""What a frontend's metrics cost: one that counts and is asked every second beside one that does neither.

Both run on the same core and write to the same server. Short rounds of the two alternate, each pair in the other
order than the one before, so that whatever else the machine does meets both; what counts is the ratio in each pair.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import psutil

from tests.bench.harness import Row
from tests.bench.installation import OTHERS, Installation, load_of
from tests.bench.submitting import MESSAGE
from tests.redis_server import free_port

_PAIRS: Final = 15
_SECONDS: Final = 2.0
_CONNECTIONS: Final = 64
_SCRAPE_SECONDS: Final = 1.0
#: Metrics may cost 3 %.
_BAR: Final = 0.97


class Round(NamedTuple):
    """What one frontend did: messages a second, and microseconds of its own time for each."""

    per_second: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Frontend:
    """One of the two; `ops_port` only of the one that is asked."""

    process: psutil.Process
    api_port: int
    ops_port: int | None

    @classmethod
    def start(cls, here: Installation, program: str, *, is_scraped: bool) -> Frontend:
        """Start a frontend on a port of its own."""
        api_port = free_port()
        process = here.start("frontend", program=program, environ={"RELIABLE_EMAIL_FRONTEND__PORT": str(api_port)})
        return cls(psutil.Process(process.pid), api_port, here.ops_port if is_scraped else None)

    def round(self, body: Path) -> Round:
        """Submit for a while."""
        before = self._cpu_seconds()
        with scraped(self.ops_port):
            result = load_of(self.api_port, _CONNECTIONS, _SECONDS, "/v1/messages", body)
        assert set(result["statuses"]) == {"202"}, result
        return Round(result["per_second"], 1e6 * (self._cpu_seconds() - before) / result["statuses"]["202"])

    def _cpu_seconds(self) -> float:
        return sum(self.process.cpu_times()[:2])


@contextlib.contextmanager
def scraped(port: int | None) -> Iterator[None]:
    """Ask for the metrics every second, as Prometheus does, from the other core."""
    if port is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_scrape, args=(port, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _scrape(port: int, over: threading.Event) -> None:
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {OTHERS})  # of this thread alone
    while not over.wait(_SCRAPE_SECONDS):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            answer.read()


def rows() -> list[Row]:
    with Installation('[[providers]]\nname = "null"\nkind = "sandbox"\n') as here:
        body = here.folder / "single.json"
        body.write_bytes(orjson.dumps(MESSAGE))
        counting = Frontend.start(here, "reliable_email", is_scraped=True)
        silent = Frontend.start(here, "tests.bench.unmeasured", is_scraped=False)
        for one in (counting, silent):
            one.round(body)  # warm
        pairs = []
        for number in range(_PAIRS):
            # The queue of both is empty at first, and its file small.
            here.redis.command("FLUSHALL")
            order = (counting, silent) if number % 2 else (silent, counting)
            found = {one: one.round(body) for one in order}
            pairs.append((found[counting], found[silent]))
    return [
        _row(
            "submissions with metrics on, scraped each second",
            "messages/s",
            [(on.per_second, off.per_second) for on, off in pairs],
            [on.per_second / off.per_second for on, off in pairs],
        ),
        _row(
            "… and the frontend's own time for each",
            "µs",
            [(on.cpu_us, off.cpu_us) for on, off in pairs],
            [off.cpu_us / on.cpu_us for on, off in pairs],
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
