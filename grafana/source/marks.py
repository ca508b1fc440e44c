"""What is marked across every chart: what fires, which provider was given up, what was started or configured anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.models import dashboard

from grafana.source.colours import ACT, LOOK, NEUTRAL
from grafana.source.expressions import aggregate, firing, most, ours, theirs
from grafana.source.panel import DATASOURCE

#: As often as metrics are read: less often, and what is short is missed.
_STEP: Final = "15s"


@dataclass(frozen=True)
class Mark:
    """Instants, or times from begin to end, at which an expression has a value."""

    name: str
    expr: str
    colour: str
    title: str
    text: str
    is_shown_at_first: bool = True
    #: The value itself is the instant, in milliseconds.
    is_at_value: bool = False

    def build(self) -> dashboard.AnnotationQuery:
        """Return the mark in Grafana's own model."""
        return dashboard.AnnotationQuery(
            name=self.name,
            datasource=DATASOURCE,
            enable=self.is_shown_at_first,
            icon_color=self.colour,
            expr=self.expr,
            title_format=self.title,
            text_format=self.text,
            step=_STEP,
            use_value_for_time=self.is_at_value,
        )


def _since_now(metric: str, label: str, condition: str = "") -> str:
    """Return what has a value and had none a step before: the beginning alone, for what may last for days."""
    before = aggregate("max", f"{ours(metric)} offset $__interval", label)
    return f"({most(metric, label)}{condition}) unless on ({label}) ({before}{condition})"


_STARTED: Final = (
    f"{theirs('process_start_time_seconds')} * 1000"
    f" * on (job, instance) group_left (role, version) {most('build_info', 'job', 'instance', 'role', 'version')}"
)

MARKS: Final = (
    Mark("Pages", firing('severity="page"'), ACT, "{{alertname}}", "{{priority}} {{provider}} {{role}} {{server}}"),
    Mark(
        "Tickets",
        firing('severity="ticket"'),
        LOOK,
        "{{alertname}}",
        "{{priority}} {{provider}} {{role}} {{server}}",
        is_shown_at_first=False,
    ),
    Mark(
        "Providers given up",
        _since_now("provider_breaker_state", "provider", " == 2"),
        "orange",
        "{{provider}} was given up",
        "its circuit breaker opened",
    ),
    Mark("Starts", _STARTED, NEUTRAL, "{{role}} {{version}} started", "{{instance}}", is_at_value=True),
    Mark(
        "Configurations",
        _since_now("config_info", "revision"),
        "purple",
        "configuration {{revision}}",
        "a process has read it",
    ),
)
