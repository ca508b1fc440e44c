"""Every alert means something, wakes only where it must, says what to do, and has been seen to fire and to keep silent.

`promtool` plays `tests/monitoring/rules/*.yaml`; what it cannot know is held here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml
from promql_parser import AggModifierType, AggregateExpr, Expr, Matcher, MatchOp, VectorSelector, parse, walk

from shared.domain.message import Priority
from shared.runtime import metrics
from tests.monitoring import present, promql

ROOT: Final = Path(__file__).parents[2]
RULES: Final = sorted((ROOT / "grafana" / "rules").glob("*.yaml"))
CASES: Final = sorted((ROOT / "tests" / "monitoring" / "rules").glob("*.yaml"))
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
PREFIX: Final = "ReliableEmail"

#: What Prometheus itself puts on every series.
OF_THE_TARGET: Final = {"instance", "job"}
#: These name series of a histogram that are no metric of their own.
OF_HISTOGRAMS: Final = ("_bucket", "_count", "_sum")
#: The windows in which it is told how much is late.
WINDOWS: Final = ("5m", "30m", "1h", "6h", "3d", "30d")
#: Those that must be seen to end, too: somebody is awake and waits for it.
ENDS: Final = ("CriticalMailWaits", "FirstTierProviderOut", "NoProviderWorks", "PoolStranded", "RedisUnreachable")
#: It fires always, so that its silence is heard: there is no scene in which it keeps silent.
ALWAYS: Final = "Watchdog"

Case = dict[str, Any]


class Rule(NamedTuple):
    """A rule as its file has it; an alert's name is without its prefix."""

    name: str
    alerts: bool
    expr: str
    rule: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """The labels that it gives."""
        labels: dict[str, str] = self.rule.get("labels", {})
        return labels

    @property
    def slug(self) -> str:
        """The name of an alert's runbook."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", self.name).lower()

    def __str__(self) -> str:
        return "-".join([self.name, *self.labels.values()])


def rules() -> list[Rule]:
    read = [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    return [
        Rule(rule.get("alert", rule.get("record")).removeprefix(PREFIX), "alert" in rule, rule["expr"], rule)
        for rule in read
    ]


ALL: Final = rules()
ALERTS: Final = [rule for rule in ALL if rule.alerts]
NAMES: Final = sorted({rule.name for rule in ALERTS})
RECORDED: Final = {rule.name for rule in ALL if not rule.alerts}
PAGES: Final = sorted({RUNBOOKS / f"{rule.slug}.md" for rule in ALERTS})


class Scene(NamedTuple):
    """A test of promtool: the series that it has, and what it expects of alerts, in the order of time."""

    series: list[VectorSelector]
    cases: list[Case]

    def of(self, rule: Rule) -> list[bool]:
        """Tell whether a rule fires, at each time at which its alert is asked for."""
        asked = [case.get("exp_alerts", []) for case in self.cases if case["alertname"] == PREFIX + rule.name]
        return [any(rule.labels.items() <= alert["exp_labels"].items() for alert in alerts) for alerts in asked]

    def shows(self, selectors: list[VectorSelector]) -> bool:
        """Tell whether it has a series that one of these selects."""
        return any(_selects(selector, one) for selector in selectors for one in self.series)


@cache
def scenes() -> list[Scene]:
    return [
        Scene(
            [_selector(one["series"]) for one in scene.get("input_series", [])],
            scene.get("alert_rule_test", []),
        )
        for file in CASES
        for scene in yaml.safe_load(file.read_text())["tests"]
    ]


def _selector(text: str) -> VectorSelector:
    (found,) = promql.selectors(parse(text))
    return found


def _selects(selector: VectorSelector, series: VectorSelector) -> bool:
    labels = {one.name: one.value for one in series.matchers.matchers}
    matches = all(_matches(matcher, labels.get(matcher.name, "")) for matcher in selector.matchers.matchers)
    return selector.name == series.name and matches


def _matches(matcher: Matcher, value: str) -> bool:
    if matcher.op in (MatchOp.Equal, MatchOp.NotEqual):  # no set: they have no hash
        return (matcher.value == value) is (matcher.op == MatchOp.Equal)
    return (re.fullmatch(matcher.value, value) is not None) is (matcher.op == MatchOp.Re)


def reads(expr: str) -> list[VectorSelector]:
    """Return what an expression selects, and in place of what other rules record what these select."""
    found = []
    for selector in promql.selectors(parse(expr)):
        recorded = [rule for rule in ALL if not rule.alerts and rule.name == selector.name]
        found += [one for rule in recorded for one in reads(rule.expr)] if recorded else [selector]
    return found


def objectives() -> dict[str, dict[str, float]]:
    document = tomllib.loads((ROOT / "grafana" / "slo.toml").read_text())
    found: dict[str, dict[str, float]] = document["priorities"]
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        # `.ci/run` installs it: what is skipped there would never be tested.
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("the promtool command, which comes with Prometheus, judges and plays rules")
    return found


def ran(*command: str) -> tuple[int, str]:
    """Return a command's exit code and all that it said."""
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ended.returncode, ended.stdout


# -- what promtool says


def test_promtool_finds_no_fault_in_the_rules(promtool: str) -> None:
    code, told = ran(promtool, "check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))

    assert code == 0, told


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_alerts_fire_and_keep_silent_as_they_should(file: Path, promtool: str) -> None:
    code, told = ran(promtool, "test", "rules", str(file))

    assert code == 0, told


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_was_seen_to_fire(rule: Rule) -> None:
    assert any(any(scene.of(rule)) for scene in scenes())


@pytest.mark.parametrize("rule", [rule for rule in ALERTS if rule.name != ALWAYS], ids=str)
def test_an_alert_was_seen_to_keep_silent_about_what_it_reads(rule: Rule) -> None:
    selected = reads(rule.expr)

    assert any(False in scene.of(rule) and scene.shows(selected) for scene in scenes())


@pytest.mark.parametrize("rule", [rule for rule in ALERTS if rule.name in ENDS], ids=str)
def test_an_alert_that_somebody_waits_for_was_seen_to_end(rule: Rule) -> None:
    ends = False
    for scene in scenes():
        fired = scene.of(rule)
        ends |= True in fired and False in fired[fired.index(True) :]

    assert ends


def test_only_alerts_that_there_are_were_played() -> None:
    assert {case["alertname"].removeprefix(PREFIX) for scene in scenes() for case in scene.cases} == set(NAMES)


# -- what an alert says


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_has_the_prefix_and_a_severity(rule: Rule) -> None:
    assert rule.rule["alert"] == PREFIX + rule.name
    assert rule.labels["severity"] in ({"none"} if rule.name == ALWAYS else {"page", "ticket"})


@pytest.mark.parametrize("rule", [rule for rule in ALERTS if rule.labels["severity"] == "page"], ids=str)
def test_a_page_waits_for_a_minute_and_not_for_more_than_five(rule: Rule) -> None:
    assert rule.rule["for"] in {"1m", "2m", "3m", "5m"}


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_says_what_it_means_and_where_to_look_first(rule: Rule) -> None:
    says = rule.rule["annotations"]

    assert set(says) == {"summary", "description", "runbook", "runbook_url", "dashboard"}
    assert says["summary"].endswith(".")
    assert len(says["summary"]) <= 120
    assert "Look first" in says["description"]


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_leads_to_a_dashboard_that_there_is(rule: Rule) -> None:
    uid = re.match(r"/d/([\w-]+)(?:\?|$)", rule.rule["annotations"]["dashboard"])

    assert uid is not None
    dashboard = uid[1].removeprefix("reliable-email-")
    assert f'"uid": "{uid[1]}"' in (ROOT / "grafana" / "dashboards" / f"{dashboard}.json").read_text()


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_an_alert_leads_to_its_runbook_which_names_it(rule: Rule) -> None:
    page = f"docs/runbooks/{rule.slug}.md"

    assert {rule.rule["annotations"]["runbook"], rule.rule["annotations"]["runbook_url"]} == {page}
    assert f"`{PREFIX}{rule.name}`" in (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_answers_the_questions_of_the_night_in_their_order(page: Path) -> None:
    asked = re.findall(r"^\*\*(Means|Users notice|Look|Causes|Over|Do not)", page.read_text(), re.MULTILINE)

    assert asked == ["Means", "Users notice", "Look", "Causes", "Over", "Do not"]
    assert len(page.read_text().splitlines()) <= 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_names_only_panels_that_there_are(page: Path) -> None:
    boards = [json.loads(file.read_text()) for file in (ROOT / "grafana" / "dashboards").glob("*.json")]
    panels = {
        f"{board['title'].removeprefix('Reliable email / ')} / {panel['title']}"
        for board in boards
        for panel in promql.panels(board)
    }

    text = " ".join(page.read_text().split())  # a name may be broken over two lines
    assert set(re.findall(r"(?<!\*)\*([A-Z][a-z ]+ / [^*]+)\*", text)) <= panels


@pytest.mark.parametrize("rule", ALERTS, ids=str)
def test_the_table_of_runbooks_has_the_alert_with_its_severity(rule: Rule) -> None:
    row = re.search(rf"^\| (.+) \| `{rule.name}` \| .+ \| \[.+\]\({rule.slug}\.md\)", _table(), re.MULTILINE)

    assert row is not None
    assert rule.labels["severity"] in row[1].split(", ")


def test_no_runbook_and_no_row_names_an_alert_that_does_not_exist() -> None:
    pages = "".join(page.read_text() for page in RUNBOOKS.glob("*.md"))
    rows = re.findall(r"^\| \w[\w, ]* \| `(\w+)` \|", _table(), re.MULTILINE)

    assert set(re.findall(rf"`{PREFIX}(\w+)`", pages)) == set(NAMES)
    assert sorted(rows) == NAMES


def _table() -> str:
    return (RUNBOOKS / "README.md").read_text()


# -- what rules read


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_a_rule_reads_only_what_there_is(rule: Rule) -> None:
    declared = {name: set(labels) for name, labels in present.OF_OTHERS.items()}
    declared |= {one.name: {*one.labels, *OF_THE_TARGET} for one in metrics.describe()}
    histograms = {one.name for one in metrics.describe() if one.type == "histogram"}
    declared |= {name + end: {*declared[name], "le"} for name in histograms for end in OF_HISTOGRAMS}
    declared |= {name: {"priority"} for name in RECORDED}

    unknown = {name: labels - declared.get(name, set()) for name, labels in promql.names(rule.expr).items()}

    assert set(unknown) <= set(declared)
    assert not any(unknown.values()), unknown


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_what_every_scheduler_shows_is_never_added_up(rule: Rule) -> None:
    shown_by_all = {one.name for one in metrics.describe() if one.type == "gauge" and one.roles == (metrics.SCHEDULER,)}

    added = [
        selector.name
        for selector, around in _aggregations(parse(rule.expr))
        if selector.name in shown_by_all and around is not None and not _is_of_one_instance(around)
    ]

    assert added == []


def _aggregations(expr: Expr) -> list[tuple[VectorSelector, AggregateExpr | None]]:
    """Return every selector, with the innermost aggregation around it."""
    found: list[tuple[VectorSelector, AggregateExpr | None]] = []
    around: list[AggregateExpr] = []

    def enter(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            around.append(node)
        elif isinstance(node, VectorSelector):
            found.append((node, around[-1] if around else None))

    def leave(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            around.pop()

    walk(expr, enter, leave)
    return found


def _is_of_one_instance(aggregation: AggregateExpr) -> bool:
    """Whether it takes the greatest or smallest of all instances, or adds up what one of them shows."""
    if str(aggregation.op) in {"max", "min"}:
        return True
    by = aggregation.modifier
    return by is not None and by.type == AggModifierType.By and "instance" in by.labels


# -- the objectives


@pytest.mark.parametrize("window", WINDOWS)
def test_late_is_what_the_objectives_call_late(window: str) -> None:
    (rule,) = (rule for rule in ALL if rule.name == f"priority:reliable_email_slo_errors:ratio_rate{window}")
    bounds = re.findall(r'_bucket\{priority="(\w+)",le="([\d.]+)"\}\[(\w+)\]', rule.expr)

    assert {priority: float(bound) for priority, bound, _ in bounds} == {
        priority: float(objective["within_seconds"]) for priority, objective in objectives().items()
    }
    assert {window_read for *_, window_read in bounds} == {window}
    assert set(objectives()) == set(Priority)


def test_budgets_are_what_the_objectives_leave() -> None:
    budgets = {
        rule.labels["priority"]: rule.expr for rule in ALL if rule.name == "priority:reliable_email_slo_budget:ratio"
    }

    assert {priority: float(expr.removeprefix("vector(").removesuffix(")")) for priority, expr in budgets.items()} == {
        priority: pytest.approx(1 - objective["objective"]) for priority, objective in objectives().items()
    }


@pytest.mark.parametrize("priority", ["normal", "bulk"])
def test_mail_that_has_time_may_wait_as_long_as_the_objective_says(priority: str) -> None:
    read = rf'{{priority="{priority}"\}}\) > (\d+)'
    (bound,) = (found[1] for rule in ALERTS if rule.name == "MailWaits" and (found := re.search(read, rule.expr)))

    assert float(bound) == objectives()[priority]["within_seconds"]
