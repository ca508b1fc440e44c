"""How `reliable-email up` and the processes that it starts know of each other.

`up` sets one variable for each child. It is no configuration (it has no `__` in its name), and
it is the only difference between a child of `up` and a process that was started by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

#: Names the file into which a child of `up` writes its pid and ports, as `data/run/sender-2.json`.
RUN_FILE_VARIABLE: Final = "RELIABLE_EMAIL_RUN_FILE"


def run_file() -> Path | None:
    """Return the file this process must write, None where it was started by itself."""
    path = os.environ.get(RUN_FILE_VARIABLE)
    return Path(path) if path else None


def write_run_file(path: Path, role: str, ports: Mapping[str, int], pid: int | None = None) -> None:
    """Write pid and ports to `path`, as a whole or not at all, so that a reader never sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(orjson.dumps({"role": role, "pid": pid or os.getpid(), "ports": dict(ports)}) + b"\n")
    unfinished.replace(path)


def announce(role: str, ports: Mapping[str, int]) -> None:
    """Tell `up`, if it started this process, that the process listens on `ports`."""
    path = run_file()
    if path is not None:
        write_run_file(path, role, ports)


def withdraw() -> None:
    """Take the file away: this process listens no more."""
    path = run_file()
    if path is not None:
        path.unlink(missing_ok=True)
