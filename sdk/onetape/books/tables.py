"""Tables: the books as polars frames, each row leading back to the tape by its `seq`.

Money, prices and quantities are Decimal(38, 18); a longer one is rounded half even to 1e-18.
Times are Datetime("ns", "UTC"). A schema is the same with no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from onetape.books import cash as cash_fold
from onetape.books import orders as order_fold
from onetape.books.exact import EXACT, ONE, TINY, ZERO, exactly
from onetape.books.positions import Holdings, Method, average_price
from onetape.books.standing import standing
from onetape.books.trades import Trade
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFilled, SignalNoted, SplitApplied

MONEY = pl.Decimal(38, 18)
TIME = pl.Datetime("ns", "UTC")
TEXT, WHOLE = pl.String(), pl.Int64()
SEQS = pl.List(pl.Int64())

FILLS = pl.Schema(
    {
        "seq": WHOLE,
        "ts_event": TIME,
        "account": TEXT,
        "instrument": TEXT,
        "strategy": TEXT,
        "client_order_id": TEXT,
        "venue_order_id": TEXT,
        "trade_id": TEXT,
        "side": TEXT,
        "quantity": MONEY,
        "price": MONEY,
        "currency": TEXT,
        "notional": MONEY,
        "commission": MONEY,
        "commission_currency": TEXT,
        "liquidity": TEXT,
    }
)
ORDERS = pl.Schema(
    {
        "seq": WHOLE,
        "ts_init": TIME,
        "ts_last": TIME,
        "client_order_id": TEXT,
        "venue_order_id": TEXT,
        "account": TEXT,
        "instrument": TEXT,
        "strategy": TEXT,
        "side": TEXT,
        "type": TEXT,
        "time_in_force": TEXT,
        "quantity": MONEY,
        "filled": MONEY,
        "price": MONEY,
        "trigger_price": MONEY,
        "average_price": MONEY,
        "commission": MONEY,
        "status": TEXT,
        "reason": TEXT,
        "seqs": SEQS,
    }
)
TRADES = pl.Schema(
    {
        "seq": WHOLE,
        "account": TEXT,
        "instrument": TEXT,
        "strategy": TEXT,
        "side": TEXT,
        "quantity": MONEY,
        "entry_ts": TIME,
        "exit_ts": TIME,
        "duration": pl.Duration("ns"),
        "entry_price": MONEY,
        "exit_price": MONEY,
        "currency": TEXT,
        "gross": MONEY,
        "commission": MONEY,
        "net": MONEY,
        "return": pl.Float64(),
        "open": pl.Boolean(),
        "entry_seqs": SEQS,
        "exit_seqs": SEQS,
    }
)
POSITIONS = pl.Schema(
    {
        "seq": WHOLE,
        "ts_event": TIME,
        "account": TEXT,
        "instrument": TEXT,
        "strategy": TEXT,
        "event": TEXT,
        "quantity": MONEY,
        "average_price": MONEY,
        "cost": MONEY,
        "realized": MONEY,
    }
)
SIGNALS = pl.Schema(
    {
        "seq": WHOLE,
        "ts_event": TIME,
        "strategy": TEXT,
        "instrument": TEXT,
        "name": TEXT,
        "value": pl.Float64(),
    }
)
CASH = pl.Schema(
    {
        "seq": WHOLE,
        "ts_event": TIME,
        "account": TEXT,
        "currency": TEXT,
        "reason": TEXT,
        "amount": MONEY,
        "balance": MONEY,
        "instrument": TEXT,
        "client_order_id": TEXT,
    }
)


@exactly
def fills(
    events: Iterable[Event], multipliers: Mapping[str, Decimal] | None = None
) -> pl.DataFrame:
    """Return one row for each fill that stands; notional is unsigned money."""
    sizes = multipliers or {}
    rows: list[tuple[object, ...]] = []
    for event in standing(events):
        fact = event.fact
        if isinstance(fact, OrderFilled):
            notional = fact.quantity * fact.price * sizes.get(fact.instrument, ONE)
            what = (fact.account, fact.instrument, fact.strategy, fact.client_order_id)
            ids = (fact.venue_order_id, fact.trade_id, fact.side)
            money = (fact.quantity, fact.price, fact.currency, notional, fact.commission)
            where = (fact.commission_currency, fact.liquidity)
            rows.append((event.seq, event.ts_event, *what, *ids, *money, *where))
    return _frame(rows, FILLS)


@exactly
def orders(events: Iterable[Event]) -> pl.DataFrame:
    """Return one row for each order as the events leave it; `seq` is of its first event.

    Commission is null when it was paid in several currencies.
    """
    rows: list[tuple[object, ...]] = []
    for one in order_fold.orders(events).values():
        paid = list(one.commission.values()) or [ZERO]
        commission = paid[0] if len(paid) == 1 else None
        times = (one.seqs[0], one.ts_init, one.ts_last)
        ids = (one.client_order_id, one.venue_order_id, one.account, one.instrument, one.strategy)
        terms = (one.side, one.type, one.time_in_force, one.quantity, one.filled)
        prices = (one.price, one.trigger_price, one.average_price)
        end = (commission, one.status, one.reason, list(one.seqs))
        rows.append((*times, *ids, *terms, *prices, *end))
    return _frame(rows, ORDERS)


@exactly
def trades(made: Iterable[Trade]) -> pl.DataFrame:
    """Return one row for each trade; `seq` is of its first entry fill."""
    rows: list[tuple[object, ...]] = []
    for one in made:
        what = (one.entry_seqs[0], one.account, one.instrument, one.strategy, one.side)
        times = (one.quantity, one.entry_ts, one.exit_ts, one.duration)
        money = (one.entry_price, one.exit_price, one.currency, one.gross, one.commission, one.net)
        seqs = (list(one.entry_seqs), list(one.exit_seqs))
        rows.append((*what, *times, *money, one.return_fraction, one.is_open, *seqs))
    return _frame(rows, TRADES)


@exactly
def positions(
    events: Iterable[Event],
    method: Method = "average",
    multipliers: Mapping[str, Decimal] | None = None,
) -> pl.DataFrame:
    """Return each position's history: one row after every fill or split that moved it."""
    book = Holdings(method, multipliers)
    rows: list[tuple[object, ...]] = []
    for event in standing(events):
        fact = event.fact
        if isinstance(fact, OrderFilled):
            changes = [book.fill(event.seq, fact)]
        elif isinstance(fact, SplitApplied):
            changes = book.split(event.seq, fact)
        else:
            continue
        for key, _, now in changes:
            average = average_price(now, book.multiplier(key.instrument))
            money = (now.quantity, average, now.cost, now.realized)
            rows.append((event.seq, event.ts_event, *key, event.kind, *money))
    return _frame(rows, POSITIONS)


def signals(events: Iterable[Event]) -> pl.DataFrame:
    """Return one row for each signal that a strategy noted."""
    rows = [
        (event.seq, event.ts_event, fact.strategy, fact.instrument, fact.name, fact.value)
        for event in events
        if isinstance(fact := event.fact, SignalNoted)
    ]
    return _frame(rows, SIGNALS)


@exactly
def cash(entries: Iterable[cash_fold.CashEntry]) -> pl.DataFrame:
    """Return one row for each movement of a ledger, with the balance after it."""
    balances: dict[tuple[str, str], Decimal] = {}
    rows: list[tuple[object, ...]] = []
    for one in entries:
        owner = (one.account, one.currency)
        balances[owner] = balances.get(owner, ZERO) + one.amount
        money = (one.reason, one.amount, balances[owner])
        rows.append((one.seq, one.ts_event, *owner, *money, one.instrument, one.client_order_id))
    return _frame(rows, CASH)


def _frame(rows: Sequence[tuple[object, ...]], schema: pl.Schema) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    series = [
        _series(name, column, dtype)
        for (name, dtype), column in zip(schema.items(), columns, strict=True)
    ]
    return pl.DataFrame(series)


def _series(name: str, column: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    if dtype == MONEY:
        column = [one if one is None else EXACT.quantize(one, TINY) for one in column]
    if dtype == TIME:
        whole = pl.Series(name, column, dtype=pl.Int64())
        return whole.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    if isinstance(dtype, pl.Duration):
        return pl.Series(name, column, dtype=pl.Int64()).cast(dtype)
    return pl.Series(name, column, dtype=dtype)
