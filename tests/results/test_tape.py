"""The open tape: runs go onto it while they run, come back the same, and can be run again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

import onetape as ot
from onetape.errors import (
    RunError,
    SettingsError,
    StrategyError,
    TapeError,
    TapeForbidden,
    TapeUnavailable,
)
from onetape.run import spool as spools
from onetape.run.spool import Spool
from onetape.tape import kinds
from onetape.tape.event import Event
from onetape.tape.memory import MemoryTape
from onetape.tape.server import connect


class Hold(ot.Strategy):
    size = ot.param(10, lo=1)

    def on_bar(self, bar: Any) -> None:
        self.target(self.size, why="hold")


class Stumble(ot.Strategy):
    def on_bar(self, bar: Any) -> None:
        self.target(10)
        if bar.close > 600:
            raise ValueError("enough")


@pytest.fixture
def tape(database: str) -> Iterator[ot.Tape]:
    with ot.open_tape(database) as made:
        yield made


def test_a_run_is_on_the_tape_with_the_very_bytes_and_comes_back_with_its_data(
    tape: ot.Tape,
) -> None:
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    assert run.id is not None
    assert run.id.startswith("run/Hold-")
    again = tape.run(run.id)
    assert again == run
    assert again.fingerprint == run.fingerprint
    assert again.final_equity == run.final_equity
    assert tape.verify().events == len(run.recording)
    assert ot.backtest(Hold, ot.sample("FB")).fingerprint == run.fingerprint


def test_a_run_is_found_by_the_start_of_its_id_and_the_latest_by_none(tape: ot.Tape) -> None:
    first = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    other = ot.backtest(Hold, ot.sample("FB"), params={"size": 3}, tape=tape)
    assert tape.run() == other
    assert first.id is not None
    assert tape.run(first.id.removeprefix("run/")) == first
    assert tape.run("Hold") == other  # a strategy's name means its latest run
    with pytest.raises(TapeError, match="begins 2 streams"):
        tape.run("Hold-2")
    with pytest.raises(TapeError, match="no stream 'Holt'"):
        tape.run("Holt")


def test_an_empty_tape_says_how_to_put_a_run_on_it(tape: ot.Tape) -> None:
    with pytest.raises(TapeError, match=r"ot.backtest\(..., tape=tape\)"):
        tape.run()
    with pytest.raises(TapeError, match="no event 1"):
        tape.event(1)


def test_a_recorded_run_is_run_again_by_its_id_alone(tape: ot.Tape) -> None:
    run = ot.backtest(Hold, ot.sample("FB").slice("2012-08-01", "2012-12-01"), tape=tape)
    assert run.id is not None
    assert ot.rerun(run.id, tape).identical


def test_a_rerun_on_data_that_changed_says_which_and_where_the_tapes_part(
    tape: ot.Tape, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONETAPE_CATALOG", str(tmp_path))
    bars = ot.sample("FB").frame().select("ts_event", "open", "high", "low", "close", "volume")
    described = {
        "instrument": ot.equity("FB.XNAS"),
        "kind": "bars",
        "step": "1-DAY",
        "name": "mine",
    }
    catalog = ot.Catalog(tmp_path)
    run = ot.backtest(Hold, catalog.ingest(bars, progress=False, **described), tape=tape)
    catalog.remove("mine")
    assert run.id is not None
    with pytest.raises(RunError, match="not at hand: mine"):
        ot.rerun(run.id, tape)
    catalog.ingest(bars.slice(5), progress=False, **described)
    difference = ot.rerun(run.id, tape).diff()
    assert not difference.identical
    assert "the data mine changed" in repr(difference)
    assert "the tapes part at seq" in repr(difference)


def test_a_strategy_that_raises_leaves_what_happened_and_how_it_ended(tape: ot.Tape) -> None:
    with pytest.raises(StrategyError, match="enough"):
        ot.backtest(Stumble, ot.sample("GOOG"), tape=tape)
    recording = tape.recording(tape.stream())
    assert [e.kind for e in recording].count("order.filled") == 1
    ended = recording[-1].fact
    assert isinstance(ended, kinds.RunClosed)
    assert ended.status == "failed"
    assert "ValueError: enough" in ended.detail


def test_the_same_place_is_opened_once_and_again_after_it_was_closed(database: str) -> None:
    one = ot.open_tape(database)
    assert ot.open_tape(database) is one
    one.close()
    two = ot.open_tape(database)
    assert two is not one
    two.close()
    assert repr(two) == "Tape(closed)"
    with pytest.raises(TapeUnavailable, match="this tape was closed"):
        two.head()


def test_something_that_is_no_tape_is_refused(tape: ot.Tape) -> None:
    with pytest.raises(ot.errors.OnetapeError, match="42 found as tape"):
        ot.backtest(Hold, ot.sample("FB"), tape=42)  # type: ignore[arg-type]
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    with pytest.raises(SettingsError, match="the run's own data expected"):
        tape.run(run.id, data=ot.sample("GOOG"))


class Flaky:
    """A tape that is away every other time, before or after it wrote; stands for a bad network."""

    def __init__(self) -> None:
        self.tape = MemoryTape()
        self.calls = 0

    def submit(self, stream: str, events: Any, *, book: str = "") -> Future[Any]:
        self.calls += 1
        done: Future[Any] = Future()
        if self.calls % 4 == 1:
            done.set_exception(TapeUnavailable("away"))
        elif self.calls % 4 == 3:
            self.tape.append(stream, events, book=book)
            done.set_exception(TapeUnavailable("away after it wrote", in_doubt=True))
        else:
            return self.tape.submit(stream, events, book=book)
        return done


def test_a_spool_brings_everything_once_over_a_tape_that_comes_and_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spools, "CHUNK", 7)
    monkeypatch.setattr(spools, "PAUSE_S", 0.0)
    flaky = Flaky()
    spool = Spool(flaky, "run/x")
    fact = kinds.CashDeposited("A", "USD", kinds.Decimal(1))
    events = [Event(n, n, n, "a", fact) for n in range(1, 101)]
    for at in range(0, 100, 5):
        spool.take(events[at : at + 5])
    spool.close()
    assert list(flaky.tape.recording("run/x")) == events


def test_a_spool_gives_up_loudly_when_the_tape_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "PATIENCE_S", 0.0)
    closed = MemoryTape()
    closed.close()
    fact = kinds.CashDeposited("A", "USD", kinds.Decimal(1))
    with pytest.raises(TapeUnavailable, match="closed"):
        Spool(closed, "run/x").take([Event(1, 1, 1, "a", fact)])


def test_a_person_is_known_sealed_and_can_be_erased_with_the_chain_valid(
    tape: ot.Tape, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONETAPE_HOME", str(tmp_path))
    known = kinds.PersonKnown("client-17", "Ada Byron", "ada@example.org")
    tape.keeping.know(known)
    entry = tape.event(1)
    assert b"Ada Byron" not in entry.payload
    assert tape.keeping.opened(entry.event.fact) == known
    tape.keeping.erase("client-17", who="dpo", reason="asked to be forgotten")
    forgotten = tape.keeping.opened(entry.event.fact)
    assert isinstance(forgotten, kinds.PersonKnown)
    assert (forgotten.name, forgotten.contact) == ("[erased]", "[erased]")
    erased = tape.event(2).event.fact
    assert erased == kinds.PersonErased("client-17", "dpo", "asked to be forgotten")
    assert tape.verify()


def test_the_tables_tell_of_a_run_what_the_run_tells_of_itself(tape: ot.Tape) -> None:
    run = ot.backtest(Hold, ot.sample("FB"), fees=ot.bps(5), tape=tape)
    (row,) = tape.runs().to_dicts()
    assert (row["stream"], row["status"], row["mode"]) == (run.id, "completed", "backtest")
    assert (row["events"], row["fills"]) == (len(run.recording), run.fills.height)
    assert row["fingerprint"] == run.fingerprint
    assert row["closed_seq"] == len(run.recording)
    assert tape.status()["projection"]["parked"] == 0
    for name in ("fills", "orders", "trades", "cash", "positions"):
        kept, own = tape.frame(name, book=run.id), getattr(run, name)
        assert kept.height == own.height > 0, name
        assert kept.columns == own.columns
    assert tape.frame("fills", book=run.id)["price"].to_list() == run.fills["price"].to_list()
    assert tape.frame("cash", book=run.id)["balance"][-1] == run.cash["balance"][-1]


def test_an_instant_asked_of_the_tape_is_what_the_run_says_of_it(tape: ot.Tape) -> None:
    run = ot.backtest(Stumble, ot.sample("FB"), tape=tape)
    assert run.id is not None
    then = tape.at("2012-11-01T00:00:00", book=run.id)
    own = run.at("2012-11-01T00:00:00+00:00")
    assert then.positions["quantity"].to_list() == own.positions["quantity"].to_list()
    assert then.cash["balance"].to_list() == list(own.cash.values())
    assert "10 FB.XNAS" in repr(then)
    assert tape.trace(tape.frame("fills", book=run.id)[-1], book=run.id).to_dict()


def test_a_forked_child_asks_over_a_connection_of_its_own(tape: ot.Tape) -> None:
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    assert run.id is not None
    head = tape.at(book=run.id).projected_to
    child = os.fork()
    if child == 0:
        good = all(tape.catch_up() == tape.event(seq).seq + head - seq for seq in range(1, 9))
        tape.close()
        os._exit(0 if good else 1)
    assert all(tape.catch_up() == head for _ in range(8))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tape.at(book=run.id).positions.height == 1


def test_a_book_is_named_as_a_run_is_and_an_unknown_one_gets_the_closest(tape: ot.Tape) -> None:
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    assert tape.at(book="Hold").positions.equals(tape.at(book=run.id or "").positions)
    assert tape.frame("fills", book="Hold").height == run.fills.height
    with pytest.raises(TapeError, match=f"nothing in book 'live' yet; the latest books: {run.id}"):
        tape.at()
    with pytest.raises(TapeError, match=r"no instrument 'FB' on this tape; there is FB\.XNAS"):
        tape.at(book="Hold", instrument="FB")
    with pytest.raises(TapeError, match=r"no stream 'Hodl'.*run/Hold"):
        tape.at(book="Hodl")


def test_a_row_of_a_runs_own_frame_is_not_taken_for_one_of_the_tape(tape: ot.Tape) -> None:
    ot.backtest(Hold, ot.sample("GOOG"), tape=tape)
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    assert tape.trace(tape.frame("fills", book=run.id)[-1]).says.startswith("BUY 10 FB.XNAS")
    with pytest.raises(SettingsError, match=r"traced by run\.trace\(row\)"):
        tape.trace(run.fills[-1])


def test_a_run_that_did_not_end_says_so_first(tape: ot.Tape) -> None:
    with pytest.raises(StrategyError):
        ot.backtest(Stumble, ot.sample("GOOG"), tape=tape)
    assert tape.run().warnings[0].startswith("FAILED: StrategyError: Stumble")
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    tape.append("run/cut", list(run.recording)[:-1])
    assert tape.run("cut", data=ot.sample("FB")).warnings[0].startswith("INCOMPLETE")
    assert "INCOMPLETE" in repr(tape.run("cut", data=ot.sample("FB")))


def test_what_a_run_does_is_on_the_tape_before_it_ends(tape: ot.Tape) -> None:
    seen: list[int] = []

    class Look(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            if not seen:
                until = time.monotonic() + 20
                while not tape.head().seq and time.monotonic() < until:
                    time.sleep(0.01)
                seen.append(tape.head().seq)

    ot.backtest(Look, ot.sample("FB"), tape=tape)
    assert seen == [3]  # opened, account, cash


def test_a_reader_is_answered_from_what_is_projected(tape: ot.Tape, database: str) -> None:
    run = ot.backtest(Hold, ot.sample("FB"), tape=tape)
    assert run.id is not None
    tape.catch_up()
    ot.backtest(Hold, ot.sample("FB"), tape=tape)  # not projected yet
    with connect(database) as connection:
        connection.execute("CREATE ROLE looker LOGIN IN ROLE onetape_reader")
    with ot.open_tape(database.replace("postgres@", "looker@")) as reader:
        found = reader.at(book=run.id)
        assert found.positions.height == 1
        assert found.projected_to == len(run.recording)
        assert reader.frame("fills", book=run.id).height == run.fills.height
        assert reader.status()["projection"]["lag"] == len(run.recording)
        assert reader.verify()
        with pytest.raises(TapeForbidden):
            reader.append("x", [Event(1, 1, 1, "x", kinds.RunClosed("no"))])
    with connect(database) as connection:
        connection.execute("DROP ROLE looker")
