"""Schedules: when a session is to be up, and on which trading day, in the venue's own clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onetape.errors import SettingsError
from onetape_fix.session.schedule import NON_STOP, SECOND, Schedule

NEW_YORK = "America/New_York"
MONDAY, TUESDAY, FRIDAY, SUNDAY = 0, 1, 4, 6


def at(told: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(told).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def clock(told: str) -> int:
    hour, minute = told.split(":")
    return int(hour) * 3600 + int(minute) * 60


def test_a_day_session_is_up_between_its_hours() -> None:
    schedule = Schedule(start=clock("08:00"), end=clock("17:00"))
    assert not schedule.inside(at("2024-03-05T07:59:59"))
    assert schedule.inside(at("2024-03-05T08:00:00"))
    assert schedule.inside(at("2024-03-05T16:59:59"))
    assert not schedule.inside(at("2024-03-05T17:00:00"))
    assert schedule.next_change(at("2024-03-05T07:00:00")) == at("2024-03-05T08:00:00")
    assert schedule.next_change(at("2024-03-05T08:00:00")) == at("2024-03-05T17:00:00")


def test_a_session_over_midnight_has_one_trading_day() -> None:
    schedule = Schedule(start=clock("22:00"), end=clock("05:00"))
    assert schedule.key(at("2024-03-05T23:00:00")) == "2024-03-05"
    assert schedule.key(at("2024-03-06T04:59:59")) == "2024-03-05"
    assert not schedule.inside(at("2024-03-06T06:00:00"))
    assert schedule.key(at("2024-03-06T06:00:00")) == "2024-03-05"  # the reset waits for the next


def test_equal_start_and_end_mean_a_whole_day_with_a_reset_then() -> None:
    schedule = Schedule(zone=NEW_YORK, start=clock("17:00"), end=clock("17:00"))
    before, after = at("2024-03-05T16:59:59", NEW_YORK), at("2024-03-05T17:00:00", NEW_YORK)
    assert schedule.inside(before)
    assert schedule.inside(after)
    assert (schedule.key(before), schedule.key(after)) == ("2024-03-04", "2024-03-05")
    assert schedule.next_change(before) == after


@pytest.mark.parametrize(
    ("day", "utc"),
    [
        ("2024-03-09", "22:00"),  # winter
        ("2024-03-10", "21:00"),  # the night before it became summer
        ("2024-11-02", "21:00"),
        ("2024-11-03", "22:00"),  # and winter again
    ],
)
def test_17_new_york_stays_17_new_york_over_both_changes_of_the_clock(day: str, utc: str) -> None:
    schedule = Schedule(zone=NEW_YORK, start=clock("17:00"), end=clock("17:00"))
    assert schedule.next_change(at(f"{day}T12:00:00")) == at(f"{day}T{utc}:00")


def test_the_day_on_which_the_clock_changes_lasts_23_or_25_hours() -> None:
    schedule = Schedule(zone=NEW_YORK, start=clock("17:00"), end=clock("17:00"))
    for day, hours in (("2024-03-09", 23), ("2024-11-02", 25), ("2024-06-01", 24)):
        begin = at(f"{day}T17:00:00", NEW_YORK)
        end = schedule.next_change(begin)
        assert end == begin + hours * 3600 * SECOND


def test_an_hour_that_does_not_exist_is_taken_an_hour_later_and_of_two_the_first() -> None:
    schedule = Schedule(zone=NEW_YORK, start=clock("02:30"), end=clock("12:00"))
    assert schedule.next_change(at("2024-03-10T05:00:00")) == at("2024-03-10T07:30:00")  # 03:30
    schedule = Schedule(zone=NEW_YORK, start=clock("01:30"), end=clock("12:00"))
    assert schedule.next_change(at("2024-11-03T04:00:00")) == at("2024-11-03T05:30:00")
    assert schedule.inside(at("2024-11-03T06:30:00"))  # 01:30 for the second time


def test_a_week_from_sunday_evening_to_friday_evening_is_one_window() -> None:
    schedule = Schedule(
        zone=NEW_YORK, start=clock("17:05"), end=clock("17:00"), first=SUNDAY, last=FRIDAY
    )
    sunday = at("2024-03-10T17:05:00", NEW_YORK)  # the clock has changed that morning
    friday = at("2024-03-15T17:00:00", NEW_YORK)
    assert schedule.next_change(at("2024-03-10T12:00:00", NEW_YORK)) == sunday
    assert schedule.inside(sunday)
    assert schedule.next_change(sunday) == friday
    assert not schedule.inside(friday)
    assert schedule.key(friday - SECOND) == schedule.key(friday) == "2024-03-10"
    assert not schedule.inside(at("2024-03-16T12:00:00", NEW_YORK))


def test_a_week_from_a_day_to_the_same_is_whole_or_within_the_day() -> None:
    whole = Schedule(start=clock("22:00"), end=clock("22:00"), first=SUNDAY, last=SUNDAY)
    assert whole.inside(at("2024-03-06T12:00:00"))
    assert whole.key(at("2024-03-06T12:00:00")) == "2024-03-03"
    hours = Schedule(start=clock("09:00"), end=clock("10:00"), first=TUESDAY, last=TUESDAY)
    assert hours.inside(at("2024-03-05T09:30:00"))
    assert not hours.inside(at("2024-03-06T09:30:00"))


def test_weekdays_are_those_on_which_a_window_begins() -> None:
    schedule = Schedule(start=clock("22:00"), end=clock("05:00"), days=frozenset((SUNDAY, MONDAY)))
    assert schedule.inside(at("2024-03-05T04:00:00"))  # Tuesday, of Monday's window
    assert not schedule.inside(at("2024-03-05T22:30:00"))
    assert schedule.next_change(at("2024-03-05T12:00:00")) == at("2024-03-10T22:00:00")


def test_a_session_without_end_never_changes() -> None:
    assert NON_STOP.inside(0)
    assert NON_STOP.next_change(0) is None
    assert NON_STOP.key(0) == NON_STOP.key(1 << 60)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"zone": "New York"}, "'New York' found; a name of the IANA list"),
        ({"zone": "/etc/passwd"}, "IANA"),
        ({"start": 86_400}, "0 to 86399"),
        ({"first": 1}, "one of StartDay and EndDay"),
        ({"days": frozenset((9,))}, "weekdays"),
        ({"days": frozenset[int]()}, "weekdays"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Schedule(**wrong)  # type: ignore[arg-type]


# -- against a slow reference: every window of years, one after the other


def utc_of(zone: str, day: date, second: int) -> int:
    """A local time in UTC by trying: the clock's hands are looked at, nothing is calculated."""
    wanted = datetime.combine(day, datetime.min.time()) + timedelta(seconds=second)
    there = ZoneInfo(zone)
    begin = wanted - timedelta(hours=20)
    for shift in range(40 * 4):
        moment = (begin + timedelta(minutes=15 * shift)).replace(tzinfo=UTC)
        shown = moment.astimezone(there).replace(tzinfo=None)
        if shown == wanted:
            return round(moment.timestamp()) * SECOND
        if shown > wanted + timedelta(minutes=30):  # it was left out
            early = (moment - timedelta(hours=3)).astimezone(there).utcoffset()
            assert early is not None
            late = (wanted - early).replace(tzinfo=UTC)
            return round(late.timestamp()) * SECOND
    raise AssertionError("no such time")


def windows(schedule: Schedule, around: date) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for shift in range(-12, 13):
        day = around + timedelta(days=shift)
        weekly = schedule.first is not None
        if day.weekday() not in ({schedule.first} if weekly else schedule.days):
            continue
        last = day
        if schedule.first is not None and schedule.last is not None:
            while last.weekday() != schedule.last:
                last += timedelta(days=1)
        if last == day and schedule.end <= schedule.start:
            last += timedelta(days=7 if weekly else 1)
        begin, end = (
            utc_of(schedule.zone, day, schedule.start),
            utc_of(schedule.zone, last, schedule.end),
        )
        if begin < end:
            found.append((begin, end, day.isoformat()))
    return found


QUARTERS = st.integers(0, 95).map(lambda quarter: quarter * 900)
DAYS = st.frozensets(st.integers(0, 6), min_size=1)
WEEK = st.one_of(st.just((None, None)), st.tuples(st.integers(0, 6), st.integers(0, 6)))
ZONES = st.sampled_from(
    [NEW_YORK, "Europe/London", "Asia/Tokyo", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"]
)
CHANGES = ["2024-03-10", "2024-11-03", "2024-03-31", "2024-10-27", "2024-04-07", "2024-10-06"]
MOMENTS = st.builds(
    lambda day, minutes: at(f"{day}T12:00:00") + minutes * 60 * SECOND,
    st.sampled_from([*CHANGES, "2024-06-12", "2018-11-04"]),
    st.integers(-3 * 1440, 3 * 1440),
)


@settings(max_examples=250)
@given(ZONES, QUARTERS, QUARTERS, DAYS, WEEK, MOMENTS)
@example(NEW_YORK, 9_000, 11_700, frozenset(range(7)), (None, None), at("2024-03-10T07:20:00"))
@example(NEW_YORK, 11_700, 9_000, frozenset(range(7)), (None, None), at("2024-03-10T07:20:00"))
def test_it_says_what_a_slow_look_at_the_clock_says(
    zone: str,
    start: int,
    end: int,
    days: frozenset[int],
    week: tuple[int | None, int | None],
    moment: int,
) -> None:
    first, last = week
    schedule = Schedule(zone=zone, start=start, end=end, days=days, first=first, last=last)
    day = datetime.fromtimestamp(moment // SECOND, UTC).date()
    slow = windows(schedule, day)

    def inside(ns: int) -> bool:
        return any(begin <= ns < stop for begin, stop, _ in slow)

    def key(ns: int) -> str:
        return max(name for begin, _, name in slow if begin <= ns)

    assert schedule.inside(moment) == inside(moment)
    assert schedule.key(moment) == key(moment)
    change = schedule.next_change(moment)
    assert change is not None
    assert moment < change
    assert (inside(change), key(change)) != (inside(moment), key(moment))
    edges = {edge for window in slow for edge in window[:2] if moment < edge < change}
    for edge in edges:  # nothing changes before
        assert (inside(edge), key(edge)) == (inside(moment), key(moment))
