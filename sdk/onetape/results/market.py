"""Prices to value a run by, drawn from the datasets that it read.

The clock is the times at which the data has prices: every row where there are few, else the
last row of each second, minute, hour or day, so that an equity curve has at most about 20,000
points. A mark is a bar's close, a quote's mid or a trade's price, exact, at its own time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl

from onetape.books.marks import Exchange
from onetape.books.trades import Trade
from onetape.books.valuation import InstrumentInfo
from onetape.errors import SettingsError
from onetape.market.dataset import Dataset
from onetape.market.instruments import Instrument

POINTS = 20_000
GRIDS = ("1s", "10s", "1m", "5m", "15m", "1h", "4h", "1d")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Marks = dict[str, tuple[Any, list[Decimal]]]


def grid(datasets: Sequence[Dataset], every: str | None = None) -> str | None:
    """Return the interval between valuations, None for every row."""
    if every is not None:
        if every[-1:] not in SECONDS or not every[:-1].isdigit():
            raise SettingsError(
                f'clock {every!r} found, a number and s, m, h or d expected, as "15m"'
            )
        return every
    if sum(d.rows for d in datasets) <= POINTS * 3 and max(d.rows for d in datasets) <= POINTS:
        return None
    span = max(d.end for d in datasets) - min(d.start for d in datasets)
    for name in GRIDS:
        if span.total_seconds() / (int(name[:-1]) * SECONDS[name[-1]]) <= POINTS:
            return name
    return GRIDS[-1]


def marks(datasets: Sequence[Dataset], every: str | None) -> Marks:
    """Return for each instrument its times (ns UTC) and exact prices."""
    chosen: dict[str, Dataset] = {}
    for dataset in datasets:  # bars before ticks: their closes are the field's valuation prices
        known = chosen.get(dataset.instrument.id)
        if known is None or (known.kind != "bars" and dataset.kind == "bars"):
            chosen[dataset.instrument.id] = dataset
    return {name: _line(dataset, every) for name, dataset in chosen.items()}


def _line(dataset: Dataset, every: str | None) -> tuple[Any, list[Decimal]]:
    columns = {"bars": ["close"], "quotes": ["bid_price", "ask_price"], "trades": ["price"]}[
        dataset.kind
    ]
    frame = dataset.scan().select("ts_event", *columns)
    if every is not None:
        bucket = pl.col("ts_event").dt.truncate(every).alias("bucket")
        frame = frame.group_by(bucket, maintain_order=True).last().drop("bucket")
    kept = frame.collect(engine="streaming").unique("ts_event", keep="last", maintain_order=True)
    times = kept["ts_event"].dt.timestamp("ns").to_numpy()
    values = [kept[name].to_list() for name in columns]
    prices = values[0] if len(values) == 1 else [(b + a) / 2 for b, a in zip(*values, strict=True)]
    return times, prices


def clock(lines: Marks) -> Any:
    """Return all times at which some price is known, ascending."""
    return np.unique(np.concatenate([times for times, _ in lines.values()]))


def infos_of(instruments: Sequence[str]) -> dict[str, InstrumentInfo]:
    """Return what the books must know, from the instruments as the tape has them (JSON)."""
    decoded = [msgspec.json.decode(text, type=Instrument) for text in instruments]
    return {
        i.id: InstrumentInfo(
            multiplier=i.multiplier,
            currency=i.currency,
            margined=i.kind in ("future", "crypto_perpetual"),
        )
        for i in decoded
    }


def rates(datasets: Sequence[Dataset], lines: Marks) -> Marks:
    """Return the rates among the run's instruments, under names such as "EUR/USD"."""
    pairs = {d.instrument.id: d.instrument for d in datasets if d.instrument.kind == "fx"}
    return {
        f"{i.base_currency}/{i.currency}": _from_the_start(lines[name]) for name, i in pairs.items()
    }


def _from_the_start(line: tuple[Any, list[Decimal]]) -> tuple[Any, list[Decimal]]:
    """Have a series' first rate rule before it too: cash is worth something from the first day."""
    times, prices = line
    return np.concatenate(([0], times)), [prices[0], *prices]


def in_currency(trades: Sequence[Trade], currency: str, given: Marks) -> list[Trade]:
    """Return trades with their money in one currency, at the rate when each ended.

    Raises MarketDataError when a rate is not among the run's data.
    """
    return [
        one if one.currency == currency else _translated(one, currency, given) for one in trades
    ]


def _translated(trade: Trade, currency: str, given: Marks) -> Trade:
    at = trade.exit_ts if trade.exit_ts is not None else trade.entry_ts
    rate = Exchange(currency, given, np.array([at])).rate(trade.currency, 0, at)
    return msgspec.structs.replace(
        trade,
        currency=currency,
        gross=trade.gross * rate,
        commission=trade.commission * rate,
        entry_value=trade.entry_value * rate,
    )


def trades_all_week(datasets: Sequence[Dataset]) -> bool:
    """Whether the run's instruments trade on every day of the week."""
    return all(d.instrument.kind == "crypto_perpetual" for d in datasets)
