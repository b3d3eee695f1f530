"""When a session is to be up, in the clock of its venue's place.

A window begins on every day, or on some days of the week (`days`), or once a week (`first` to
`last`); from `start` to `end` in local time of `zone`, the end not included. Where they are equal
the window lasts a day, or a week; where the end is the earlier it is that of the next day. With
`non_stop` there is one window without end.

Each window is a trading day of its own, with the date on which it begins as `key`: numbers are
reset when the key has changed since the last reset.

Daylight saving   a local time that does not exist is taken an hour later; of one that occurs
                  twice the first counts. A window that this leaves empty is none.
Units             ns UTC; start and end in seconds after midnight; Monday is 0.
Raises            SettingsError for a zone that is not known or times that cannot be.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from onetape.errors import SettingsError

DAY = 86_400  # seconds
SECOND = 1_000_000_000  # ns
ALWAYS = "always"  # the key of a session without windows
_AROUND = 9  # days: the window before and the one after any moment begin within so many


class Window(NamedTuple):
    """One stretch of time in which the session is to be up."""

    begin: int
    end: int
    key: str


class Schedule(msgspec.Struct, frozen=True):
    """See the module; a weekly schedule has `first` and `last`, all others have not."""

    zone: str = "UTC"
    start: int = 0
    end: int = 0
    days: frozenset[int] = frozenset(range(7))
    first: int | None = None
    last: int | None = None
    non_stop: bool = False

    def __post_init__(self) -> None:
        for second in (self.start, self.end):
            if not 0 <= second < DAY:
                raise SettingsError(f"a time of {second} s after midnight found; 0 to 86399 do")
        if (self.first is None) != (self.last is None):
            raise SettingsError("one of StartDay and EndDay found; both or neither expected")
        if not self.days or not self.days <= frozenset(range(7)):
            raise SettingsError(f"weekdays {sorted(self.days)} found; some of 0 to 6 expected")
        _zone(self.zone)

    def inside(self, ns: int) -> bool:
        """Whether the session is to be up."""
        if self.non_stop:
            return True
        window = self.latest(ns)
        return window is not None and ns < window.end

    def key(self, ns: int) -> str:
        """The trading day: the date on which the latest window up to `ns` began."""
        if self.non_stop:
            return ALWAYS
        window = self.latest(ns)
        return "" if window is None else window.key

    def next_change(self, ns: int) -> int | None:
        """The first moment after `ns` at which `inside` or `key` changes; None: never."""
        if self.non_stop:
            return None
        for window in _windows(self, _day(ns)):
            for moment in (window.begin, window.end):
                if moment > ns:
                    return moment
        return None

    def latest(self, ns: int) -> Window | None:
        """The window that has begun last, over or not."""
        found = None
        for window in _windows(self, _day(ns)):
            if window.begin > ns:
                break
            found = window
        return found


def _day(ns: int) -> int:
    return ns // (DAY * SECOND)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise SettingsError(
            f"time zone {name!r} found; a name of the IANA list expected, such as America/New_York"
        ) from None


@lru_cache(maxsize=512)
def _windows(schedule: Schedule, day: int) -> tuple[Window, ...]:
    """The windows that begin around a day (of UTC, counted from 1970), one after the other."""
    middle = date(1970, 1, 1) + timedelta(days=day)
    made: list[Window] = []
    for shift in range(-_AROUND, _AROUND + 1):
        window = _window(schedule, middle + timedelta(days=shift))
        if window is None:
            continue
        if made and made[-1].end > window.begin:  # an end that did not exist was taken later
            made[-1] = made[-1]._replace(end=window.begin)
        made.append(window)
    return tuple(made)


def _window(schedule: Schedule, on: date) -> Window | None:
    """The window that begins on a local date, if one does."""
    zone = _zone(schedule.zone)
    longer = 1 if schedule.end <= schedule.start else 0
    if schedule.first is not None and schedule.last is not None:
        if on.weekday() != schedule.first:
            return None
        days = (schedule.last - schedule.first) % 7
        days = 7 * longer if days == 0 else days
    elif on.weekday() in schedule.days:
        days = longer
    else:
        return None
    begin = _moment(zone, on, schedule.start)
    end = _moment(zone, on + timedelta(days=days), schedule.end)
    return Window(begin, end, on.isoformat()) if begin < end else None


def _moment(zone: ZoneInfo, on: date, second: int) -> int:
    """ns UTC of a local time; see the module for hours that are left out or repeated."""
    clock = time(second // 3600, second // 60 % 60, second % 60)
    local = datetime.combine(on, clock, tzinfo=zone)
    return round(local.astimezone(UTC).timestamp()) * SECOND


NON_STOP = Schedule(non_stop=True)
