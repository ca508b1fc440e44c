"""Several things asked for at once, each settled for itself: what may be repeated is, the rest is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from reliable_email_client.core.judging import in_doubt, unknown
from reliable_email_client.core.retrying import Retry
from reliable_email_client.core.wire import LOOK, Call, Exchange, Failure, Pause, Reply, Request
from reliable_email_client.errors import AcceptanceUnknown, Problem, ReliableEmailError, ServiceError, TemporaryError

T = TypeVar("T")


@dataclass
class _Item(Generic[T]):
    """One thing that is asked for, and what is known of it so far."""

    result: T | ReliableEmailError = field(default_factory=lambda: ServiceError("It was never asked for"))
    attempts: int = 0
    doubted: bool = False
    doubt: Problem | None = None

    def take(self, result: T | ReliableEmailError) -> None:
        """Note what an attempt brought."""
        self.attempts += 1
        self.result = result
        if isinstance(result, ReliableEmailError) and in_doubt(result):
            self.doubted = True
            if isinstance(result, AcceptanceUnknown):
                self.doubt = result.problem or self.doubt

    @property
    def may_be_repeated(self) -> bool:
        """Whether the same again may succeed."""
        return isinstance(self.result, TemporaryError)

    @property
    def asked_to_wait(self) -> float:
        """How many seconds the service asked to wait."""
        return (isinstance(self.result, ReliableEmailError) and self.result.retry_after_seconds) or 0.0

    def conclusion(self, *, submits: bool) -> T | ReliableEmailError:
        """Return how it ended."""
        result = self.result
        if isinstance(result, ReliableEmailError):
            if submits and self.doubted and isinstance(result, TemporaryError):
                # `unavailable` says that this attempt stored nothing; an earlier one may have.
                result = unknown(result, self.doubt)
            result.attempts, result.in_doubt = self.attempts, self.doubted
        return result


def settle(
    retry: Retry,
    count: int,
    ask: Callable[[Sequence[int]], Request],
    answers: Callable[[Reply | Failure, int], Sequence[T | ReliableEmailError]],
    *,
    submits: bool = False,
) -> Call[list[T | ReliableEmailError]]:
    """Ask for `count` things until each is had, is refused for good, or time is over.

    `ask` makes the request for those that are still wanted, `answers` reads what it brought each.
    """
    items: list[_Item[T]] = [_Item() for _ in range(count)]
    wanted = list(range(count))
    moment = yield LOOK
    deadline, attempts = moment.now + retry.deadline_seconds, 0
    while wanted:
        attempts += 1
        moment = yield Exchange(ask(wanted), retry.attempt(moment.now, deadline))
        result = moment.result or Failure("lost", "The transport brought nothing")
        for index, one in zip(wanted, answers(result, len(wanted)), strict=True):
            items[index].take(one)
        wanted = [index for index in wanted if items[index].may_be_repeated]
        if wanted:
            asked = max(items[index].asked_to_wait for index in wanted)
            seconds = retry.pause(attempts, asked, moment.draw)
            if not retry.goes_on(attempts, moment.now + seconds, deadline):
                break
            moment = yield Pause(seconds)
    return [item.conclusion(submits=submits) for item in items]
