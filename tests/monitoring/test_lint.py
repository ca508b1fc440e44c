"""Each rule of `lint` finds what it is there for, and finds nothing in a dashboard that is well made."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

import pytest

from tests.monitoring.lint import RULES, Known, faults

Board = dict[str, Any]
Break = Callable[[Board], object]

CHOSEN: Final = 'job=~"$job", instance=~"$instance"'
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
TARGETS: Final = frozenset({"job", "instance"})

KNOWN: Final = Known(
    series={
        "reliable_email_submissions_total": TARGETS | {"result"},
        "reliable_email_processes": TARGETS | {"role"},
        "reliable_email_build_info": TARGETS | {"role"},
        "reliable_email_end_to_end_seconds_bucket": TARGETS | {"priority", "le"},
        "priority:late:ratio": frozenset({"priority"}),
        "ALERTS": frozenset({"alertname", "severity"}),
    },
    counters=["reliable_email_submissions_total", "reliable_email_end_to_end_seconds_bucket"],
    aggregated_by={"reliable_email_processes": "max"},
    boards={"one": ["email"], "other": ["email"]},
    promised={"critical": 5, "bulk": 300},
    with_exemplars=["reliable_email_end_to_end_seconds"],
)


def panel(number: int, x: int, y: int, kind: str, target: dict[str, Any]) -> Board:
    return {
        "id": number,
        "type": kind,
        "title": f"Panel {number}",
        "description": "What it shows.\n\n**Normal:** this.\n\n**Otherwise:** that.",
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": 12, "h": 8},
        "targets": [{"refId": "A", "datasource": DATASOURCE, **target}],
        "fieldConfig": {"defaults": {"unit": "s", "noValue": "none"}, "overrides": []},
    }


def choice(name: str, label: str) -> Board:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "query": {"query": f"label_values(reliable_email_build_info, {name})"},
        "datasource": DATASOURCE,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "refresh": 2,
    }


def good() -> Board:
    """Return a dashboard with one of everything: curves, a number, a table, a folded row with a latency."""
    rate = f"sum by (result) (rate(reliable_email_submissions_total{{{CHOSEN}}}[$__rate_interval]))"
    number = f"max(reliable_email_processes{{{CHOSEN}}})"
    late = (
        "histogram_quantile(0.99, sum by (le) "
        f'(rate(reliable_email_end_to_end_seconds_bucket{{{CHOSEN}, priority="critical"}}[$__rate_interval])))'
    )
    curves = panel(1, 0, 0, "timeseries", {"expr": rate, "legendFormat": "{{result}}"})
    curves["links"] = [{"url": "/d/other?${__url_time_range}&${__all_variables}"}]
    stat = panel(2, 12, 0, "stat", {"expr": number, "legendFormat": "all", "instant": True})
    table = panel(3, 0, 8, "table", {"expr": "ALERTS"})
    table["transformations"] = [{"id": "organize", "options": {"renameByName": {"severity": "Severity"}}}]
    recorded = panel(4, 12, 8, "timeseries", {"expr": "priority:late:ratio", "legendFormat": "{{priority}}"})
    latency = panel(5, 0, 17, "timeseries", {"expr": late, "legendFormat": "p99", "exemplar": True})
    latency["gridPos"]["w"] = 24
    latency["fieldConfig"]["defaults"]["thresholds"] = {"steps": [{"value": None}, {"value": 5}]}
    row = {
        "id": 6,
        "type": "row",
        "gridPos": {"x": 0, "y": 16, "w": 24, "h": 1},
        "collapsed": True,
        "panels": [latency],
    }
    return {
        "uid": "one",
        "tags": ["email"],
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "links": [{"title": "All", "tags": ["email"], "keepTime": True, "includeVars": True}],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                choice("job", "Job"),
                choice("instance", "Instance"),
            ]
        },
        "annotations": {
            "list": [{"name": "Alerts", "datasource": DATASOURCE, "expr": "ALERTS", "titleFormat": "{{alertname}}"}]
        },
        "panels": [curves, stat, table, recorded, row],
    }


def variable(board: Board, name: str) -> Board:
    found: Board = next(one for one in board["templating"]["list"] if one["name"] == name)
    return found


def target(board: Board, place: int) -> Board:
    found: Board = board["panels"][place]["targets"][0]
    return found


def latency(board: Board) -> Board:
    found: Board = board["panels"][4]["panels"][0]
    return found


def defaults(board: Board) -> Board:
    found: Board = board["panels"][0]["fieldConfig"]["defaults"]
    return found


def order(board: Board) -> Board:
    """Return what a table does with its columns."""
    found: Board = board["panels"][2]["transformations"][0]["options"]
    return found


def lead(url: str) -> Break:
    return lambda board: board["panels"][0]["links"][0].update(url=url)


def ask(expr: str, place: int = 1) -> Break:
    return lambda board: target(board, place).update(expr=expr)


#: What breaks each rule, and nothing else that it looks at.
BREAKS: Final[list[tuple[str, Break]]] = [
    ("template-datasource", lambda board: board["templating"]["list"].pop(0)),
    ("template-datasource", lambda board: variable(board, "datasource").update(query="loki")),
    ("template-job", lambda board: board["templating"]["list"].pop(1)),
    ("template-job", lambda board: variable(board, "job").update(multi=False)),
    ("template-instance", lambda board: variable(board, "instance").update(allValue=".*")),
    ("template-instance", lambda board: variable(board, "instance").update(name="pod")),
    ("template-label-promql", lambda board: variable(board, "job").update(query="label_values(job)")),
    ("template-label-promql", lambda board: variable(board, "job").update(query="label_values(up{, job)")),
    ("template-label-promql", lambda board: variable(board, "job").update(query="label_values(gone, job)")),
    (
        "template-label-promql",
        lambda board: variable(board, "job").update(query="label_values(reliable_email_build_info, pod)"),
    ),
    ("template-on-time-change-reload", lambda board: variable(board, "job").update(refresh=1)),
    ("template-datasource-chosen", lambda board: variable(board, "job").update(datasource={"uid": "abc"})),
    ("template-used", lambda board: board["templating"]["list"].append(choice("role", "Role"))),
    ("template-used", ask('max(reliable_email_processes{role="$role"})')),
    ("panel-datasource", lambda board: board["panels"][0].update(datasource={"type": "prometheus", "uid": "abc"})),
    ("panel-datasource", lambda board: latency(board)["targets"][0].pop("datasource")),
    ("panel-title-description", lambda board: board["panels"][0].pop("title")),
    ("panel-title-description", lambda board: board["panels"][0].update(title="Panel 2")),
    ("panel-title-description", lambda board: latency(board).update(description="What it shows.")),
    ("panel-units", lambda board: defaults(board).pop("unit")),
    ("panel-units", lambda board: defaults(board).update(unit="secs")),
    (
        "panel-units",
        lambda board: board["panels"][2]["fieldConfig"]["overrides"].append(
            {"matcher": {"id": "byName", "options": "A"}, "properties": [{"id": "unit", "value": "secs"}]}
        ),
    ),
    ("panel-no-targets", lambda board: board["panels"][0].update(targets=[])),
    ("panel-no-targets", lambda board: latency(board)["targets"].append({"refId": "B", "expr": ""})),
    ("panel-no-targets", lambda board: board["panels"][0]["targets"].append(dict(target(board, 0)))),
    ("panel-no-value", lambda board: defaults(board).pop("noValue")),
    ("panel-stat-now", lambda board: target(board, 1).update(instant=False)),
    ("panel-grid", lambda board: board["panels"][1]["gridPos"].update(x=11)),
    ("panel-grid", lambda board: board["panels"][1]["gridPos"].update(w=13)),
    ("panel-grid", lambda board: board["panels"][1]["gridPos"].update(h=9)),
    ("panel-grid", lambda board: board["panels"][1]["gridPos"].update(w=11)),
    ("panel-ids", lambda board: latency(board).update(id=1)),
    (
        "panel-columns",
        lambda board: order(board).update(renameByName={"x": "X"}),
    ),
    (
        "panel-columns",
        lambda board: order(board).update(excludeByName={"Value #A": True}),
    ),
    ("panel-thresholds", lambda board: latency(board)["fieldConfig"]["defaults"]["thresholds"]["steps"].pop()),
    (
        "panel-thresholds",
        lambda board: latency(board)["fieldConfig"]["defaults"]["thresholds"]["steps"].append({"value": 7}),
    ),
    (
        "panel-thresholds",
        lambda board: latency(board)["targets"][0].update(
            expr=latency(board)["targets"][0]["expr"].replace('="critical"', '=~"$priority"')
        ),
    ),
    ("target-promql", ask("max(")),
    ("target-promql", ask("rate(reliable_email_processes)")),
    ("target-rate-interval", ask(f"sum(rate(reliable_email_submissions_total{{{CHOSEN}}}[5m]))")),
    ("target-rate-interval", ask(f"sum(increase(reliable_email_submissions_total{{{CHOSEN}}}[$__interval]))")),
    ("target-job", ask('max(reliable_email_processes{instance=~"$instance"})')),
    ("target-job", ask('max(reliable_email_processes{job="$job", instance=~"$instance"})')),
    ("target-instance", ask('max(reliable_email_processes{job=~"$job"})')),
    ("target-instance", ask('max(reliable_email_processes{job=~"$job", instance=~"$job"})')),
    ("target-counter-agg", ask(f"sum(reliable_email_submissions_total{{{CHOSEN}}})")),
    ("target-counter-agg", ask(f"max(rate(reliable_email_processes{{{CHOSEN}}}[$__rate_interval]))")),
    ("target-counted-once", ask(f"sum(reliable_email_processes{{{CHOSEN}}})")),
    ("target-counted-once", ask(f"reliable_email_processes{{{CHOSEN}}}")),
    ("target-counted-once", ask(f"max(sum by (role) (reliable_email_processes{{{CHOSEN}}}))")),
    ("target-labels", ask("max(reliable_email_gone)")),
    ("target-labels", ask("max by (pool) (reliable_email_processes)")),
    ("target-labels", ask('max(reliable_email_processes{pool="a"})')),
    ("target-labels", ask("reliable_email_processes / max by (role) (reliable_email_processes)")),
    ("target-labels", ask("histogram_quantile(0.5, sum(rate(reliable_email_end_to_end_seconds_bucket[1m])))")),
    (
        "target-labels",
        ask("reliable_email_build_info * on (instance) group_left (pool) max by (instance) (reliable_email_processes)"),
    ),
    ("target-legend", lambda board: target(board, 0).update(legendFormat="")),
    ("target-legend", lambda board: target(board, 0).update(legendFormat="all")),
    ("target-legend", lambda board: target(board, 0).update(legendFormat="{{result}} {{role}}")),
    ("target-exemplars", lambda board: latency(board)["targets"][0].update(exemplar=False)),
    ("uneditable-dashboard", lambda board: board.pop("editable")),
    ("fixed-uid", lambda board: board.update(uid="three")),
    ("same-habits", lambda board: board.update(refresh="")),
    ("same-habits", lambda board: board["time"].update({"from": "now-6h"})),
    ("links", lambda board: board.update(links=[])),
    ("links", lambda board: board["links"][0].update(tags=["mail"])),
    ("links", lambda board: board["links"][0].update(keepTime=False)),
    (
        "links",
        lead("/d/none?${__url_time_range}&${__all_variables}"),
    ),
    ("links", lead("/d/other?${__url_time_range}")),
    ("annotations", lambda board: board["annotations"]["list"][0].pop("datasource")),
    ("annotations", lambda board: board["annotations"]["list"][0].update(titleFormat="{{pool}}")),
]


def test_a_dashboard_that_is_well_made_has_no_fault() -> None:
    assert faults(good(), KNOWN) == []


@pytest.mark.parametrize(
    ("rule", "break_it"), BREAKS, ids=[f"{rule}-{place}" for place, (rule, _) in enumerate(BREAKS)]
)
def test_a_rule_finds_what_it_is_there_for(rule: str, break_it: Break) -> None:
    board = deepcopy(good())
    break_it(board)

    assert faults(board, KNOWN, only=[rule])


def test_every_rule_is_seen_to_find_something() -> None:
    assert {rule for rule, _ in BREAKS} == set(RULES)
