from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.policy.quotas import Period, Quota, calendar_span

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Asia/Kathmandu",  # three quarters of an hour off
        "Australia/Lord_Howe",  # changes by half an hour
        "America/Havana",  # shows midnight twice, and leaves it out
        "Pacific/Apia",
    ]
)
INSTANTS = st.integers(1_262_304_000_000, 2_050_000_000_000)


def ms(instant: str) -> int:
    """Return an instant of UTC in milliseconds."""
    return round(datetime.fromisoformat(instant).replace(tzinfo=UTC).timestamp() * 1000)


def span(per: Period, zone: str, instant: str) -> tuple[str, str]:
    """Return the span around an instant as two instants of UTC, to the minute."""
    begins, ends = calendar_span(Quota(10, per, zone, is_rolling=False), ms(instant))
    first, last = (datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M") for at in (begins, ends))
    return first, last


# Hours


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        ("UTC", "2026-07-01T10:00", "2026-07-01T11:00"),
        ("Europe/Berlin", "2026-07-01T10:00", "2026-07-01T11:00"),
        ("Asia/Kolkata", "2026-07-01T10:30", "2026-07-01T11:30"),
        ("Asia/Kathmandu", "2026-07-01T10:15", "2026-07-01T11:15"),
    ],
)
def test_an_hour_is_that_of_the_zones_clocks(zone: str, begins: str, ends: str) -> None:
    assert span("hour", zone, "2026-07-01T10:45:12.345") == (begins, ends)


@pytest.mark.parametrize(
    ("instant", "begins", "ends"),
    [
        ("2026-10-25T00:30", "2026-10-25T00:00", "2026-10-25T01:00"),
        ("2026-10-25T01:30", "2026-10-25T01:00", "2026-10-25T02:00"),
        ("2026-10-25T02:30", "2026-10-25T02:00", "2026-10-25T03:00"),
    ],
)
def test_an_hour_that_clocks_show_twice_is_two_hours(instant: str, begins: str, ends: str) -> None:
    assert span("hour", "Europe/Berlin", instant) == (begins, ends)


def test_an_hour_that_clocks_leave_out_is_none() -> None:
    before = span("hour", "Europe/Berlin", "2026-03-29T00:59:59.999")
    after = span("hour", "Europe/Berlin", "2026-03-29T01:00")
    assert (before, after) == (("2026-03-29T00:00", "2026-03-29T01:00"), ("2026-03-29T01:00", "2026-03-29T02:00"))


# Days


@pytest.mark.parametrize(
    ("instant", "begins", "ends"),
    [
        ("2026-07-01T21:59:59.999", "2026-06-30T22:00", "2026-07-01T22:00"),
        ("2026-07-01T22:00", "2026-07-01T22:00", "2026-07-02T22:00"),
        ("2026-12-31T23:00", "2026-12-31T23:00", "2027-01-01T23:00"),
    ],
)
def test_a_day_begins_at_midnight_of_its_zone(instant: str, begins: str, ends: str) -> None:
    assert span("day", "Europe/Berlin", instant) == (begins, ends)


@pytest.mark.parametrize(
    ("instant", "begins", "ends"),
    [
        ("2026-03-28T23:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-03-29T21:59", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-24T22:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("2026-10-25T01:30", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("2026-10-25T22:59", "2026-10-24T22:00", "2026-10-25T23:00"),
    ],
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(instant: str, begins: str, ends: str) -> None:
    assert span("day", "Europe/Berlin", instant) == (begins, ends)


def test_a_day_begins_at_half_past_where_the_zone_says_so() -> None:
    assert span("day", "Asia/Kolkata", "2026-07-01T18:30") == ("2026-07-01T18:30", "2026-07-02T18:30")


def test_a_day_without_a_midnight_begins_with_its_first_hour() -> None:
    """In Havana clocks go from midnight to one o'clock."""
    assert span("day", "America/Havana", "2026-03-08T04:59") == ("2026-03-07T05:00", "2026-03-08T05:00")
    assert span("day", "America/Havana", "2026-03-08T05:00") == ("2026-03-08T05:00", "2026-03-09T04:00")


def test_a_day_with_two_midnights_begins_with_the_first() -> None:
    """In Havana clocks go from one o'clock back to midnight."""
    whole = ("2026-11-01T04:00", "2026-11-02T05:00")
    assert [span("day", "America/Havana", f"2026-11-01T0{hour}:30") for hour in (4, 5)] == [whole, whole]


# Months


@pytest.mark.parametrize(
    ("instant", "begins", "ends"),
    [
        ("2026-01-31T23:59:59.999", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("2026-02-28T23:59", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("2026-04-30T12:00", "2026-04-01T00:00", "2026-05-01T00:00"),
        ("2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_a_month_is_as_long_as_the_calendar_says(instant: str, begins: str, ends: str) -> None:
    assert span("month", "UTC", instant) == (begins, ends)


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        ("Europe/Berlin", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("America/New_York", "2026-03-01T05:00", "2026-04-01T04:00"),
        ("Asia/Kolkata", "2026-02-28T18:30", "2026-03-31T18:30"),
    ],
)
def test_a_month_begins_at_midnight_of_its_zone(zone: str, begins: str, ends: str) -> None:
    assert span("month", zone, "2026-03-15T12:00") == (begins, ends)


# All of them


def test_without_a_zone_it_is_that_of_utc() -> None:
    assert calendar_span(Quota(10, is_rolling=False), ms("2026-07-01T10:45")) == (
        ms("2026-07-01T00:00"),
        ms("2026-07-02T00:00"),
    )


@given(per=st.sampled_from(["hour", "day", "month"]), zone=ZONES, now=INSTANTS)
def test_a_span_is_around_its_instant(per: Period, zone: str, now: int) -> None:
    begins, ends = calendar_span(Quota(10, per, zone, is_rolling=False), now)
    assert begins <= now < ends


@given(per=st.sampled_from(["day", "month"]), zone=ZONES, now=INSTANTS)
def test_where_a_span_ends_the_next_begins(per: Period, zone: str, now: int) -> None:
    quota = Quota(10, per, zone, is_rolling=False)
    begins, ends = calendar_span(quota, now)
    assert calendar_span(quota, begins) == (begins, ends)
    assert calendar_span(quota, ends - 1) == (begins, ends)
    assert calendar_span(quota, ends)[0] == ends


@pytest.mark.parametrize(("instant", "begins"), [("14:59", "14:00"), ("15:00", "14:30"), ("15:30", "15:30")])
def test_clocks_that_go_back_by_half_an_hour_never_show_an_earlier_hour(instant: str, begins: str) -> None:
    """On Lord Howe they go from two o'clock to half past one."""
    assert span("hour", "Australia/Lord_Howe", f"2026-04-04T{instant}")[0] == f"2026-04-04T{begins}"


# Rolling


@pytest.mark.parametrize(("per", "window"), [("hour", HOUR), ("day", DAY), ("month", 30 * DAY)])
def test_a_rolling_quota_looks_back_over_a_whole_span(per: Period, window: int) -> None:
    assert Quota(10, per).window_ms == window


@pytest.mark.parametrize("per", ["hour", "day", "month"])
def test_up_to_fifty_thousand_messages_are_counted_in_quarters_of_a_second(per: Period) -> None:
    assert [Quota(messages, per).slot_ms for messages in (1, 50_000)] == [250, 250]


@pytest.mark.parametrize(("per", "slot"), [("hour", 250), ("day", 1_728), ("month", 51_840)])
def test_more_are_counted_in_fifty_thousand_slots_at_most(per: Period, slot: int) -> None:
    quota = Quota(50_001, per)
    assert quota.slot_ms == slot
    assert quota.window_ms / quota.slot_ms <= 50_000


@pytest.mark.parametrize(
    ("quota", "name"),
    [
        (Quota(10, "day"), "day:rolling"),
        (Quota(10, "month", "Europe/Berlin", is_rolling=False), "month:Europe/Berlin"),
        (Quota(10, "hour", is_rolling=False), "hour:UTC"),
    ],
)
def test_a_quota_is_counted_under_its_span_and_not_its_number(quota: Quota, name: str) -> None:
    assert quota.name == name
