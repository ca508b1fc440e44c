"""Which labels the series of an expression carry: worked out from what its metrics are declared with.

It is to labels what a type checker is to types: a label that cannot be there (grouped by, joined on, matched) is a
fault, though Prometheus would answer without a word, with nothing or with everything in one series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    MatrixSelector,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorMatchCardinality,
    VectorSelector,
)

Labels = frozenset[str]

#: What every scraped series carries.
OF_TARGETS: Final = frozenset({"job", "instance"})

_NO_LABELS: Final = frozenset({"scalar", "vector", "time", "pi"})
_KEEPERS: Final = frozenset({"topk", "bottomk", "quantile_over_time"})


class Reading:
    """One reading of an expression, and the faults that it met."""

    def __init__(self, known: Mapping[str, Labels]) -> None:
        self.faults: list[str] = []
        self._known = known

    def labels(self, expr: Expr) -> Labels:
        """Return the labels that the result's series may carry; none for a number."""
        match expr:
            case ParenExpr() | UnaryExpr() | SubqueryExpr():
                return self.labels(expr.expr)
            case MatrixSelector():
                return self._selected(expr.vector_selector)
            case VectorSelector():
                return self._selected(expr)
            case AggregateExpr():
                return self._aggregated(expr)
            case Call():
                return self._called(expr)
            case BinaryExpr():
                return self._joined(expr)
        return frozenset()

    def _selected(self, selector: VectorSelector) -> Labels:
        labels = self._known.get(selector.name or "")
        if labels is None:
            self.faults.append(f"there is no metric {selector.name}")
            return OF_TARGETS | {one.name for one in selector.matchers.matchers}
        self._must_have(labels, (one.name for one in selector.matchers.matchers), f"{selector.name}")
        return labels

    def _aggregated(self, expr: AggregateExpr) -> Labels:
        labels = self.labels(expr.expr)
        if expr.modifier is None:
            return labels if str(expr.op) in _KEEPERS else frozenset()
        self._must_have(labels, expr.modifier.labels, f"what `{expr.op} by` reads")
        named = frozenset(expr.modifier.labels)
        if str(expr.op) in _KEEPERS:
            return labels
        return named if expr.modifier.type is AggModifierType.By else labels - named

    def _called(self, call: Call) -> Labels:
        name = call.func.name
        if name in _NO_LABELS:
            for argument in call.args:
                self.labels(argument)
            return frozenset()
        read = [self.labels(argument) for argument in call.args if not isinstance(argument, StringLiteral)]
        labels = frozenset[str]().union(*read)
        if name == "histogram_quantile":
            self._must_have(labels, ["le"], "what histogram_quantile reads")
            return labels - {"le"}
        if name == "label_replace":
            return labels | {call.args[1].val}
        return labels

    def _joined(self, expr: BinaryExpr) -> Labels:
        left, right = self.labels(expr.lhs), self.labels(expr.rhs)
        if expr.modifier is None or expr.modifier.matching is None:
            return self._matched_on_all(expr, left, right)
        matching = expr.modifier.matching
        named = frozenset(matching.labels)
        is_on = matching.type is LabelModifierType.Include
        if is_on:
            self._must_have(left, named, f"the left of `{expr.op}`")
            self._must_have(right, named, f"the right of `{expr.op}`")
        brought = expr.modifier.group_labels or []
        match expr.modifier.card:
            case VectorMatchCardinality.ManyToOne:
                self._must_have(right, brought, "what group_left brings")
                return left | frozenset(brought)
            case VectorMatchCardinality.OneToMany:
                self._must_have(left, brought, "what group_right brings")
                return right | frozenset(brought)
            case VectorMatchCardinality.ManyToMany:
                return left | right if str(expr.op) == "or" else left
        if _is_filter(expr):
            return left if not is_on else named
        return named if is_on else left - named

    def _matched_on_all(self, expr: BinaryExpr, left: Labels, right: Labels) -> Labels:
        """Read an operation whose sides meet in all their labels: then they must carry the same."""
        if _is_number(expr.lhs) or _is_number(expr.rhs):
            return left | right
        if str(expr.op) == "or":
            return left | right
        if left != right:
            self.faults.append(f"`{expr.op}` has {_list(left)} on its left and {_list(right)} on its right")
        return left

    def _must_have(self, labels: Labels, wanted: Iterable[str], where: str) -> None:
        missing = sorted(set(wanted) - labels - {"__name__"})
        if missing:
            self.faults.append(f"{where} has no label {_list(missing)}")


def _is_filter(expr: BinaryExpr) -> bool:
    return str(expr.op) in {"==", "!=", "<", ">", "<=", ">="}


def _is_number(expr: Expr) -> bool:
    """Tell whether an expression is a number and no vector, which meets whatever there is."""
    match expr:
        case ParenExpr() | UnaryExpr():
            return _is_number(expr.expr)
        case BinaryExpr():
            return _is_number(expr.lhs) and _is_number(expr.rhs)
        case Call():
            return expr.func.name in {"time", "scalar", "pi"}
        case AggregateExpr() | VectorSelector() | MatrixSelector() | SubqueryExpr():
            return False
    return True


def _list(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels)) or "none"
