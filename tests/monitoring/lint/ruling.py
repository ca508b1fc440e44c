"""What a rule is: a function that yields where a dashboard is at fault, and what is wrong there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.monitoring.labels import Labels
from tests.monitoring.promql import Json


class Fault(NamedTuple):
    """What a rule found: which rule, where, and what is wrong."""

    rule: str
    where: str
    says: str


@dataclass(frozen=True)
class Known:
    """What there is, for a dashboard to speak of."""

    #: Labels of every series that can be asked for: of metrics (histograms by their three series) and of rules.
    series: Mapping[str, Labels]
    #: Those that only grow.
    counters: Collection[str]
    #: Gauges that many processes tell: which aggregation makes one true number of them.
    aggregated_by: Mapping[str, str] = field(default_factory=dict)
    #: Uid of every dashboard, with its tags.
    boards: Mapping[str, Collection[str]] = field(default_factory=dict)
    #: Seconds within which mail of a priority is to be sent.
    promised: Mapping[str, float] = field(default_factory=dict)
    #: Histograms whose observations carry examples.
    with_exemplars: Collection[str] = ()


#: Where, and what.
Found = Iterator[tuple[str, str]]
Rule = Callable[[Json, Known], Found]

RULES: Final[dict[str, Rule]] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Enter a function among the rules."""

    def enter(judge: Rule) -> Rule:
        RULES[name] = judge
        return judge

    return enter


def faults(dashboard: Json, known: Known, only: Collection[str] = ()) -> list[Fault]:
    """Return what is wrong with a dashboard, by all rules or by some."""
    return [
        Fault(name, where, says)
        for name, judge in RULES.items()
        if not only or name in only
        for where, says in judge(dashboard, known)
    ]
