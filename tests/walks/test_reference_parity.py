"""The same trades as an independent library: backtesting 0.6.6 on its own Google series."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

import onetape as ot

backtesting = pytest.importorskip(
    "backtesting",
    reason="the reference library is a development dependency: pip install backtesting",
)

SIZE, CASH = 10, 10_000
GRID = [(f, s) for f in (3, 5, 8, 10, 15) for s in (20, 30, 45, 60)] + [(2, 7), (4, 9)]


@pytest.fixture(scope="module")
def google() -> Any:
    from backtesting.test import GOOG

    return GOOG


@pytest.fixture(scope="module")
def dataset(google: Any) -> Any:
    frame = pl.DataFrame(
        {
            "date": [stamp.date() for stamp in google.index],
            **{name.lower(): google[name].to_numpy() for name in ("Open", "High", "Low", "Close")},
            "volume": google["Volume"].to_numpy(),
        }
    )
    return ot.Dataset.from_frame(frame, instrument=ot.equity("GOOG.XNAS"), step="1-DAY")


class Cross(ot.Strategy):
    fast = ot.param(10)
    slow = ot.param(20)

    def on_start(self) -> None:
        self.f, self.s = self.sma(self.fast), self.sma(self.slow)

    def on_bar(self, bar: Any) -> None:
        if self.f.crossed_above(self.s):
            self.target(+SIZE)
        elif self.f.crossed_below(self.s):
            self.target(-SIZE)


def reference(google: Any, fast: int, slow: int) -> tuple[list[tuple[Any, ...]], float]:
    """Return the fills and the final equity of the library's own run of the same idea."""
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover

    def mean(values: Any, period: int) -> Any:
        import pandas as pd

        return pd.Series(values).rolling(period).mean()

    class Reversal(Strategy):
        def init(self) -> None:
            self.f = self.I(mean, self.data.Close, fast)
            self.s = self.I(mean, self.data.Close, slow)

        def next(self) -> None:
            if crossover(self.f, self.s):
                self.buy(size=SIZE)
            elif crossover(self.s, self.f):
                self.sell(size=SIZE)

    made = Backtest(
        google,
        Reversal,
        cash=CASH,
        commission=0.002,
        exclusive_orders=True,
        finalize_trades=False,
    )
    stats = made.run()
    trades = list(stats["_strategy"].closed_trades) + list(stats["_strategy"].trades)
    fills: list[tuple[Any, ...]] = []
    for trade in trades:
        side = "BUY" if trade.size > 0 else "SELL"
        fills.append(
            (trade.entry_time.date(), side, abs(trade.size), round(float(trade.entry_price), 2))
        )
        if trade.exit_time is not None:
            side = "SELL" if trade.size > 0 else "BUY"
            fills.append(
                (trade.exit_time.date(), side, abs(trade.size), round(float(trade.exit_price), 2))
            )
    return fills, float(stats["Equity Final [$]"])


def ours(dataset: Any, **params: int) -> Any:
    terms: dict[str, Any] = {"cash": CASH, "fees": ot.bps(20), "fill": "next_open"}
    return ot.backtest(Cross, dataset, params=params, **terms)


def units(fills: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return fills summed by day, side and price: there a reversal is two trades."""
    summed: dict[tuple[Any, ...], int] = {}
    for day, side, size, price in fills:
        summed[day, side, price] = summed.get((day, side, price), 0) + int(size)
    return sorted((*key, size) for key, size in summed.items())


def fills_of(run: Any) -> list[tuple[Any, ...]]:
    rows = run.fills.select("ts_event", "side", "quantity", "price").rows()
    return [(t.date(), side, size, float(price)) for t, side, size, price in rows]


def test_the_reference_cross_ends_with_20840_93(dataset):
    assert ours(dataset, fast=10, slow=20).final_equity == Decimal("20840.93")


@pytest.mark.filterwarnings("ignore:Some trades remain open")
@pytest.mark.parametrize(("fast", "slow"), [(10, 20), *GRID])
def test_every_fill_and_the_final_equity_are_those_of_the_reference_library(
    google, dataset, fast, slow
):
    wanted, equity = reference(google, fast, slow)
    run = ours(dataset, fast=fast, slow=slow)
    assert len(wanted) > 10
    assert units(fills_of(run)) == units(wanted)
    cent_a_fill = 0.01 * len(wanted)  # commissions are rounded to the cent here, not there
    assert float(run.final_equity) == pytest.approx(equity, abs=cent_a_fill)
