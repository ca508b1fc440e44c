"""The smaller kinds of panel: numbers, heat maps, bands of states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import heatmap as build_heatmap
from grafana_foundation_sdk.builders import stat, statetimeline
from grafana_foundation_sdk.models import common, dashboard, heatmap, prometheus

from grafana.source.panel import COUNT, SECONDS, Meanings, Panel, Steps, exceptions, mappings, settings, thresholds


@dataclass(frozen=True, kw_only=True)
class Stat(Panel):
    """Numbers to be read from across a room."""

    steps: Steps = ()
    meanings: Meanings = field(default_factory=dict)
    #: What judges single numbers, by their names.
    own_steps: Mapping[str, Steps] = field(default_factory=dict)
    own_units: Mapping[str, str] = field(default_factory=dict)
    #: A faint curve behind the number.
    has_curve: bool = False

    @property
    def is_instant(self) -> bool:
        """A number shows now; a curve behind it needs what was before."""
        return not self.has_curve

    def draw(self) -> dashboard.Panel:
        """Return the numbers; several of them carry their names."""
        is_named = len(self.asks) > 1 or "{{" in self.asks[0].legend
        panel = (
            stat.Panel()
            .color_mode(common.BigValueColorMode.VALUE)
            .graph_mode(common.BigValueGraphMode.AREA if self.has_curve else common.BigValueGraphMode.NONE)
            .text_mode(common.BigValueTextMode.VALUE_AND_NAME if is_named else common.BigValueTextMode.VALUE)
            .justify_mode(common.BigValueJustifyMode.CENTER)
            .orientation(common.VizOrientation.VERTICAL)
            .reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
            .build()
        )
        defaults = dashboard.FieldConfig(
            thresholds=thresholds(self.steps),
            color=dashboard.FieldColor(dashboard.FieldColorModeId.THRESHOLDS),
            mappings=mappings(self.meanings),
        )
        own = [
            *exceptions({name: {"thresholds": thresholds(steps)} for name, steps in self.own_steps.items()}),
            *exceptions({name: {"unit": unit} for name, unit in self.own_units.items()}),
        ]
        panel.field_config = dashboard.FieldConfigSource(defaults, own)
        return panel


@dataclass(frozen=True, kw_only=True)
class HeatMap(Panel):
    """How many fell into each bucket of a histogram, over time."""

    #: Of the numbers in the cells; the buckets are seconds.
    unit: str = COUNT
    format: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.HEATMAP

    def draw(self) -> dashboard.Panel:
        """Return the heat map: one row for each bucket, none for what is 0."""
        colours = build_heatmap.HeatmapColorOptions()
        colours = colours.mode(heatmap.HeatmapColorMode.SCHEME).scheme("Blues").steps(32).exponent(0.5)
        return (
            build_heatmap.Panel()
            .calculate(calculate=False)
            .color(colours.scale(heatmap.HeatmapColorScale.EXPONENTIAL).fill("blue"))
            .cell_gap(1)
            .filter_values(build_heatmap.FilterValueRange().le(1e-9))
            .y_axis(build_heatmap.YAxisConfig().unit(SECONDS).axis_placement(common.AxisPlacement.LEFT))
            .cell_values(build_heatmap.CellValues().unit(self.unit).decimals(0))
            .tooltip(
                build_heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(y_histogram=True)
            )
            .exemplars_color("orange")
            .show_legend()
            .build()
        )


@dataclass(frozen=True, kw_only=True)
class Timeline(Panel):
    """What something was, over time: one band for each, coloured by its state."""

    meanings: Meanings

    def draw(self) -> dashboard.Panel:
        """Return the bands."""
        panel = (
            statetimeline.Panel()
            .show_value(common.VisibilityMode.NEVER)
            .merge_values(merge_values=True)
            .row_height(0.8)
            .line_width(0)
            .fill_opacity(80)
            .tooltip(build.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
            .legend(
                build.VizLegendOptions()
                .display_mode(common.LegendDisplayMode.LIST)
                .placement(common.LegendPlacement.BOTTOM)
                .show_legend(show_legend=True)
            )
            .build()
        )
        defaults = settings(panel).defaults
        defaults.mappings = mappings(self.meanings)
        defaults.color = dashboard.FieldColor(dashboard.FieldColorModeId.THRESHOLDS)
        return panel
