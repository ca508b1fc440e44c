"""A message on its way, and the queue in which it waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from reliable_email.simulate.life import PRIORITIES

CRITICAL: Final = 0
_PRIORITIES: Final = range(len(PRIORITIES))


class Message:
    """One message. `tried` holds the providers of this lease, `counts_round` whether the lease counts as a round.

    `ready_at` is when it last became ready, `prefer` who may hold it already because its answer was lost.
    """

    __slots__ = (
        "counts_round",
        "deadline_at",
        "is_delivered",
        "is_doubtful",
        "prefer",
        "priority",
        "ready_at",
        "rounds",
        "tried",
    )

    def __init__(self, priority: int, arrived_at: float, deadline_seconds: float) -> None:
        self.priority = priority
        self.ready_at = arrived_at
        self.deadline_at = arrived_at + deadline_seconds
        self.tried: tuple[int, ...] = ()
        self.rounds = 0
        self.counts_round = False
        self.prefer: int | None = None
        self.is_doubtful = False
        self.is_delivered = False

    def end_lease(self) -> None:
        """End the lease: whoever was tried may be tried again in the next one."""
        self.rounds += self.counts_round
        self.counts_round = False
        self.tried = ()


class Backlog:
    """The messages that wait for a provider, each priority in the order in which they became ready.

    `held` are those in the middle of a lease, by priority and by who was tried; `count` counts all.
    """

    __slots__ = ("count", "flows", "held")

    def __init__(self) -> None:
        self.held: dict[tuple[int, tuple[int, ...]], deque[Message]] = {}
        self.flows: Sequence[deque[Message]] = tuple(deque() for _ in _PRIORITIES)
        self.count = 0

    def put(self, message: Message) -> None:
        """Let a message wait."""
        self.flows[message.priority].append(message)
        self.count += 1

    def hold(self, message: Message) -> None:
        """Let a message wait in its lease for those that were not tried."""
        key = message.priority, tuple(sorted(message.tried))
        self.held.setdefault(key, deque()).append(message)
        self.count += 1

    def take(self, priority: int, *, newest: bool = False) -> Message:
        """Return the oldest message of a priority, or the newest one, which then waits no longer."""
        self.count -= 1
        flow = self.flows[priority]
        return flow.pop() if newest else flow.popleft()

    def put_back(self, message: Message, *, newest: bool = False) -> None:
        """Give a message back that was just taken."""
        self.count += 1
        flow = self.flows[message.priority]
        if newest:
            flow.append(message)
        else:
            flow.appendleft(message)

    def has_humbler(self, priority: int) -> bool:
        """Whether a less urgent message waits."""
        return any(self.flows[priority + 1 :])
