"""The results as Markdown: a table for each life, and one over all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from reliable_email.simulate.life import Life
from reliable_email.simulate.metrics import Score, Seen, Summary, percentile, score, summary
from reliable_email.simulate.play import Played
from reliable_email.simulate.policies import OURS, SIMPLE, YARDSTICK

_LIFE_HEADS: Final = (
    "policy",
    "on time %",
    "critical",
    "high",
    "wasted per 1,000",
    "throttled",
    "ambiguous",
    "duplicates",
    "leave p50 / p95 s",
    "return p50 / p95 s",
    "shares",
)
_ALL_HEADS: Final = (
    "policy",
    "on time % (worst life)",
    "critical (worst life)",
    "wasted per 1,000",
    "beyond the clairvoyant",
    "of the best simple",
    "leave p50 / p95 s",
    "return p50 / p95 s",
)
#: Stands where there is no number.
_NONE: Final = "-"


class Results:
    """Everything that was played, by life and policy; policies stand in the order in which they were asked for."""

    def __init__(self, lives: Sequence[Life], policies: Sequence[str], played: Iterable[Played]) -> None:
        self.lives = tuple(lives)
        self.policies = tuple(policies)
        self._seen: dict[tuple[str, str], list[Seen]] = {}
        for one in sorted(played, key=lambda played: played.seed):
            for policy, seen in one.seen.items():
                self._seen.setdefault((one.life, policy), []).append(seen)

    def scores(self, life: Life) -> list[Score]:
        """Return each policy's score on one life."""
        yardstick = self._seen[life.name, YARDSTICK]
        return [score(policy, self._seen[life.name, policy], yardstick) for policy in self.policies]

    def yardstick(self, life: Life) -> tuple[float, float]:
        """Return how much of all and of the critical messages the clairvoyant delivered on time, in percent."""
        runs = self._seen[life.name, YARDSTICK]
        return _percent(runs, range(4)), _percent(runs, range(1))

    def summaries(self) -> list[Summary]:
        """Return each policy over all lives."""
        by_life = [self.scores(life) for life in self.lives]
        yardstick = [score(YARDSTICK, runs, runs) for life in self.lives for runs in [self._seen[life.name, YARDSTICK]]]
        return [summary(scores, yardstick) for scores in zip(*by_life, strict=True)]


def life_table(results: Results, life: Life) -> Iterator[str]:
    """Yield the lines of one life's table."""
    everything, critical = results.yardstick(life)
    yield f"### {life.name}"
    yield ""
    if life.description:
        yield f"{life.description}."
        yield f"The clairvoyant delivers {everything:.2f} % of all on time, of critical {critical:.2f} %."
        yield ""
    yield from _markdown(_LIFE_HEADS, (_life_row(one) for one in results.scores(life)))


def summary_table(results: Results) -> Iterator[str]:
    """Yield the lines of the table over all lives."""
    summaries = results.summaries()
    best = min((one.excess for one in summaries if one.policy in SIMPLE), default=None)
    yield from _markdown(_ALL_HEADS, (_summary_row(one, best) for one in summaries))


def as_json(results: Results) -> Mapping[str, Any]:
    """Return all numbers."""
    return {
        "lives": {
            life.name: {
                "clairvoyant_on_time_percent": dict(
                    zip(("all", "critical"), results.yardstick(life), strict=True),
                ),
                "policies": {one.policy: _score_json(one) for one in results.scores(life)},
            }
            for life in results.lives
        },
        "summary": {one.policy: _summary_json(one) for one in results.summaries()},
    }


def _life_row(one: Score) -> list[str]:
    return [
        _name(one.policy),
        *(_number(value, 2) for value in (one.on_time, one.critical, one.high)),
        *(_number(value, 1) for value in (one.wasted, one.throttled)),
        *(_number(value, 2) for value in (one.ambiguous, one.duplicates)),
        _times(one.leaves),
        _times(one.returns),
        " ".join(f"{share:.2f}" for share in one.shares),
    ]


def _summary_row(one: Summary, best: float | None) -> list[str]:
    against = f"{100 * one.excess / best:.1f} %" if best else _NONE
    return [
        _name(one.policy),
        f"{one.on_time:.2f} ({one.on_time_worst:.2f})",
        f"{one.critical:.2f} ({one.critical_worst:.2f})",
        _number(one.wasted, 1),
        _number(one.excess, 1),
        against,
        _times(one.leaves),
        _times(one.returns),
    ]


def _score_json(one: Score) -> dict[str, Any]:
    return {
        "on_time_percent": {"all": one.on_time, "critical": one.critical, "high": one.high},
        "per_thousand": {
            "wasted": one.wasted,
            "throttled": one.throttled,
            "ambiguous": one.ambiguous,
            "duplicates": one.duplicates,
        },
        "leave_seconds": _percentiles(one.leaves),
        "return_seconds": _percentiles(one.returns),
        "shares": list(one.shares),
    }


def _summary_json(one: Summary) -> dict[str, Any]:
    return {
        "on_time_percent": {"mean": one.on_time, "worst": one.on_time_worst},
        "critical_percent": {"mean": one.critical, "worst": one.critical_worst},
        "wasted_per_thousand": one.wasted,
        "wasted_beyond_clairvoyant": one.excess,
        "leave_seconds": _percentiles(one.leaves),
        "return_seconds": _percentiles(one.returns),
    }


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95)}


def _times(values: Sequence[float]) -> str:
    return f"{_number(percentile(values, 0.5), 1)} / {_number(percentile(values, 0.95), 1)}"


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _name(policy: str) -> str:
    return f"**{policy}**" if policy == OURS else policy


def _percent(runs: Sequence[Seen], priorities: range) -> float:
    arrived = sum(one.arrived[priority] for one in runs for priority in priorities)
    return 100 * sum(one.on_time[priority] for one in runs for priority in priorities) / (arrived or 1)


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    lines = [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    yield lines[0]
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield from lines[1:]
