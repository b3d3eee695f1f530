"""The law of as-of: any answer, in both times, is the plain fold of the events that count."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from onetape.books import asof, snapshot
from onetape.books.orders import orders
from onetape.books.past import Instant, placed
from onetape.books.projector import Projector
from onetape.books.worked import begun
from onetape.tape.event import Event
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect

from .histories import ACCOUNTS, INSTRUMENTS, History, histories
from .reference import Answer

SLACK = Decimal("1e-15")  # of sums over parts that are rounded to 1e-18 each
NAMES = count(1)
EXPOSED = ("quantity", "price", "net", "unrealized")
questions = st.tuples(st.integers(-1, 61), st.integers(0, 40))


class Desk:
    """A tape with projected books, which takes histories, each under a book of its own."""

    def __init__(self, url: str) -> None:
        self.tape = PostgresTape(url)
        self.projector = Projector(self.tape)
        self.connection = connect(url)

    def close(self) -> None:
        self.connection.close()
        self.projector.close()
        self.tape.close()

    def record(self, steps: list[Any], rising: bool = False) -> tuple[str, int, list[Event]]:
        """Record a history; return its book, the seq before it, its events in the ledger."""
        book = f"book{next(NAMES)}"
        before = self.tape.head().seq
        events = History(book, steps, rising).events
        if events:
            self.tape.append(book, events, book=book)
        self.projector.catch_up()
        told = self.tape.read(before, self.tape.head().seq)
        return book, before, [placed(entry.seq, entry.payload) for entry in told]


@pytest.fixture
def desk(database: str) -> Iterator[Desk]:
    made = Desk(database)
    yield made
    made.close()


NO_SHRINK = [p for p in Phase if p is not Phase.shrink]  # an example takes half a second
law = settings(
    max_examples=30, phases=NO_SHRINK, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def held(found: asof.AsOf) -> dict[Any, dict[str, Decimal]]:
    names = ("quantity", "cost", "realized", "commission")
    return {
        (row["account"], row["instrument"], row["strategy"]): {n: row[n] for n in names}
        for row in found.positions.iter_rows(named=True)
    }


def same(found: dict[Any, Decimal], expected: dict[Any, Decimal]) -> bool:
    keys = found.keys() | expected.keys()
    nothing = Decimal(0)
    return all(abs(found.get(k, nothing) - expected.get(k, nothing)) < SLACK for k in keys)


def check(found: asof.AsOf, answer: Answer) -> None:
    """Compare everything with the reference, restricted to what was asked."""
    whose = {"account": found.account, "instrument": found.instrument}
    pair = tuple(whose.values())
    expected = {
        key: value
        for key, value in answer.held.items()
        if all(one in (None, other) for one, other in zip(pair, key, strict=False))
    }
    assert held(found) == expected
    exposed = {
        (row["account"], row["instrument"]): (
            row["quantity"],
            row["price"],
            row["net"],
            row["unrealized"],
        )
        for row in found.exposure.iter_rows(named=True)
    }
    assert exposed.keys() == {k for k in answer.exposure if k in {key[:2] for key in expected}}
    for key, figures in exposed.items():
        for mine, theirs in zip(figures, answer.exposure[key], strict=True):
            assert abs(mine - theirs) < SLACK
    cash = {(r["account"], r["currency"]): r["balance"] for r in found.cash.iter_rows(named=True)}
    owed = {k: v for k, v in answer.cash.items() if found.account in (None, k[0])}
    assert same(cash, owed)


@law
@given(steps=histories, asked=st.lists(questions, min_size=3, max_size=3), data=st.data())
def test_every_answer_is_the_fold_of_what_was_true_and_known(
    desk: Desk, steps: list[Any], asked: list[tuple[int, int]], data: st.DataObject
):
    book, before, events = desk.record(steps)
    if data.draw(st.booleans()):
        snapshot.take(desk.connection, book, before + data.draw(st.integers(1, len(events) + 1)))
    for true_at, known in asked:
        known_at = before + known
        answer = Answer(events, true_at, known_at)
        both = {"true_at": true_at, "known_at": known_at, "book": book}
        whose = [{}, {"account": "A"}, {"account": "A", "instrument": "GOOG"}, {"instrument": "ES"}]
        for scope in whose:
            check(asof.at(desk.connection, **both, **scope), answer)


@law
@given(steps=histories, asked=st.lists(questions, min_size=8, max_size=8))
def test_every_single_position_is_the_fold_of_what_was_true_and_known(
    desk: Desk, steps: list[Any], asked: list[tuple[int, int]]
):
    book, before, events = desk.record(steps)
    for true_at, known in asked:
        answer = Answer(events, true_at, before + known)
        for account in ACCOUNTS:
            for instrument in INSTRUMENTS:
                found = asof.at(
                    desk.connection,
                    true_at=true_at,
                    known_at=before + known,
                    book=book,
                    account=account,
                    instrument=instrument,
                )
                pair = (account, instrument)
                assert held(found) == {k: v for k, v in answer.held.items() if k[:2] == pair}


@law
@given(steps=histories, asked=st.lists(questions, min_size=6, max_size=6))
def test_the_working_orders_are_those_of_the_fold(
    desk: Desk, steps: list[Any], asked: list[tuple[int, int]]
):
    book, before, events = desk.record(steps)
    for true_at, known in asked:
        instant = Instant(true_at, before + known)
        some = [e for e in events if e.seq <= instant.known_at]
        folded = orders(begun(some, instant))
        for account in (None, "A"):
            expected = {
                name: (one.status, one.filled, one.quantity, one.seqs)
                for name, one in folded.items()
                if one.is_open and account in (None, one.account)
            }
            found = asof.at(
                desk.connection,
                true_at=true_at,
                known_at=before + known,
                book=book,
                account=account,
            ).orders
            rows = {
                r["client_order_id"]: (r["status"], r["filled"], r["quantity"], tuple(r["seqs"]))
                for r in found.iter_rows(named=True)
            }
            assert rows == expected


@law
@given(steps=histories)
def test_with_everything_known_and_true_the_answer_is_the_current_books(
    desk: Desk, steps: list[Any]
):
    book, _, events = desk.record(steps, rising=True)
    found = asof.at(desk.connection, book=book)
    check(found, Answer(events, 2**62, 2**62))
    again = asof.at(desk.connection, true_at=events[-1].ts_event, book=book) if events else found
    assert again.positions.equals(found.positions)
