"""The objectives of `grafana/slo.toml`: how quickly mail of each priority is to be with a provider."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

FILE: Final = Path(__file__).parents[1] / "slo.toml"


class Objective(NamedTuple):
    """What is promised of one priority."""

    priority: str
    within_seconds: int
    #: The share of messages that must not take longer: exact, since 1 - 0.999 is no 0.001 in binary.
    share: Decimal

    @property
    def budget(self) -> Decimal:
        """The share of messages that may be late."""
        return 1 - self.share


@cache
def objectives() -> tuple[Objective, ...]:
    """Return the objectives, the most urgent first."""
    priorities = tomllib.loads(FILE.read_text(), parse_float=Decimal)["priorities"]
    return tuple(Objective(name, one["within_seconds"], one["objective"]) for name, one in priorities.items())


def objective(priority: str) -> Objective:
    """Return what is promised of a priority."""
    return next(one for one in objectives() if one.priority == priority)


@cache
def period_days() -> int:
    """Return over how many days the objectives hold."""
    return int(tomllib.loads(FILE.read_text())["period_days"])
