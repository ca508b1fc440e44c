"""Panels: each explains itself, has its place, its unit and its limits, and shows what is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from tests.monitoring.labels import Reading
from tests.monitoring.lint.reading import asks_the_chosen, exceptions_of, name_of, trees
from tests.monitoring.lint.ruling import Found, Known, rule
from tests.monitoring.promql import Json, panels, selectors

#: Units of Grafana that we use: one that it does not know it writes behind the number.
UNITS: Final = frozenset(
    {"bytes", "cpm", "dtdurations", "mps", "ops", "percentunit", "reqps", "s", "short", "suffix:x"}
)

_ANSWERS: Final = ("\n\n**Normal:** ", "\n\n**Otherwise:** ")
_COLUMNS: Final = 24
#: What `grafana/slo.toml` promises something of.
_PROMISED: Final = ("reliable_email_oldest_ready_age_seconds", "reliable_email_end_to_end_seconds_bucket")


@rule("panel-datasource")
def _panels_ask_the_chosen(dashboard: Json, _: Known) -> Found:
    for panel in panels(dashboard):
        if not all(asks_the_chosen(one) for one in (panel, *panel.get("targets", []))):
            yield name_of(panel), "it does not ask ${datasource}"


@rule("panel-title-description")
def _panels_explain_themselves(dashboard: Json, _: Known) -> Found:
    titles: set[str] = set()
    for panel in panels(dashboard):
        if not panel.get("title"):
            yield name_of(panel), "it has no title"
        elif panel["title"] in titles:
            yield name_of(panel), "another panel has the same title"
        titles.add(panel.get("title", ""))
        said = panel.get("description", "")
        if not said or said.startswith("\n") or not all(answer in said for answer in _ANSWERS):
            yield name_of(panel), "its description does not say what it shows, what is normal, and what to do otherwise"


@rule("panel-units")
def _panels_have_units(dashboard: Json, _: Known) -> Found:
    for panel in panels(dashboard):
        fields = panel.get("fieldConfig", {})
        units = [fields.get("defaults", {}).get("unit")]
        units += [value["value"] for value in exceptions_of(panel, "unit")]
        for unit in units:
            if unit not in UNITS:
                yield name_of(panel), f"{unit!r} is no unit that we know"


@rule("panel-no-targets")
def _panels_ask_something(dashboard: Json, _: Known) -> Found:
    for panel in panels(dashboard):
        targets = panel.get("targets", [])
        if not targets or not all(target.get("expr") for target in targets):
            yield name_of(panel), "it asks nothing"
        refs = [target.get("refId") for target in targets]
        if len(set(refs)) != len(refs):
            yield name_of(panel), "two of its queries have the same refId"


@rule("panel-no-value")
def _panels_say_that_there_is_nothing(dashboard: Json, _: Known) -> Found:
    for panel in panels(dashboard):
        if not panel.get("fieldConfig", {}).get("defaults", {}).get("noValue"):
            yield name_of(panel), "it does not say what it means that there is nothing"


@rule("panel-stat-now")
def _numbers_are_of_now(dashboard: Json, _: Known) -> Found:
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            if panel["type"] == "stat" and not target.get("instant") and not target["expr"].endswith("or vector(0)"):
                yield name_of(panel), "its last value would stand there long after nobody tells it any more"


@rule("panel-grid")
def _panels_do_not_overlap(dashboard: Json, _: Known) -> Found:
    listed: Sequence[Json] = dashboard.get("panels", [])
    for group in (listed, *(one.get("panels", []) for one in listed if one["type"] == "row")):
        for panel in group:
            place = panel["gridPos"]
            if (
                place["x"] < 0
                or place["y"] < 0
                or place["x"] + place["w"] > _COLUMNS
                or min(place["w"], place["h"]) < 1
            ):
                yield name_of(panel), "it does not lie within the grid"
        for one, other in combinations(group, 2):
            if _overlap(one["gridPos"], other["gridPos"]):
                yield name_of(one), f"it lies over {name_of(other)}"
        for y in sorted({panel["gridPos"]["y"] for panel in group}):
            wide = sum(panel["gridPos"]["w"] for panel in group if panel["gridPos"]["y"] == y)
            if wide != _COLUMNS:
                yield f"line {y}", f"it is {wide} columns wide and not {_COLUMNS}"


@rule("panel-ids")
def _panels_have_ids_of_their_own(dashboard: Json, _: Known) -> Found:
    listed: Sequence[Json] = dashboard.get("panels", [])
    ids = [one.get("id") for one in (*listed, *(inner for row in listed for inner in row.get("panels", [])))]
    if len(set(ids)) != len(ids) or not all(ids):
        yield "panels", "their ids are not their own"


@rule("panel-columns")
def _columns_exist(dashboard: Json, known: Known) -> Found:
    for panel in panels(dashboard):
        if panel["type"] != "table":
            continue
        targets = panel["targets"]
        there = {f"Value #{target['refId']}" for target in targets} if len(targets) > 1 else {"Value"}
        there |= {"Time", "__name__"}
        for tree in trees(panel):
            there |= Reading(known.series).labels(tree)
        for change in panel.get("transformations", []):
            named = {*change["options"].get("renameByName", {}), *change["options"].get("excludeByName", {})}
            for missing in sorted(named - there):
                yield name_of(panel), f"no query gives a column {missing}"


@rule("panel-thresholds")
def _thresholds_are_what_is_promised(dashboard: Json, known: Known) -> Found:
    for panel in panels(dashboard):
        asked = promises_asked_of(panel, known)
        steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", [])
        values = {step["value"] for step in steps if step["value"] is not None}
        if not asked or panel["type"] not in {"stat", "timeseries"}:
            continue
        for missing in sorted(asked - values):
            yield name_of(panel), f"nothing marks the {missing:g} s that are promised"
        for invented in sorted(values - asked - {seconds / 2 for seconds in asked}):
            yield name_of(panel), f"{invented:g} s is promised nowhere"


def promises_asked_of(panel: Json, known: Known) -> set[float]:
    """Return within how many seconds the mail is to be sent that a panel shows the waiting or the latency of."""
    promised: set[float] = set()
    for selector in (selector for tree in trees(panel) for selector in selectors(tree)):
        if selector.name in _PROMISED:
            chosen = {known.promised.get(one.value) for one in selector.matchers.matchers if one.name == "priority"}
            promised |= {seconds for seconds in chosen if seconds is not None} or {*known.promised.values()}
    return promised


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )
