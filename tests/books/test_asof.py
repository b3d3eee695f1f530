"""As of: what we believed then and what we now know of then, by worked examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from onetape.books import asof
from onetape.books.asof import AsOf
from onetape.books.projector import Projector
from onetape.errors import SettingsError, TapeError
from onetape.tape.postgres import PostgresTape

from .tapes import DAY, D, Tape

MINUTE = 60 * 1_000_000_000
OPEN = int(datetime(2026, 3, 2, 14, 0, tzinfo=UTC).timestamp()) * 1_000_000_000


class Story(Tape):
    """A tape with times of day: `at(31)` is 14:31 on 2 March 2026."""

    def at(self, minute: float) -> Story:
        self.on((OPEN + int(minute * MINUTE)) / DAY)
        return self

    def buy(self, name: str, quantity: object, price: object, **other: object) -> Story:
        self.order(name, quantity)
        self.fill(quantity, price, client_order_id=name, **other)
        return self


class Desk:
    """A tape whose clock is set by hand, and its books."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = OPEN
        self.tape = PostgresTape(url, clock=lambda: self.now)
        self.projector = Projector(self.tape)
        self.story = Story()
        self.told = 0

    def tell(self, minute: float, project: bool = True) -> None:
        """Record what is new in the story, as at a time of day."""
        self.now = OPEN + int(minute * MINUTE)
        self.tape.append("day", self.story.events[self.told :], book="live")
        self.told = len(self.story.events)
        if project:
            self.projector.catch_up()

    def at(self, **asked: Any) -> AsOf:
        return asof.at(self.url, **asked)


@pytest.fixture
def desk(database: str) -> Iterator[Desk]:
    made = Desk(database)
    yield made
    made.projector.close()
    made.tape.close()


@pytest.fixture
def busted(desk: Desk) -> Desk:
    """Bought 100 at 10 and 50 at 11 by 14:31; at 14:40 the second was taken back and corrected."""
    desk.story.at(0).deposit(10_000)
    desk.story.at(30).buy("one", 100, 10, fee=1)
    desk.story.at(31).buy("two", 50, 11, fee=1)
    desk.tell(31)
    fill = desk.story.events[-1].fact
    desk.story.void(desk.story.events[-1].seq)
    desk.story.fill(5, 11, 1, client_order_id="two", trade_id=getattr(fill, "trade_id", ""))
    desk.tell(40)
    return desk


def figures(found: AsOf) -> tuple[Any, ...]:
    (row,) = found.positions.iter_rows(named=True)
    return row["quantity"], row["cost"], row["average_price"], row["commission"]


def balance(found: AsOf) -> Decimal:
    (row,) = found.cash.iter_rows(named=True)
    return row["balance"]


def test_what_we_believed_at_1432_has_the_fill_that_was_taken_back_later(busted: Desk):
    believed = busted.at(true_at="2026-03-02T14:32", known_at="2026-03-02T14:32")
    assert figures(believed)[:2] == (150, 1_550)
    assert balance(believed) == 10_000 - 1_550 - 2
    assert believed.pnl["unrealized"].to_list() == [150 * 11 - 1_550]


def test_what_we_now_know_was_true_at_1432_has_the_corrected_fill(busted: Desk):
    known = busted.at(true_at="2026-03-02T14:32Z")
    assert figures(known)[:2] == (105, 1_055)
    assert balance(known) == 10_000 - 1_055 - 2
    assert known.exposure["net"].to_list() == [105 * 11]
    earlier = busted.at(true_at="2026-03-02T14:30:30")
    assert figures(earlier) == (100, 1_000, 10, 1)


def test_one_position_an_account_and_everybody_agree(busted: Desk):
    for both in ({}, {"true_at": OPEN + 32 * MINUTE, "known_at": 5}, {"known_at": 6}):
        whole = busted.at(**both)
        account = busted.at(**both, account="A")
        pair = busted.at(**both, account="A", instrument="GOOG")
        assert whole.positions.equals(account.positions)
        assert whole.positions.equals(pair.positions)
        assert whole.cash.equals(pair.cash)
        assert whole.pnl.equals(pair.pnl)
        assert whole.orders.equals(busted.at(**both, instrument="GOOG").orders)


def test_working_orders_are_those_that_had_begun_and_not_ended(desk: Desk):
    desk.story.at(30).order("rests", 10, price=9)
    desk.story.at(31).buy("done", 5, 10)
    desk.tell(32)
    assert desk.at(true_at="2026-03-02T14:30:30").orders["client_order_id"].to_list() == ["rests"]
    assert desk.at(known_at=2).orders["client_order_id"].to_list() == ["rests", "done"]
    assert desk.at().orders["client_order_id"].to_list() == ["rests"]


def test_a_dividend_at_an_instant_pays_what_was_held_as_it_was_known_then(desk: Desk):
    desk.story.at(1).buy("one", 10, 100)
    desk.story.at(5).dividend(2)
    desk.tell(5)
    desk.story.at(3).buy("late", 5, 100)
    desk.story.void(2)
    desk.tell(6)
    assert desk.at(known_at=3).pnl["dividends"].to_list() == [20]
    assert desk.at().pnl["dividends"].to_list() == [0]
    assert balance(desk.at(known_at=3)) == -980


def test_marks_value_what_is_held_in_place_of_the_last_fill(busted: Desk):
    marked = busted.at(marks={"GOOG": D("12.5")})
    assert marked.positions["price"].to_list() == [D("12.5")]
    assert marked.exposure["net"].to_list() == [D("1312.5")]
    assert marked.pnl["unrealized"].to_list() == [D("257.5")]
    assert marked.positions.equals(
        busted.at(account="A", instrument="GOOG", marks={"GOOG": D("12.5")}).positions
    )
    with pytest.raises(SettingsError, match="expected a Decimal"):
        busted.at(marks={"GOOG": 12.5})


def test_a_split_rescales_the_price_that_values_what_is_held(desk: Desk):
    desk.story.at(1).buy("one", 10, 100, strategy="S")
    desk.story.split(3)
    desk.tell(2)
    for scope in ({}, {"account": "A", "instrument": "GOOG"}):
        found = desk.at(**scope)
        assert figures(found)[:2] == (30, 1_000)
        assert found.positions["price"].to_list() == [D("33.333333333333333333")]
        assert found.exposure["net"].to_list() == [1_000]


def test_commission_in_another_currency_is_cash_and_profit_of_that_currency(desk: Desk):
    desk.story.at(1).deposit(2_000).deposit(3, "BNB")
    desk.story.buy("one", 10, 100, fee="0.25", commission_currency="BNB")
    desk.tell(2)
    found = desk.at(account="A")
    cash = {row["currency"]: row["balance"] for row in found.cash.iter_rows(named=True)}
    assert cash == {"USD": 1_000, "BNB": D("2.75")}
    net = {row["currency"]: row["net"] for row in found.pnl.iter_rows(named=True)}
    assert net == {"USD": 0, "BNB": D("-0.25")}


def test_what_is_not_projected_yet_is_said(busted: Desk):
    busted.story.at(50).buy("three", 1, 12)
    busted.tell(50, project=False)
    found = busted.at()
    assert found.is_behind
    assert (found.known_at, found.projected_to) == (9, 7)
    assert "projected only to seq 7" in repr(found)
    assert figures(found)[0] == 105
    busted.projector.catch_up()
    assert not busted.at().is_behind
    assert figures(busted.at())[0] == 106


def test_an_answer_reads_well_and_turns_into_plain_types(busted: Desk):
    found = busted.at(true_at="2026-03-02T14:32", known_at=5)
    assert repr(found).splitlines()[:2] == [
        "live: what was true at 2026-03-02 14:32:00Z, as known at seq 5",
        "  1 held, 0 flat, valued at last fill",
    ]
    assert "150 GOOG at 10.333333333333333333 USD, A / S, seq 5" in repr(found)
    assert "what was true at" in found._repr_html_()
    told = json.loads(json.dumps(found.to_dict()))
    assert told["true_at"] == "2026-03-02 14:32:00Z"
    assert told["known_at"] == 5
    assert told["positions"][0]["cost"] == "1550"
    assert told["cash"] == [{"account": "A", "currency": "USD", "balance": "8448"}]


def test_times_are_text_numbers_or_datetimes_and_keep_nanoseconds(busted: Desk):
    at = datetime(2026, 3, 2, 14, 32, tzinfo=UTC)
    ns = OPEN + 32 * MINUTE
    assert busted.at(true_at=at).true_at == busted.at(true_at=ns).true_at == ns
    assert busted.at(true_at="2026-03-02T15:32:00.000000001+01:00").true_at == ns + 1
    assert busted.at(known_at=at).known_at == 5
    assert busted.at(known_at=datetime(2020, 1, 1, tzinfo=UTC)).positions.is_empty()
    with pytest.raises(SettingsError, match="ISO text"):
        busted.at(true_at="half past two")


def test_a_tape_without_projected_books_says_what_to_do(database: str):
    with PostgresTape(database), pytest.raises(TapeError, match="catch up first"):
        asof.at(database)


def test_a_book_without_events_holds_nothing(busted: Desk):
    found = busted.at(book="paper")
    for part in (found.positions, found.orders, found.cash, found.exposure, found.pnl):
        assert part.is_empty()
