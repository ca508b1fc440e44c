"""All dashboards, and the files in which Grafana finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grafana.source import overview, processes, providers, queue

FOLDER: Final = Path(__file__).parents[1] / "dashboards"


def written() -> dict[str, str]:
    """Return the text of each file in the folder of dashboards, by its name."""
    return {
        "overview.json": overview.BOARD.text(),
        "providers.json": providers.BOARD.text(),
        "queue.json": queue.BOARD.text(),
        "processes.json": processes.BOARD.text(),
    }
