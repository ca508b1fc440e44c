"""What `promql` reads out of a dashboard."""

from __future__ import annotations

import pytest

from tests.monitoring.promql import annotation_queries, names, queries, substitute, variable_queries


@pytest.mark.parametrize(
    ("expr", "filled"),
    [
        ("rate(a[$__rate_interval])", "rate(a[15s])"),
        ("rate(a[${__rate_interval}]) offset $__interval", "rate(a[15s]) offset 15s"),
        ("increase(a[$__range])", "increase(a[5m])"),
        ('a{job=~"$job", x=~"${y}", z=~"${z:regex}", w=~"[[w]]"}', 'a{job=~".*", x=~".*", z=~".*", w=~".*"}'),
        ('label_replace(a, "b", "$1", "c", "(.*)")', 'label_replace(a, "b", "$1", "c", "(.*)")'),
    ],
)
def test_what_grafana_fills_in_is_filled_in(expr: str, filled: str) -> None:
    assert substitute(expr) == filled


def test_metrics_are_named_with_the_labels_that_choose_among_their_series() -> None:
    expr = 'sum by (x) (rate(a_total{job="j"}[5m])) / on (x) max by (x) (b{y!="1"}) unless b{z="2"}'

    assert names(expr) == {"a_total": {"job"}, "b": {"y", "z"}}


def test_panels_of_folded_rows_ask_too() -> None:
    inner = {"type": "stat", "title": "Inner", "targets": [{"refId": "A", "expr": "up"}]}
    dashboard = {"panels": [{"type": "row", "panels": [inner]}, {"type": "row"}]}

    assert [(query.panel, query.ref_id, query.expr) for query in queries(dashboard)] == [("Inner", "A", "up")]


def test_annotations_that_grafana_keeps_itself_ask_nothing() -> None:
    dashboard = {"annotations": {"list": [{"name": "Notes"}, {"name": "Alerts", "expr": "ALERTS"}]}}

    assert [query.expr for query in annotation_queries(dashboard)] == ["ALERTS"]


def test_a_variable_asks_for_the_series_whose_labels_it_lists() -> None:
    listed = [{"name": "role", "type": "query", "query": {"query": 'label_values(info{a=~"b,c"}, role)'}}]

    assert [(one.panel, one.expr, one.legend) for one in variable_queries({"templating": {"list": listed}})] == [
        ("role", 'info{a=~"b,c"}', "role")
    ]
