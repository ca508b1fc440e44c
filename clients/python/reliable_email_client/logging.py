"""Errors as mail: a handler for `logging` that neither holds up the application nor fails it.

    handler = EmailHandler(to="ops@example.com", from_="app@example.com")
    logging.getLogger().addHandler(handler)

Records are put into a bounded queue and mailed by a thread. What repeats is counted instead of
mailed again, and no more mails leave than allowed; the next mail says how many were held back.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from reliable_email_client.client import Client
from reliable_email_client.core.retrying import Retry
from reliable_email_client.message import Addresses, AddressLike, Message, Priority

_SUBJECT_LENGTH = 200
_MOST_REMEMBERED = 10_000


@dataclass
class Thinning:
    """Decides which records become mails. The time, monotonic seconds, is an argument.

    The same place is mailed once in `repeat_seconds`; in all at most `per_hour`, of which so many may
    go at once (a bucket of tokens).
    """

    per_hour: int
    repeat_seconds: float
    _tokens: float = field(init=False)
    _filled_at: float = field(default=float("-inf"), init=False)
    _mailed_at: dict[object, float] = field(default_factory=dict, init=False)
    _repeats: dict[object, int] = field(default_factory=dict, init=False)
    held_back: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.per_hour)

    def takes(self, place: object, now: float) -> bool:
        """Return whether a record is mailed; one that is not is counted."""
        if now - self._mailed_at.get(place, float("-inf")) < self.repeat_seconds:
            self._repeats[place] = self._repeats.get(place, 0) + 1
            return False
        if self._filled_at == float("-inf"):
            self._filled_at = now
        self._tokens = min(self.per_hour, self._tokens + (now - self._filled_at) * self.per_hour / 3_600)
        self._filled_at = now
        if self._tokens < 1:
            self.held_back += 1
            return False
        self._tokens -= 1
        self._remember(place, now)
        return True

    def repeats_of(self, place: object) -> int:
        """Return how often a place was held back since it was last mailed, and forget it."""
        return self._repeats.pop(place, 0)

    def take_held_back(self) -> int:
        """Return how many records of any place were held back for there were too many, and forget it."""
        number, self.held_back = self.held_back, 0
        return number

    def _remember(self, place: object, now: float) -> None:
        if len(self._mailed_at) >= _MOST_REMEMBERED:
            self._mailed_at = {p: at for p, at in self._mailed_at.items() if now - at < self.repeat_seconds}
            self._repeats = {p: number for p, number in self._repeats.items() if p in self._mailed_at}
            if len(self._mailed_at) >= _MOST_REMEMBERED:
                self._mailed_at.clear()
                self._repeats.clear()
        self._mailed_at[place] = now


@dataclass(frozen=True)
class _Entry:
    """A record as it was when it was logged: what it refers to may change before it is mailed."""

    place: object
    subject: str
    text: str


class EmailHandler(logging.Handler):
    """Mails records of `level` and above to `to`.

    `capacity` records wait at most, the rest are counted. `subject` is a format as in `logging`,
    `per_hour` and `repeat_seconds` bound how much is mailed. Without a `client` one is made from
    RELIABLE_EMAIL_URL and RELIABLE_EMAIL_API_KEY. When the program ends, what waits is mailed for
    `flush_seconds` at most.
    """

    def __init__(  # noqa: PLR0913 - each has its default
        self,
        to: Addresses,
        from_: AddressLike | None = None,
        *,
        level: int | str = logging.ERROR,
        subject: str = "%(levelname)s in %(name)s: %(message)s",
        client: Client | None = None,
        capacity: int = 1_000,
        per_hour: int = 60,
        repeat_seconds: float = 600.0,
        flush_seconds: float = 5.0,
        priority: Priority = "high",
        tags: tuple[str, ...] = ("log",),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(level)
        self._client = client or Client(retry=Retry(deadline_seconds=30.0, attempt_seconds=5.0))
        self._message: dict[str, Any] = {"to": to, "from_": from_, "priority": priority, "tags": tags}
        self._subject = logging.Formatter(subject)
        self._thinning = Thinning(per_hour, repeat_seconds)
        self._capacity = capacity
        self._flush_seconds = flush_seconds
        self._now = now
        self._closed = False
        self._lost = 0
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_weakly(self._begin))

    def _begin(self) -> None:
        """Have nothing waiting and no thread: at first, and in a child made by fork, whose parent mails what waits."""
        self._changed = threading.Condition()
        self._waiting: deque[_Entry] = deque()
        self._busy = False
        self._worker: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record, unless it is about mailing records: that would go on for ever."""
        # Before the handler's lock, which whoever waits for the thread in `logging.shutdown` holds.
        if threading.current_thread() is self._worker:
            return False
        return bool(super().handle(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue; never blocks, never raises."""
        try:
            self._put(_Entry(_place_of(record), _line(self._subject.format(record)), self.format(record)))
        except Exception:  # noqa: BLE001 - a record that cannot be formatted is no reason to fail the application
            self.handleError(record)

    def _put(self, entry: _Entry) -> None:
        with self._changed:
            if self._closed:
                return
            if len(self._waiting) >= self._capacity:
                self._lost += 1
            elif self._thinning.takes(entry.place, self._now()):
                self._waiting.append(replace(entry, text=entry.text + self._notes(entry.place)))
                self._start()
                self._changed.notify_all()

    def _start(self) -> None:
        if not self._is_alive():
            self._worker = threading.Thread(target=self._work, name="reliable-email-log", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                entry = self._waiting.popleft()
                self._busy = True
            self._send(entry)

    def _send(self, entry: _Entry) -> None:
        try:
            self._client.send(Message(subject=entry.subject, text=entry.text, **self._message))
        except Exception:  # noqa: BLE001 - a thread that dies of one record would lose all others
            with self._changed:
                self._lost += 1

    def _notes(self, place: object) -> str:
        """Return what the reader should know that no mail of its own tells."""
        counts = {
            "more from the same place since the last mail about it": self._thinning.repeats_of(place),
            "held back, for there were too many": self._thinning.take_held_back(),
            "lost, for they could not be mailed": self._lost,
        }
        self._lost = 0
        lines = [f"{number:,} {what}" for what, number in counts.items() if number]
        return "\n\n-- \n" + "\n".join(lines) if lines else ""

    def flush(self) -> None:
        """Wait until everything is mailed, `flush_seconds` at most."""
        with self._changed:
            self._changed.wait_for(
                lambda: not (self._waiting or self._busy) or not self._is_alive(), self._flush_seconds
            )

    def close(self) -> None:
        """Mail what waits, `flush_seconds` at most, and take nothing more."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        super().close()

    def _is_alive(self) -> bool:
        return self._worker is not None and self._worker.is_alive()


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Return what calls a method for as long as its object lives, and does not keep it alive."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        living = reference()
        if living is not None:
            living()

    return call


def _place_of(record: logging.LogRecord) -> object:
    """Return what two records have in common that say the same: where they were logged, and which error was raised."""
    raised = record.exc_info[0] if record.exc_info else None
    return record.name, record.levelno, record.pathname, record.lineno, raised


def _line(text: str) -> str:
    """Return a text as it can stand in a subject."""
    line = " ".join(text.split())
    return line if len(line) <= _SUBJECT_LENGTH else line[: _SUBJECT_LENGTH - 1] + "…"
