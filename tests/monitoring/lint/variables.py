"""Variables: the same on every dashboard, read anew when they have to be, and each of some use."""

from __future__ import annotations

import re
from typing import Final

from tests.monitoring.labels import Reading
from tests.monitoring.lint.reading import asks_the_chosen, read, variables_of
from tests.monitoring.lint.ruling import Found, Known, rule
from tests.monitoring.promql import Json, annotation_queries, queries, variable_queries

_USED: Final = re.compile(r"\$\{?([a-zA-Z]\w*)")


@rule("template-datasource")
def _datasource(dashboard: Json, _: Known) -> Found:
    found = [one for one in variables_of(dashboard) if one["type"] == "datasource"]
    if [(one["name"], one.get("label"), one.get("query")) for one in found] != [
        ("datasource", "Data source", "prometheus")
    ]:
        yield "variables", "there is not exactly one data source, `datasource`, labelled `Data source`, of Prometheus"


@rule("template-job")
def _job(dashboard: Json, _: Known) -> Found:
    yield from _choice(dashboard, "job", "Job")


@rule("template-instance")
def _instance(dashboard: Json, _: Known) -> Found:
    yield from _choice(dashboard, "instance", "Instance")


def _choice(dashboard: Json, name: str, label: str) -> Found:
    found = [one for one in variables_of(dashboard) if one["name"] == name]
    if len(found) != 1:
        yield "variables", f"there is no variable `{name}`"
        return
    wanted = {"type": "query", "label": label, "multi": True, "includeAll": True, "allValue": ".+"}
    for key, value in wanted.items():
        if found[0].get(key) != value:
            yield f"variable {name}", f"`{key}` is {found[0].get(key)!r} and not {value!r}"


@rule("template-label-promql")
def _variables_parse(dashboard: Json, known: Known) -> Found:
    try:
        asked = variable_queries(dashboard)
    except ValueError as fault:
        yield "variables", str(fault)
        return
    for query in asked:
        tree = read(query.expr)
        if tree is None:
            yield f"variable {query.panel}", f"`{query.expr}` is no PromQL"
            continue
        reading = Reading(known.series)
        labels = reading.labels(tree)
        yield from ((f"variable {query.panel}", says) for says in reading.faults)
        if not reading.faults and query.legend not in labels:
            yield f"variable {query.panel}", f"`{query.expr}` has no label {query.legend}"


@rule("template-on-time-change-reload")
def _reload(dashboard: Json, _: Known) -> Found:
    on_time_range_changed = 2
    for one in variables_of(dashboard):
        if one["type"] == "query" and one.get("refresh") != on_time_range_changed:
            yield f"variable {one['name']}", "its values are not read again when the time range changes"


@rule("template-datasource-chosen")
def _variables_ask_the_chosen(dashboard: Json, _: Known) -> Found:
    for one in variables_of(dashboard):
        if one["type"] == "query" and not asks_the_chosen(one):
            yield f"variable {one['name']}", "it does not ask ${datasource}"


@rule("template-used")
def _every_variable_is_used(dashboard: Json, _: Known) -> Found:
    declared = {one["name"] for one in variables_of(dashboard)} - {"datasource"}
    asking = [*queries(dashboard), *annotation_queries(dashboard)]
    used = {name for query in asking for name in _USED.findall(query.expr)}
    for name in sorted(declared - used):
        yield f"variable {name}", "nothing depends on it"
    for name in sorted(used - declared):
        yield f"variable {name}", "it is used and not declared"
