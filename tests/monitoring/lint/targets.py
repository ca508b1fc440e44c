"""Queries: PromQL that keeps to what was chosen, about what exists, and that counts nothing twice."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from promql_parser import Expr, MatchOp, parse

from tests.monitoring.labels import Reading
from tests.monitoring.lint.reading import (
    asked,
    calls,
    innermost_aggregation,
    is_of_rules,
    is_over_rate_interval,
    labels_shown,
    name_of,
    names_any,
    read,
)
from tests.monitoring.lint.ruling import Found, Known, rule
from tests.monitoring.promql import (
    Json,
    annotation_queries,
    panels,
    queries,
    selectors,
    selectors_with_function,
    substitute,
)

_RATES: Final = frozenset({"rate", "irate", "increase"})
#: A quantile from here on is about the slow ones.
_SLOW: Final = 0.95


@rule("target-promql")
def _queries_parse(dashboard: Json, _: Known) -> Found:
    for query in (*queries(dashboard), *annotation_queries(dashboard)):
        try:
            parse(substitute(query.expr))
        except ValueError as fault:
            yield query.panel, f"`{query.expr}`: {fault}"


@rule("target-rate-interval")
def _rates_take_the_rate_interval(dashboard: Json, _: Known) -> Found:
    for query, tree in asked(dashboard):
        for call in calls(tree):
            if call.func.name in _RATES and not all(map(is_over_rate_interval, call.args)):
                yield query.panel, f"`{call.func.name}` of `{query.expr}` is not over $__rate_interval"


@rule("target-job")
def _queries_keep_to_the_job(dashboard: Json, _: Known) -> Found:
    yield from _keep_to(dashboard, "job")


@rule("target-instance")
def _queries_keep_to_the_instance(dashboard: Json, _: Known) -> Found:
    yield from _keep_to(dashboard, "instance")


def _keep_to(dashboard: Json, label: str) -> Found:
    for query, tree in asked(dashboard):
        for selector in selectors(tree):
            matched = {(one.name, str(one.op), one.value) for one in selector.matchers.matchers}
            if not is_of_rules(selector) and (label, str(MatchOp.Re), f"${label}") not in matched:
                yield query.panel, f'`{selector}` does not keep to `{label}=~"${label}"`'


@rule("target-counter-agg")
def _counters_are_read_as_rates(dashboard: Json, known: Known) -> Found:
    for query, tree in asked(dashboard):
        for selector, function in selectors_with_function(tree):
            if selector.name in known.counters and function not in _RATES:
                yield query.panel, f"the counter {selector.name} is read without a rate"
            if selector.name not in known.counters and function in _RATES:
                yield query.panel, f"{selector.name} is no counter, and has no {function}"


@rule("target-counted-once")
def _what_many_tell_is_counted_once(dashboard: Json, known: Known) -> Found:
    for query, tree in asked(dashboard):
        for selector, operator in innermost_aggregation(tree):
            wanted = known.aggregated_by.get(selector.name or "")
            if wanted is not None and operator != wanted:
                yield query.panel, f"{selector.name} is told by many: `{wanted}` of it, not `{operator or 'nothing'}`"


@rule("target-labels")
def _metrics_and_labels_exist(dashboard: Json, known: Known) -> Found:
    for query, tree in asked(dashboard):
        reading = Reading(known.series)
        reading.labels(tree)
        yield from ((query.panel, fault) for fault in reading.faults)


@rule("target-legend")
def _legends_tell_series_apart(dashboard: Json, known: Known) -> Found:
    for panel in panels(dashboard):
        for target in panel["targets"] if panel["type"] != "table" else []:
            legend, tree = target.get("legendFormat", ""), read(target["expr"])
            if not legend:
                yield name_of(panel), f"the series of {target['refId']} have no names"
            if tree is None:
                continue
            labels, shown = Reading(known.series).labels(tree), labels_shown(legend)
            for missing in sorted(shown - labels):
                yield name_of(panel), f"`{legend}` shows a label that no series has: {missing}"
            for lost in sorted(labels - shown - _settled(tree) - {"job"}):
                yield name_of(panel), f"`{legend}` gives series of different {lost} the same name"


def _settled(tree: Expr) -> set[str]:
    """Return the labels of which an expression chose one value: they tell nothing apart."""
    matched = [one for selector in selectors(tree) for one in selector.matchers.matchers]
    return {one.name for one in matched if str(one.op) == str(MatchOp.Equal)}


@rule("target-exemplars")
def _latencies_show_examples(dashboard: Json, known: Known) -> Found:
    about = {f"{name}_bucket" for name in known.with_exemplars}
    for panel in panels(dashboard):
        if panel["type"] in {"timeseries", "heatmap"}:
            shown = [target for target in panel["targets"] if _shows_the_slow(target["expr"], panel["type"], about)]
            if shown and not any(target.get("exemplar") for target in shown):
                yield name_of(panel), "it shows a latency whose examples lead to traces, and none of them"


def _shows_the_slow(expr: str, kind: str, about: Collection[str]) -> bool:
    """Tell whether a query shows, of a histogram, all that it counted or the slow end of it."""
    tree = read(expr)
    if tree is None:
        return False
    if kind == "heatmap":
        return names_any(tree, about)
    quantiles = [call for call in calls(tree) if call.func.name == "histogram_quantile"]
    return any(call.args[0].val >= _SLOW and names_any(call.args[1], about) for call in quantiles)
