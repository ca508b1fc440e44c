"""What the dashboards ask Prometheus: every query of a dashboard, made ready to run, and the metrics that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from promql_parser import Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector, parse, walk

#: A dashboard, a panel, a variable: as its JSON stands.
Json = Mapping[str, Any]

_VARIABLE: Final = re.compile(r"\$\{(?P<braced>\w+)(?::\w+)?\}|\$(?P<bare>[a-zA-Z_]\w*)|\[\[(?P<old>\w+)\]\]")
_LABEL_VALUES: Final = re.compile(r"^label_values\((?P<selector>.+),\s*(?P<label>\w+)\)$", re.DOTALL)


class Query(NamedTuple):
    """One expression of a dashboard, as it stands there, with its variables."""

    panel: str
    ref_id: str
    expr: str
    legend: str = ""


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield every panel that shows data, those of collapsed rows too; rows themselves are none."""
    for panel in dashboard.get("panels", []):
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def queries(dashboard: Json) -> list[Query]:
    """Return what the panels ask, in their order."""
    return [
        Query(panel.get("title", ""), target.get("refId", ""), target.get("expr", ""), target.get("legendFormat", ""))
        for panel in panels(dashboard)
        for target in panel.get("targets", [])
    ]


def annotation_queries(dashboard: Json) -> list[Query]:
    """Return what the annotations ask; `panel` is the annotation's name, `legend` its title."""
    listed = dashboard.get("annotations", {}).get("list", [])
    return [Query(one["name"], "", one["expr"], one.get("titleFormat", "")) for one in listed if one.get("expr")]


def variable_queries(dashboard: Json) -> list[Query]:
    """Return the selectors whose series give variables their values; `panel` is the variable, `legend` the label.

    A variable's own query is `label_values(selector, label)`, which is Grafana's language and not PromQL.

    Raises:
        ValueError: If a variable asks in another form.
    """
    found = []
    for variable in dashboard.get("templating", {}).get("list", []):
        if variable["type"] != "query":
            continue
        text = variable["query"]["query"] if isinstance(variable["query"], Mapping) else variable["query"]
        asked = _LABEL_VALUES.match(text)
        if asked is None:
            message = f"variable {variable['name']}: `{text}` is no label_values(selector, label)"
            raise ValueError(message)
        found.append(Query(variable["name"], "", asked["selector"], asked["label"]))
    return found


def substitute(expr: str, interval: str = "15s", range_: str = "5m") -> str:
    """Return an expression that Prometheus understands: intervals and range filled in, every other variable `.*`."""
    filled = {
        "__rate_interval": interval,
        "__interval": interval,
        "__range": range_,
        "__range_s": str(_seconds(range_)),
        "__interval_ms": str(_seconds(interval) * 1000),
    }

    def fill(found: re.Match[str]) -> str:
        return filled.get(found["braced"] or found["bare"] or found["old"], ".*")

    return _VARIABLE.sub(fill, expr)


def names(expr: str) -> dict[str, set[str]]:
    """Return the metrics that a substituted expression names, each with the labels that its selectors match.

    Raises:
        ValueError: If the expression is no PromQL.
    """
    found: dict[str, set[str]] = {}
    for selector in selectors(parse(expr)):
        found.setdefault(selector.name or "", set()).update(one.name for one in selector.matchers.matchers)
    return found


def selectors(expr: Expr) -> list[VectorSelector]:
    """Return every selector of an expression, those with a range too."""
    return [selector for selector, _ in selectors_with_function(expr)]


def selectors_with_function(expr: Expr) -> list[tuple[VectorSelector, str]]:
    """Return every selector, with the function that reads it over a range, or nothing where none does."""
    found: list[tuple[VectorSelector, str]] = []
    calls: list[str] = []
    ranges: list[str] = []

    def enter(node: Expr) -> None:
        if isinstance(node, Call):
            calls.append(node.func.name)
        elif isinstance(node, SubqueryExpr):
            calls.append("")  # what is read over its range is what the inner expression gives
        elif isinstance(node, MatrixSelector):
            ranges.append(calls[-1] if calls else "")
        elif isinstance(node, VectorSelector):
            found.append((node, ranges[-1] if ranges else ""))

    def leave(node: Expr) -> None:
        if isinstance(node, Call | SubqueryExpr):
            calls.pop()
        elif isinstance(node, MatrixSelector):
            ranges.pop()

    walk(expr, enter, leave)
    return found


def _seconds(duration: str) -> int:
    number, unit = int(duration[:-1]), duration[-1]
    return number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
