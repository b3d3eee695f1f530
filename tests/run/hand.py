"""Markets made by hand, and a strategy that does what it is told at a given row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

import onetape as ot

D = Decimal
MONDAY = date(2024, 1, 8)
NS = 1_000_000_000


def days(count: int, first: date = MONDAY) -> list[date]:
    """Return trading days, weekends left out."""
    out: list[date] = []
    day = first
    while len(out) < count:
        if day.weekday() < 5:
            out.append(day)
        day += timedelta(days=1)
    return out


def daily(
    rows: Sequence[tuple[float, float, float, float]],
    name: str = "AAA.XNAS",
    on: Sequence[date] | None = None,
    **more: Any,
) -> Any:
    """Return daily bars of a share from (open, high, low, close) rows."""
    instrument = more.pop("instrument", None) or ot.equity(name)
    o, h, lo, c = (list(map(float, x)) for x in zip(*rows, strict=True))
    frame = pl.DataFrame(
        {"date": list(on or days(len(rows))), "open": o, "high": h, "low": lo, "close": c}
    ).with_columns(volume=pl.lit(1_000_000))
    return ot.Dataset.from_frame(frame, instrument=instrument, step="1-DAY", **more)


def flat(prices: Sequence[float], name: str = "AAA.XNAS", **more: Any) -> Any:
    """Return daily bars that open at one price and close 1 higher."""
    return daily([(p, p + 2, p - 2, p + 1) for p in prices], name, **more)


def at(seconds: float) -> datetime:
    """Return a moment of the first Monday, `seconds` after 15:00 UTC."""
    return datetime(2024, 1, 8, 15, tzinfo=UTC) + timedelta(seconds=seconds)


def quotes(rows: Sequence[tuple[Any, ...]], name: str = "AAA.XNAS", **more: Any) -> Any:
    """Return quotes from (seconds, bid, ask[, bid_size, ask_size]) rows."""
    instrument = more.pop("instrument", None) or ot.equity(name)
    full = [(*r, 100, 100)[:5] if len(r) == 3 else r for r in rows]
    frame = pl.DataFrame(
        {
            "ts_event": [at(r[0]) for r in full],
            "bid_price": [float(r[1]) for r in full],
            "ask_price": [float(r[2]) for r in full],
            "bid_size": [r[3] for r in full],
            "ask_size": [r[4] for r in full],
        }
    )
    return ot.Dataset.from_frame(frame, instrument=instrument, kind="quotes", **more)


def trades(rows: Sequence[tuple[float, float, int]], name: str = "AAA.XNAS", **more: Any) -> Any:
    """Return trades from (seconds, price, size) rows."""
    instrument = more.pop("instrument", None) or ot.equity(name)
    frame = pl.DataFrame(
        {
            "ts_event": [at(r[0]) for r in rows],
            "price": [float(r[1]) for r in rows],
            "size": [r[2] for r in rows],
        }
    )
    return ot.Dataset.from_frame(frame, instrument=instrument, kind="trades", **more)


Plan = Mapping[int, Callable[[Any], Any]]


def scripted(plan: Plan, *, react: Callable[[Any, Any], Any] | None = None) -> type:
    """Return a strategy that calls `plan[n]` with itself on the n-th row, counted from 0."""

    class Scripted(ot.Strategy):
        def on_start(self) -> None:
            self.n = -1
            self.ids: dict[int, Any] = {}

        def _row(self, row: Any) -> None:
            self.n += 1
            if self.n in plan:
                self.ids[self.n] = plan[self.n](self)

        on_bar = on_quote = on_trade = _row

        def on_order_event(self, event: Any) -> None:
            if react is not None:
                react(self, event)

    return Scripted


def fills(run: Any) -> list[tuple[str, str, Decimal, Decimal]]:
    """Return (time to the second, side, quantity, price) of each fill."""
    return [
        (f"{row['ts_event']:%m-%d %H:%M:%S}", row["side"], row["quantity"], row["price"])
        for row in run.fills.iter_rows(named=True)
    ]


def kinds(run: Any) -> list[str]:
    """Return the kinds of the run's events, in order."""
    return [event.kind for event in run.recording]


BARS_TYPE = "AAA.XNAS-1-DAY-LAST-EXTERNAL"


def bars_on_minutes(prices: Sequence[float], name: str = "AAA.XNAS") -> Any:
    """Return one-minute bars that close 60, 120, ... seconds after 15:00 UTC."""
    frame = pl.DataFrame(
        {
            "ts_event": [at(60 * (n + 1)) for n in range(len(prices))],
            **{column: [float(p) for p in prices] for column in ("open", "high", "low", "close")},
            "volume": [100] * len(prices),
        }
    )
    return ot.Dataset.from_frame(frame, instrument=ot.equity(name), step="1-MINUTE")
