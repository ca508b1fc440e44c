"""Instants: milliseconds since the epoch inside, RFC 3339 text outside."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from shared.domain.errors import ReliableEmailError

#: RFC 3339, section 5.6: `date-time = full-date "T" full-time`; both letters may be small.
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_WITHOUT_OFFSET: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_LONGEST: Final = 64

#: The last instant that RFC 3339 can write, 9999-12-31T23:59:59.999Z.
LAST: Final = 253_402_300_799_999


class BadTime(ReliableEmailError):
    """A text names no instant. `detail` says what is wrong with it: mend the text."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


def parse_instant(text: str) -> int:
    """Return the instant that an RFC 3339 text names, rounded up to a millisecond.

    A text without an offset is refused, for it names 38 different instants. What lies before
    1970 becomes 0: past is past. Raises BadTime.
    """
    match = _RFC3339.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        if _WITHOUT_OFFSET.fullmatch(text[:_LONGEST]):
            raise BadTime("A time needs its offset from UTC, as in 2026-12-01T09:00:00Z or 2026-12-01T09:00:00+01:00")
        raise BadTime("A time is written as in RFC 3339: 2026-12-01T09:00:00Z or 2026-12-01T09:00:00.250+01:00")
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        raise BadTime("There is no such day in the calendar") from None
    if hour > "23" or minute > "59" or second > "60":
        raise BadTime("There is no such time of the day")
    seconds = days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)  # a leap second is the next one
    if sign is not None:
        if offset_hours > "23" or offset_minutes > "59":
            raise BadTime("An offset from UTC is less than 24 hours")
        offset = int(offset_hours) * 3_600 + int(offset_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    milliseconds = seconds * 1_000
    if fraction is not None:
        # Rounded up: a message is not sent before the instant that its owner named.
        milliseconds += -(-int(fraction) * 1_000 // 10 ** len(fraction))
    if milliseconds > LAST:
        raise BadTime("A time lies before the year 10000")
    return max(milliseconds, 0)


def instant(milliseconds: int) -> str:
    """Return an instant as RFC 3339 text in UTC, with `Z` and three decimals."""
    seconds, thousandths = divmod(milliseconds, 1_000)
    return f"{_to_the_second(seconds)}.{thousandths:03d}Z"


@lru_cache(maxsize=1_024)
def _to_the_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
