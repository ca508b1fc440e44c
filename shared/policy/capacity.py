"""What is kept free for critical messages, so that slow bulk sends cannot hold them up."""

from __future__ import annotations

from typing import Final

from shared.domain.message import Priority

#: An enumeration's member is looked up slowly on Python 3.11, and this runs several times for each message.
_CRITICAL: Final = Priority.CRITICAL


def critical_reserve(amount: int, percent: float) -> int:
    """Return how many of `amount` slots or tokens only critical messages may use.

    At least one, so that the share means something to a small provider, but never all: a
    provider with a single slot serves everybody. A `percent` of 0 keeps nothing.
    """
    if amount <= 1 or percent <= 0:
        return 0
    return min(amount - 1, max(1, int(amount * percent / 100)))


def usable(priority: Priority, free: int, reserved: int) -> int:
    """Return how many of the `free` slots or tokens a message of this priority may use, none where it is below 1."""
    return free if priority is _CRITICAL else free - reserved
