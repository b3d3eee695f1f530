"""Seeded made-up prices in whole cents, as frames and as datasets in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

import onetape as ot

DAY, MINUTE = 86_400 * 10**9, 60 * 10**9
MONDAY = 1_577_836_800 * 10**9 + 5 * DAY  # 2020-01-06 00:00 UTC


def bars(seed: int, rows: int, start: int, step: int) -> pl.DataFrame:
    """Return bars of whole cents: closes walk by up to 3 cents and open up to 2 cents away."""
    rng = np.random.Generator(np.random.PCG64(seed))
    walk = np.cumsum(rng.integers(-3, 4, rows))
    close = 5_000 + np.abs(10_000 + walk)
    opened = np.concatenate((close[:1], close[:-1])) + rng.integers(-2, 3, rows)
    high = np.maximum(opened, close) + rng.integers(0, 3, rows)
    low = np.minimum(opened, close) - rng.integers(0, 3, rows)
    # whole lots large enough that no order of ours is ever cut by a bar's volume
    volume = rng.integers(10, 100, rows) * 1_000
    ts = start + step * np.arange(1, rows + 1)
    return _frame(
        ts, {"open": opened, "high": high, "low": low, "close": close}, {"volume": volume}
    )


def quotes(seed: int, rows: int) -> pl.DataFrame:
    """Return quotes ten milliseconds apart, one or two cents wide."""
    rng = np.random.Generator(np.random.PCG64(seed))
    bid = 5_000 + np.abs(10_000 + np.cumsum(rng.integers(-1, 2, rows)))
    ask = bid + rng.integers(1, 3, rows)
    size = rng.integers(10, 100, (2, rows)) * 1_000
    ts = MONDAY + 10_000_000 * np.arange(1, rows + 1)
    return _frame(ts, {"bid": bid, "ask": ask}, {"bid_size": size[0], "ask_size": size[1]})


def _frame(ts: Any, cents: dict[str, Any], sizes: dict[str, Any]) -> pl.DataFrame:
    prices = {name: pl.Series(values) for name, values in cents.items()}
    return pl.DataFrame({"ts_event": ts, **prices, **sizes}).with_columns(
        pl.col("ts_event").cast(pl.Datetime("ns", "UTC")),
        (pl.col(*cents).cast(pl.Decimal(18, 2)) / 100).cast(pl.Decimal(18, 2)),
    )


def daily(count: int, rows: int) -> dict[str, pl.DataFrame]:
    """Return `count` series of daily bars that close at 21:00 UTC, by instrument id."""
    start = MONDAY + 21 * 3_600 * 10**9
    return {f"S{at:02}.SIM": bars(100 + at, rows, start, DAY) for at in range(count)}


def minutes(rows: int) -> pl.DataFrame:
    """Return one series of one-minute bars."""
    return bars(2, rows, MONDAY, MINUTE)


def dataset(name: str, frame: pl.DataFrame, step: str | None = None) -> ot.Dataset:
    """Return a frame as a dataset of a share traded around the clock."""
    share = ot.equity(name, tz="UTC", session=None)
    return ot.Dataset.from_frame(frame, instrument=share, step=step, synthetic=True)


def pandas_ohlc(frame: pl.DataFrame) -> Any:
    """Return bars as the pandas frame that the peers read: float prices, times as index."""
    names = {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"}
    floats = frame.select(
        "ts_event", *(pl.col(n).cast(pl.Float64).alias(t) for n, t in names.items())
    )
    import pandas as pd

    columns = {n: floats[n].to_numpy() for n in names.values()}
    index = pd.DatetimeIndex(frame["ts_event"].dt.replace_time_zone(None).to_numpy())
    return pd.DataFrame(columns, index=index)
