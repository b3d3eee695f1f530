"""Books one event at a time: what each event changed, and that a refusal changes nothing."""

from __future__ import annotations

import pytest

from onetape.books.cash import cash
from onetape.books.positions import Key, positions
from onetape.books.state import Books
from onetape.errors import BrokenTape
from onetape.tape import kinds
from onetape.tape.event import head_of
from onetape.tape.ledger import Entry

from .stories import instrument, opened
from .tapes import D, Tape

KEY = Key("A", "GOOG", "S")


def booked(tape: Tape, book: str = "run") -> Books:
    books = Books()
    for event in tape.events:
        books.book(event, book)
    return books


def test_a_fill_tells_the_position_after_it_and_the_cash_that_it_moved():
    told = booked(Tape().fill(10, 5, 1)).drain()
    (moved,) = told.history
    assert (moved.slot.key, moved.event, moved.change, moved.holding.cost) == (KEY, "fill", 10, 50)
    assert [(one.entry.reason, one.entry.amount) for one in told.cash] == [
        ("fill", -50),
        ("commission", -1),
    ]


def test_what_was_drained_is_not_told_again():
    books = booked(Tape().fill(10, 5))
    books.drain()
    assert books.drain().history == []


def test_the_books_hold_what_the_folds_of_the_whole_tape_hold():
    tape = Tape().deposit(1000).fill(10, 5, 1).split(2).fill(-8, 4, 1).dividend(1)
    shelf = booked(tape).shelf("run")
    assert shelf.holding(KEY) == positions(tape.events)[KEY].holding
    assert {owner: one.balance for owner, one in shelf.purses.items()} == cash(tape.events)


def test_two_books_do_not_mix():
    books = Books()
    (event,) = Tape().fill(10, 5).events
    books.book(event, "live")
    assert books.shelf("paper").holding(KEY).quantity == 0


def test_a_fill_sent_twice_is_refused_and_moves_nothing():
    tape = Tape().fill(10, 5, client_order_id="O1", trade_id="T1")
    books = booked(tape)
    tape.fill(10, 5, client_order_id="O1", trade_id="T1")
    with pytest.raises(BrokenTape, match="stands since seq 1"):
        books.book(tape.events[-1], "run")
    assert books.shelf("run").holding(KEY).quantity == 10
    assert len(books.drain().history) == 1


def test_a_late_fill_is_told_to_be_late():
    told = booked(Tape().on(2).fill(10, 5).on(1).fill(5, 5).on(3).fill(1, 5)).drain()
    assert [one.late for one in told.history] == [False, True, False]


def test_a_trade_is_told_once_it_has_ended():
    told = booked(Tape().fill(10, 5).fill(-10, 6)).drain()
    ((slot, trade),) = told.ended
    assert (slot.key, trade.gross, trade.is_open) == (KEY, 10, False)


def test_a_fill_of_an_order_that_never_began_is_booked_and_found():
    told = booked(Tape().fill(10, 5)).drain()
    ((stream, _, why, seq),) = told.findings
    assert (stream, "has no order.initialized" in why, seq) == ("run", True, 1)
    assert told.orders["run", "O1"].external


def test_an_event_that_an_order_did_not_expect_is_booked_and_found():
    ids = ("O1", "GOOG", "S")
    tape = Tape().order().add(kinds.OrderCanceled(*ids)).add(kinds.OrderAccepted(*ids, "A", "V"))
    told = booked(tape).drain()
    assert [(one[2], one[3]) for one in told.findings] == [
        ("order O1: order.accepted while CANCELED", 3)
    ]
    assert told.orders["run", "O1"].status == "CANCELED"


def test_a_fill_beyond_what_was_wanted_is_booked_and_found():
    told = booked(Tape().order(quantity=10).fill(12, 5, client_order_id="O1")).drain()
    assert "fills 2 more than the 10 wanted" in told.findings[0][2]
    assert (told.orders["run", "O1"].filled, told.history[-1].holding.quantity) == (12, 12)


def test_equity_is_what_was_deposited_and_what_was_earned():
    books = booked(Tape().deposit(1000).fill(10, 50, 2).fill(-4, 60, 1).dividend(1))
    books.settle(recorded=7)
    (worth,) = books.drain().equity
    purse = worth.purse
    assert worth.recorded == 7
    assert (purse.realized, purse.unrealized, purse.commission) == (40, 60, 3)
    equity = purse.balance + purse.market_value
    assert equity == purse.deposits + purse.realized + purse.unrealized + purse.dividends - 3


def test_a_margined_instrument_is_worth_its_open_profit():
    tape = Tape(instrument="ES").add(opened(instruments=(instrument("ES"),)))
    books = booked(tape.fill(2, 100).fill(1, 110))
    books.settle(recorded=1)
    (worth,) = books.drain().equity
    assert (worth.purse.balance, worth.purse.market_value) == (0, 2 * 10 * 50)


def test_a_run_counts_its_events_and_keeps_the_head_of_their_chain():
    tape = Tape().add(opened()).deposit(5)
    books = Books()
    entries = [Entry(n, 1, "run", n, "run", b"payload %d" % n) for n in (1, 2)]
    books.begin_run(entries[0], tape.events[0])
    books.note(entries)
    (run,) = books.drain().runs
    assert (run.events, run.last_seq, run.status) == (2, 2, "running")
    assert run.head == head_of([b"payload 1", b"payload 2"])


def test_a_split_rescales_the_last_price():
    told = booked(Tape().fill(10, 90).split(3)).drain()
    assert told.history[-1].last_price == D(30)
    assert told.history[-1].holding.quantity == 30
