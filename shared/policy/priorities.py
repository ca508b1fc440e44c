"""Whose turn it is: critical never waits, bulk never starves.

Critical messages take all there is, but for a twentieth while others wait. What they leave is
shared by weight among high, normal and bulk, and what does not divide evenly is carried over, so
that the shares hold however small the steps are, one message at a time included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.domain.message import Priority

#: Of 13 messages that follow one another while all three wait: how many are whose.
WEIGHTS: Final = {Priority.HIGH: 8, Priority.NORMAL: 4, Priority.BULK: 1}

#: What critical messages leave to the others while both wait.
SHARE_BESIDE_CRITICAL: Final = 0.05

#: How long after it became ready a message of each priority is still worth most of what it was.
USEFUL_SECONDS: Final = {
    Priority.CRITICAL: 5.0,
    Priority.HIGH: 30.0,
    Priority.NORMAL: 300.0,
    Priority.BULK: 3600.0,
}

_OTHERS: Final = tuple(WEIGHTS)
_WEIGHTS: Final = tuple(WEIGHTS.values())
_PERISHABLE: Final = frozenset({Priority.CRITICAL, Priority.HIGH})


@dataclass(frozen=True, slots=True)
class Turn:
    """What is carried from one plan to the next, in messages.

    `owed` is what the others together are owed by critical, `credits` what high, normal and bulk
    are owed by one another.
    """

    owed: float = 0.0
    credits: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many messages of each waiting priority may be taken now, most urgent first, and the next turn."""

    quotas: tuple[tuple[Priority, int], ...]
    turn: Turn


def plan(capacity: int, waiting: Mapping[Priority, int], turn: Turn, *, reserved: int = 0) -> Plan:
    """Share what a pool can take now among the priorities that wait.

    `waiting` holds how many messages wait, as far as that is known: a number too high only leaves
    capacity to the next plan. `reserved` of the capacity is kept free for critical messages that
    may come; only what is owed to the others because critical ones were served may be taken from it.
    """
    capacity = max(0, capacity)
    critical = max(0, waiting.get(Priority.CRITICAL, 0))
    others = tuple(max(0, waiting.get(priority, 0)) for priority in _OTHERS)
    waiting_others = sum(others)

    owed = 0.0
    if critical and waiting_others:
        owed = turn.owed + SHARE_BESIDE_CRITICAL * capacity
    due = min(int(owed), waiting_others, capacity)
    for_critical = min(critical, capacity - due)
    for_others = min(waiting_others, max(due, capacity - reserved - for_critical))
    shares, credits_left = _share(for_others, others, turn.credits)

    quotas = ((Priority.CRITICAL, for_critical), *zip(_OTHERS, shares, strict=True))
    return Plan(
        quotas=tuple((priority, quota) for priority, quota in quotas if quota),
        turn=Turn(owed=min(1.0, max(0.0, owed - for_others)), credits=credits_left),
    )


def newest_first(priority: Priority, head_age_ms: int) -> bool:
    """Whether to serve the newest of a flow first, given how long its oldest message has been ready.

    After an outage the oldest critical messages are past their use: served in order, they would
    make each newer one late as well. The old ones are served with what is left.
    """
    return priority in _PERISHABLE and head_age_ms > 1000 * USEFUL_SECONDS[priority]


def _share(
    amount: int, waiting: tuple[int, ...], carried: tuple[float, float, float]
) -> tuple[list[int], tuple[float, float, float]]:
    """Divide `amount`, at most what waits, by weight; return whole shares and what each flow is still owed."""
    fair = _fair_shares(amount, waiting)
    # A flow that was empty has no claim from before: credit is for those who waited.
    owed = [
        part + (carry if there else min(carry, 0.0)) for part, carry, there in zip(fair, carried, waiting, strict=True)
    ]
    shares = [0] * len(waiting)
    left = amount
    while left:
        i = max((i for i, there in enumerate(waiting) if there > shares[i]), key=owed.__getitem__)
        step = min(max(1, int(owed[i])), waiting[i] - shares[i], left)
        shares[i] += step
        owed[i] -= step
        left -= step
    high, normal, bulk = (min(1.0, max(-1.0, credit)) for credit in owed)
    return shares, (high, normal, bulk)


def _fair_shares(amount: int, waiting: tuple[int, ...]) -> list[float]:
    """Divide `amount` by weight; no flow gets more than waits in it, and the others share what it leaves."""
    shares = [0.0] * len(waiting)
    hungry = [i for i, there in enumerate(waiting) if there]
    left = float(amount)
    while hungry:
        portion = left / sum(_WEIGHTS[i] for i in hungry)
        sated = [i for i in hungry if waiting[i] <= portion * _WEIGHTS[i]]
        for i in sated or hungry:
            shares[i] = min(waiting[i], portion * _WEIGHTS[i])
            left -= shares[i]
        if not sated:
            break
        hungry = [i for i in hungry if i not in sated]
    return shares
