"""Curves, areas and bars over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import common, dashboard

from grafana.source.colours import QUIET
from grafana.source.panel import Panel, exceptions, fixed, limits, settings

#: Panels of this width have room for a legend beside them; so many series fit into one line below.
_WIDE: Final = 12
_FEW: Final = 5
#: Else a bar that stands alone would be as wide as the panel.
_BAR_PIXELS: Final = 24

#: What Grafana calls its calculations, where a legend is sorted by one.
_CALCULATIONS: Final = {"lastNotNull": "Last *", "max": "Max", "min": "Min", "sum": "Total"}

_DASHED: Final = {
    "color": {"mode": "fixed", "fixedColor": QUIET},
    "custom.lineStyle": {"fill": "dash", "dash": [8, 8]},
    "custom.hideFrom": {"legend": True, "tooltip": False, "viz": False},
}


class Scale(Enum):
    """How values become heights."""

    LINEAR = "linear"
    #: By powers of ten.
    POWERS = "log"
    #: By powers of ten, linear from 0 to 1: for what is often 0.
    FROM_ZERO = "symlog"


@dataclass(frozen=True, kw_only=True)
class Lines(Panel):
    """Curves over time. A gap stays a gap: nobody told anything then."""

    #: The colour of each series by its name; others take the palette.
    colours: Mapping[str, str] = field(default_factory=dict)
    is_stacked: bool = False
    #: Stacked up to 100 %.
    is_share: bool = False
    #: Bars in place of curves, for what is rare and counted.
    has_bars: bool = False
    #: Dashed lines across the panel, by value: what was promised, or from where on it is grave.
    limits: Mapping[float, str] = field(default_factory=dict)
    #: Series that are limits themselves, by name or pattern.
    dashed: Sequence[str] = ()
    lowest: float | None = 0
    highest: float | None = None
    #: How far the scale reaches at least.
    reaches: float | None = None
    scale: Scale = Scale.LINEAR
    #: What the legend tells of each series beside its name; the most of the last comes first.
    tells: Sequence[str] = ("lastNotNull", "max")

    def draw(self) -> dashboard.Panel:
        """Return the curves. What is stacked has no outline: that of an empty series would lie on top of all others."""
        is_filled = self.is_stacked or self.is_share or self.has_bars
        panel = (
            timeseries.Panel()
            .draw_style(common.GraphDrawStyle.BARS if self.has_bars else common.GraphDrawStyle.LINE)
            .line_width(0 if is_filled else 1)
            .fill_opacity(70 if is_filled else 0)
            .show_points(common.VisibilityMode.AUTO)
            .point_size(4)
            .bar_max_width(_BAR_PIXELS)
            .tooltip(_all_series())
            .legend(self._legend())
            .scale_distribution(self._scale())
            .stacking(self._stacking())
            .thresholds_style(build.GraphThresholdsStyleConfig().mode(self._limits_style()))
        )
        built = (panel if self.reaches is None else panel.axis_soft_max(self.reaches)).build()
        config = settings(built)
        config.defaults.min_val, config.defaults.max_val = self.lowest, self.highest
        config.defaults.color = dashboard.FieldColor(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
        config.defaults.thresholds = limits(self.limits)
        config.overrides = [*fixed(self.colours), *exceptions(dict.fromkeys(self.dashed, _DASHED))]
        return built

    def _legend(self) -> build.VizLegendOptions:
        """Return the legend: a table beside a wide panel or below a narrow one; in one line for a few known series."""
        is_wide = self.width >= _WIDE
        is_short = not is_wide and 0 < len(self.colours) <= _FEW
        mode = common.LegendDisplayMode.LIST if is_short else common.LegendDisplayMode.TABLE
        place = common.LegendPlacement.RIGHT if is_wide else common.LegendPlacement.BOTTOM
        legend = build.VizLegendOptions().display_mode(mode).placement(place).show_legend(show_legend=True)
        legend = legend.calcs(list(self.tells[-1:] if is_short else self.tells))
        if is_short or len(self.colours) == len(self.asks) > 1:
            return legend
        return legend.sort_by(_CALCULATIONS[self.tells[-1]]).sort_desc(self.tells[-1] != "min")

    def _scale(self) -> build.ScaleDistributionConfig:
        scale = build.ScaleDistributionConfig().type(common.ScaleDistribution(self.scale.value))
        return scale.log(10).linear_threshold(1) if self.scale is Scale.FROM_ZERO else scale.log(10)

    def _stacking(self) -> build.StackingConfig:
        if self.is_share:
            mode = common.StackingMode.PERCENT
        else:
            mode = common.StackingMode.NORMAL if self.is_stacked or self.has_bars else common.StackingMode.NONE
        return build.StackingConfig().mode(mode).group("A")

    def _limits_style(self) -> common.GraphThresholdsStyleMode:
        return common.GraphThresholdsStyleMode.DASHED if self.limits else common.GraphThresholdsStyleMode.OFF


def _all_series() -> build.VizTooltipOptions:
    return build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
