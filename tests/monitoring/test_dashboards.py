"""The dashboards are those of their source, keep the rules of `lint`, and show every metric that there is."""

from __future__ import annotations

import re
from typing import Final

import pytest
import yaml
from promql_parser import parse

from grafana.source.boards import FOLDER, written
from grafana.source.frame import OVERVIEW, PROCESSES, PROVIDERS, QUEUE
from grafana.source.slo import objectives
from shared.domain.message import Priority
from shared.runtime import metrics
from shared.runtime.metrics import describe
from tests.monitoring import present
from tests.monitoring.lint import RULES, faults
from tests.monitoring.promql import annotation_queries, names, panels, queries, selectors, substitute

#: Metrics that no dashboard and no rule asks for, each with the reason.
ASKED_FOR_BY_NOBODY: Final[dict[str, str]] = {}

ALERTS: Final = [rule for rule in present.rules() if "alert" in rule]

UIDS: Final = {"overview.json": OVERVIEW, "providers.json": PROVIDERS, "queue.json": QUEUE, "processes.json": PROCESSES}


@pytest.mark.parametrize("name", UIDS)
def test_a_dashboard_is_what_its_source_makes(name: str) -> None:
    assert (FOLDER / name).read_text() == written()[name], "`make dashboards` writes it anew"


def test_there_is_no_dashboard_without_a_source() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(written()) == set(UIDS)


@pytest.mark.parametrize("name", UIDS)
def test_a_dashboard_keeps_the_uid_that_others_link_to(name: str) -> None:
    assert present.boards()[name]["uid"] == UIDS[name]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", UIDS)
def test_a_dashboard_keeps_the_rules(name: str, rule: str) -> None:
    found = faults(present.boards()[name], present.known(), only=[rule])

    assert not found, "\n".join(f"{fault.where}: {fault.says}" for fault in found)


def test_every_metric_is_asked_for_by_a_dashboard_or_a_rule_or_stands_here_with_a_reason() -> None:
    declared = {one.name for one in describe()}
    asked = {
        name
        for board in present.boards().values()
        for query in (*queries(board), *annotation_queries(board))
        for name in names(substitute(query.expr))
    }
    asked |= {selector.name or "" for rule in present.rules() for selector in selectors(parse(rule["expr"]))}
    shown = {present.histogram(name, declared) for name in asked}

    assert declared - shown == set(ASKED_FOR_BY_NOBODY)


def test_every_priority_has_an_objective_and_its_bound_is_a_bucket() -> None:
    bounds = metrics._END_TO_END_SECONDS

    assert [one.priority for one in objectives()] == [str(priority) for priority in Priority]
    assert {one.within_seconds for one in objectives()} <= set(bounds)


def test_grafana_finds_the_dashboards_where_they_are_mounted_and_lets_nobody_change_them() -> None:
    provisioned = present.ROOT / "grafana" / "provisioning" / "dashboards" / "reliable-email.yaml"
    [provider] = yaml.safe_load(provisioned.read_text())["providers"]
    grafana = yaml.safe_load((present.ROOT / "compose.yaml").read_text())["services"]["grafana"]

    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert not provider["allowUiUpdates"]


def test_the_rate_interval_is_made_from_the_interval_of_scrapes() -> None:
    provisioned = present.ROOT / "grafana" / "provisioning" / "datasources" / "prometheus.yaml"
    [datasource] = yaml.safe_load(provisioned.read_text())["datasources"]
    compose = yaml.safe_load((present.ROOT / "compose.yaml").read_text())
    scraped = yaml.safe_load(compose["configs"]["prometheus"]["content"])["global"]["scrape_interval"]

    assert datasource["jsonData"]["timeInterval"] == scraped


def test_a_series_has_the_same_colour_wherever_it_is_shown() -> None:
    seen: dict[str, set[str]] = {}
    for board in present.boards().values():
        for panel in panels(board):
            for override in panel["fieldConfig"]["overrides"]:
                for one in override["properties"]:
                    if one["id"] == "color" and override["matcher"]["id"] == "byName":
                        seen.setdefault(override["matcher"]["options"], set()).add(one["value"]["fixedColor"])

    assert {name: colours for name, colours in seen.items() if len(colours) > 1} == {}


def test_the_lines_at_burn_rates_are_those_at_which_alerts_fire() -> None:
    [panel] = [one for one in panels(present.boards()["overview.json"]) if one["title"].startswith("Burn rate")]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    budget = re.escape("* priority:reliable_email_slo_budget:ratio")
    burns = "\n".join(rule["expr"] for rule in present.rules() if "BudgetBurnsFast" in rule.get("alert", ""))

    assert {step["value"] for step in steps} - {None} == set(map(float, re.findall(rf"([\d.]+) {budget}", burns)))


def test_an_alert_that_chooses_for_its_reader_names_a_variable_that_the_dashboard_has() -> None:
    found = [re.match(r"(/d/[\w-]+)\?var-(\w+)=", rule["annotations"]["dashboard"]) for rule in ALERTS]
    named = {(one[1], one[2]) for one in found if one is not None}
    there = {
        (f"/d/{board['uid']}", variable["name"])
        for board in present.boards().values()
        for variable in board["templating"]["list"]
    }

    assert named
    assert named <= there
