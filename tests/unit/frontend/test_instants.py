from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.frontend.instants import LAST, BadTime, instant, parse_instant


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-12-01T09:00:00+01:00", 1_796_112_000_000),
        ("2026-12-01T08:00:00Z", 1_796_112_000_000),
        ("2026-12-01t08:00:00z", 1_796_112_000_000),
        ("2026-12-01T03:30:00-04:30", 1_796_112_000_000),
        ("2026-12-01T08:00:00.25Z", 1_796_112_000_250),
        ("2026-12-01T08:00:00.0000001Z", 1_796_112_000_001),
        ("2026-12-01T07:59:60Z", 1_796_112_000_000),
        ("2026-12-01T08:00:00-00:00", 1_796_112_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("1066-10-14T09:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", LAST),
    ],
)
def test_a_time_of_rfc_3339_is_read(text: str, milliseconds: int) -> None:
    assert parse_instant(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-12-01",
        "2026-12-01T09:00:00",
        "2026-12-01 09:00:00Z",
        "2026-12-01T09:00Z",
        "2026-12-01T09:00:00.Z",
        "2026-12-01T09:00:00,5Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T09:60:00Z",
        "2026-12-01T09:00:61Z",
        "2026-13-01T09:00:00Z",
        "2026-02-29T09:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-12-01T09:00:00+24:00",
        "2026-12-01T09:00:00+01:60",
        "2026-12-01T09:00:00+0100",
        "2026-12-01T09:00:00Z ",
        "2026-12-01T09:00:00Z\n",
        "٢٠٢٦-12-01T09:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "2026-12-01T09:00:00." + "0" * 60 + "Z",
        "1796112000",
    ],
)
def test_what_is_no_time_of_rfc_3339_is_refused(text: str) -> None:
    with pytest.raises(BadTime):
        parse_instant(text)


@pytest.mark.parametrize("text", ["2026-12-01", "2026-12-01T09:00:00", "2026-12-01 09:00", "2026-12-01T09:00:00.5"])
def test_a_time_without_offset_is_told_that_it_needs_one(text: str) -> None:
    with pytest.raises(BadTime, match="offset"):
        parse_instant(text)


@given(st.integers(min_value=0, max_value=LAST))
def test_an_instant_survives_writing_and_reading(milliseconds: int) -> None:
    assert parse_instant(instant(milliseconds)) == milliseconds


@given(
    st.datetimes(min_value=datetime(1970, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(min_value=-1_439, max_value=1_439),
)
def test_the_standard_library_reads_the_same_instant(naive: datetime, offset: int) -> None:
    moment = naive.replace(microsecond=naive.microsecond // 1_000 * 1_000, tzinfo=timezone(timedelta(minutes=offset)))

    assert parse_instant(moment.isoformat()) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_an_instant_is_shown_in_utc_with_three_decimals() -> None:
    assert instant(1_796_112_000_007) == "2026-12-01T08:00:00.007Z"
