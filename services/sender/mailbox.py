"""A bounded mailbox: what waits for an actor, taken in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class MailboxFull(RuntimeError):
    """More was put into a mailbox than its owner ever has room for: a defect of whoever put it there."""


class Mailbox(Generic[T]):
    """Messages to one actor, oldest first.

    Bounded by `size`: whoever fills a mailbox keeps within the room its owner announced, so a
    full one is a defect and not a reason to wait.
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._size = size
        self._waiting: deque[T] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: T) -> None:
        """Put one message in. Raises MailboxFull."""
        if len(self._waiting) >= self._size:
            raise MailboxFull(f"the mailbox of {self.name} holds {self._size} messages already")
        self._waiting.append(message)
        self._filled.set()

    async def take(self, most: int) -> list[T]:
        """Wait until there is something, and take up to `most`."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def empty(self) -> list[T]:
        """Take everything that waits."""
        left = list(self._waiting)
        self._waiting.clear()
        return left
