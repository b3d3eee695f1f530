"""Times: from whatever a file says to nanoseconds UTC, with what was assumed said aloud.

Time zone  A time with an offset is an instant. A naive time is read in `tz` where given, else in
           UTC where the column's name says so, else in the instrument's zone. An hour that the
           clocks repeat or skip is refused rather than guessed.
Dates      A bar that carries only a date closes at the session's end (equities, 16:00 local) or
           at the next local midnight (markets around the clock). Early closes are not known.
Raises     MarketDataError for text that no known format fits, or a mix of formats.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import polars as pl

from onetape.errors import MarketDataError
from onetape.market.blocks import Ints
from onetape.market.instruments import Instrument

DAY = 86_400_000_000_000
UNITS = {"MILLISECOND": 1_000_000, "SECOND": 10**9, "MINUTE": 60 * 10**9, "HOUR": 3600 * 10**9,
         "DAY": DAY, "WEEK": 7 * DAY}  # fmt: skip
_EPOCHS = (("s", 10**9, 9.2e9), ("ms", 10**6, 9.2e12), ("us", 10**3, 9.2e15), ("ns", 1, 9.2e18))
_TEXT = (
    (r"\d{4}-\d\d-\d\d", "%Y-%m-%d"),
    (r"\d{4}/\d\d/\d\d", "%Y/%m/%d"),
    (r"\d{8}", "%Y%m%d"),
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_COMPACT = re.compile(r"(\d{8})([ T_-]?)(\d{6})(\d*)")


class Clock(NamedTuple):
    """How the time column of a source is to be read."""

    format: str  # "date", "datetime", "epoch-ms", or a strptime pattern
    zone: str  # zone of naive times
    dates: bool  # the column holds dates only
    offset: bool = False


def clock(times: pl.Series, zone: str, format: str | None = None) -> Clock:
    """Return how to read `times`, judged by its first values; MarketDataError if unknown."""
    kind = times.dtype
    if kind == pl.Date:
        return Clock("date", zone, dates=True)
    if isinstance(kind, pl.Datetime):
        return Clock("datetime", kind.time_zone or zone, dates=False, offset=bool(kind.time_zone))
    if kind.is_integer() or kind.is_float():
        return _numeric(times, zone)
    if kind != pl.String:
        raise MarketDataError(f"the time column is {kind}; expected text, numbers or times.")
    first = next((str(v).strip() for v in times.drop_nulls().head(1)), "")
    if format:
        return Clock(format, zone, not re.search("%H|%I|%T|%s", format), "%z" in format)
    return _textual(first, zone)


def _numeric(times: pl.Series, zone: str) -> Clock:
    top = float(np.abs(np.nan_to_num(times.to_numpy().astype(float))).max()) if len(times) else 0
    if times.dtype.is_integer() and 19_000_101 <= top <= 21_001_231:
        return Clock("%Y%m%d", zone, dates=True)
    for name, _, limit in _EPOCHS:
        if top < limit:
            return Clock(f"epoch-{name}", "UTC", dates=False, offset=True)
    raise MarketDataError(f"the time column reaches {top:g}, which is no epoch in s, ms, us or ns.")


def _textual(first: str, zone: str) -> Clock:
    for pattern, format in _TEXT:
        if re.fullmatch(pattern, first):
            return Clock(format, zone, dates=True)
    iso = _ISO.fullmatch(first)
    if iso:
        seconds = "%H:%M:%S%.f" if iso[1] else "%H:%M"
        return Clock("%Y-%m-%d " + seconds + ("%z" if iso[3] else ""), zone, False, bool(iso[3]))
    compact = _COMPACT.fullmatch(first)
    if compact and len(compact[4]) in (0, 3, 6, 9) and (compact[2] or len(compact[4]) > 0):
        fraction = f"%{len(compact[4])}f" if compact[4] else ""
        return Clock(f"%Y%m%d{compact[2]}%H%M%S{fraction}", zone, dates=False)
    if re.fullmatch(r"\d{9,19}", first):
        return Clock(_numeric(pl.Series([int(first)]), zone).format, "UTC", False, True)
    raise MarketDataError(
        f"cannot read the time {first!r}. Expected ISO 8601, an epoch in s, ms, us or ns, or "
        '"YYYYMMDD HHMMSSfff"; for others say mapping={"time": ..., "format": "%d/%m/%Y %H:%M"}.'
    )


def to_ns(times: pl.Series, how: Clock, instrument: Instrument) -> Ints:
    """Return `times` as ns UTC; dates become the close of that day's session."""
    if times.null_count():
        row = times.is_null().arg_max()
        raise MarketDataError(f"{times.null_count()} rows have no time, the first is row {row}.")
    try:
        local = _parsed(times, how)
        _refuse_far(local)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(times, how, error) from None
    if isinstance(local, np.ndarray):
        return local
    if how.dates:
        local = _closes(local, instrument)
    if not (isinstance(local.dtype, pl.Datetime) and local.dtype.time_zone):
        try:
            local = local.dt.replace_time_zone(how.zone)
        except pl.exceptions.PolarsError as error:
            raise MarketDataError(
                f"a naive time cannot be placed in {how.zone}: {str(error).splitlines()[0]}. "
                'If the times are UTC say tz="UTC"; else give them with their offset.'
            ) from None
    return local.dt.cast_time_unit("ns").to_physical().cast(pl.Int64).to_numpy()


def _refuse_far(times: Ints | pl.Series) -> None:
    """Refuse what int64 ns UTC cannot hold, or what the engine cannot (before 1970)."""
    years: list[object]
    if isinstance(times, np.ndarray):
        years = [] if not len(times) or int(times.min()) >= 0 else ["before 1970"]
    else:
        low, high = times.dt.year().min(), times.dt.year().max()
        years = [y for y in (low, high) if isinstance(y, int) and not 1970 <= y <= 2261]
    if years:
        raise MarketDataError(
            f"a time lies in the year {years[0]}; expected 1970 to 2261. Check the column and, "
            "for numbers, whether they are seconds, ms, us or ns."
        )


def _parsed(times: pl.Series, how: Clock) -> Ints | pl.Series:
    if how.format in ("date", "datetime"):
        return times.cast(pl.Datetime("ns")) if how.format == "date" else times
    if how.format.startswith("epoch"):
        scale = next(s for n, s, _ in _EPOCHS if how.format == f"epoch-{n}")
        if times.dtype == pl.String:
            times = times.str.strip_chars().cast(pl.Int64)
        values = times.to_numpy()
        if len(values) and float(np.abs(values).max()) * scale > 9.2e18:
            raise MarketDataError(
                f"the time {values.max()} does not fit the {how.format} of the first rows."
            )
        if values.dtype.kind != "f":
            return values.astype(np.int64) * scale
        whole = np.floor(values)  # a float second keeps no more than its microseconds
        micro = np.rint((values - whole) * 1e6).astype(np.int64)
        return whole.astype(np.int64) * scale + micro * (scale // 10**6 or 1)
    text = times if times.dtype == pl.String else times.cast(pl.String)
    if how.format.startswith("%Y-%m-%d %H"):
        text = text.str.replace("T", " ", literal=True)
        if how.offset:
            text = text.str.replace("Z", "+00:00", literal=True)
        elif text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").any():
            raise pl.exceptions.ComputeError("mixed")
    return text.str.to_datetime(how.format, time_unit="ns", strict=True, ambiguous="raise")


def _unreadable(times: pl.Series, how: Clock, error: Exception) -> MarketDataError:
    first, other = times[0], None
    offset = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
    if times.dtype == pl.String:
        zoned = [bool(offset.search(t)) for t in times.head(100_000).to_list()]
        other = next((times[i] for i, z in enumerate(zoned) if z != zoned[0]), None)
    if other is not None:
        return MarketDataError(
            f"mixed time zones: row 0 says {first!r}, another row {other!r}. "
            "Give every row an offset, or none."
        )
    bad = re.search(r'"([^"]+)"\]?', str(error).split("dtypes", 1)[-1])
    return MarketDataError(
        f"a time does not fit the format {how.format!r} of the first row ({first!r})"
        + (f": {bad[1]!r}" if bad else "")
        + ". Make all rows one format, or say mapping={'time': ..., 'format': ...}."
    )


def _closes(days: pl.Series, instrument: Instrument) -> pl.Series:
    midnight = days.dt.truncate("1d")
    if instrument.session is None:
        return midnight.dt.offset_by("1d")
    hours, minutes = instrument.session[1].split(":")
    return midnight.dt.offset_by(f"{int(hours)}h{int(minutes)}m")


def step_ns(step: str) -> int | None:
    """Return the length of a time step such as "5-MINUTE"; None for tick, volume, value steps."""
    count, _, unit = step.partition("-")
    if not count.isdigit() or int(count) < 1 or not unit:
        raise MarketDataError(f'step is {step!r}; expected for example "1-DAY" or "5-MINUTE".')
    if unit in ("TICK", "VOLUME", "VALUE"):
        return None
    if unit not in UNITS:
        raise MarketDataError(
            f"step {step!r} has unit {unit!r}; expected one of {', '.join(UNITS)}, "
            "TICK, VOLUME, VALUE."
        )
    return int(count) * UNITS[unit]


def step_of(ts: Ints) -> str:
    """Return the step of bars closing at `ts`, as their most common distance says."""
    distances = np.diff(np.sort(ts))
    distances = distances[distances > 0]
    if not len(distances):
        raise MarketDataError(
            'one bar alone does not tell its step. Say it: step="1-DAY", step="1-MINUTE" ...'
        )
    values, counts = np.unique(distances, return_counts=True)
    common = int(values[counts.argmax()])
    if common % DAY >= DAY - 3_600_000_000_000 or common % DAY <= 3_600_000_000_000:
        days = round(common / DAY)  # the clocks may shift the close by an hour
        if days:
            return "1-WEEK" if days == 7 else f"{days}-DAY"
    for unit in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
        if common % UNITS[unit] == 0:
            return f"{common // UNITS[unit]}-{unit}"
    raise MarketDataError(
        f'bars lie {common} ns apart, which is no step we know. Say step="1-MINUTE" or the like.'
    )
