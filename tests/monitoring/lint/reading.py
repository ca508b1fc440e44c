"""How rules look at a dashboard and its expressions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from promql_parser import AggregateExpr, Call, Expr, MatrixSelector, VectorSelector, parse, walk

from tests.monitoring.promql import Json, Query, annotation_queries, queries, selectors

#: Stands for `$__rate_interval` while an expression is read: nobody would write it.
_RATE_INTERVAL: Final = "4243s"
_DURATIONS: Final = {"rate_interval": _RATE_INTERVAL, "interval": "17s", "range": "19m"}
_INTERVALS: Final = re.compile(r"\$\{?__(rate_interval|interval|range)\}?")
_SHOWN: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def variables_of(dashboard: Json) -> Sequence[Json]:
    """Return the declared variables."""
    listed: Sequence[Json] = dashboard.get("templating", {}).get("list", [])
    return listed


def asks_the_chosen(part: Json) -> bool:
    """Tell whether a panel, a query, a variable or an annotation asks the data source that was chosen."""
    return part.get("datasource") == {"type": "prometheus", "uid": "${datasource}"}


def name_of(panel: Json) -> str:
    """Return what a fault calls a panel."""
    return f"panel {panel.get('title') or panel.get('id')}"


def exceptions_of(panel: Json, setting: str) -> list[Mapping[str, Any]]:
    """Return what a setting is for single series or columns."""
    overrides = panel.get("fieldConfig", {}).get("overrides", [])
    return [one for override in overrides for one in override["properties"] if one["id"] == setting]


def labels_shown(*texts: str) -> set[str]:
    """Return the labels whose values stand in a legend or a title."""
    return {label for text in texts for label in _SHOWN.findall(text)}


def read(expr: str) -> Expr | None:
    """Return an expression with its variables as they are; None where `target-promql` has its word to say."""
    try:
        return parse(_INTERVALS.sub(lambda found: _DURATIONS[found[1]], expr))
    except ValueError:
        return None


def asked(dashboard: Json) -> Iterator[tuple[Query, Expr]]:
    """Yield every query of panels and annotations that can be read."""
    for query in (*queries(dashboard), *annotation_queries(dashboard)):
        tree = read(query.expr)
        if tree is not None:
            yield query, tree


def trees(panel: Json) -> list[Expr]:
    """Return the queries of a panel that can be read."""
    return [tree for target in panel.get("targets", []) if (tree := read(target["expr"])) is not None]


def calls(tree: Expr) -> list[Call]:
    """Return every call of a function."""
    found: list[Call] = []

    def enter(node: Expr) -> None:
        if isinstance(node, Call):
            found.append(node)

    walk(tree, enter)
    return found


def names_any(tree: Expr, metrics: Collection[str]) -> bool:
    """Tell whether an expression reads one of these metrics."""
    return any(selector.name in metrics for selector in selectors(tree))


def is_over_rate_interval(argument: Expr) -> bool:
    """Tell whether what a function reads is a range of `$__rate_interval`."""
    return isinstance(argument, MatrixSelector) and f"{argument.range.total_seconds():.0f}s" == _RATE_INTERVAL


def is_of_rules(selector: VectorSelector) -> bool:
    """Tell whether a series is made by rules, which keep neither job nor instance."""
    return selector.name == "ALERTS" or ":" in (selector.name or "")


def innermost_aggregation(tree: Expr) -> list[tuple[VectorSelector, str]]:
    """Return every selector, with the aggregation that it meets first."""
    found: list[tuple[VectorSelector, str]] = []
    operators: list[str] = []

    def enter(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            operators.append(str(node.op))
        elif isinstance(node, VectorSelector):
            found.append((node, operators[-1] if operators else ""))

    def leave(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            operators.pop()

    walk(tree, enter, leave)
    return found
