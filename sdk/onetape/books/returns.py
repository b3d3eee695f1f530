"""Returns: the research view of an equity frame, in floats.

Daily    equity is taken at the last row of each day in `tz`; the first return is that of the
         first day over its first row, when the day has more than one row.
Flows    a deposit is not a return: r = (equity - deposited) / equity before - 1, at each step.
Start    rows before there is any equity are left out.
Gaps     days without a row have no return; nothing is filled in.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl

from onetape.errors import SettingsError

Floats = np.ndarray[Any, np.dtype[np.float64]]
DAY = 86_400_000_000_000


class Path(msgspec.Struct, frozen=True):
    """Growth of one unit along some times: `wealth[0]` is 1, `returns[i]` leads to i + 1."""

    times: np.ndarray[Any, np.dtype[np.int64]]
    returns: Floats
    wealth: Floats
    dates: tuple[object, ...] = ()  # of each return, when daily

    @property
    def drawdown(self) -> Floats:
        """Fraction below the highest wealth so far, at or below zero."""
        return self.wealth / np.maximum.accumulate(self.wealth) - 1.0


def path(frame: pl.DataFrame) -> Path:
    """Return the growth at every row of an equity frame."""
    worth, deposits = _worth(frame)
    times = frame["ts_event"].dt.epoch("ns").to_numpy()
    begun = np.flatnonzero(worth > 0)
    first = int(begun[0]) if len(begun) else len(worth)
    return _grown(times[first:], worth[first:], deposits[first:])


def daily(frame: pl.DataFrame, tz: str = "UTC") -> Path:
    """Return the growth from day to day, each day ending at its last row."""
    worth = pl.col("equity").cast(pl.Float64)
    live = frame.filter((worth > 0).cum_max()) if len(frame) else frame
    dated = live.with_columns(pl.col("ts_event").dt.convert_time_zone(tz).dt.date().alias("date"))
    last = dated.group_by("date", maintain_order=True).last()
    if len(last) and dated["date"].head(2).n_unique() < len(dated["date"].head(2)):
        last = pl.concat([dated.head(1).select(last.columns), last])
    worth, deposits = _worth(last)
    grown = _grown(last["ts_event"].dt.epoch("ns").to_numpy(), worth, deposits)
    return msgspec.structs.replace(grown, dates=tuple(last["date"].to_list()[1:]))


def beside(own: Path, benchmark: pl.DataFrame, tz: str = "UTC") -> tuple[Floats, Floats]:
    """Return own and benchmark daily returns on the days that have both.

    `benchmark` has `ts_event` and one numeric column: a price or an index level.
    """
    levels = [name for name in benchmark.columns if name != "ts_event"]
    if "ts_event" not in benchmark.columns or len(levels) != 1:
        found = ", ".join(benchmark.columns)
        raise SettingsError(
            f"benchmark columns are {found}; expected ts_event and one level; "
            f"try benchmark.select('ts_event', 'close')"
        )
    zeros = pl.lit(0.0).alias("deposits")
    frame = benchmark.select("ts_event", pl.col(levels[0]).alias("equity"), zeros)
    if frame.schema["ts_event"] == pl.Date:
        frame = frame.with_columns(pl.col("ts_event").cast(pl.Datetime("ns", "UTC")))
    other = daily(frame.sort("ts_event"), tz)
    theirs = dict(zip(other.dates, other.returns.tolist(), strict=True))
    both = [
        (mine, theirs[date])
        for date, mine in zip(own.dates, own.returns, strict=True)
        if date in theirs
    ]
    pairs = np.array(both, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _worth(frame: pl.DataFrame) -> tuple[Floats, Floats]:
    worth = frame["equity"].cast(pl.Float64).to_numpy()
    if "deposits" not in frame.columns:
        return worth, np.zeros(len(worth))
    return worth, frame["deposits"].cast(pl.Float64).to_numpy()


def _grown(times: np.ndarray[Any, Any], worth: Floats, deposits: Floats) -> Path:
    if len(worth) < 2:
        return Path(times, np.zeros(0), np.ones(len(worth)))
    before = worth[:-1]
    after = worth[1:] - np.diff(deposits)
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(before > 0, after / before - 1.0, 0.0)  # ruined: nothing left to grow
    return Path(times, returns, np.concatenate([[1.0], np.cumprod(1.0 + returns)]))
