"""Writing many files so that a power cut takes none of them back; everything here blocks.

A file is durable once its content, its name in the folder, and the names of new folders on the
way to it are flushed to the disk, in this order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from shared.providers.interface import FileWrite

_numbers: Final = count()


@dataclass(slots=True)
class _File:
    """A file on its way through the steps. A step that fails leaves its error, and the later ones pass it by."""

    request: FileWrite
    part: Path
    descriptor: int = -1
    error: OSError | None = field(default=None)

    def attempt(self, step: Callable[[_File], None]) -> None:
        if self.error is None:
            try:
                step(self)
            except OSError as error:
                self.error = error


def write_durably(requests: Sequence[FileWrite], flushers: Executor) -> list[OSError | None]:
    """Write each file completely under its name, or not at all, and return what went wrong with each.

    A file of the same name is replaced. A crash leaves at most hidden files that end in `.part`.
    """
    files = [_File(request, _part(request)) for request in requests]
    for directory in dict.fromkeys(request.directory for request in requests):
        _write_into(Path(directory), [file for file in files if file.request.directory == directory], flushers)
    return [file.error for file in files]


def _part(request: FileWrite) -> Path:
    """Return a name that nothing alive on this machine uses; what a dead process left there is overwritten."""
    return Path(request.directory, f".{request.name}.{os.getpid()}-{next(_numbers)}.part")


def _write_into(directory: Path, files: Sequence[_File], flushers: Executor) -> None:
    _all(files, lambda _: _make(directory))
    _all(files, _write)
    # Side by side, and only after all were written: the first flush then carries most of the others.
    flush = map if len(files) == 1 else flushers.map
    for _ in flush(partial(_File.attempt, step=_flush), files):
        pass
    _all(files, _show)
    shown = [file for file in files if file.error is None]
    if shown:
        shown[0].attempt(lambda _: _flush_folder(directory))
        for file in shown[1:]:
            file.error = shown[0].error
    for file in files:
        _tidy(file)


def _all(files: Iterable[_File], step: Callable[[_File], None]) -> None:
    for file in files:
        file.attempt(step)


def _write(file: _File) -> None:
    # Readable by its owner alone: mail holds links that log people in.
    file.descriptor = os.open(file.part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    rest = memoryview(file.request.data)
    while rest:
        rest = rest[os.write(file.descriptor, rest) :]


def _flush(file: _File) -> None:
    os.fsync(file.descriptor)


def _show(file: _File) -> None:
    file.part.replace(file.part.with_name(file.request.name))


def _tidy(file: _File) -> None:
    if file.descriptor >= 0:
        os.close(file.descriptor)
    if file.error is not None:
        try:
            file.part.unlink(missing_ok=True)
        except OSError:
            return  # the first error is the one that tells


def _make(directory: Path) -> None:
    if directory.is_dir():
        return
    _make(directory.parent)
    directory.mkdir(exist_ok=True)
    _flush_folder(directory.parent)


def _flush_folder(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
