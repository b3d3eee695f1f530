"""Valuation: what the books are worth along a clock, in one pass.

    equity = cash + market_value = deposits + realized + unrealized + dividends - commission

Booked     an event counts from the latest `ts_event` that the tape reached with it: the order
           of the tape rules, and a late fill never rewrites an earlier moment.
Mark       the last at or before the clock; before the first one, the last fill's price.
Margined   market value is the open profit; the notional shows in the exposures.
Exposure   quantity x mark x multiplier, netted per instrument over accounts and strategies.
Currency   every amount is translated at the rate of the moment, deposits at the rate of the
           first moment that sees them; with one currency the identity above is exact.
Columns    Decimal(38, 18), exact; drawdown is a float fraction at or below zero of
           the highest equity so far; `performance` measures it free of deposits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import polars as pl

from onetape.books.cash import CashEntry, Change, book
from onetape.books.exact import EXACT, ONE, TINY, ZERO, exactly
from onetape.books.marks import Exchange, Line, Marks, Times, nanoseconds
from onetape.books.positions import Holdings, Method
from onetape.books.standing import standing
from onetape.errors import MarketDataError
from onetape.tape.event import Event
from onetape.tape.kinds import (
    CashDeposited,
    DividendPaid,
    OrderFilled,
    SplitApplied,
)

MONEY = pl.Decimal(38, 18)
TIME = pl.Datetime("ns", "UTC")
AMOUNTS = (
    "equity",
    "cash",
    "market_value",
    "unrealized",
    "realized",
    "commission",
    "dividends",
    "deposits",
    "gross_exposure",
    "net_exposure",
)
SCHEMA = pl.Schema({"ts_event": TIME, **dict.fromkeys(AMOUNTS, MONEY), "drawdown": pl.Float64()})


class InstrumentInfo(msgspec.Struct, frozen=True):
    """What the books must know of an instrument. Without `currency`, that of its fills."""

    multiplier: Decimal = ONE
    currency: str | None = None
    margined: bool = False


class Held(msgspec.Struct):
    """One instrument while the clock runs."""

    currency: str
    multiplier: Decimal
    margined: bool
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    fill_price: Decimal = ZERO
    price: Decimal = ZERO
    notional: Decimal = ZERO
    splits: dict[int, Decimal] = {}
    step: int = -1
    stale: bool = True


class Totals(msgspec.Struct):
    """Running sums of one currency."""

    cash: Decimal = ZERO
    realized: Decimal = ZERO
    commission: Decimal = ZERO
    dividends: Decimal = ZERO
    fresh_deposits: Decimal = ZERO


class Valuer:
    """The books while a clock runs over them: book events, then ask for the worth."""

    def __init__(
        self,
        marks: Marks,
        clock: np.ndarray[Any, np.dtype[np.int64]],
        instruments: Mapping[str, InstrumentInfo] | None = None,
        method: Method = "average",
    ) -> None:
        self.infos = instruments or {}
        multipliers = {name: info.multiplier for name, info in self.infos.items()}
        self.margined = {name for name, info in self.infos.items() if info.margined}
        self.holdings = Holdings(method, multipliers)
        self.held: dict[str, Held] = {}
        self.totals: dict[str, Totals] = {}
        self.lines = {name: Line(name, *line, clock) for name, line in marks.items()}

    def book(self, event: Event, ts: int) -> None:
        """Book one event at its effective time."""
        fact = event.fact
        if isinstance(fact, OrderFilled):
            self._meet(fact).fill_price = fact.price
        elif isinstance(fact, SplitApplied):
            self._split(fact, ts)
        changes, entries = book(event, self.holdings, self.margined)
        for change in changes:
            self._move(change)
        for entry in entries:
            self._pay(entry)

    def prices(self, step: int) -> bool:
        """Bring every held instrument to its mark; return whether anything changed."""
        changed = False
        for name, held in self.held.items():
            line = self.lines.get(name)
            at = line.steps[step] if line is not None else -1
            if at == held.step and not held.stale:
                continue
            held.price = line.price(at, held.splits) if line and at >= 0 else held.fill_price
            held.notional = held.quantity * held.price * held.multiplier
            held.step, held.stale, changed = at, False, True
        return changed

    def _meet(self, fill: OrderFilled) -> Held:
        held = self._known(fill.instrument)
        held.currency = held.currency or fill.currency
        if held.currency != fill.currency:
            raise MarketDataError(
                f"{fill.instrument} was filled in {fill.currency}; expected {held.currency} as its "
                f"InstrumentInfo or its first fill says; try InstrumentInfo(currency=...)"
            )
        return held

    def _known(self, instrument: str) -> Held:
        held = self.held.get(instrument)
        if held is None:
            info = self.infos.get(instrument, InstrumentInfo())
            held = Held(info.currency or "", info.multiplier, info.margined)
            self.held[instrument] = held
        return held

    def _split(self, fact: SplitApplied, ts: int) -> None:
        held = self._known(fact.instrument)  # known even if never held: its old mark may rule
        if ts not in held.splits:  # a second account tells of the same split
            held.splits[ts] = fact.ratio
            held.fill_price /= fact.ratio
            held.stale = True

    def _move(self, change: Change) -> None:
        key, before, after = change
        held = self.held[key.instrument]
        held.quantity += after.quantity - before.quantity
        held.cost += after.cost - before.cost
        held.stale = True
        self._total(held.currency).realized += after.realized - before.realized

    def _pay(self, entry: CashEntry) -> None:
        total = self._total(entry.currency)
        total.cash += entry.amount
        if entry.reason == "commission":
            total.commission -= entry.amount
        elif entry.reason == "dividend":
            total.dividends += entry.amount
        elif entry.reason == "deposit":
            total.fresh_deposits += entry.amount

    def _total(self, currency: str) -> Totals:
        total = self.totals.get(currency)
        if total is None:
            total = self.totals[currency] = Totals()
        return total


@exactly
def equity(
    events: Iterable[Event],
    marks: Marks,
    clock: Times,
    base_currency: str,
    instruments: Mapping[str, InstrumentInfo] | None = None,
    rates: Marks | None = None,
    method: Method = "average",
) -> pl.DataFrame:
    """Return the worth of the books at each point of `clock`, in the base currency.

    Raises MarketDataError when an amount cannot be translated, SettingsError when times are
    not sorted.
    """
    points = nanoseconds(clock, "the clock")
    valuer = Valuer(marks, points, instruments, method)
    exchange = Exchange(base_currency, rates, points)
    agenda, position = effective(events), 0
    deposits, row = ZERO, (ZERO,) * len(AMOUNTS)
    rows: list[tuple[Decimal, ...]] = []
    for step, ts in enumerate(points.tolist()):
        booked = position
        while position < len(agenda) and agenda[position][0] <= ts:
            valuer.book(agenda[position][1], agenda[position][0])
            position += 1
        changed = valuer.prices(step) or position > booked
        if changed or valuer.totals.keys() - {base_currency}:
            deposits += _deposited(valuer, exchange, step, ts)
            row = _worth(valuer, exchange, step, ts, deposits)
        rows.append(row)
    return _frame(points, rows)


BOOKED = (OrderFilled, SplitApplied, CashDeposited, DividendPaid)


def effective(events: Iterable[Event]) -> list[tuple[int, Event]]:
    """Return the events that move the books, each with the time from which it counts."""
    agenda: list[tuple[int, Event]] = []
    now = -(2**63)
    for event in standing(events):
        if isinstance(event.fact, BOOKED):
            now = max(now, event.ts_event)
            agenda.append((now, event))
    return agenda


def _deposited(valuer: Valuer, exchange: Exchange, step: int, ts: int) -> Decimal:
    arrived = ZERO
    for currency, total in valuer.totals.items():
        if total.fresh_deposits:
            arrived += total.fresh_deposits * exchange.rate(currency, step, ts)
            total.fresh_deposits = ZERO
    return arrived


def _worth(
    valuer: Valuer, exchange: Exchange, step: int, ts: int, deposits: Decimal
) -> tuple[Decimal, ...]:
    """Return one row, in the order of AMOUNTS."""
    cash = realized = commission = dividends = ZERO
    rates: dict[str, Decimal] = {}
    for currency, total in valuer.totals.items():
        if total.cash or total.realized or total.commission or total.dividends:
            rates[currency] = rate = exchange.rate(currency, step, ts)
            cash += total.cash * rate
            realized += total.realized * rate
            commission += total.commission * rate
            dividends += total.dividends * rate
    value = unrealized = gross = net = ZERO
    for held in valuer.held.values():
        if not held.quantity:
            continue
        rate = rates.get(held.currency) or exchange.rate(held.currency, step, ts)
        profit, notional = (held.notional - held.cost) * rate, held.notional * rate
        value += profit if held.margined else notional
        unrealized += profit
        gross += abs(notional)
        net += notional
    worth = cash + value
    return worth, cash, value, unrealized, realized, commission, dividends, deposits, gross, net


def _frame(points: np.ndarray[Any, Any], rows: list[tuple[Decimal, ...]]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(AMOUNTS)
    series = [pl.Series("ts_event", points).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")]
    for name, column in zip(AMOUNTS, columns, strict=True):
        rounded = [EXACT.quantize(amount, TINY) for amount in column]
        series.append(pl.Series(name, rounded, dtype=MONEY))
    frame = pl.DataFrame(series)
    worth = pl.col("equity").cast(pl.Float64)
    peak = worth.cum_max()
    fall = pl.when(peak > 0).then(worth / peak - 1).otherwise(0.0)
    return frame.with_columns(fall.alias("drawdown")).cast(SCHEMA)
