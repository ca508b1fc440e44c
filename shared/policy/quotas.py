"""What an account may send in an hour, a day or a month: which span a quota is about at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

Period = Literal["hour", "day", "month"]

_HOUR_MS: Final = 3_600_000
_WINDOW_MS: Final = {"hour": _HOUR_MS, "day": 24 * _HOUR_MS, "month": 30 * 24 * _HOUR_MS}

#: A rolling quota is counted in slots of time. Fine ones free it soon after a message has left the
#: window; there are never more of them than messages, nor than so many.
_SLOT_MS: Final = 250
_MOST_SLOTS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Quota:
    """So many messages in a span of time. A rolling one looks back from now; a calendar's has a `zone`
    (an IANA name) and starts anew with each hour, day or month there."""

    messages: int
    per: Period = "day"
    zone: str | None = None
    is_rolling: bool = True

    @property
    def name(self) -> str:
        """The name under which its use is counted; raising or lowering `messages` keeps what was counted."""
        return f"{self.per}:rolling" if self.is_rolling else f"{self.per}:{self.zone or 'UTC'}"

    @property
    def window_ms(self) -> int:
        """The length of a rolling span in milliseconds."""
        return _WINDOW_MS[self.per]

    @property
    def slot_ms(self) -> int:
        """The length of a slot in which a rolling quota's use is counted."""
        return max(_SLOT_MS, self.window_ms // _MOST_SLOTS) if self.messages > _MOST_SLOTS else _SLOT_MS


def calendar_span(quota: Quota, now_ms: float) -> tuple[int, int]:
    """Return where the calendar's span around an instant begins and ends, in milliseconds since the epoch.

    An hour or a day that a change of clocks shortens or lengthens is as long as the zone says.
    """
    shown = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(quota.zone or "UTC"))
    if quota.per == "hour":
        # Counted in absolute time: an hour that the clock shows twice is two hours, and where clocks change
        # by half an hour one that they show in part overlaps the one before.
        past = timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)
        begins = shown.astimezone(UTC) - past
        return _ms(begins), _ms(begins + timedelta(hours=1))
    start = shown.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if quota.per == "day":
        following = start + timedelta(days=1)
    else:
        start = start.replace(day=1)
        following = (start + timedelta(days=32)).replace(day=1)
    return _ms(start), _ms(following)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
