"""Columns: which column of a source means what, and its numbers as exact scaled integers.

Names are matched without case, spaces or punctuation ("Adj Close", "bidPrice", "o"); what was
chosen is kept as `inferred` and shown with the dataset, and `mapping` overrides it.

Method   A float x at precision p becomes rint(x * 10**p). Where that is further than 1e-6 from
         the product, or is no multiple of the tick, the value is not on a tick: it is rounded to
         the nearest tick and counted; above `OFF_TICK_LIMIT` of a column the tick must be wrong
         and MarketDataError says which tick would fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from onetape.errors import MarketDataError
from onetape.market.blocks import COLUMNS, Ints
from onetape.market.instruments import Instrument

OFF_TICK_LIMIT = 0.25
TIMES = ("ts_event", "timestamp", "timestamp_utc", "timestamp_ns", "timestamp_ms", "datetime",
         "datetime_utc", "date_time", "time", "ts", "date", "gmt_time", "local_time", "open_time",
         "close_time", "unix", "epoch", "t")  # fmt: skip
NAMES: dict[str, tuple[str, ...]] = {
    "open": ("open", "o", "open_price", "px_open"),
    "high": ("high", "h", "high_price", "px_high"),
    "low": ("low", "l", "low_price", "px_low"),
    "close": ("close", "c", "close_price", "last", "px_last"),
    "volume": ("volume", "vol", "v", "px_volume", "base_volume"),
    "bid_price": ("bid_price", "bid", "bidprice", "bid_px", "b", "best_bid", "px_bid"),
    "ask_price": ("ask_price", "ask", "askprice", "ask_px", "a", "offer", "best_ask", "px_ask"),
    "bid_size": ("bid_size", "bidsize", "bid_qty", "bid_volume", "bidvolume", "bid_sz"),
    "ask_size": ("ask_size", "asksize", "ask_qty", "ask_volume", "askvolume", "ask_sz"),
    "price": ("price", "px", "trade_price", "last", "p"),
    "size": ("size", "qty", "quantity", "amount", "volume", "vol", "trade_size", "q"),
    "aggressor_side": ("aggressor_side", "aggressor", "side", "taker_side"),
    "buyer_maker": ("buyer_maker", "is_buyer_maker", "isbuyermaker", "buyer_is_maker"),
    "trade_id": ("trade_id", "tradeid", "agg_trade_id", "id", "tid"),
}
NEEDED = {
    "bars": ("open", "high", "low", "close"),
    "quotes": ("bid_price", "ask_price"),
    "trades": ("price", "size"),
}
OPTIONAL = {
    "bars": ("volume",),
    "quotes": ("bid_size", "ask_size"),
    "trades": ("aggressor_side", "buyer_maker", "trade_id"),
}
SIDE_WORDS = {"b": 1, "buy": 1, "buyer": 1, "bid": 1, "1": 1, "s": 2, "sell": 2, "seller": 2,
              "ask": 2, "a": 2, "-1": 2, "2": 2}  # fmt: skip


class Found(NamedTuple):
    """Which kind of data a source holds, and in which of its columns."""

    kind: str
    time: str
    clock_time: str | None  # a second column with the time of day
    columns: dict[str, str]
    format: str | None = None


def find(names: Sequence[str], kind: str | None, mapping: Mapping[str, str | int] | None) -> Found:
    """Return what the columns mean; MarketDataError names what is missing and what is there."""
    known = {plain(n): n for n in reversed(names)}
    chosen, format = _mapped(names, mapping or {})
    time = chosen.pop("time", None) or next((known[t] for t in TIMES if t in known), None)
    day = known.get("date")
    clock = known.get("time")
    if "time_of_day" in chosen:
        clock_time = chosen.pop("time_of_day")
    else:
        both = day is not None and clock is not None and time in (day, clock)
        time, clock_time = (day, clock) if both else (time, None)
    for wanted, aliases in NAMES.items():
        if wanted not in chosen:
            found = next((known[a] for a in aliases if a in known), None)
            if found is not None and found not in (time, clock_time):
                chosen[wanted] = found
    kind = kind or _kind(chosen)
    if kind not in COLUMNS:
        raise _missing("bars, quotes or trades", names, "open high low close, bid ask, price size")
    absent = [c for c in NEEDED[kind] if c not in chosen]
    if time is None:
        absent.insert(0, "time")
    if absent or time is None:
        raise _missing(kind, names, ", ".join(absent))
    keep = NEEDED[kind] + OPTIONAL[kind]
    return Found(kind, time, clock_time, {k: chosen[k] for k in keep if k in chosen}, format)


def plain(name: str) -> str:
    """Return a column name in lower snake case, without punctuation."""
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s.\-()<>]+", "_", snake).strip("_").lower()


def _mapped(
    names: Sequence[str], mapping: Mapping[str, str | int]
) -> tuple[dict[str, str], str | None]:
    chosen: dict[str, str] = {}
    for key, column in mapping.items():
        if key == "format":
            continue
        name = names[column] if isinstance(column, int) and column < len(names) else column
        if name not in names:
            raise MarketDataError(
                f"mapping says {key!r} is column {column!r}; the source has {_listed(names)}."
            )
        called = plain(key)
        own = next((n for n, a in NAMES.items() if called in a), called)
        own = "time" if called in TIMES else own
        if own not in ("time", "time_of_day", *NAMES):
            raise MarketDataError(
                f"mapping key {key!r} is none of ours; expected time, time_of_day, format, "
                f"{', '.join(NAMES)}. The source's name goes on the right."
            )
        chosen[own] = str(name)
    format = mapping.get("format")
    return chosen, None if format is None else str(format)


def _kind(chosen: Mapping[str, str]) -> str:
    for kind in ("bars", "quotes", "trades"):
        if all(c in chosen for c in NEEDED[kind]):
            return kind
    return ""


def _missing(kind: str, names: Sequence[str], absent: str) -> MarketDataError:
    return MarketDataError(
        f"cannot find the columns of {kind}: no {absent} among {_listed(names)}. "
        'Say which is which: mapping={"time": "Zeit", "open": "Anfang", ...} (names or positions).'
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(repr(n[:40]) for n in names[:12]) + more


class Numbers(NamedTuple):
    """A column as scaled integers, and where it was not on a tick."""

    values: Ints
    off: NDArray[np.bool_] | None


def scaled(column: pl.Series, precision: int, unit: int, what: str) -> Numbers:
    """Return `column` in units of 10**-precision, rounded to multiples of `unit`.

    Raises MarketDataError for missing, NaN, infinite or too large values and for text.
    """
    if column.null_count():
        raise _hole(column.is_null(), column, "no value", what)
    if column.dtype == pl.String:
        text = column
        column = text.str.strip_chars().cast(pl.Float64, strict=False)
        if column.null_count():
            raise _hole(column.is_null(), text, "text instead of a number", what)
    if column.dtype.is_decimal():
        exact = _exact_decimals(column, precision, unit)
        if exact is not None:
            return Numbers(exact, None)
    if column.dtype.is_integer():
        exact = _exact_integers(column, precision, unit, what)
        if exact is not None:
            return Numbers(exact, None)
    if not column.dtype.is_numeric():
        raise MarketDataError(f"{what} is {column.dtype}; expected numbers.")
    return _rounded(column, precision, unit, what)


def _rounded(column: pl.Series, precision: int, unit: int, what: str) -> Numbers:
    exact = column.cast(pl.Float64).to_numpy() * 10.0**precision
    near = np.rint(exact)
    with np.errstate(invalid="ignore"):  # infinity is told below
        error = np.abs(exact - near)
    worst = float(error.max()) if len(error) else 0.0
    if not np.isfinite(worst):
        raise _hole(~column.cast(pl.Float64).is_finite(), column, "NaN or infinity", what)
    if len(near) and float(np.abs(near).max()) > 2**62:
        raise MarketDataError(f"{what} holds {column.abs().max()}, more than can be kept exactly.")
    off = None
    if worst > 1e-6:
        off = error > 1e-6 + np.abs(near) * 4e-16  # the second term is the float's own rounding
    if unit > 1:
        tick = np.rint(exact / unit) * unit
        wrong = tick != near
        off = wrong if off is None else off | wrong
        near = tick
    return Numbers(near.astype(np.int64), off if off is not None and bool(off.any()) else None)


def _exact_integers(column: pl.Series, precision: int, unit: int, what: str) -> Ints | None:
    try:
        whole = column.cast(pl.Int64).to_numpy()
    except pl.exceptions.PolarsError:
        raise MarketDataError(f"{what} holds {column.abs().max()}, too large to keep.") from None
    if len(whole) and int(np.abs(whole).max()) * 10**precision >= 2**62:
        return None
    values = whole * 10**precision
    return None if unit > 1 and bool((values % unit).any()) else values


def _exact_decimals(column: pl.Series, precision: int, unit: int) -> Ints | None:
    from onetape.market.layout import narrow

    try:
        values = narrow(cast(Any, column.cast(pl.Decimal(38, 16))).to_arrow(), precision, "")
    except (MarketDataError, pl.exceptions.PolarsError):
        return None
    return None if unit > 1 and bool((values % unit).any()) else values


def _hole(bad: pl.Series, column: pl.Series, said: str, what: str) -> MarketDataError:
    row = bad.arg_max() or 0
    return MarketDataError(
        f"{what} has {said} in {bad.sum()} rows, the first is row {row} of its chunk "
        f"({column[row]!r}). Drop or fill such rows before ingesting."
    )


def tick_units(instrument: Instrument) -> int:
    """Return the tick in units of 10**-price_precision."""
    return int(instrument.tick.scaleb(instrument.price_precision))


def fitting_tick(column: pl.Series) -> str:
    """Return the largest power of ten that all of `column` are multiples of, as text."""
    values = column.cast(pl.Float64).drop_nulls().head(10_000).to_numpy()
    for digits in range(13):
        exact = values * 10.0**digits
        if np.all(np.abs(exact - np.rint(exact)) < 1e-6 + np.abs(exact) * 1e-15):
            return format(10.0**-digits, f".{digits}f")
    return "smaller"


def sides(frame: pl.DataFrame, columns: Mapping[str, str]) -> Ints:
    """Return the aggressor of each trade: 0 unknown, 1 buyer, 2 seller."""
    if "aggressor_side" in columns:
        words = frame[columns["aggressor_side"]].cast(pl.String).str.to_lowercase()
        words = words.str.strip_chars()
        return words.replace_strict(SIDE_WORDS, default=0, return_dtype=pl.Int64).to_numpy()
    if "buyer_maker" in columns:
        maker = frame[columns["buyer_maker"]].cast(pl.String).str.to_lowercase()
        return np.where(maker.is_in(["true", "1", "t"]).to_numpy(), 2, 1).astype(np.int64)
    return np.zeros(frame.height, dtype=np.int64)
