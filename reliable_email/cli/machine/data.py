"""The data folder of `up`: what lies where in it, and who may work on it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.domain.errors import ReliableEmailError

_UP: Final = "up"


class DataInUse(ReliableEmailError):
    """Processes work on the folder. End them, or name another folder."""


@dataclass(frozen=True, slots=True)
class Data:
    """A data folder."""

    root: Path

    @property
    def valkey(self) -> Path:
        """Where the embedded server keeps the queue."""
        return self.root / "valkey"

    @property
    def outbox(self) -> Path:
        """Where the provider `outbox` writes mails."""
        return self.root / "outbox"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Pid and ports of each process that runs."""
        return self.root / "run"

    def run_file(self, child: str) -> Path:
        """Return where a process writes its pid and ports."""
        return self.run / f"{child}.json"

    def log(self, child: str) -> Path:
        """Return the log of a process."""
        return self.logs / f"{child}.log"

    @property
    def shown(self) -> str:
        """The folder as a user would write it."""
        return shown(self.root)

    def occupy(self) -> int:
        """Make the folder ready and return a descriptor that holds it as long as anybody has it open.

        `up` gives it to its children. So the folder stays taken until the last of them is gone,
        and nobody has to guess from pids, which the system uses again. Raises DataInUse.
        """
        for folder in (self.root, self.valkey, self.logs, self.run):
            # Whole mails lie here.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise DataInUse(self._who_works_here()) from error
        for stale in self.run.glob("*.json"):
            stale.unlink()
        return lock

    def _who_works_here(self) -> str:
        alive = dict(self._alive())
        if _UP in alive:
            return (
                f"{self.shown} is in use: another `reliable-email up` works on it (pid {alive[_UP]}). "
                f"Stop that one, or take another folder: reliable-email up --data {self.shown}2"
            )
        if not alive:
            return f"{self.shown} is in use by processes that are just starting or ending; try again in a moment."
        names = ", ".join(f"{name} (pid {pid})" for name, pid in alive.items())
        pids = " ".join(str(pid) for pid in alive.values())
        return (
            f"{self.shown} is in use by what a killed `reliable-email up` left: {names}. They end by themselves "
            f"once they have written down what they hold; try again then, or end them: kill {pids}"
        )

    def _alive(self) -> Iterator[tuple[str, int]]:
        for path in sorted(self.run.glob("*.json")):
            try:
                pid = int(json.loads(path.read_bytes())["pid"])
                os.kill(pid, 0)
            except (ValueError, LookupError, TypeError, OSError):
                continue
            yield path.stem, pid


def shown(path: Path) -> str:
    """Return a path as a user would write it: ./data where it lies below the working directory."""
    return str(path) if path.is_absolute() or path.parts[:1] == ("..",) else f"./{path}"
