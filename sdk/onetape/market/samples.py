# pyright: standard
"""Samples: data that is always there, offline.

GOOG, AAPL, FB, IBM, MSFT   daily bars 2000-03-01 to 2013-03-01 as in bokeh_sampledata, unadjusted;
                            splits and dividends derived from its adjusted close.
EURUSD-ticks                a SYNTHETIC quote market from a seed, the same on every machine.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from onetape.errors import SettingsError, UnknownDataset
from onetape.market.actions import derive
from onetape.market.dataset import Dataset
from onetape.market.ingest import Wanted, to_memory
from onetape.market.instruments import equity, fx

STOCKS = {
    "GOOG": "GOOG.XNAS",
    "AAPL": "AAPL.XNAS",
    "FB": "FB.XNAS",
    "IBM": "IBM.XNYS",
    "MSFT": "MSFT.XNAS",
}
TICKS = "EURUSD-ticks"
DAY = 86_400_000_000_000


def samples() -> list[str]:
    """Return the names that `sample` knows."""
    return [*STOCKS, TICKS]


def sample(name: str, *, seed: int = 7, rows: int = 100_000) -> Dataset:
    """Return a sample by name; `seed` and `rows` are for synthetic ticks only.

    Raises UnknownDataset, with close matches, for a name that is not in `samples()`.
    """
    if name in STOCKS:
        return _stock(name)
    if name == TICKS:
        return _ticks(seed, rows)
    close = difflib.get_close_matches(name.upper(), [*STOCKS, TICKS.upper()], 3, 0.4)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    raise UnknownDataset(f"no sample {name!r}. {hint}There are {', '.join(samples())}.")


@lru_cache(maxsize=8)
def _stock(name: str) -> Dataset:
    import importlib.util
    from pathlib import Path

    from onetape.market.sources import sha256

    spec = importlib.util.find_spec("bokeh_sampledata")
    if spec is None or spec.origin is None:
        raise UnknownDataset("the samples need bokeh_sampledata: pip install bokeh_sampledata.")
    path = Path(spec.origin).parent / "_data" / "stocks.csv.gz"
    frame = pl.read_csv(path, schema_overrides={"Volume": pl.Int64}, try_parse_dates=True)
    frame = frame.filter(pl.col("Ticker") == name)
    instrument = equity(STOCKS[name])
    close, adjusted = frame["Close"].to_numpy(), frame["Adj Close"].to_numpy()
    actions = derive(frame["Date"].to_list(), close, adjusted, instrument)
    wanted = Wanted(instrument, "bars", "1-DAY", name=name, actions=actions)
    data = to_memory(frame.drop("Ticker", "Adj Close"), wanted)
    lineage = {
        "type": "bokeh_sampledata",
        "files": [{"file": path.name, "sha256": sha256(path)}],
        "ticker": name,
        "rows": frame.height,
    }
    return with_source(data, lineage)


def with_source(data: Dataset, lineage: dict[str, Any]) -> Dataset:
    """Return the same in-memory dataset with another account of where it came from."""
    import msgspec

    card = msgspec.structs.replace(data._card, source=(lineage,))
    return Dataset(card, data._store)


@lru_cache(maxsize=4)
def _ticks(seed: int, rows: int) -> Dataset:
    if rows < 1:
        raise SettingsError(f"rows is {rows}; expected at least 1.")
    instrument = fx("EUR/USD.SIM", tick="0.00001")
    name = f"SYNTHETIC-EURUSD-ticks-seed{seed}"
    wanted = Wanted(instrument, "quotes", name=name, synthetic=True)
    lineage = {
        "type": "synthetic", "generator": "onetape.market.samples", "version": 1,
        "seed": seed, "rows": rows,
    }  # fmt: skip
    return with_source(to_memory(synthetic_quotes(seed, rows), wanted), lineage)


def synthetic_quotes(seed: int, rows: int) -> pl.DataFrame:
    """Return made-up EUR/USD quotes: ts (ns UTC), bid, ask (Decimal), bid_size, ask_size.

    PCG64 integers only, so that every machine makes the same: waits of 20 ms to 2 s with bursts,
    a mid that walks by whole points and is drawn to its slow mean, spreads of 1 to 15 points
    (0.1 to 1.5 pips) that widen in bursts, no weekends.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    burst = np.repeat(rng.integers(0, 8, rows // 256 + 1) == 0, 256)[:rows]
    wait = rng.integers(20, 2_000, rows) // np.where(burst, 8, 1)
    elapsed = np.cumsum(wait) * 1_000_000
    open_days = elapsed // DAY  # trading days since Monday 2024-01-08, weekends left out
    ts = 1_704_672_000_000_000_000 + elapsed + (open_days // 5) * 2 * DAY
    steps = np.sum(rng.integers(0, 2, (4, rows)), axis=0) - 2
    steps = np.where(burst, steps * 2, steps)
    walk = np.cumsum(steps)
    span = 8_000  # points; folded back so that long series stay near 1.10
    mid = 110_000 + np.abs((walk + span) % (4 * span) - 2 * span) - span
    spread = 1 + rng.integers(0, 5, rows) + rng.integers(0, 5, rows) // 2
    spread = np.where(burst, spread + rng.integers(0, 9, rows), spread)
    bid = mid - spread // 2
    size = rng.integers(1, 11, (2, rows)) * 500_000
    return pl.DataFrame(
        {"ts_event": ts, "bid": bid, "ask": bid + spread, "bid_size": size[0], "ask_size": size[1]}
    ).with_columns(
        pl.col("ts_event").cast(pl.Datetime("ns", "UTC")),
        (pl.col("bid", "ask").cast(pl.Float64) / 100_000),
    )
