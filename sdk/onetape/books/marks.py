"""Marks: the last known price of each instrument, at or before any moment.

A price from before a split does not value what is held after it: a mark stamped at or before
the split is divided by the ratio, until a later mark arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from onetape.books.exact import ONE
from onetape.errors import MarketDataError, SettingsError

Times = Sequence[int] | np.ndarray[Any, np.dtype[Any]] | pl.Series
Prices = Sequence[Decimal] | pl.Series
Marks = Mapping[str, tuple[Times, Prices]]


class Line:
    """The marks of one instrument, read along a clock."""

    def __init__(
        self, name: str, times: Times, prices: Prices, clock: np.ndarray[Any, Any]
    ) -> None:
        self.times = nanoseconds(times, f"marks of {name}")
        if len(self.times) != len(prices):
            found = f"{len(self.times)} times and {len(prices)} prices for {name}"
            raise SettingsError(f"{found}; expected one price for each time")
        at = np.searchsorted(self.times, clock, side="right") - 1
        self.steps: list[int] = at.tolist()  # the mark in force at each point of the clock
        self._prices = _used(prices, np.unique(at[at >= 0]))

    def price(self, index: int, splits: Mapping[int, Decimal] | None = None) -> Decimal:
        """Return the mark at `index`, divided by the ratio of every split at or after it."""
        price = self._prices[index]
        if splits:
            stamp, ratio = int(self.times[index]), ONE
            for ts, one in splits.items():
                ratio *= one if ts >= stamp else ONE
            price = price / ratio
        return price


class Exchange:
    """Rates into one currency, read along a clock. "EUR/USD" also answers for USD into EUR."""

    def __init__(self, base: str, rates: Marks | None, clock: np.ndarray[Any, Any]) -> None:
        self.base = base
        self._lines = {
            pair: Line(pair, times, prices, clock)
            for pair, (times, prices) in (rates or {}).items()
        }

    def rate(self, currency: str, step: int, ts: int) -> Decimal:
        """Return what one unit of `currency` is worth in the base currency."""
        if currency == self.base:
            return ONE
        direct, inverse = f"{currency}/{self.base}", f"{self.base}/{currency}"
        for pair in (direct, inverse):
            line = self._lines.get(pair)
            if line is not None and line.steps[step] >= 0:
                price = line.price(line.steps[step])
                return price if pair == direct else 1 / price
        found = ", ".join(self._lines) or "none"
        raise MarketDataError(
            f"no rate from {currency} to {self.base} at {np.datetime64(ts, 'ns')} UTC; "
            f"found rates: {found}; expected {direct!r} with a time at or before it; "
            f"try rates={{{direct!r}: (times, prices)}}"
        )


def nanoseconds(times: Times, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return sorted times as int64 nanoseconds UTC; refuse what is not sorted."""
    if isinstance(times, pl.Series):
        if times.dtype.is_temporal():
            times = times.dt.epoch("ns")
        times = times.to_numpy()
    array = np.asarray(times)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[ns]")
    array = array.astype(np.int64)
    if len(array) > 1 and bool((np.diff(array) < 0).any()):
        first = int(np.argmax(np.diff(array) < 0)) + 1
        raise SettingsError(f"{name} step back in time at row {first}; expected sorted times")
    return array


def _used(prices: Prices, rows: np.ndarray[Any, Any]) -> dict[int, Decimal]:
    """Return the prices that the clock will ask for, as Decimal."""
    wanted: list[int] = rows.tolist()
    if isinstance(prices, pl.Series):
        values: list[Any] = prices.gather(wanted).to_list()
    else:
        values = [prices[row] for row in wanted]
    for row, value in zip(wanted, values, strict=True):
        if not isinstance(value, Decimal):
            found = f"{type(value).__name__} {value!r} at row {row}"
            raise MarketDataError(f"a mark is {found}; expected Decimal; cast prices to Decimal")
    return dict(zip(wanted, values, strict=True))
