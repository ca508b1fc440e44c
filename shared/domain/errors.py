"""The errors of the service. The type says whose fault it is and what follows; the docstring says the cure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class ReliableEmailError(Exception):
    """Anything the service itself raises; every other exception is a defect."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input: where it stands, a code, and a sentence with the cure."""

    where: str
    code: str
    detail: str


class ConfigurationError(ReliableEmailError):
    """The configuration cannot be used. `faults` names every fault at once; mend them and start again."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.where}: {fault.detail}" for fault in faults))


class QueueError(ReliableEmailError):
    """A call to the queue did not do what was asked."""


class Unavailable(QueueError):
    """Redis could not be reached in time and nothing was stored: try again after a pause."""


class AnswerLost(QueueError):
    """A write was sent and its answer never came: it may have been applied.

    Repeat the call with the same tokens (for a submission, the same idempotency key): every
    script is idempotent.
    """


class NotReplicated(AnswerLost):
    """The write is on the primary's disk, but fewer replicas than asked confirmed it in time.

    `answer` is what the script said: the write itself is known, only its replication is not.
    """

    def __init__(self, words: str, answer: Sequence[Any] = ()) -> None:
        self.answer = answer
        super().__init__(words)


class QueueFull(QueueError):
    """Redis refused to store more because its memory is used up: let the queue drain, or give it more."""


class Unsafe(QueueError):
    """The settings of Redis would lose accepted messages. The text holds the exact lines to change."""


class ScriptDefect(QueueError):
    """A script failed inside Redis: a defect of this service or a key that something else wrote."""
