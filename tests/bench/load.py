"""A load generator of its own process: keeps a number of connections busy with one prepared request.

    python -m tests.bench.load PORT CONNECTIONS SECONDS PATH BODY_FILE

Prints JSON: requests and messages a second, latency percentiles in milliseconds, and the status
codes that came back. It parses no more of an answer than it must, so that it is not what is measured.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import cast

import orjson
import uvloop


class Client(asyncio.Protocol):
    """One connection that sends the next request when the last is answered."""

    def __init__(self, request: bytes, until: float, latencies: list[float], statuses: Counter[bytes]) -> None:
        self._request = request
        self._until = until
        self._latencies = latencies
        self._statuses = statuses
        self._buffer = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of asyncio's
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length: ", 0, head)
        length = int(self._buffer[at + 16 : self._buffer.index(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        self._statuses[self._buffer[9:12]] += 1
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's own signature
        if not self.done.done():
            self.done.set_result(None)


async def run(port: int, connections: int, seconds: float, path: str, body: bytes) -> dict[str, object]:
    """Send for a while and return what came of it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    latencies: list[float] = []
    statuses: Counter[bytes] = Counter()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(request, started + seconds, latencies, statuses), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    elapsed = time.perf_counter() - started
    latencies.sort()
    count = len(latencies)
    return {
        "per_second": count / elapsed,
        "p50_ms": 1000 * latencies[count // 2],
        "p99_ms": 1000 * latencies[min(count - 1, int(count * 0.99))],
        "statuses": {status.decode(): number for status, number in statuses.items()},
    }


def main() -> None:
    port, connections, seconds, path, body_file = sys.argv[1:]
    result = uvloop.run(run(int(port), int(connections), float(seconds), path, Path(body_file).read_bytes()))
    sys.stdout.buffer.write(orjson.dumps(result) + b"\n")


if __name__ == "__main__":
    main()
