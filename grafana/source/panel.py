"""What every panel has: a title, its description, its queries, its unit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from grafana_foundation_sdk.builders import prometheus as build
from grafana_foundation_sdk.models import common, dashboard, prometheus

from grafana.source.colours import NONE

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

# Units of Grafana (grafana-data, valueFormats/categories).
MAIL_PER_SECOND: Final = "mps"
REQUESTS_PER_SECOND: Final = "reqps"
CALLS_PER_SECOND: Final = "ops"
SECONDS: Final = "s"
SHARE: Final = "percentunit"
COUNT: Final = "short"
BYTES: Final = "bytes"

#: Values from which on a colour holds, upwards; the first is None: from below everything.
Steps = Sequence[tuple[float | None, str]]
#: What a number or a word means: its text and its colour.
Meanings = Mapping[int, tuple[str, str]] | Mapping[str, tuple[str, str]]
#: Names of series or columns, and what of the panel's settings is another there.
Exceptions = Mapping[str, Mapping[str, object]]

#: Keeps the chosen time and variables on the way to another dashboard.
_KEPT: Final = "${__url_time_range}&${__all_variables}"


@dataclass(frozen=True)
class Ask:
    """One query of a panel: PromQL, and how its series are called."""

    expr: str
    legend: str = ""
    #: Shows single messages as dots, each with its trace; for latencies.
    exemplars: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel(ABC):
    """What every kind of panel has. Its description answers a reader's three questions."""

    title: str
    width: int
    shows: str
    normal: str
    otherwise: str
    asks: Sequence[Ask]
    unit: str
    decimals: int | None = None
    #: What stands there where there is nothing.
    empty: str = "no data"
    #: The dashboard that tells more, by its uid.
    leads_to: str | None = None
    #: The shortest step between two points.
    step: str | None = None

    format: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.TIME_SERIES

    @property
    def is_instant(self) -> bool:
        """Whether the panel asks for now alone: then it shows nothing of a process that is gone."""
        return False

    @abstractmethod
    def draw(self) -> dashboard.Panel:
        """Return the panel with what only its kind has."""

    def build(self) -> dashboard.Panel:
        """Return the panel, without number and place."""
        panel = self.draw()
        panel.title = self.title
        panel.description = f"{self.shows}\n\n**Normal:** {self.normal}\n\n**Otherwise:** {self.otherwise}"
        panel.datasource = DATASOURCE
        panel.targets = [self._target(chr(ord("A") + place), ask) for place, ask in enumerate(self.asks)]
        panel.interval = self.step
        panel.links = [_way_to(self.leads_to)] if self.leads_to else None
        defaults = settings(panel).defaults
        defaults.unit, defaults.no_value, defaults.decimals = self.unit, self.empty, self.decimals
        return panel

    def _target(self, ref: str, ask: Ask) -> prometheus.Dataquery:
        query = build.Dataquery().ref_id(ref).datasource(DATASOURCE).editor_mode(prometheus.QueryEditorMode.CODE)
        query = query.expr(ask.expr).legend_format(ask.legend).format(self.format).exemplar(ask.exemplars)
        return (query.instant() if self.is_instant else query.range()).build()


def settings(panel: dashboard.Panel) -> dashboard.FieldConfigSource:
    """Return how a panel shows its series: for all of them, and what is another for some."""
    if panel.field_config is None:
        panel.field_config = dashboard.FieldConfigSource()
    return panel.field_config


def thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    """Return the values from which on colours hold."""
    given = steps or ((None, "text"),)
    return dashboard.ThresholdsConfig(
        dashboard.ThresholdsMode.ABSOLUTE, [dashboard.Threshold(value, colour) for value, colour in given]
    )


def limits(at: Mapping[float, str]) -> dashboard.ThresholdsConfig:
    """Return the values at which a line is drawn across."""
    return thresholds([(None, NONE), *sorted(at.items())])


def mappings(meanings: Meanings) -> list[dashboard.ValueMapping]:
    """Return texts and colours in place of values."""
    results = {
        str(value): dashboard.ValueMappingResult(text=text, color=colour, index=place)
        for place, (value, (text, colour)) in enumerate(meanings.items())
    }
    return [dashboard.ValueMap(results)] if results else []


def fixed(colours: Mapping[str, str]) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
    """Return the exceptions that give series their colours."""
    return exceptions(
        {name: {"color": {"mode": "fixed", "fixedColor": colour}} for name, colour in colours.items()},
    )


def exceptions(given: Exceptions) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
    """Return what of a panel's settings is another for series or columns of these names, or `/patterns/`."""
    return [
        dashboard.DashboardFieldConfigSourceOverrides(
            matcher=dashboard.MatcherConfig("byRegexp" if name.startswith("/") else "byName", name),
            properties=[dashboard.DynamicConfigValue(key, value) for key, value in settings.items()],
        )
        for name, settings in given.items()
    ]


def _way_to(uid: str) -> dashboard.DashboardLink:
    return in_sight(dashboard.DashboardLink(title="Details", url=f"/d/{uid}?{_KEPT}"))


def in_sight(link: dashboard.DashboardLink) -> dashboard.DashboardLink:
    """Return a link that does not hide in a menu, which is the only place that the model knows."""
    link.placement = None  # type: ignore[assignment]  # the model writes what is not None, and Grafana takes its default
    return link
