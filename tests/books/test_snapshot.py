"""Snapshots are caches: they change no answer, and a spoiled one is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onetape.books import asof, many, snapshot
from onetape.books.past import FOREVER, Instant
from onetape.books.projector import Projector
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect

from .tapes import DAY, Tape


@pytest.fixture
def place(database: str) -> str:
    story = Tape()
    for day in range(1, 11):
        story.on(day).order(f"O{day}", 5).fill(
            day - 5 or 7, 100 + day, 1, client_order_id=f"O{day}"
        )
    story.on(4.5).order("late", 3).fill(3, 100, client_order_id="late")
    story.split(3)
    with PostgresTape(database) as tape, Projector(tape) as projector:
        tape.append("run", story.events, book="live")
        projector.catch_up()
    return database


@pytest.fixture
def connection(place: str) -> Iterator[Any]:
    with connect(place) as made:
        yield made


QUESTIONS = [
    {},
    {"known_at": 12},
    {"true_at": 5 * DAY},
    {"true_at": 5 * DAY, "known_at": 20},
    {"true_at": 9 * DAY, "known_at": 22},
]


def answers(connection: Any) -> list[Any]:
    return [asof.at(connection, **one).positions.to_dicts() for one in QUESTIONS]


def test_a_snapshot_changes_no_answer_and_neither_does_its_loss(connection: Any):
    before = answers(connection)
    for seq in (6, 12, 21, None):
        snapshot.take(connection, "live", seq)
    assert snapshot.load(connection, "live", Instant(FOREVER, 20)).seq == 12
    assert snapshot.load(connection, "live", Instant(5 * DAY, 20)).seq == 6
    assert answers(connection) == before
    connection.execute("DELETE FROM onetape.snapshot")
    assert answers(connection) == before


def test_a_snapshot_that_was_changed_is_passed_over(connection: Any):
    before = answers(connection)
    for seq in (6, 12):
        snapshot.take(connection, "live", seq)
    connection.execute(
        "UPDATE onetape.snapshot SET arrow = set_byte(arrow, length(arrow) / 2, "
        "get_byte(arrow, length(arrow) / 2) # 1) WHERE seq = 12"
    )
    assert snapshot.load(connection, "live", Instant()).seq == 6
    assert answers(connection) == before


def test_an_instant_before_what_a_snapshot_holds_does_not_use_it(connection: Any):
    snapshot.take(connection, "live", 12)
    assert snapshot.load(connection, "live", Instant(5 * DAY, FOREVER)).seq == 0
    assert snapshot.load(connection, "live", Instant(FOREVER, 11)).seq == 0


def test_a_figure_too_long_for_a_column_is_asked_for_and_still_exact(connection: Any):
    snapshot.take(connection, "live")
    base = snapshot.load(connection, "live", Instant())
    assert base.again  # the last price, divided by three, has no end
    alone = asof.at(connection, account="A", instrument="GOOG").positions
    assert asof.at(connection).positions.equals(alone)


def test_snapshots_are_taken_when_they_are_due(connection: Any):
    assert snapshot.take_due(connection) == []
    assert snapshot.take_due(connection, every=10, worth=1) == [10, 20]
    assert snapshot.take_due(connection, every=10, worth=1) == []
    assert snapshot.load(connection, "live", Instant()).seq == 20
    assert snapshot.load(connection, "live", Instant(known_at=19)).seq == 10


def test_small_books_get_none_and_are_not_looked_at_again(connection: Any):
    assert snapshot.take_due(connection, every=10) == []
    kinds = connection.execute("SELECT kind, seq FROM onetape.snapshot").fetchall()
    assert kinds == [("looked", 20)]
    assert snapshot.load(connection, "live", Instant()).seq == 0


def test_columns_and_rows_give_the_same(connection: Any, monkeypatch: pytest.MonkeyPatch):
    before = answers(connection)
    monkeypatch.setattr(many, "FEW", -1)
    assert answers(connection) == before
