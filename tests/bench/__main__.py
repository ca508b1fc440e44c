"""Runs the benchmarks and prints the table: `make bench`, `make bench ARGS="sending whole"`."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
import tempfile
from pathlib import Path

from shared.queue import durability
from shared.queue.core import Core
from tests.bench import outages, overhead, sending, storing, submitting, whole
from tests.bench.harness import Row, remember, table
from tests.redis_server import RedisServer

_GROUPS = {
    "submitting": submitting,
    "overhead": overhead,
    "sending": sending,
    "storing": storing,
    "whole": whole,
    "outages": outages,
}


def main() -> None:
    wanted = sys.argv[1:] or list(_GROUPS)
    rows: list[Row] = []
    for name in wanted:
        found = _GROUPS[name].rows()
        print(table(found), flush=True)
        rows.extend(found)
    versions = {package: importlib.metadata.version(package) for package in ("aiohttp", "redis", "uvloop", "orjson")}
    versions["server"] = _server_version()
    versions["settings"] = "appendfsync always, one process each, full validation, metrics and logs on"
    remember(rows, versions)
    print("\n" + table(rows))
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))


def _server_version() -> str:
    with RedisServer(Path(tempfile.mkdtemp())) as server:
        core = Core.connect(server.url)
        found = asyncio.run(durability.versions(core))
        return next(iter(found.values()))


if __name__ == "__main__":
    main()
