"""Make a golden tape: `python tests/golden/make.py` writes the next one, and never an old one.

A golden tape is kept for ever: a later version must load it, with its fingerprint. When the
format gains a version, a new tape is made beside the old ones and entered in test_golden.py.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

import onetape as ot

HERE = Path(__file__).parent
NS = 1_000_000_000


class Golden(ot.Strategy):
    """Every intent and every kind of order, on a few bars."""

    size = ot.param(10, lo=1)

    def on_start(self) -> None:
        self.n = 0
        self.mean = self.sma(2)

    def on_bar(self, bar: Any) -> None:
        self.n += 1
        self.signal("mean", float(self.mean) if self.mean.ready else 0.0)
        if self.n == 1:
            self.target(self.size, why="begin")
            self.buy(500, why="beyond the limit")
        if self.n == 2:
            self.buy(1, limit=90, why="rest")
            self.sell(2, stop=40, limit=39, why="stop-limit")
        if self.n == 4:
            self.cancel()
            self.bracket("sell", 4, stop_loss=60, take_profit=45, why="bracket")
        if self.n == 6:
            self.close(why="end")


def dataset() -> Any:
    """Return ten bars with a split and a dividend."""
    closes = [100, 101, 102, 51, 50, 49, 52, 44, 45, 46]
    days = pl.date_range(pl.date(2024, 1, 8), pl.date(2024, 1, 19), eager=True)
    frame = pl.DataFrame(
        {
            "date": days.filter(days.dt.weekday() < 6),
            **{c: [float(x) for x in closes] for c in ("open", "high", "low", "close")},
            "volume": [1_000] * 10,
        }
    )
    actions = (
        ot.Split(ts=1704983400 * NS, ratio=Decimal(2)),
        ot.Dividend(ts=1705069800 * NS, amount=Decimal("0.25")),
    )
    return ot.Dataset.from_frame(
        frame, instrument=ot.equity("GLD.XNAS"), step="1-DAY", actions=actions, name="golden"
    )


def main() -> None:
    """Write the next golden tape and print its fingerprint."""
    run = ot.backtest(
        Golden,
        dataset(),
        cash=10_000,
        fees=ot.per_share("0.01", min=1),
        limits=ot.limits(max_order_quantity=100),
    )
    path = HERE / f"{len(list(HERE.glob('*.tape'))) + 1:02}.tape"
    run.save(path)
    print(path.name, run.fingerprint, len(run.recording), run.final_equity)


if __name__ == "__main__":
    main()
