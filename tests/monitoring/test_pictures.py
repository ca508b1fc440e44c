"""The pictures of the dashboards: each is there, and stands in the documentation."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from grafana.pictures.draw import DASHBOARDS, HERE, PICTURES, SCALE, WIDTH

PAGE = PICTURES.parent / "monitoring.md"
NAMES = sorted(path.stem for path in DASHBOARDS.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_stands_in_the_documentation_with_its_picture(name: str) -> None:
    assert f"](images/{name}.png)" in PAGE.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_as_wide_as_it_is_drawn_and_no_burden(name: str) -> None:
    content = (PICTURES / f"{name}.png").read_bytes()

    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">I", content[16:20]) == (WIDTH * SCALE,)
    assert len(content) < 350_000


def test_every_kind_of_panel_can_be_drawn() -> None:
    views = (HERE / "src" / "panels" / "PanelView.tsx").read_text()
    boards = [json.loads((DASHBOARDS / f"{name}.json").read_text()) for name in NAMES]
    kinds = {panel["type"] for board in boards for panel in board["panels"]} - {"row"}

    assert [kind for kind in kinds if f"{kind}: " not in views and f'"{kind}": ' not in views] == []


def test_the_lock_names_no_host() -> None:
    lock = json.loads(Path(HERE / "package-lock.json").read_text())

    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
