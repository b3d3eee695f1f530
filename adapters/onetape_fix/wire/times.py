"""FIX timestamps and nanoseconds since 1970, both in UTC.

Text is YYYYMMDD-HH:MM:SS with up to twelve digits of fraction; what is finer than a nanosecond is
cut off. A leap second (23:59:60) is the first second of the next day: the count since 1970 has
none.
Raises ValueError for any other text.
"""

from __future__ import annotations

import re
import time
from datetime import date
from functools import lru_cache

SECOND = 1_000_000_000
DAY = 86_400  # seconds
EPOCH = date(1970, 1, 1).toordinal()
FRACTIONS = {3: slice(-9, -6), 6: slice(-9, -3), 9: slice(-9, None)}  # of ns as text, by digits
FINEST = 12  # digits of a fraction that are read
WHOLE = 17  # characters up to the seconds
CLOCK = re.compile(r"-([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)", re.ASCII)


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(second))


def format_utc(ns: int, digits: int = 3) -> str:
    """`ns` since 1970 as a timestamp with 0, 3, 6 or 9 digits of fraction, cut and not rounded."""
    fraction = FRACTIONS.get(digits)
    if fraction is None:
        if digits:
            raise ValueError(f"{digits} digits: 0, 3, 6 or 9 are possible")
        return _second(ns // SECOND)
    if ns < SECOND:  # such a number may have fewer digits than a fraction
        return f"{_second(ns // SECOND)}.{str(ns % SECOND + SECOND)[fraction]}"
    return f"{_second(ns // SECOND)}.{str(ns)[fraction]}"


@lru_cache(maxsize=256)
def _day(text: str) -> int:
    """Seconds from 1970 to the start of the day YYYYMMDD."""
    if len(text) != 8 or not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is no date YYYYMMDD")
    return (date(int(text[:4]), int(text[4:6]), int(text[6:])).toordinal() - EPOCH) * DAY


@lru_cache(maxsize=1024)
def _moment(text: str) -> int:
    """Seconds from 1970 to YYYYMMDD-HH:MM:SS."""
    found = CLOCK.fullmatch(text, 8)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no timestamp YYYYMMDD-HH:MM:SS[.sss]")
    hour, minute, second = found.groups()
    if second == "60" and (hour != "23" or minute != "59"):
        raise ValueError(f"{text!r}: second 60 is possible at 23:59 only")
    return _day(text[:8]) + int(hour) * 3_600 + int(minute) * 60 + int(second)


def parse_utc(text: str) -> int:
    """Nanoseconds since 1970 of a timestamp. Raises ValueError where it is none."""
    whole = _moment(text[:WHOLE]) * SECOND
    if len(text) == WHOLE:
        return whole
    fraction = text[WHOLE + 1 :]
    plain = fraction.isdecimal() and fraction.isascii() and len(fraction) <= FINEST
    if text[WHOLE] != "." or not plain:
        raise ValueError(f"{text[:40]!r} is no timestamp YYYYMMDD-HH:MM:SS[.sss]")
    return whole + int(fraction.ljust(FINEST, "0")) // 1_000
