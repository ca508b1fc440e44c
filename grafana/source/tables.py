"""Tables: what is so now, a row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common, dashboard, prometheus

from grafana.source.panel import Meanings, Panel, Steps, exceptions, mappings, settings, thresholds


@dataclass(frozen=True)
class Column:
    """A column of a table: what it is called, and its own unit, steps or meanings."""

    name: str
    unit: str | None = None
    decimals: int | None = None
    steps: Steps = ()
    meanings: Meanings = field(default_factory=dict)
    width: int | None = None
    #: A bar from 0 to 100 % behind the number.
    is_gauge: bool = False

    def settings(self) -> Mapping[str, object]:
        """Return what this column has for itself."""
        own: dict[str, object] = {"noValue": "-"}
        if self.unit is not None:
            own["unit"] = self.unit
        if self.decimals is not None:
            own["decimals"] = self.decimals
        if self.width is not None:
            own["custom.width"] = self.width
        if self.meanings:
            own["mappings"] = mappings(self.meanings)
        if self.steps:
            own["thresholds"] = thresholds(self.steps)
        if self.is_gauge:
            own |= {"min": 0, "max": 1, "custom.cellOptions": {"type": "gauge", "mode": "basic"}}
        elif self.meanings or self.steps:
            own["custom.cellOptions"] = {"type": "color-text"}
        return own


@dataclass(frozen=True, kw_only=True)
class Table(Panel):
    """What is so now, a row for each. Queries meet in the labels that they share."""

    #: Columns in their order, by label or as `Value #A`. Other labels stand behind them.
    columns: Mapping[str, Column]
    #: Labels and values that say nothing here.
    hidden: Sequence[str] = ()
    sort_by: str

    format: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.TABLE

    @property
    def is_instant(self) -> bool:
        """A table shows now."""
        return True

    def draw(self) -> dashboard.Panel:
        """Return the table."""
        panel = (
            table.Panel()
            .show_header(show_header=True)
            .cell_height(common.TableCellHeight.SM)
            .sort_by([build.TableSortByFieldState().display_name(self.sort_by)])
            .build()
        )
        panel.transformations = [
            dashboard.DataTransformerConfig("merge", options={}),
            dashboard.DataTransformerConfig("organize", options=self._order()),
        ]
        settings(panel).overrides = exceptions({one.name: one.settings() for one in self.columns.values()})
        return panel

    def _order(self) -> dict[str, object]:
        return {
            "indexByName": {key: place for place, key in enumerate(self.columns)},
            "renameByName": {key: column.name for key, column in self.columns.items()},
            "excludeByName": dict.fromkeys(["Time", *self.hidden], True),
        }
