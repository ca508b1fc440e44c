"""What there is for dashboards to speak of: declared metrics, the client library's, those of rules, objectives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from promql_parser import parse

from grafana.source.slo import objectives
from shared.runtime.metrics import SCHEDULER, describe
from tests.monitoring.labels import OF_TARGETS, Labels, Reading
from tests.monitoring.lint import Known
from tests.monitoring.promql import Json

ROOT: Final = Path(__file__).parents[2]
DASHBOARDS: Final = ROOT / "grafana" / "dashboards"
RULES: Final = ROOT / "grafana" / "rules"

#: Of all that Prometheus and its client library tell beside our own metrics, what dashboards may use.
OF_OTHERS: Final[Mapping[str, Labels]] = {
    "up": OF_TARGETS,
    "process_cpu_seconds_total": OF_TARGETS,
    "process_resident_memory_bytes": OF_TARGETS,
    "process_start_time_seconds": OF_TARGETS,
    "process_open_fds": OF_TARGETS,
    "process_max_fds": OF_TARGETS,
    "python_gc_collections_total": OF_TARGETS | {"generation"},
}

#: What each sender knows of a limit that all of them share: the least of it is true.
_LEAST: Final = ("reliable_email_provider_rate_per_second", "reliable_email_provider_quota_left")
#: What each sender holds for itself.
_SUMS: Final = (
    "reliable_email_provider_in_flight",
    "reliable_email_provider_concurrency",
    "reliable_email_provider_tokens",
    "reliable_email_actor_mailbox_depth",
    "reliable_email_leases_held",
    "reliable_email_submissions_waiting",
)


@cache
def boards() -> dict[str, Json]:
    """Return every dashboard by the name of its file."""
    return {file.name: json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))}


@cache
def known() -> Known:
    """Return all that is there."""
    declared = describe()
    counters = {one.name for one in declared if one.type == "counter"}
    histograms = {one.name for one in declared if one.type == "histogram"}
    told_by_all = {one.name for one in declared if one.type == "gauge" and one.roles == (SCHEDULER,)}
    return Known(
        series=_series(),
        counters=counters
        | {name + end for name in histograms for end in ("_bucket", "_sum", "_count")}
        | {name for name in OF_OTHERS if name.endswith("_total")},
        aggregated_by={
            **dict.fromkeys(told_by_all, "max"),
            **dict.fromkeys(_LEAST, "min"),
            **dict.fromkeys(_SUMS, "sum"),
        },
        boards={board["uid"]: board["tags"] for board in boards().values()},
        promised={one.priority: one.within_seconds for one in objectives()},
        with_exemplars=tuple(f"reliable_email_{name}_seconds" for name in ("submit", "attempt", "end_to_end")),
    )


def rules() -> Iterator[Mapping[str, Any]]:
    """Yield every recording and alerting rule."""
    for file in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def _series() -> dict[str, Labels]:
    series = dict(OF_OTHERS)
    for one in describe():
        labels = OF_TARGETS | set(one.labels)
        if one.type == "histogram":
            series |= {f"{one.name}_sum": labels, f"{one.name}_count": labels, f"{one.name}_bucket": labels | {"le"}}
        else:
            series[one.name] = labels
    for rule in rules():
        if "record" in rule:
            named = series.get(rule["record"], frozenset())
            series[rule["record"]] = named | _labels_of(rule, series)
    alerts = [_labels_of(rule, series) for rule in rules() if "alert" in rule]
    series["ALERTS"] = frozenset({"alertname", "alertstate"}).union(*alerts)
    return series


def _labels_of(rule: Mapping[str, Any], series: Mapping[str, Labels]) -> Labels:
    return Reading(series).labels(parse(rule["expr"])) | set(rule.get("labels", ()))


def histogram(name: str, declared: Iterable[str]) -> str:
    """Return the metric to which a series belongs: the histogram of a `_bucket`, and else itself."""
    for end in ("_bucket", "_sum", "_count"):
        if name.endswith(end) and name.removesuffix(end) in declared:
            return name.removesuffix(end)
    return name
