"""What `up` tells while it runs: mails that have ended, errors, processes that came and went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from reliable_email.cli.machine.plan import Plan
from reliable_email.cli.machine.screen import Screen, clock, mail_line
from reliable_email.cli.machine.tail import LogTail, words

_LOOK_SECONDS: Final = 0.1

#: A sender writes this line at level info for `up`, whose screen it is made for.
_MAIL_ENDED: Final = "message_finished"
#: Warnings that explain why mail stands still.
_WORTH_SHOWING: Final = frozenset({"breaker_opened", "breaker_closed"})
_GRAVE: Final = frozenset({"error", "critical"})


class Telling:
    """Follows the logs of the services and shows what a user wants to know of them."""

    def __init__(self, plan: Plan, screen: Screen) -> None:
        self._plan = plan
        self._screen = screen
        self._tails: dict[str, LogTail] = {}

    def listen_to(self, child: str, log: Path) -> None:
        """Follow the log of a service from now on."""
        self._tails[child] = LogTail(log)

    async def follow(self) -> None:
        """Show what comes, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Show what has come since the last look."""
        for child, tail in self._tails.items():
            for event in tail.new_events():
                self._show(child, event)
            tail.put_aside_if_large()
        self._screen.conclude_second(int(time.monotonic()))

    def _show(self, child: str, event: Mapping[str, Any]) -> None:
        second = int(time.monotonic())
        name = event.get("event")
        if name == _MAIL_ENDED:
            file = self._plan.file_of(event.get("provider"), str(event.get("message_id")))
            self._screen.show(mail_line(event, file), second)
        elif event.get("level") in _GRAVE or name in _WORTH_SHOWING:
            self._screen.show(f"{clock(event)}  {child}  {name}: {words(event)}", second, "red")

    def complaint_after(self, seconds: float) -> Callable[[str], None]:
        """Return what tells, once, why everything waits, when it has waited for so long."""
        begun = time.monotonic()
        told = False

        def complain(why: str) -> None:
            nonlocal told
            if not told and time.monotonic() - begun > seconds:
                told = True
                self._screen.say(f"waiting: {why}")

        return complain

    def say_ended(self, child: str, how: str, pause: float) -> None:
        """Tell that a process ended by itself."""
        self._screen.say_now(
            f"{child} {how}; it is started again in {pause:g} s. Its log: {self._plan.data.log(child)}", "red"
        )

    def say_restarted(self, child: str) -> None:
        """Tell that a process was started again."""
        self._screen.say_now(f"{child} was started again")

    def say_that_it_ends(self) -> None:
        """Tell why it does not end at once."""
        self._screen.say_now("Finishing what is in flight; Ctrl-C hurries it.")
