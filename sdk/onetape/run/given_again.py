"""What a session was given, as it is given again: its rows and its venue's reports.

Rows come from what the session kept of them, with the stamps that they had; reports are made of the
order events that they led to.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import polars as pl

from onetape.run import ports
from onetape.tape import kinds


class Row(NamedTuple):
    """A row as the session kept it, with the stamp that it had."""

    stamp: int
    row: ports.AnyRow


def report_of(fact: kinds.OrderFact, ts: int, venue_id: str = "") -> ports.AnyReport | None:
    """Return the report that a recorded order event was made of; None for our own events."""
    venue_id = getattr(fact, "venue_order_id", "") or venue_id
    head = (fact.client_order_id, venue_id, fact.instrument, ts)
    match fact:
        case kinds.OrderAccepted():
            return ports.Accepted(*head)
        case kinds.OrderRejected():
            return ports.Rejected(*head, fact.reason)
        case kinds.OrderFilled():
            return ports.Filled(
                *head, fact.trade_id, fact.side, fact.quantity, fact.price, fact.commission,
                fact.commission_currency, fact.liquidity, fact.account,
            )  # fmt: skip
        case kinds.OrderTriggered():
            return ports.Triggered(*head)
        case kinds.OrderUpdated():
            return ports.Updated(*head, fact.quantity, fact.price, fact.trigger_price)
        case kinds.OrderModifyRejected():
            return ports.ModifyRejected(*head, fact.reason)
        case kinds.OrderCanceled():
            return ports.Canceled(*head)
        case kinds.OrderCancelRejected():
            return ports.CancelRejected(*head, fact.reason)
        case kinds.OrderExpired():
            return ports.Expired(*head)
        case _:
            return None


class Kept(msgspec.Struct, frozen=True):
    """One file of rows: of what, and of which kind."""

    file: str
    instrument: str
    data: str
    step: str | None = None


def rows_of(frames: Iterable[tuple[Kept, pl.DataFrame]]) -> Iterator[Row]:
    """Yield the rows of frames (columns as of datasets) in the order of their stamps."""
    return heapq.merge(*(_rows(kept, frame) for kept, frame in frames), key=lambda r: r.stamp)


def _rows(kept: Kept, frame: pl.DataFrame) -> Iterator[Row]:
    ints = pl.col("ts_event", "ts_init").cast(pl.Int64)
    for row in frame.with_columns(ints).iter_rows(named=True):
        head = (kept.instrument, row["ts_event"])
        match kept.data:
            case "quotes":
                sides = [row[n] for n in ("bid_price", "ask_price", "bid_size", "ask_size")]
                yield Row(row["ts_init"], ports.Quote(*head, *sides))
            case "trades":
                side = {"BUYER": "BUY", "SELLER": "SELL"}.get(str(row["aggressor_side"]))
                told: Any = (row["price"], row["size"], side, row["trade_id"])
                yield Row(row["ts_init"], ports.Trade(*head, *told))
            case _:
                said = [row[n] for n in ("open", "high", "low", "close", "volume")]
                yield Row(row["ts_init"], ports.Bar(*head, str(kept.step), *said))
