"""Made-up quotes, bars and trades, and the real files where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "market"
START = 1_704_672_000_000_000_000  # Monday 2024-01-08 00:00 UTC
MINUTE = 60_000_000_000


def real(name: str) -> Path:
    """Return a real file, or skip the test saying which is missing."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"the real file {name} is not at hand")
    return path


def quotes(rows: int = 1_000, seed: int = 1, start: int = START) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    bid = 110_000 + np.cumsum(rng.integers(-2, 3, rows))
    return pl.DataFrame(
        {
            "ts": start + np.cumsum(rng.integers(1, 2_000, rows)) * 1_000_000,
            "bid": bid / 1e5,
            "ask": (bid + rng.integers(1, 9, rows)) / 1e5,
            "bid_size": rng.integers(1, 9, rows) * 1e6,
            "ask_size": rng.integers(1, 9, rows) * 1e6,
        }
    )


def minute_bars(rows: int = 1_000, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = 20_000 + np.cumsum(rng.integers(-9, 10, rows))
    opened = np.concatenate([[20_000], close[:-1]])
    high = np.maximum(opened, close) + rng.integers(0, 5, rows)
    low = np.minimum(opened, close) - rng.integers(0, 5, rows)
    frame = {"open": opened, "high": high, "low": low, "close": close}
    return pl.DataFrame(
        {
            "time": START + np.arange(1, rows + 1) * MINUTE,
            **{k: v / 100 for k, v in frame.items()},
            "volume": rng.integers(1, 1_000, rows),
        }
    ).with_columns(pl.col("time").cast(pl.Datetime("ns", "UTC")))


def trades(rows: int = 1_000, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "timestamp": START + np.cumsum(rng.integers(0, 900, rows)) * 1_000_000,
            "price": (4_000_000 + np.cumsum(rng.integers(-3, 4, rows))) / 100,
            "size": rng.integers(1, 9_000_000, rows) / 1e6,
            "side": rng.choice(["buy", "sell"], rows),
            "trade_id": [f"T{i}" for i in range(rows)],
        }
    )
