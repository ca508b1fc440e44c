"""The dashboard as a whole: where it is found, how it opens, where it leads, and what it marks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tests.monitoring.labels import Reading
from tests.monitoring.lint.reading import asks_the_chosen, labels_shown, name_of, read
from tests.monitoring.lint.ruling import Found, Known, rule
from tests.monitoring.promql import Json, panels

_KEPT: Final = ("${__url_time_range}", "${__all_variables}")


@rule("uneditable-dashboard")
def _nobody_edits_it(dashboard: Json, _: Known) -> Found:
    if dashboard.get("editable") is not False:
        yield "dashboard", "it can be edited, and what is edited is lost"


@rule("fixed-uid")
def _its_uid_is_known(dashboard: Json, known: Known) -> Found:
    if dashboard.get("uid") not in known.boards:
        yield "dashboard", f"its uid {dashboard.get('uid')!r} is not one that links and alerts name"


@rule("same-habits")
def _all_open_alike(dashboard: Json, _: Known) -> Found:
    wanted = {"refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser", "graphTooltip": 1}
    for key, value in wanted.items():
        if dashboard.get(key) != value:
            yield "dashboard", f"`{key}` is {dashboard.get(key)!r} and not {value!r}"


@rule("links")
def _links_lead_somewhere(dashboard: Json, known: Known) -> Found:
    links: Sequence[Json] = dashboard.get("links", [])
    if not links:
        yield "dashboard", "nothing leads from it to the others"
    for link in links:
        if not (link.get("keepTime") and link.get("includeVars")):
            yield "dashboard", f"the link {link['title']} loses time or variables"
        if not any(set(link.get("tags", ())) <= set(tags) for tags in known.boards.values()):
            yield "dashboard", f"the link {link['title']} leads to no dashboard"
    for panel in panels(dashboard):
        for link in panel.get("links", []):
            target = re.match(r"^/d/([\w-]+)\?", link["url"])
            if target is None or target[1] not in known.boards:
                yield name_of(panel), f"{link['url']} leads nowhere"
            if not all(kept in link["url"] for kept in _KEPT):
                yield name_of(panel), f"{link['url']} loses time or variables"


@rule("annotations")
def _annotations_can_be_drawn(dashboard: Json, known: Known) -> Found:
    for one in dashboard.get("annotations", {}).get("list", []):
        if not asks_the_chosen(one):
            yield one["name"], "it does not ask ${datasource}"
        tree = read(one["expr"])
        labels = Reading(known.series).labels(tree) if tree else frozenset()
        shown = labels_shown(one.get("titleFormat", ""), one.get("textFormat", ""))
        for missing in sorted(shown - labels) if tree else []:
            yield one["name"], f"it shows a label that no series has: {missing}"
