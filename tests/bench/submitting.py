"""Submissions over HTTP beside a bare handler that only parses and answers."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import orjson

from tests.bench.harness import Row, alone, compare
from tests.bench.installation import MEASURED, ROOT, Installation, load_of, pin
from tests.redis_server import free_port

_CONNECTIONS = 64
_SECONDS = 3.0
_BATCH = 100

MESSAGE = {
    "from": {"email": "shop@example.com", "name": "Shop"},
    "to": [{"email": "ada@example.org", "name": "Ada Lovelace"}],
    "subject": "Your receipt 1042",
    "text": "Thank you for your order.\n" * 50,
    "tags": ["receipt"],
    "priority": "high",
}


class Bare:
    """The reference server, on the core of what is measured."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen([sys.executable, "-m", "tests.bench.bare", str(self.port)], cwd=ROOT)
        pin(self._process.pid, MEASURED)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1)
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def rows() -> list[Row]:
    with Installation('[[providers]]\nname = "null"\nkind = "sandbox"\n') as here:
        here.start("frontend")
        single, batch = here.folder / "single.json", here.folder / "batch.json"
        single.write_bytes(orjson.dumps(MESSAGE))
        item = {"to": "ada@example.org", "text": MESSAGE["text"]}
        defaults = {"from": "shop@example.com", "subject": "Your parcel is on its way"}
        batch.write_bytes(orjson.dumps({"defaults": defaults, "messages": [item] * _BATCH}))
        bare = Bare()
        try:
            return [*_single(here, bare, single), *_batches(here, bare, batch)]
        finally:
            bare.stop()


def _single(here: Installation, bare: Bare, body: Path) -> list[Row]:
    latencies: list[float] = []

    def ours() -> float:
        result = load_of(here.api_port, _CONNECTIONS, _SECONDS, "/v1/messages", body)
        assert set(result["statuses"]) == {"202"}, result
        latencies.append(result["p99_ms"])
        return float(result["per_second"])

    def reference() -> float:
        return float(load_of(bare.port, _CONNECTIONS, _SECONDS, "/v1/messages", body)["per_second"])

    row = compare(
        "single submissions, 64 connections, on disk before the answer",
        "messages/s",
        ours,
        reference,
        bar=0.55,
        note="reference: bare aiohttp handler",
    )
    latencies.sort()
    p99 = latencies[len(latencies) // 2]
    return [row, alone("… 99th percentile (asked: below 20 ms)", "ms", p99, note="ok" if p99 < 20 else "MISSED")]


def _batches(here: Installation, bare: Bare, body: Path) -> list[Row]:
    def ours() -> float:
        result = load_of(here.api_port, 8, _SECONDS, "/v1/messages/batch", body)
        assert set(result["statuses"]) == {"202"}, result
        return _BATCH * float(result["per_second"])

    def reference() -> float:
        return _BATCH * float(load_of(bare.port, 8, _SECONDS, "/v1/messages/batch", body)["per_second"])

    return [
        compare(
            "batches of 100, 8 connections",
            "messages/s",
            ours,
            reference,
            least=15_000,
            note="reference: bare aiohttp handler",
        )
    ]
