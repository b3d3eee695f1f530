"""The books as frames."""

from __future__ import annotations

import polars as pl
import pytest

from onetape.books import tables
from onetape.books.cash import ledger
from onetape.books.trades import trades
from onetape.tape import kinds

from .tapes import DAY, D, Tape

FRAMES = {
    "fills": (tables.fills, tables.FILLS),
    "orders": (tables.orders, tables.ORDERS),
    "positions": (tables.positions, tables.POSITIONS),
    "signals": (tables.signals, tables.SIGNALS),
    "trades": (lambda events: tables.trades(trades(events)), tables.TRADES),
    "cash": (lambda events: tables.cash(ledger(events)), tables.CASH),
}


def busy() -> Tape:
    tape = Tape().deposit(1000).on(1).order("O1", 10, "99.5")
    tape.fill(10, "99.5", "0.25", client_order_id="O1").on(2).split(2)
    tape.order("O2", 20).fill(-20, 60, client_order_id="O2")
    return tape.add(kinds.SignalNoted("S", "spread", 1.5, "GOOG"))


@pytest.mark.parametrize("name", FRAMES)
def test_a_schema_is_the_same_with_and_without_rows(name):
    table, schema = FRAMES[name]
    assert table([]).schema == schema
    full = table(busy().events)
    assert full.schema == schema
    assert len(full)


@pytest.mark.parametrize("name", FRAMES)
def test_every_row_leads_back_to_the_tape(name):
    events = busy().events
    seqs = FRAMES[name][0](events)["seq"].to_list()
    assert set(seqs) <= {event.seq for event in events}


def test_fills_are_exact_and_timed_in_utc():
    row = tables.fills(busy().events, {"GOOG": D(50)}).row(0, named=True)
    assert (row["price"], row["notional"], row["commission"]) == (D("99.5"), 49_750, D("0.25"))
    assert row["seq"] == 3
    times = tables.fills(busy().events)["ts_event"]
    assert times.dtype == pl.Datetime("ns", "UTC")
    assert times.dt.epoch("ns").to_list() == [DAY, 2 * DAY]


def test_the_history_of_a_position_has_a_row_for_each_fill_and_split():
    frame = tables.positions(busy().events)
    assert frame["event"].to_list() == ["order.filled", "action.split", "order.filled"]
    assert frame["quantity"].to_list() == [10, 20, 0]
    assert frame["average_price"].to_list() == [D("99.5"), D("49.75"), 0]
    assert frame["realized"].to_list() == [0, 0, 205]  # 20 x 60 - 10 x 99.5


def test_an_order_is_one_row_with_all_its_events():
    tape = Tape().order().fill(10, 100, 1, client_order_id="O1")
    row = tables.orders(tape.events).row(0, named=True)
    assert (row["status"], row["filled"], row["commission"]) == ("FILLED", 10, 1)
    assert row["seqs"] == [1, 2]


def test_an_open_trade_has_no_exit():
    frame = tables.trades(trades(Tape().fill(1, 3).events))
    assert frame["open"].to_list() == [True]
    assert frame["exit_ts"].to_list() == [None]


def test_the_cash_table_carries_the_balance():
    frame = tables.cash(ledger(Tape().deposit(1000).fill(1, 100, 1).events))
    assert frame["balance"].to_list() == [1000, 900, 899]


def test_a_price_without_end_is_rounded_at_the_eighteenth_decimal():
    frame = tables.positions(Tape().fill(1, 1).fill(2, 2).events)
    assert frame["average_price"][1] == D("1.666666666666666667")
