"""What all dashboards share: variables, links, and how sections become a grid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana.source.marks import MARKS
from grafana.source.panel import DATASOURCE, Panel, in_sight

TAG: Final = "reliable-email"

OVERVIEW: Final = "reliable-email-overview"
PROVIDERS: Final = "reliable-email-providers"
QUEUE: Final = "reliable-email-queue"
PROCESSES: Final = "reliable-email-processes"

_WHOLE_WIDTH: Final = 24


@dataclass(frozen=True)
class Section:
    """Panels under one heading, line by line; what is a detail is folded until somebody wants it."""

    title: str
    #: Height and panels of each line.
    lines: Sequence[tuple[int, Sequence[Panel]]]
    is_folded: bool = False


@dataclass(frozen=True)
class Choice:
    """A variable whose values are those of a label."""

    name: str
    label: str
    selector: str
    default: str | None = None

    def build(self) -> dashboard.VariableModel:
        """Return the variable; several values may be chosen, and all of them are at first."""
        query = f"label_values({self.selector}, {self.name})"
        chosen = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
        if self.default is not None:
            chosen = dashboard.VariableOption(selected=True, text=[self.default], value=[self.default])
        return dashboard.VariableModel(
            type_val=dashboard.VariableType.QUERY,
            name=self.name,
            label=self.label,
            datasource=DATASOURCE,
            query={"query": query, "refId": self.name},
            definition=query,
            current=chosen,
            multi=True,
            include_all=True,
            all_value=".+",
            refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
            sort=dashboard.VariableSort.NATURAL_ASC,
        )


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    #: The first may go without a title.
    sections: Sequence[Section]
    choices: Sequence[Choice] = field(default_factory=tuple)

    def text(self) -> str:
        """Return the JSON that Grafana reads."""
        return json.dumps(self.build(), cls=JSONEncoder, sort_keys=True, indent=2, ensure_ascii=False) + "\n"

    def build(self) -> dashboard.Dashboard:
        """Return the dashboard in Grafana's own model."""
        return dashboard.Dashboard(
            uid=self.uid,
            title=f"Reliable email / {self.title}",
            description=self.description,
            tags=[TAG],
            editable=False,
            graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
            time=dashboard.DashboardDashboardTime("now-1h", "now"),
            timepicker=dashboard.TimePickerConfig(refresh_intervals=["5s", "10s", "30s", "1m", "5m", "15m", "1h"]),
            refresh="10s",
            timezone="browser",
            panels=list(_place(self.sections)),
            templating=dashboard.DashboardDashboardTemplating(self._variables()),
            annotations=dashboard.AnnotationContainer([mark.build() for mark in MARKS]),
            links=[_links()],
        )

    def _variables(self) -> list[dashboard.VariableModel]:
        datasource = dashboard.VariableModel(
            type_val=dashboard.VariableType.DATASOURCE, name="datasource", label="Data source", query="prometheus"
        )
        choices = (
            Choice("job", "Job", "reliable_email_build_info", default="reliable-email"),
            Choice("instance", "Instance", 'reliable_email_build_info{job=~"$job"}'),
            *self.choices,
        )
        return [datasource, *(choice.build() for choice in choices)]


def _place(sections: Sequence[Section]) -> Iterator[dashboard.Panel | dashboard.RowPanel]:
    """Yield rows and panels with their numbers and places: lines from top to bottom, panels from left to right."""
    number, y = 1, 0
    for section in sections:
        row = dashboard.RowPanel(collapsed=section.is_folded, title=section.title, id_val=number, panels=[])
        row.grid_pos = dashboard.GridPos(h=1, w=_WHOLE_WIDTH, x=0, y=y)
        if section.title:
            number, y = number + 1, y + 1
        panels: list[dashboard.Panel] = []
        for height, line in section.lines:
            x = 0
            for panel in line:
                built = panel.build()
                built.id_val = number
                built.grid_pos = dashboard.GridPos(h=height, w=panel.width, x=x, y=y)
                panels.append(built)
                number, x = number + 1, x + panel.width
            y += height
        if section.is_folded:
            row.panels, panels = panels, []
        if section.title:
            yield row
        yield from panels


def _links() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(
        title="Reliable email",
        type_val=dashboard.DashboardLinkType.DASHBOARDS,
        tags=[TAG],
        include_vars=True,
        keep_time=True,
    )
    return in_sight(link)
