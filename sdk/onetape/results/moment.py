"""A moment of a run: what was held, worked and owed at an instant, by its tape up to then."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from onetape.books import orders as order_fold
from onetape.books import tables
from onetape.books.cash import cash
from onetape.results.text import shown, trimmed

if TYPE_CHECKING:
    from onetape.results.run import Run


@dataclass(frozen=True)
class Moment:
    """State at `ts` (ns UTC): frames of positions and working orders, cash, equity."""

    ts: int
    seq: int
    positions: pl.DataFrame
    orders: pl.DataFrame
    cash: dict[str, Decimal]
    equity: Decimal | None
    currency: str

    def __repr__(self) -> str:
        from onetape.results.run import utc
        from onetape.results.trace import exact

        lines = [f"at {utc(self.ts):%Y-%m-%d %H:%M:%S} UTC, after event {self.seq}"]
        if self.equity is not None:
            lines.append(f"  equity {shown('final_equity', self.equity, self.currency)}")
        lines += [f"  cash {amount:,.2f} {code}" for code, amount in self.cash.items()]
        for row in self.positions.iter_rows(named=True):
            lines.append(
                f"  {exact(row['quantity'])} {row['instrument']} at {exact(row['average_price'])}"
            )
        lines.append(f"  {self.orders.height} working orders")
        return "\n".join(lines)


def moment(run: Run, ts: int) -> Moment:
    """Return a run's state once everything up to and including `ts` has happened."""
    known = [event for event in run.recording if event.ts_event <= ts]
    margined = [name for name, info in run.instruments.items() if info.margined]
    working = {o.client_order_id for o in order_fold.orders(known).values() if o.is_open}
    balances: dict[str, Decimal] = {}
    for (_, code), amount in cash(known, margined, run.multipliers).items():
        balances[code] = balances.get(code, Decimal(0)) + amount
    owner = ["account", "instrument", "strategy"]
    history = tables.positions(known, multipliers=run.multipliers)
    held = history.group_by(owner, maintain_order=True).last().filter(pl.col("quantity") != 0)
    equity = None
    if run.datasets:
        before = run.equity.filter(pl.col("ts_event").dt.timestamp("ns") <= ts)
        equity = before["equity"][-1] if before.height else None
    return Moment(
        ts,
        known[-1].seq if known else 0,
        trimmed(held),
        trimmed(tables.orders(known)).filter(pl.col("client_order_id").is_in(list(working))),
        balances,
        equity,
        run.currency,
    )
