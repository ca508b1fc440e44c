"""A picture of who got which share when: one panel of stacked areas for each policy on each life, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from reliable_email.simulate.life import Life
from reliable_email.simulate.tally import STEP_SECONDS

#: Told apart by who sees few colours as well (Okabe and Ito).
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
_WIDTH: Final = 960
_LEFT: Final = 150
_PLOT: Final = _WIDTH - _LEFT - 20
_HEIGHT: Final = 84
_GAP: Final = 22
_HEAD: Final = 56
_FOOT: Final = 26
_MOST_COLUMNS: Final = 240
_FEWEST_COLUMNS: Final = 24
#: Where few messages arrive, columns are so wide that each shows a share, and not one attempt.
_ATTEMPTS_IN_COLUMN: Final = 8
_MOST_TICKS: Final = 12
_TICK_SECONDS: Final = (10, 30, 60, 300, 600, 3600, 21_600, 86_400)

Steps = Sequence[Sequence[int]]


def draw(played: Sequence[tuple[Life, Mapping[str, Steps]]]) -> str:
    """Return the picture of each life under each policy, by the attempts of one seed."""
    parts: list[str] = []
    y = 8.0
    for life, by_policy in played:
        parts.extend(_head(life, y))
        y += _HEAD
        for policy, steps in by_policy.items():
            parts.extend(_panel(life, policy, steps, y))
            y += _HEIGHT + _GAP
        parts.extend(_axis(life, y - _GAP))
        y += _FOOT
    frame = f'viewBox="0 0 {_WIDTH} {y:.0f}" width="{_WIDTH}" height="{y:.0f}"'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {frame} font-family="system-ui, sans-serif" font-size="12">'
    return "\n".join([opening, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])


def _head(life: Life, y: float) -> Iterator[str]:
    yield _text(10, y + 14, f"{life.name}: {life.description}", weight="600")
    x = float(_LEFT)
    for place, provider in enumerate(life.providers):
        yield f'<rect x="{x:.0f}" y="{y + 23:.0f}" width="11" height="11" fill="{_colour(place)}"/>'
        yield _text(x + 16, y + 33, provider.name)
        x += 34 + 7 * len(provider.name)
    yield f'<line x1="{x:.0f}" x2="{x + 18:.0f}" y1="{y + 29:.0f}" y2="{y + 29:.0f}" stroke="#b00" stroke-width="3"/>'
    yield _text(x + 24, y + 33, "a provider is not itself")


def _panel(life: Life, policy: str, steps: Steps, y: float) -> Iterator[str]:
    yield _text(_LEFT - 10, y + _HEIGHT / 2 + 4, policy, anchor="end")
    yield f'<rect x="{_LEFT}" y="{y:.1f}" width="{_PLOT}" height="{_HEIGHT}" fill="#f4f4f4"/>'
    shares = _shares(life, steps)
    below = [0.0] * len(shares)
    for place in range(len(life.providers)):
        above = [low + column[place] for low, column in zip(below, shares, strict=True)]
        if any(high > low for high, low in zip(above, below, strict=True)):
            yield _area(below, above, y, _colour(place))
        below = above
    for change in life.changes:
        place = [provider.name for provider in life.providers].index(change.provider)
        for start, end in change.spells():
            yield _mark(life, place, start, life.seconds if end is None else end, y)


def _shares(life: Life, steps: Steps) -> list[list[float]]:
    """Return each provider's share in each column of the picture; where nothing was attempted all are 0."""
    length = max(1, round(life.seconds / STEP_SECONDS))
    attempts = sum(sum(one) for one in steps)
    most = min(_MOST_COLUMNS, max(_FEWEST_COLUMNS, attempts // _ATTEMPTS_IN_COLUMN))
    width = max(1, -(-length // most))
    columns = []
    for first in range(0, length, width):
        counts = [sum(one[first : min(length, first + width)]) for one in steps]
        total = sum(counts)
        columns.append([count / total if total else 0.0 for count in counts])
    return columns


def _area(below: Sequence[float], above: Sequence[float], y: float, colour: str) -> str:
    """Return an area between two lines that go in steps: a share holds for the whole of its column."""
    width = _PLOT / len(above)
    top = [(x, high) for place, high in enumerate(above) for x in (place * width, (place + 1) * width)]
    bottom = [(x, low) for place, low in enumerate(below) for x in (place * width, (place + 1) * width)]
    points = " ".join(f"{_LEFT + x:.1f},{y + _HEIGHT * (1 - share):.0f}" for x, share in [*top, *reversed(bottom)])
    return f'<polygon points="{points}" fill="{colour}"/>'


def _mark(life: Life, place: int, start: float, end: float, y: float) -> str:
    x1, x2 = _x(life, start), _x(life, min(end, life.seconds))
    top = y - 4 - 4 * place
    lines = f'<line x1="{x1:.1f}" x2="{x1:.1f}" y1="{y:.1f}" y2="{y + _HEIGHT:.1f}" stroke="#b00" stroke-width="0.7"/>'
    lines += lines.replace(f"{x1:.1f}", f"{x2:.1f}")
    return (
        f'{lines}<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{top:.1f}" y2="{top:.1f}" stroke="{_colour(place)}"'
        f' stroke-width="3"/><line x1="{x1:.1f}" x2="{x2:.1f}" y1="{top:.1f}" y2="{top:.1f}" stroke="#b00"'
        ' stroke-width="1"/>'
    )


def _axis(life: Life, y: float) -> Iterator[str]:
    step = next((step for step in _TICK_SECONDS if life.seconds / step <= _MOST_TICKS), 604_800)
    for second in range(0, int(life.seconds) + 1, step):
        yield _text(_x(life, second), y + 16, _clock(second), anchor="middle")


def _clock(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds and seconds % 3600 == 0 else f"{seconds // 60}:{seconds % 60:02}"


def _x(life: Life, second: float) -> float:
    return _LEFT + _PLOT * second / life.seconds


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]


def _text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "400") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
