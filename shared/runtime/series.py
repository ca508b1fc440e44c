"""The series of a metric: looked up, begun and forgotten by their labels, and counted where every request counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

Kind = TypeVar("Kind", bound=MetricWrapperBase)
Labels = str | tuple[str, ...]


class Family(dict[Labels, Kind], Generic[Kind]):
    """The series of one metric by their labels: `metrics.submissions["high", "accepted"].inc()`.

    A plain dictionary, because the library's own look-up takes longer than the increment.
    """

    def __init__(self, metric: Kind) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: Labels) -> Kind:
        series = self._metric.labels(*_as_tuple(labels))
        self[labels] = series
        return series

    def begin(self, labels: Labels) -> None:
        """Show a series from now on, at 0: a counter that comes with its first increment hides it from `rate()`."""
        self[labels]

    def keep(self, present: Collection[Labels]) -> None:
        """Show no other series than these."""
        for labels in [labels for labels in self if labels not in present]:
            self.forget(labels)

    def forget(self, labels: Labels) -> None:
        """Stop showing a series, of a provider that was taken out for one."""
        if self.pop(labels, None) is not None:
            self._metric.remove(*_as_tuple(labels))


class Tally(Collector):
    """A counter of plain integers by their labels: `tally.counts["GET /v1", 200] += 1`.

    For what every request counts: the library's own counters take five calls for it, and a lock.
    """

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...], registry: CollectorRegistry | None) -> None:
        self.counts: defaultdict[tuple[str | int, ...], int] = defaultdict(int)
        self._declared = name, meaning, labels
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return what was counted."""
        name, meaning, labels = self._declared
        family = CounterMetricFamily(name, meaning, labels=labels)
        for values, count in self.counts.items():
            family.add_metric([str(value) for value in values], count)
        return [family]


def _as_tuple(labels: Labels) -> tuple[str, ...]:
    return (labels,) if isinstance(labels, str) else labels
