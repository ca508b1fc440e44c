"""Following the logs of children: what they write is what `up` shows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

#: A log that has grown beyond this is put aside, over the one put aside before: a disk that logs
#: have filled takes no mail any more.
_LARGEST_BYTES: Final = 32 << 20
_STEP_BYTES: Final = 1 << 20


class LogTail:
    """The lines that are added to one log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = _size(path)
        self._begun = b""

    def new_events(self) -> Iterator[dict[str, Any]]:
        """Yield what was logged since the last look; what is no JSON (a stack, a library) is left out."""
        for line in self._new_lines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event

    def _new_lines(self) -> Iterator[bytes]:
        size = _size(self._path)
        if size < self._offset:  # somebody has emptied it
            self._offset, self._begun = 0, b""
        if size == self._offset:
            return
        with self._path.open("rb") as log:
            log.seek(self._offset)
            while data := log.read(_STEP_BYTES):
                self._offset += len(data)
                *lines, self._begun = (self._begun + data).split(b"\n")
                yield from lines

    def put_aside_if_large(self) -> None:
        """Bound the log. Its writer appends, so that it goes on at the beginning."""
        if self._offset < _LARGEST_BYTES:
            return
        shutil.copyfile(self._path, self._path.with_suffix(".log.1"))
        os.truncate(self._path, 0)
        self._offset = 0


def last_words(path: Path, since: int) -> list[str]:
    """Return why a process failed, as its log behind `since` tells: its errors, else its last lines."""
    try:
        lines = path.read_bytes()[since:].decode(errors="replace").splitlines()
    except OSError:
        return []
    errors = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("level") in {"error", "critical"}:
            errors.append(words(event))
    return errors or lines[-5:]


def words(event: Mapping[str, Any]) -> str:
    """Return what a log line says, for people: where, then what."""
    said = str(event.get("detail") or event.get("error") or "")
    where = event.get("where") or event.get("provider")
    if where and said:
        return f"{where}: {said}"
    return said or str(where or "") or str(event.get("event"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
