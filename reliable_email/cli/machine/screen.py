"""What `up` shows. No line ever shows an address."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TextIO

from rich.console import Console
from rich.text import Text

from reliable_email import __version__

#: Mails that are shown one by one in a second; of more only the number can be read anyway.
_LINES_PER_SECOND: Final = 20

_VERBS: Final = {"sent": "sent", "partly_sent": "partly sent"}
_INDENT: Final = " " * 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What the first screen tells. `outbox` is None where no provider writes files."""

    data: str
    api: str
    needs_key: bool
    outbox: str | None
    providers: Sequence[str]
    queue: str
    waiting: int
    failed: int
    running: str
    logs: str


def first_screen(facts: Facts) -> str:
    """Return what stands on the screen once everything runs."""
    rows = [f"API      {facts.api}"]
    if facts.outbox is not None:
        only = len(facts.providers) == 1
        files = "every mail becomes an .eml file; nothing leaves this machine" if only else "mails become .eml files"
        rows.append(f"Outbox   {facts.outbox:<30}  {files}")
    if facts.outbox is None or len(facts.providers) > 1:
        rows.append(f"Sends    {' · '.join(facts.providers)}")
    rows.append(f"Queue    {facts.queue:<44}  {_counts(facts)}")
    rows.append(f"Running  {facts.running:<44}  logs: {facts.logs}")
    key = ' -H "Authorization: Bearer $KEY"' if facts.needs_key else ""
    example = '{"from":"you@example.com","to":"ada@example.org","subject":"Hello","text":"It works."}'
    lines = [
        f"reliable-email {__version__} on this machine. Ctrl-C stops it; your mail stays in {facts.data}",
        "",
        *(_INDENT + row for row in rows),
        "",
        "Send one from another terminal:",
        "",
        f"{_INDENT}curl {facts.api}/messages{key} -H 'Content-Type: application/json' \\",
        f"{_INDENT}  -d '{example}'",
        "",
    ]
    if facts.outbox is not None and len(facts.providers) == 1:
        lines += ["Real providers: reliable-email config init", ""]
    return "\n".join(lines)


def _counts(facts: Facts) -> str:
    if facts.waiting or facts.failed:
        return f"found {facts.waiting:,} waiting, {facts.failed:,} failed"
    return "0 waiting · 0 failed"


def mail_line(event: Mapping[str, Any], file: str | None) -> str:
    """Return the line of a message that has ended: its id, how it ended, and the file it became."""
    message_id, state = str(event.get("message_id", "")), str(event.get("state", "sent"))
    provider, seconds = event.get("provider"), event.get("seconds")
    line = f"{clock(event)}  {_short(message_id)}  {_VERBS.get(state, state)}"
    if provider and state in _VERBS:
        line += f" by {provider}"
    if isinstance(seconds, (int, float)):
        line += f" in {_duration(seconds)}"
    if state not in _VERBS and (detail := event.get("detail") or event.get("code")):
        line += f": {detail}"
    return f"{line}  →  {file}" if file is not None and state in _VERBS else line


def clock(event: Mapping[str, Any]) -> str:
    """Return the local time of a log line."""
    try:
        at = datetime.fromisoformat(str(event["timestamp"])).astimezone()
    except (KeyError, ValueError):
        at = datetime.now().astimezone()
    return at.strftime("%H:%M:%S")


def _short(message_id: str) -> str:
    return f"{message_id[:14]}…{message_id[-2:]}" if len(message_id) > 17 else message_id  # noqa: PLR2004 - as long as the short form


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - a minute


class Screen:
    """Writes lines for as long as somebody is there to read them."""

    def __init__(self, output: TextIO) -> None:
        self._console = Console(file=output, highlight=False, soft_wrap=True)
        self._second = 0
        self._shown = 0
        self._hidden = 0

    def say(self, text: str, style: str = "") -> None:
        """Show some lines. A terminal that was closed ends nothing: what is in flight is finished."""
        try:
            self._console.print(Text(text, style))
        except OSError:
            # Nobody reads any more; the interpreter's own last flush must not fail either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say_now(self, text: str, style: str = "") -> None:
        """Show a line with the time of day."""
        self.say(f"{clock({})}  {text}", style)

    def complain(self, text: str) -> None:
        """Show on stderr why everything ends."""
        with suppress(OSError):
            sys.stderr.write(f"{text}\n")

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Show on a terminal that something is under way."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("starting"):
            yield

    def show(self, line: str, second: int, style: str = "") -> None:
        """Show a line, or count it where too many came in this second."""
        self.conclude_second(second)
        if self._shown < _LINES_PER_SECOND:
            self._shown += 1
            self.say(line, style)
        else:
            self._hidden += 1

    def conclude_second(self, second: int) -> None:
        """Say how many lines of the seconds before were only counted."""
        if second == self._second:
            return
        if self._hidden:
            self.say(f"          … and {self._hidden:,} more")
        self._second, self._shown, self._hidden = second, 0, 0
