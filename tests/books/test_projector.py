"""Read models beside the tape: caught up, followed, rebuilt, and what is put aside."""

from __future__ import annotations

import random
import threading
import time

import pytest

from onetape.books import cache, generations, write
from onetape.books.projector import Projector
from onetape.errors import SettingsError, TapeUnavailable
from onetape.tape import kinds
from onetape.tape.memory import MemoryTape
from onetape.tape.postgres import PostgresTape
from onetape.tape.server import connect

from .stories import WHAT, D, Story, folded, opened, projected, whole
from .tapes import Tape


@pytest.fixture
def tape(database):
    with PostgresTape(database) as opened_tape:
        yield opened_tape


def story(tape, length=60, seed=3) -> Story:
    draw = random.Random(seed)
    steps = [
        (draw.choice(WHAT), draw.randint(0, 30), D(draw.randint(1, 900)) / 10,
         D(draw.randint(1, 900)) / 10, draw.randint(0, 30))
        for _ in range(length)
    ]  # fmt: skip
    return Story(tape).tell(steps)


def shown(url, query):
    with connect(url) as connection:
        return connection.execute(f"SELECT {query}").fetchall()


def until(condition, seconds=20.0):
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_readers_see_the_tables_through_views(tape):
    tape.append("run", Tape().deposit(100).fill(2, 10).events)
    with Projector(tape) as projector:
        assert projector.catch_up() == 2
    found = "account, instrument, quantity FROM onetape_books.position p"
    joined = f"{found} JOIN onetape_books.position_key k ON k.id = p.key_id"
    assert shown(tape.url, joined) == [("A", "GOOG", 2)]
    assert shown(tape.url, "balance FROM onetape_books.cash_balance") == [(80,)]


@pytest.mark.parametrize("small", [0, write.SMALL])
def test_a_durable_tape_is_projected_as_it_is_folded(tape, monkeypatch, small):
    monkeypatch.setattr(write, "SMALL", small)
    told = story(tape)
    with Projector(tape, unit=17) as projector:
        projector.catch_up()
    with connect(tape.url) as connection:
        for book in ("live", "run"):
            assert projected(connection, 1, book) == folded(told, book)


def test_a_rebuilt_generation_equals_the_live_one_row_for_row(tape):
    story(tape)
    with Projector(tape, unit=5) as projector, connect(tape.url) as connection:
        projector.catch_up()
        before = whole(connection, 1)
        assert projector.rebuild() == 2
        assert whole(connection, 2) == before
        assert projector.status()["generation"] == 2
        gone = connection.execute("SELECT to_regnamespace('books_1') IS NULL").fetchone()
        assert gone == (True,)


def test_a_projector_goes_on_in_the_rebuilt_generation(tape):
    told = story(tape)
    with Projector(tape) as projector:
        projector.catch_up()
        projector.rebuild()
        told.deposit("run", 0, D(5), D(0), 1)
        projector.catch_up()
        assert projector.status()["lag"] == 0


def test_a_build_that_was_killed_is_swept_away(tape):
    story(tape)
    with connect(tape.url) as connection:
        generations.announce(connection)
        with Projector(tape) as projector:
            number = projector.rebuild()
        names = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^books_[0-9]+$'"
        assert connection.execute(names).fetchone() == (1,)
        assert generations.live(connection) == number


def test_what_is_beyond_the_bounds_is_let_go_of_and_fetched_again(tape, monkeypatch):
    monkeypatch.setattr(cache, "LINES", 1)
    monkeypatch.setattr(cache, "ORDERS", 1)
    monkeypatch.setattr(cache, "RUNS", 1)
    told = story(tape, length=80, seed=5)
    with Projector(tape, unit=7) as projector:
        projector.catch_up()
    with connect(tape.url) as connection:
        for book in ("live", "run"):
            assert projected(connection, 1, book) == folded(told, book)


def test_a_second_projector_of_a_generation_says_who_is_in_the_way(tape):
    tape.append("run", Tape().deposit(1).events)
    with Projector(tape) as first, Projector(tape) as second:
        first.catch_up()
        with pytest.raises(TapeUnavailable, match="kept by another projector"):
            second.catch_up()


def test_a_second_projector_with_patience_gets_its_turn(tape):
    tape.append("run", Tape().deposit(1).events)
    first = Projector(tape)
    first.catch_up()
    release = threading.Timer(0.2, first.close)
    release.start()
    with Projector(tape, patience=20) as second:
        assert second.catch_up() == 1
    release.join()


def test_a_live_follower_books_what_arrives(tape):
    done = threading.Event()
    with Projector(tape) as projector:
        follower = threading.Thread(target=projector.follow, args=(done.is_set,))
        follower.start()
        try:
            tape.append("run", Tape().deposit(100).events)
            tape.append("other", Tape().deposit(50).fill(1, 7).events)
            until(lambda: projector.status()["seq"] == 3)
        finally:
            done.set()
            follower.join()
    assert shown(tape.url, "book, balance FROM onetape_books.cash_balance ORDER BY book") == [
        ("other", 43),
        ("run", 100),
    ]


def test_a_live_follower_moves_to_the_generation_that_another_process_rebuilt(tape):
    done = threading.Event()
    tape.append("run", Tape().deposit(100).events)
    with Projector(tape, patience=5) as projector, Projector(tape) as other:
        follower = threading.Thread(target=projector.follow, args=(done.is_set,))
        follower.start()
        try:
            until(lambda: projector.status()["seq"] == 1)
            number = other.rebuild()
            tape.append("late", Tape().deposit(3).events)
            until(lambda: projector.status()["seq"] == 2)
        finally:
            done.set()
            follower.join()
        assert projector.status()["generation"] == number


class Spoiled:
    """A tape on which some payloads cannot be read."""

    def __init__(self, tape, payloads):
        self.tape, self.payloads = tape, payloads

    def head(self):
        return self.tape.head()

    def read(self, after=0, upto=None, *, streams=()):
        for entry in self.tape.read(after, upto, streams=streams):
            yield entry._replace(payload=self.payloads.get(entry.seq, entry.payload))


@pytest.mark.parametrize("payload", [b"\xff not JSON", b'{"seq":2,"fact":{"kind":"never.seen"}}'])
def test_an_event_that_cannot_be_read_is_parked_and_the_rest_goes_on(database, payload):
    tape = MemoryTape()
    tape.append("run", Tape().deposit(100).deposit(7).deposit(1).events)
    with Projector(Spoiled(tape, {2: payload}), database) as projector:
        assert projector.catch_up() == 3
        assert projector.status()["parked"] == 1
    assert shown(database, "balance FROM onetape_books.cash_balance") == [(101,)]
    assert shown(database, "seq, stream, payload FROM onetape_books.parked") == [
        (2, "run", payload)
    ]


def test_an_execution_that_stands_twice_is_parked_with_the_reason(database):
    tape = MemoryTape()
    ids = {"client_order_id": "O1", "trade_id": "T1"}
    tape.append("run", Tape().fill(1, 5, **ids).fill(1, 5, **ids).fill(1, 5).events)
    with Projector(tape, database) as projector:
        projector.catch_up()
    ((seq, why),) = shown(database, "seq, why FROM onetape_books.parked")
    assert (seq, "stands since seq 1" in why) == (2, True)
    assert shown(database, "quantity FROM onetape_books.position") == [(2,)]


def test_an_event_that_breaks_the_arithmetic_is_parked_and_leaves_no_trace(database):
    tape = MemoryTape()
    tape.append("run", Tape().order().fill(1, 5).fill(1, "NaN", client_order_id="O1").events)
    tape.append("more", Tape().fill(1, 5).split("NaN").fill(1, 6).events)
    with Projector(tape, database) as projector:
        projector.catch_up()
        assert projector.status()["parked"] >= 1
    query = "book, quantity, cost FROM onetape_books.position p JOIN onetape_books.position_key k"
    assert ("more", 2, 11) in shown(database, f"{query} ON k.id = p.key_id")


def test_a_run_and_what_its_data_said_are_rows(tape):
    dataset = kinds.DatasetRef(
        "d", "GOOG", "bars", "1d", "f" * 64, (1, 2), 2, "UTC", "close", {}, True, ("gap at 3",)
    )
    story_told = (
        Tape().add(opened(datasets=(dataset,))).fill(1, 2).add(kinds.RunClosed("completed"))
    )
    tape.append("run", story_told.events)
    with Projector(tape) as projector:
        projector.catch_up()
    row = "status, mode, opened_seq, closed_seq, events, fills, fingerprint FROM onetape_books.run"
    fingerprint = tape.recording("run").fingerprint
    assert shown(tape.url, row) == [("completed", "backtest", 1, 3, 3, 1, fingerprint)]
    found = "stream, dataset, finding FROM onetape_books.finding WHERE dataset <> ''"
    assert shown(tape.url, found) == [("run", "d", "gap at 3")]


def test_status_tells_how_far_behind_it_is(tape):
    tape.append("run", Tape().deposit(1).deposit(2).events)
    with Projector(tape) as projector:
        projector.catch_up(1)
        status = projector.status()
    assert (status["seq"], status["head"], status["lag"], status["state"]) == (1, 2, 1, "live")
    assert status["lag_ns"] > 0


def test_text_that_a_table_cannot_keep_as_it_is_comes_through(tape):
    odd = 'line\u2028tab\t line\n quote" back\\slash {brace}'
    tape.append("run", Tape(strategy=odd).order(odd).fill(1, 2, client_order_id=odd).events)
    with Projector(tape) as projector:
        projector.catch_up()
    assert shown(tape.url, "client_order_id, strategy FROM onetape_books.orders") == [(odd, odd)]


def test_a_tape_without_a_database_must_name_one():
    with pytest.raises(SettingsError, match="url="):
        Projector(MemoryTape())
