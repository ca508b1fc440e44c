"""Rounds of reference, ours, reference; a table of ratios; a history of them."""

from __future__ import annotations

import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

ROUNDS: Final = 5
#: Where the references of one round differ by more than this, the machine changed its speed meanwhile.
TRUSTED_DIFFERENCE: Final = 0.1
HISTORY: Final = Path(__file__).with_name("history.jsonl")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, the reference beside it, and the ratio. `bar` is what we ask of the ratio,
    `least` what we ask of the figure itself."""

    name: str
    unit: str
    ours: float
    reference: float | None
    ratio: float | None
    bar: float | None = None
    least: float | None = None
    void: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the figure holds what we ask of it."""
        if self.void:
            return "void"
        asked = [(self.ratio, self.bar), (self.ours, self.least)]
        judged = [value >= bound for value, bound in asked if value is not None and bound is not None]
        return "" if not judged else "ok" if all(judged) else "MISSED"


def compare(
    name: str,
    unit: str,
    ours: Callable[[], float],
    reference: Callable[[], float],
    *,
    bar: float | None = None,
    least: float | None = None,
    note: str = "",
    rounds: int = ROUNDS,
) -> Row:
    """Measure ours between two references, several times, and return the row."""
    trusted: list[tuple[float, float]] = []
    all_rounds: list[tuple[float, float]] = []
    for _ in range(rounds):
        before, figure, after = reference(), ours(), reference()
        beside = (before + after) / 2
        all_rounds.append((figure, beside))
        if abs(before - after) <= TRUSTED_DIFFERENCE * max(before, after):
            trusted.append((figure, beside))
    void = len(trusted) <= rounds // 2
    counted = all_rounds if void else trusted
    return Row(
        name,
        unit,
        statistics.median(figure for figure, _ in counted),
        statistics.median(beside for _, beside in counted),
        statistics.median(figure / beside for figure, beside in counted),
        bar,
        least,
        void,
        f"{note} ({len(trusted)} of {rounds} rounds trusted)".strip(),
    )


def alone(name: str, unit: str, figure: float, *, least: float | None = None, note: str = "") -> Row:
    """Return a row without a reference."""
    return Row(name, unit, figure, None, None, least=least, note=note)


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | ours | reference | ratio | asked | |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        asked = f"ratio ≥ {row.bar:g}" if row.bar is not None else f"≥ {row.least:,g}" if row.least is not None else ""
        reference = "" if row.reference is None else f"{row.reference:,.4g}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        verdict = " ".join(part for part in (row.verdict, row.note) if part)
        lines.append(f"| {row.name} | {row.ours:,.4g} {row.unit} | {reference} | {ratio} | {asked} | {verdict} |")
    return "\n".join(lines)


def remember(rows: list[Row], versions: dict[str, str]) -> None:
    """Append the rows to the history, with what they were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git is on the path
        capture_output=True,
        text=True,
        check=False,
    )
    entry = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip(),
        "machine": {"cores": len(_cores()), "python": platform.python_version()},
        "versions": versions,
        "rows": [{name: value for name, value in asdict(row).items() if value not in {None, ""}} for row in rows],
    }
    with HISTORY.open("ab") as history:
        history.write(orjson.dumps(entry) + b"\n")


def _cores() -> set[int]:
    import os  # noqa: PLC0415 - Linux alone

    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
