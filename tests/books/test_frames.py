"""Frames from the database: the same columns and figures as the books make in memory."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from onetape.books import tables
from onetape.books.cash import ledger
from onetape.books.frames import SOURCES, frame
from onetape.books.projector import Projector
from onetape.books.trades import trades
from onetape.errors import SettingsError
from onetape.tape.postgres import PostgresTape

from .tapes import DAY, Tape


@pytest.fixture
def story() -> Tape:
    tape = Tape().deposit(10_000).order("O3").fill(10, 100, 1, client_order_id="O3")
    tape.on(2).order("O5").fill(-4, "110.25", "0.5", client_order_id="O5").dividend("0.5")
    return tape.on(3).order("O8").fill(-6, 90, client_order_id="O8")


@pytest.fixture
def place(database: str, story: Tape) -> str:
    with PostgresTape(database) as tape, Projector(tape) as projector:
        tape.append("run", story.events, book="live")
        other = Tape(account="B").order("P2").fill(1, 5, client_order_id="P2")
        tape.append("other", other.events, book="other")
        projector.catch_up()
    return database


def test_fills_orders_trades_and_cash_are_those_of_the_books_in_memory(place: str, story: Tape):
    events = story.events
    assert frame(place, "fills", book="live").equals(tables.fills(events))
    assert frame(place, "orders", book="live").equals(tables.orders(events))
    assert frame(place, "trades", book="live").equals(tables.trades(trades(events)))
    assert frame(place, "cash", book="live").equals(tables.cash(ledger(events)))
    assert frame(place, "positions", book="live").equals(tables.positions(events))


def test_every_name_gives_a_frame_with_the_columns_of_its_schema(place: str):
    for name, source in SOURCES.items():
        found = frame(place, name)
        assert found.schema == (tables.FILLS if name == "fills" else source.schema)


def test_a_fill_that_was_taken_back_is_no_row_of_fills_and_a_row_of_positions(
    place: str, story: Tape
):
    with PostgresTape(place) as tape, Projector(tape) as projector:
        tape.append("run", story.void(3).events[-1:])
        projector.catch_up()
    assert frame(place, "fills", stream="run")["quantity"].to_list() == [4, 6]
    assert frame(place, "positions", account="A")["event"][-1] == "order.voided"
    assert frame(place, "positions", account="A")["quantity"][-1] == Decimal(-10)


def test_a_frame_is_narrowed_by_account_instrument_book_stream_and_time(place: str):
    assert frame(place, "fills", account="B")["price"].to_list() == [5]
    assert frame(place, "fills", stream="run").height == 3
    assert frame(place, "orders", stream="other").height == 1
    assert frame(place, "fills", instrument="MSFT").is_empty()
    assert frame(place, "fills", since=2 * DAY, until="1970-01-04").height == 1
    assert frame(place, "cash", account="A", columns=["amount"])["amount"].sum() == Decimal(
        "9982.5"
    )
    assert frame(place, "events", book="other")["kind"].to_list() == [
        "order.initialized",
        "order.filled",
    ]


def test_a_quote_in_a_name_is_a_name_and_nothing_else(place: str):
    assert frame(place, "fills", account="A'; DROP TABLE onetape.event; --").is_empty()
    assert frame(place, "fills", account="A\\' OR true --").is_empty()
    assert frame(place, "events", stream="run").height == 8


def test_unknown_names_columns_and_arguments_are_answered_with_the_close_ones(place: str):
    with pytest.raises(SettingsError, match="did you mean fills"):
        frame(place, "fils")
    with pytest.raises(SettingsError, match="did you mean quantity"):
        frame(place, "fills", columns=["quantiy"])
    with pytest.raises(SettingsError, match="can be narrowed by stream"):
        frame(place, "findings", account="A")
    with pytest.raises(SettingsError, match="parked have no times"):
        frame(place, "parked", since=0)


def test_amounts_are_exact_decimals_and_times_are_utc_nanoseconds(place: str):
    found = frame(place, "equity", account="A")
    assert found.schema["equity"] == pl.Decimal(38, 18)
    assert found["equity"][-1] == Decimal("9982.5")
    assert found.schema["ts_event"] == pl.Datetime("ns", "UTC")
