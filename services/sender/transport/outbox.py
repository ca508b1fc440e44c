"""The transport of files: concurrent ones are written together, so that they share the flushes of the disk.

Flushes that run side by side share one commit of the file system's journal: on the machine this
was tuned on, 200 files with a flush of file and folder each took 82 ms, and 28 ms as it is done here.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from services.sender.transport.durable_files import write_durably
from shared.providers.interface import FileWrite, Phase, Reply

#: Bounds of one batch: how many files are open at once, and how long the last one waits for the first.
_BATCH_FILES: Final = 128
_BATCH_BYTES: Final = 16 << 20

#: Flushes side by side. Four share nearly as much as sixteen.
_FLUSHERS: Final = 4


class OutboxTransport:
    """Writes files in batches, each in a thread; what comes while one is written forms the next."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._filling: _Batch | None = None
        self._writing: set[asyncio.Task[list[OSError | None]]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._flushers = ThreadPoolExecutor(_FLUSHERS, thread_name_prefix="outbox-flush")

    async def exchange(self, request: FileWrite) -> Reply:
        """Return once the file is durable under its name, or with the error that prevented it.

        A file whose caller was cancelled is written all the same.
        """
        batch = self._filling
        if batch is None or not batch.has_room_for(request):
            batch = self._filling = self._new_batch()
        position = batch.add(request)
        # The other files of the batch must not suffer from one caller's cancellation.
        errors = await asyncio.shield(batch.task)
        return _reply(errors[position])

    async def close(self) -> None:
        """Wait for the files that are being written, then let the threads go."""
        if self._writing:
            await asyncio.wait(self._writing)
        self._thread.shutdown()
        self._flushers.shutdown()

    def _new_batch(self) -> _Batch:
        requests: list[FileWrite] = []
        task = asyncio.create_task(self._write(requests), name="outbox-write")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return _Batch(task, requests)

    async def _write(self, requests: list[FileWrite]) -> list[OSError | None]:
        async with self._turn:
            if self._filling is not None and self._filling.requests is requests:
                self._filling = None
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, write_durably, requests, self._flushers)


def _reply(error: OSError | None) -> Reply:
    if error is None:
        return Reply(Phase.ANSWERED)
    return Reply(Phase.SENDING, f"the file was not written: {error}", "io")


@dataclass(slots=True)
class _Batch:
    task: asyncio.Task[list[OSError | None]]
    requests: list[FileWrite]
    size_bytes: int = 0

    def has_room_for(self, request: FileWrite) -> bool:
        return len(self.requests) < _BATCH_FILES and self.size_bytes + len(request.data) <= _BATCH_BYTES

    def add(self, request: FileWrite) -> int:
        self.requests.append(request)
        self.size_bytes += len(request.data)
        return len(self.requests) - 1
