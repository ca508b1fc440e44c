"""What a life came to under a policy, as numbers that can be compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reliable_email.simulate.life import Life
from reliable_email.simulate.tally import STEP_SECONDS, Tally
from shared.domain.outcome import Outcome

#: A provider is left when for so long less than this share of the attempts goes to it, of at least so many.
_LEFT_SECONDS: Final = 2.0
_LEFT_SHARE: Final = 0.05
_LEFT_ATTEMPTS: Final = 5
#: It is back when it has this part of the share that it had in so many seconds before the change.
_BACK_PART: Final = 0.7
_BEFORE_SECONDS: Final = 20.0
_LONGEST_RETURN_SECONDS: Final = 300.0

_WINDOW: Final = round(_LEFT_SECONDS / STEP_SECONDS)


@dataclass(frozen=True, slots=True)
class Seen:
    """One life under one policy by one seed. `attempts` are each provider's, `leaves` and `returns` seconds of each
    change that is scored."""

    arrived: tuple[int, ...]
    on_time: tuple[int, ...]
    wasted: int
    throttled: int
    ambiguous: int
    duplicates: int
    attempts: tuple[int, ...]
    leaves: tuple[float, ...]
    returns: tuple[float, ...]


def seen(life: Life, tally: Tally) -> Seen:
    """Return what matters of a tally."""
    names = [provider.name for provider in life.providers]
    leaves: list[float] = []
    returns: list[float] = []
    for change in life.changes:
        place = names.index(change.provider)
        for start, end in change.spells():
            if change.leave:
                leaves.append(_leave_seconds(tally.steps, place, start, life.seconds if end is None else end))
            if change.returns and end is not None:
                back = _return_seconds(tally.steps, place, (start, end), life.seconds)
                returns.extend([] if back is None else [back])
    return Seen(
        arrived=tuple(tally.arrived),
        on_time=tuple(tally.on_time),
        wasted=sum(tally.wasted.values()),
        throttled=tally.wasted[Outcome.THROTTLED],
        ambiguous=tally.wasted[Outcome.AMBIGUOUS],
        duplicates=tally.duplicates,
        attempts=tuple(sum(steps) for steps in tally.steps),
        leaves=tuple(leaves),
        returns=tuple(returns),
    )


@dataclass(frozen=True, slots=True)
class Score:
    """One policy on one life, over all seeds. Shares are in percent, waste counts attempts for 1,000 messages.

    `on_time` and those by priority are measured against the clairvoyant's number, None where it delivered none.
    """

    policy: str
    on_time: float | None
    critical: float | None
    high: float | None
    wasted: float
    throttled: float
    ambiguous: float
    duplicates: float
    leaves: tuple[float, ...]
    returns: tuple[float, ...]
    shares: tuple[float, ...]


def score(policy: str, of_policy: Sequence[Seen], of_yardstick: Sequence[Seen]) -> Score:
    """Return a policy's score on one life from the same seeds under it and under the clairvoyant."""
    messages = sum(sum(one.arrived) for one in of_policy) or 1
    attempts = [sum(column) for column in zip(*(one.attempts for one in of_policy), strict=True)]

    def against_yardstick(*priorities: int) -> float | None:
        best = sum(one.on_time[priority] for one in of_yardstick for priority in priorities)
        own = sum(one.on_time[priority] for one in of_policy for priority in priorities)
        return 100 * own / best if best else None

    def per_thousand(counts: Iterable[int]) -> float:
        return 1000 * sum(counts) / messages

    return Score(
        policy=policy,
        on_time=against_yardstick(0, 1, 2, 3),
        critical=against_yardstick(0),
        high=against_yardstick(1),
        wasted=per_thousand(one.wasted for one in of_policy),
        throttled=per_thousand(one.throttled for one in of_policy),
        ambiguous=per_thousand(one.ambiguous for one in of_policy),
        duplicates=per_thousand(one.duplicates for one in of_policy),
        leaves=tuple(seconds for one in of_policy for seconds in one.leaves),
        returns=tuple(seconds for one in of_policy for seconds in one.returns),
        shares=tuple(share / (sum(attempts) or 1) for share in attempts),
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """One policy over all lives: means, and the worst life. `excess` is what it wasted beyond the clairvoyant."""

    policy: str
    on_time: float
    on_time_worst: float
    critical: float
    critical_worst: float
    wasted: float
    excess: float
    leaves: tuple[float, ...]
    returns: tuple[float, ...]


def summary(scores: Sequence[Score], of_yardstick: Sequence[Score]) -> Summary:
    """Return what a policy's scores on several lives come to."""
    on_time = [one.on_time for one in scores if one.on_time is not None] or [100.0]
    critical = [one.critical for one in scores if one.critical is not None] or [100.0]
    wasted = _mean([one.wasted for one in scores])
    return Summary(
        policy=scores[0].policy,
        on_time=_mean(on_time),
        on_time_worst=min(on_time),
        critical=_mean(critical),
        critical_worst=min(critical),
        wasted=wasted,
        excess=wasted - _mean([one.wasted for one in of_yardstick]),
        leaves=tuple(seconds for one in scores for seconds in one.leaves),
        returns=tuple(seconds for one in scores for seconds in one.returns),
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value that a share of all does not exceed, None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _leave_seconds(steps: Sequence[Sequence[int]], provider: int, start: float, end: float) -> float:
    """Return how long a change lasted until the provider was left; its whole length where it never was."""
    step = 0
    while start + step * STEP_SECONDS < end:
        share = _share(steps, provider, start + step * STEP_SECONDS, _WINDOW, least=_LEFT_ATTEMPTS)
        if share is not None and share < _LEFT_SHARE:
            return step * STEP_SECONDS
        step += 1
    return end - start


def _return_seconds(
    steps: Sequence[Sequence[int]], provider: int, spell: tuple[float, float], last: float
) -> float | None:
    """Return how long after the end of a change the provider had its share again; None where it never had one."""
    start, end = spell
    since = max(0.0, start - _BEFORE_SECONDS)
    before = _share(steps, provider, since, round((start - since) / STEP_SECONDS))
    if before is None or before < _LEFT_SHARE:
        return None
    longest = max(_LEFT_SECONDS, min(_LONGEST_RETURN_SECONDS, last - end))
    step = 0
    while (seconds := _LEFT_SECONDS + step * STEP_SECONDS) <= longest:
        share = _share(steps, provider, end + step * STEP_SECONDS, _WINDOW)
        if share is not None and share >= _BACK_PART * before:
            return seconds
        step += 1
    return longest


def _share(steps: Sequence[Sequence[int]], provider: int, since: float, length: int, *, least: int = 1) -> float | None:
    """Return a provider's share of the attempts in so many steps, None of too few."""
    first = math.ceil(since / STEP_SECONDS)
    counts = [sum(column[first : first + length]) for column in steps]
    total = sum(counts)
    return counts[provider] / total if total >= least else None
