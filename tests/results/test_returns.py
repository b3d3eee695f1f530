"""Returns and warnings of a run: from the first order on, in one currency, with gearing told."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

import onetape as ot


def shares(prices: list[float], **terms: Any) -> ot.Dataset:
    days = [dt.date(2024, 1, 2) + dt.timedelta(days=at) for at in range(len(prices))]
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    frame = pl.DataFrame({"date": days, **columns, "volume": [1_000] * len(prices)})
    instrument = terms.pop("instrument", None) or ot.equity("A.XNAS")
    return ot.Dataset.from_frame(frame, instrument=instrument, kind="bars", step="1-DAY", **terms)


class Once(ot.Strategy):
    """Buys at the start."""

    size = ot.param(100)

    def on_start(self) -> None:
        self.buy(self.size)


def test_what_the_first_bar_earns_is_part_of_the_return() -> None:
    days = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
    frame = pl.DataFrame(
        {"date": days, "open": [100.0, 200.0], "high": [200.0] * 2, "low": [100.0, 200.0]}
    ).with_columns(close=pl.lit(200.0), volume=pl.lit(1_000))
    data = ot.Dataset.from_frame(frame, instrument=ot.equity("A.XNAS"), step="1-DAY")
    run = ot.backtest(Once, data, cash=10_000)
    assert run.final_equity == 20_000
    assert run.stats["total_return"] == 1.0


def test_more_exposure_than_the_leverage_stands_for_is_told() -> None:
    geared = ot.backtest(Once, shares([100.0] * 4), cash=1_000)
    assert any("times equity" in said for said in geared.warnings)
    enough = ot.backtest(Once, shares([100.0] * 4), cash=20_000)
    assert not any("times equity" in said for said in enough.warnings)


def test_trades_in_another_currency_count_at_its_rate() -> None:
    yen = ot.equity("J.XNAS", currency="JPY", tick="1")
    rate = shares([0.01] * 5, instrument=ot.fx("JPY/USD.SIM", tick="0.0001"))

    class InAndOut(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            if self.instrument != "J.XNAS":
                return
            held = self.position("J.XNAS")
            if held:
                self.close("J.XNAS")
            else:
                self.buy(10, instrument="J.XNAS")

    prices = [100.0, 100.0, 110.0, 110.0, 110.0]
    run = ot.backtest(InAndOut, [shares(prices, instrument=yen), rate], cash={"USD": 1_000})
    closed = [trade for trade in run.round_trips if not trade.is_open]
    assert [float(trade.net) for trade in closed] == [100.0, 0.0]  # yen, as it was traded
    assert abs(float(run.stats["expectancy"]) - 0.5) < 1e-9  # dollars, as the run is kept
