# pyright: standard
"""Values: positions at an instant as frames, and what they are worth together.

Money, prices and quantities are Decimal(38, 18); a longer one is rounded half even to 1e-18.
Price      a mark, where one is given; else the account's last fill price in the instrument.
Flow       the cash that a position moved, commission apart: realized - cost, which is what its
           fills paid and earned; realized alone for what is margined.
Net        of an exposure: quantity x price x multiplier over all strategies; gross is unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from onetape.books.exact import EXACT, ONE, TINY, ZERO, exactly
from onetape.books.held import State
from onetape.books.tables import MONEY, TEXT, TIME, WHOLE

POSITIONS = pl.Schema(
    {
        "account": TEXT,
        "instrument": TEXT,
        "strategy": TEXT,
        "currency": TEXT,
        "quantity": MONEY,
        "average_price": MONEY,
        "cost": MONEY,
        "realized": MONEY,
        "unrealized": MONEY,
        "price": MONEY,
        "commission": MONEY,
        "seq": WHOLE,
        "ts_event": TIME,
    }
)
NOTIONAL, FLOW, KEY = "notional", "flow", "key_id"
VALUED = pl.Schema({**POSITIONS, NOTIONAL: MONEY, FLOW: MONEY, KEY: WHOLE})
EXPOSURE = pl.Schema(
    {
        "account": TEXT,
        "instrument": TEXT,
        "currency": TEXT,
        "quantity": MONEY,
        "price": MONEY,
        "gross": MONEY,
        "net": MONEY,
        "unrealized": MONEY,
    }
)
CASH = pl.Schema({"account": TEXT, "currency": TEXT, "balance": MONEY})
PNL = pl.Schema(
    {
        "account": TEXT,
        "currency": TEXT,
        "realized": MONEY,
        "unrealized": MONEY,
        "commission": MONEY,
        "dividends": MONEY,
        "net": MONEY,
    }
)
FINE = 9  # digits behind the point with which a product of two is exact in 18
WHERE = ["account", "instrument"]
PURSE = ["account", "currency"]


@exactly
def valued(states: Sequence[State], marks: Mapping[str, Decimal]) -> pl.DataFrame:
    """Return positions with their worth, one row for each state."""
    rows = [_row(one, marks) for one in states]
    columns: Any = zip(*rows, strict=True) if rows else [()] * len(VALUED)
    told = zip(VALUED.items(), columns, strict=True)
    return pl.DataFrame([_series(name, column, kind) for (name, kind), column in told])


def shown(held: pl.DataFrame) -> pl.DataFrame:
    """Return positions with the columns that people read."""
    return pl.DataFrame(held.get_columns()[: len(POSITIONS)])


def _series(name: str, column: Sequence[Any], kind: pl.DataType) -> pl.Series:
    if kind == TIME:
        whole = pl.Series(name, column, dtype=pl.Int64())
        return whole.cast(pl.Datetime("ns", "UTC"))
    return pl.Series(name, column, dtype=kind)


def _row(one: State, marks: Mapping[str, Decimal]) -> tuple[Any, ...]:
    price = marks.get(one.instrument, one.price)
    notional = one.quantity * price * one.multiplier
    average = one.cost / (one.quantity * one.multiplier) if one.quantity else ZERO
    flow = one.realized if one.margined else one.realized - one.cost
    money = (one.quantity, average, one.cost, one.realized, notional - one.cost, price)
    more = (one.commission, notional, flow)
    first, (paid, worth, moved) = map(_fit, money), map(_fit, more)
    return (*one[1:5], *first, paid, one.seq, one.ts_event, worth, moved, one.key_id)


def _fit(amount: Decimal) -> Decimal:
    return amount if amount.as_tuple().exponent >= -18 else EXACT.quantize(amount, TINY)  # type: ignore[operator]


def valued_columns(raw: pl.DataFrame, marks: Mapping[str, Decimal]) -> pl.DataFrame:
    """Return positions with their worth from columns: the same figures, for many rows.

    Rows whose product would not fit into 18 digits exactly are worked out one by one.
    """
    if marks:
        given = pl.DataFrame(
            {"instrument": list(marks), "mark": pl.Series(list(marks.values()), dtype=MONEY)}
        )
        given = given.cast({"instrument": raw.schema["instrument"]})
        raw = raw.join(given, on="instrument", how="left", maintain_order="left")
        raw = raw.with_columns(price=pl.coalesce("mark", "price")).drop("mark")
    fine = [pl.col(c).round(FINE) == pl.col(c) for c in ("quantity", "price")]
    whole = pl.col("multiplier").round(0) == pl.col("multiplier")
    quick = raw.with_columns(quick=pl.all_horizontal(*fine, whole))
    units = pl.col("quantity") * pl.col("multiplier")
    notional = (units * pl.col("price")).alias(NOTIONAL)
    flat = pl.col("quantity") == 0
    divisor = pl.when(flat).then(pl.lit(ONE, MONEY)).otherwise(units)
    average = pl.when(flat).then(pl.lit(ZERO, MONEY)).otherwise(pl.col("cost") / divisor)
    flow = pl.when("margined").then("realized").otherwise(pl.col("realized") - pl.col("cost"))
    frame = quick.filter("quick").with_columns(
        notional, average.alias("average_price"), flow.alias(FLOW)
    )
    frame = frame.with_columns(unrealized=pl.col(NOTIONAL) - pl.col("cost"))
    frame = frame.with_columns(pl.col("ts_event").cast(pl.Datetime("ns", "UTC")))
    frame = frame.select(pl.col(name).cast(kind) for name, kind in VALUED.items())
    slow = quick.filter(~pl.col("quick"))
    if slow.height:
        states = [State(**row) for row in slow.select(State._fields).iter_rows(named=True)]
        frame = pl.concat([frame, valued(states, {})])
    return frame


def exposure(held: pl.DataFrame) -> pl.DataFrame:
    """Return what each account holds in each instrument, netted over strategies."""
    names = [*WHERE, "currency"]
    held = held.with_columns(pl.col(names).cast(pl.Categorical()))
    total = [pl.col(c).sum() for c in ("quantity", NOTIONAL, "unrealized")]
    netted = held.group_by(names, maintain_order=True).agg(*total, pl.col("price").first())
    netted = netted.filter(pl.col("quantity") != 0).with_columns(
        net=pl.col(NOTIONAL), gross=pl.col(NOTIONAL).abs()
    )
    return netted.select(pl.col(name).cast(kind) for name, kind in EXPOSURE.items())


def pnl(held: pl.DataFrame, dividends: pl.DataFrame, fees: pl.DataFrame) -> pl.DataFrame:
    """Return profit by account and currency; `fees` are those in other currencies."""
    names = ["realized", "unrealized", "commission"]
    parts = [
        held.select(*PURSE, *names, _none("dividends")),
        dividends.select(*PURSE, *map(_none, names), pl.col("amount").alias("dividends")),
        fees.select(
            *PURSE, *map(_none, names[:2]), pl.col("amount").alias("commission"), _none("dividends")
        ),
    ]
    summed = pl.concat(parts).group_by(PURSE).agg(pl.col(*names, "dividends").sum())
    earned = pl.col("realized") + pl.col("unrealized") + pl.col("dividends")
    return summed.with_columns(net=earned - pl.col("commission")).select(PNL.names()).sort(PURSE)


def cash(held: pl.DataFrame, moved: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return balances by account and currency; `moved` are frames of account, currency, amount."""
    fills = held.select(*PURSE, (pl.col(FLOW) - pl.col("commission")).alias("amount"))
    summed = pl.concat([fills, *moved]).group_by(PURSE).agg(pl.col("amount").sum())
    return summed.select(*PURSE, pl.col("amount").alias("balance")).sort(PURSE)


def amounts(rows: Sequence[tuple[str, str, Decimal]]) -> pl.DataFrame:
    """Return movements of account, currency, amount as a frame."""
    accounts, currencies, moved = zip(*rows, strict=True) if rows else ((), (), ())
    money = pl.Series([_fit(one) for one in moved], dtype=MONEY)
    return pl.DataFrame(
        {"account": list(accounts), "currency": list(currencies), "amount": money},
        schema={"account": TEXT, "currency": TEXT, "amount": MONEY},
    )


def _none(name: str) -> pl.Expr:
    return pl.lit(ZERO, MONEY).alias(name)
