# pyright: standard
"""What the pictures of a run show: plain arrays and rows, drawn from its frames once.

Floats, for drawing only. Times are ns UTC; a picture shows them in the zone of the run's first
dataset, which is the exchange's own where the data has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onetape.books.definitions import STATISTICS
from onetape.results import market
from onetape.results.text import shown
from onetape.tape.kinds import SplitApplied

if TYPE_CHECKING:
    from onetape.results.run import Run

Array = np.ndarray[Any, Any]
WINDOW = 126  # trading days of the rolling Sharpe: half a year
ORDERED = (
    "final_equity", "total_return", "annual_return", "sharpe", "sortino", "calmar",
    "max_drawdown", "volatility", "win_rate", "profit_factor", "trades", "fees",
)  # fmt: skip


@dataclass(frozen=True)
class Wealth:
    """The equity curve: money and fraction below the highest so far."""

    times: Array
    equity: Array
    drawdown: Array


@dataclass(frozen=True)
class Tape:
    """One instrument: its prices, the fills on them, and its splits (time, ratio)."""

    instrument: str
    times: Array
    prices: Array
    fills: pl.DataFrame  # ts (ns), price, quantity, notional, buy
    splits: tuple[tuple[int, Decimal], ...]


def zone(run: Run) -> str:
    """Return the zone that times are shown in."""
    return run.opened.datasets[0].tz if run.opened.datasets else "UTC"


def city(tz: str) -> str:
    """Return a zone as an axis says it: "New York time", "UTC"."""
    return f"{tz.rsplit('/', 1)[-1].replace('_', ' ')} time" if "/" in tz else tz


def wealth(run: Run) -> Wealth:
    """Return the equity curve; RunError when the run's data is not at hand."""
    frame = run.equity
    money = frame["equity"].cast(pl.Float64).to_numpy()
    return Wealth(frame["ts_event"].dt.epoch("ns").to_numpy(), money, frame["drawdown"].to_numpy())


def traded(run: Run) -> list[tuple[str, int]]:
    """Return the instruments and their number of fills, most first; unfilled ones last."""
    counts = dict(run.fills.group_by("instrument", maintain_order=True).len().iter_rows())
    names = dict.fromkeys([*(d.instrument for d in run.opened.datasets), *counts])
    return sorted(((n, counts.get(n, 0)) for n in names), key=lambda pair: -pair[1])


def tape(run: Run, instrument: str) -> Tape:
    """Return an instrument's prices on the data's clock and its fills."""
    data = [d for d in run.datasets if d.instrument.id == instrument]
    times, prices = np.zeros(0, np.int64), np.zeros(0)
    if data:
        times, exact = market.marks(data, market.grid(data))[instrument]
        prices = np.array([float(price) for price in exact])
    fills = run.fills.filter(pl.col("instrument") == instrument).select(
        pl.col("ts_event").dt.epoch("ns").alias("ts"),
        pl.col("price", "quantity", "notional").cast(pl.Float64),
        (pl.col("side") == "BUY").alias("buy"),
    )
    splits = tuple(
        (event.ts_event, fact.ratio)
        for event in run.recording.of_kind("action.split")
        if isinstance(fact := event.fact, SplitApplied) and fact.instrument == instrument
    )
    return Tape(instrument, times, prices, fills, splits)


def daily(run: Run) -> pl.DataFrame:
    """Return date and return of each day."""
    sample = run._sample.daily
    return pl.DataFrame(
        {"date": pl.Series(sample.dates, dtype=pl.Date), "return": pl.Series(sample.returns)}
    )


def months(run: Run) -> list[tuple[int, list[float | None], float]]:
    """Return for each year its twelve monthly returns (None without a day) and its own."""
    grown = ((pl.col("return") + 1).product() - 1).alias("grown")
    year, month = pl.col("date").dt.year().alias("year"), pl.col("date").dt.month().alias("month")
    frame = daily(run)
    by_month = {row[:2]: row[2] for row in frame.group_by(year, month).agg(grown).iter_rows()}
    by_year = frame.group_by(year).agg(grown).sort("year")
    return [(y, [by_month.get((y, m)) for m in range(1, 13)], g) for y, g in by_year.iter_rows()]


def rolling_sharpe(run: Run, window: int = WINDOW) -> pl.DataFrame:
    """Return date and annualised Sharpe ratio of the `window` days up to it; empty when short."""
    free, periods = run._sample.risk_free, run._sample.periods
    over = pl.col("return") - free
    ratio = over.rolling_mean(window) / over.rolling_std(window) * periods**0.5
    frame = daily(run).select("date", ratio.alias("sharpe"))
    return frame.filter(pl.col("sharpe").is_finite())


def by_instrument(run: Run) -> pl.DataFrame:
    """Return one row an instrument: fills, closed trades, wins, net profit, fees."""
    closed = run.trades.filter(~pl.col("open"))
    sums = closed.group_by("instrument").agg(
        pl.len().alias("trades"),
        (pl.col("net") > 0).mean().alias("win_rate"),
        pl.col("net").sum(),
        pl.col("currency").first(),
    )
    counts = pl.DataFrame(traded(run), schema=["instrument", "fills"], orient="row")
    return counts.join(sums, on="instrument", how="left", maintain_order="left")


def figures(run: Run) -> list[tuple[str, str, str, str]]:
    """Return (name, value as shown, tooltip, tone) of the tiles; from the tape alone if need be."""
    if not run.datasets:
        fees = run.fills.group_by("commission_currency").agg(pl.col("commission").sum())
        paid = " + ".join(f"{amount:,.2f} {code}" for code, amount in fees.iter_rows()) or "0.00"
        closed = sum(1 for trade in run.round_trips if not trade.is_open)
        return [
            ("events", f"{len(run.recording):,}", "events on the tape", ""),
            ("orders", f"{run.orders.height:,}", "orders sent", ""),
            ("fills", f"{run.fills.height:,}", "fills that stand", ""),
            ("trades", f"{closed:,}", tooltip("trades"), ""),
            ("fees", paid, tooltip("fees"), ""),
        ]
    stats = run.stats
    return [(n, figure(n, stats[n], run.currency), tooltip(n), tone(n, stats[n])) for n in ORDERED]


def figure(name: str, value: Any, currency: str = "") -> str:
    """Return a statistic as a person writes it, by the unit of its definition."""
    unit = STATISTICS[name].unit if name in STATISTICS else ""
    if value is not None and unit == "fraction":
        text = f"{float(value) * 100:,.2f} %"
    elif value is not None and unit == "days":
        text = f"{float(value):,.0f} days"
    else:
        text = shown(name, value, currency)
    return text.replace("-", "−") if text[:1] == "-" else text


def tooltip(name: str) -> str:
    """Return a statistic's formula and convention."""
    one = STATISTICS[name]
    return f"{one.formula}\n{one.convention}\n{one.source}"


def tone(name: str, value: Any) -> str:
    """Return "gain" or "loss" for results that have a sign, "" for the rest."""
    signed = ("total_return", "annual_return", "sharpe", "sortino", "calmar", "max_drawdown")
    if value is None or name not in signed or float(value) == 0:
        return ""
    return "gain" if float(value) > 0 else "loss"
