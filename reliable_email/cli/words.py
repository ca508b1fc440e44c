"""Answers of the service as a person reads them: plain lines, the same on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def clean(text: object) -> str:
    """Return a text of others without what could command the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return lines with aligned columns."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(heads), *cells]) for column in range(len(heads))]
    aligned = ([f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)] for row in [heads, *cells])
    return ["  ".join(row).rstrip() for row in aligned]


def record(message: Json) -> Iterator[str]:
    """Yield the lines of one message."""
    yield f"{message['id']}  {message['state']}"
    yield f"  subject     {clean(message['subject'])}"
    yield f"  priority    {message['priority']}, pool {message['pool']}"
    for name in ("created_at", "send_at", "expires_at", "finished_at"):
        if message.get(name):
            yield f"  {name.removesuffix('_at'):<11} {message[name]}"
    if waiting := message.get("waiting"):
        until = f", until {waiting['until']}" if waiting.get("until") else ""
        yield f"  waiting     {waiting['code']}: {clean(waiting['detail'])}{until}"
    if reason := message.get("reason"):
        yield f"  reason      {reason['code']}: {clean(reason['detail'])}"
    if message.get("possible_duplicate"):
        yield "  duplicate   possible: an attempt whose answer was lost was followed by another"
    for recipient in message.get("recipients", ()):
        yield f"  {recipient['kind']:<11} {_recipient(recipient)}"
    for attempt in message.get("attempts", ()):
        yield f"  attempt {attempt['number']:<3} {_attempt(attempt)}"


def _recipient(recipient: Json) -> str:
    line = f"{clean(recipient['email'])}  {recipient['state']}"
    if recipient.get("provider"):
        line += f" by {recipient['provider']}"
    if reason := recipient.get("reason"):
        line += f": {clean(reason['detail'] or reason['code'])}"
    return line


def _attempt(attempt: Json) -> str:
    line = f"{attempt['provider']}  {attempt['outcome'] or 'running'}"
    if attempt.get("duration_ms") is not None:
        line += f" in {attempt['duration_ms']} ms"
    return f"{line}: {clean(attempt['detail'])}" if attempt.get("detail") else line


def pause(told: Json) -> str:
    """Return a pause in words: until when, and why."""
    until = f"until {told['until']}" if told["until"] else "until it is resumed"
    return f"paused {until}{': ' + clean(told['reason']) if told['reason'] else ''}"
