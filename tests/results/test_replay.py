"""A replay: the story again, forward and back, with the books of the events that passed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from books.tapes import DAY, D, Tape
from hypothesis import given, settings
from hypothesis import strategies as st

import onetape as ot
from onetape.books import orders as order_fold
from onetape.books import tables
from onetape.books.cash import cash
from onetape.errors import BrokenTape, SettingsError, TapeError
from onetape.results.replay import Replay
from onetape.results.text import trimmed
from onetape.tape import kinds
from onetape.tape.event import Event


class Cross(ot.Strategy):
    fast = ot.param(10, lo=2)
    slow = ot.param(20, lo=3)

    def on_start(self) -> None:
        self.f, self.s = self.sma(self.fast), self.sma(self.slow)

    def on_bar(self, bar: Any) -> None:
        if self.f.crossed_above(self.s):
            self.target(+10, why="fast over slow")
        elif self.f.crossed_below(self.s):
            self.target(-10, why="fast under slow")


class Clock:
    """A time that passes only while somebody waits; `on` is called after so many waits."""

    def __init__(self, breaks_at: float = float("inf")) -> None:
        self.now, self.breaks_at = 100.0, 100.0 + breaks_at

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.breaks_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def run() -> Any:
    return ot.backtest(Cross, ot.sample("GOOG"), cash=10_000, fees=ot.bps(20))


@pytest.fixture
def tape(database: str) -> Iterator[ot.Tape]:
    with ot.open_tape(database) as made:
        yield made


# -- the law: the state is the fold of the events that passed

quantities = st.decimals("-50", "50", places=2).filter(bool)
prices = st.decimals("0.01", "900", places=2)
fees = st.decimals("-1", "3", places=2)
steps = st.one_of(
    st.tuples(st.just("trade"), quantities, prices, fees),
    st.tuples(st.just("trade"), quantities, prices, fees),
    st.tuples(st.just("work"), quantities, prices),
    st.tuples(st.just("bust"), st.integers(0, 30)),
    st.tuples(st.just("split"), st.sampled_from(["2", "3", "0.5", "1.5"])),
    st.tuples(st.just("dividend"), st.sampled_from(["0.25", "1"])),
    st.tuples(st.just("turn"), st.sampled_from(["GOOG", "IBM"])),
)


def told(history: list[tuple]) -> Tape:
    """Return a tape of orders that trade, orders that wait, busts, splits and dividends."""
    tape, standing = Tape().deposit(1000), []
    for day, (what, *values) in enumerate(history, start=1):
        tape.on(day)
        if what == "turn":
            tape.instrument = values[0]
        elif what == "bust":
            if standing:
                tape.void(standing.pop(values[0] % len(standing)))
        elif what in ("trade", "work"):
            name = f"N{tape.events[-1].seq}"
            tape.order(name, abs(values[0]) * 2, values[1])
            if what == "trade":
                tape.fill(*values, client_order_id=name)
                standing.append(tape.events[-1].seq)
        else:
            getattr(tape, what)(*values)
    return tape


def assert_folded(replay: Replay, events: list[Event]) -> None:
    """Hold a replay against the folds of whole tapes over the events that passed."""
    passed, state = events[: replay.position], replay.state
    owner = ["account", "instrument", "strategy"]
    history = tables.positions(passed).group_by(owner, maintain_order=True).last()
    assert state.positions.equals(trimmed(history.filter(pl.col("quantity") != 0)))
    working = [o.client_order_id for o in order_fold.orders(passed).values() if o.is_open]
    orders = trimmed(tables.orders(passed)).filter(pl.col("client_order_id").is_in(working))
    assert state.orders.cast(orders.schema).equals(orders)
    assert state.cash == {currency: amount for (_, currency), amount in cash(passed).items()}
    assert state.seq == (passed[-1].seq if passed else 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25), st.data())
def test_the_state_is_the_fold_of_what_has_passed_wherever_one_goes(history, data):
    events = told(history).events
    replay = ot.replay(ot.Recording.of(events))
    for _ in range(4):
        replay.to_event(data.draw(st.integers(0, len(events))))
        assert_folded(replay, events)
        replay.step(data.draw(st.integers(-5, 5)))
        assert_folded(replay, events)
    for _ in replay.rewind():
        assert_folded(replay, events)


def test_a_long_story_goes_back_by_the_books_kept_on_the_way():
    tape = Tape().deposit(1_000_000)
    for n in range(900):
        tape.on(n).order(f"N{n}", 10).fill(3 - n % 7 or 1, 10 + n % 5, 1, client_order_id=f"N{n}")
    tape.void(tape.events[900].seq).split(2)
    replay = ot.replay(ot.Recording.of(tape.events))
    for seq in (1_803, 1_802, 1_801, 1_600, 1_002, 3, 1_000, 1_803, 0, 902):
        assert_folded(replay.to_event(seq), tape.events)


# -- a run


def test_a_replay_begins_before_the_first_event_and_ends_after_the_last(run):
    replay = ot.replay(run)
    assert (replay.position, len(replay), replay.event, replay.now) == (0, 380, None, None)
    assert replay.state.positions.is_empty()
    assert replay.state.cash == {}
    assert replay.to("1999-12-31").position == 0
    final = replay.to("2100-01-01").state
    assert replay.position == len(run.recording)
    assert final.equity == run.final_equity
    assert final.cash == {"USD": run.cash["balance"][-1]}


def test_at_every_price_a_replay_has_the_equity_of_the_run(run):
    replay = ot.replay(run)
    times = run.equity["ts_event"].dt.timestamp("ns")
    for ns, worth in list(zip(times, run.equity["equity"], strict=True))[::23]:
        assert replay.to(ns).state.equity == worth


def test_equity_holds_over_splits_several_instruments_and_margin():
    class Buy(ot.Strategy):
        def on_bar(self, bar: Any) -> None:
            self.target(100, instrument=bar.bar_type.instrument_id)

    both = ot.backtest(Buy, [ot.sample("AAPL"), ot.sample("IBM")], end="2006-01-01")
    replay = ot.replay(both)
    assert any(event.kind == "action.split" for event in both.recording)
    times = both.equity["ts_event"].dt.timestamp("ns")
    for ns, worth in list(zip(times, both.equity["equity"], strict=True))[::97]:
        assert replay.to(ns).state.equity == worth


def test_an_instant_has_the_state_that_the_run_gives_for_it(run):
    replay = ot.replay(run)
    for when in ("2012-06-01", "2005-01-03", "2009-11-13"):
        state, known = replay.to(when).state, run.at(when)
        assert (state.ts, state.seq, state.cash) == (known.ts, known.seq, known.cash)
        assert state.positions.equals(known.positions)
        assert state.equity == known.equity


def test_stepping_returns_the_events_and_iterating_moves_on(run):
    replay = ot.replay(run)
    assert [event.seq for event in replay.step(3)] == [1, 2, 3]
    assert [event.seq for event in replay.step(-2)] == [2, 3]
    assert [event.seq for event, _ in zip(replay, range(4), strict=False)][:3] == [2, 3, 4]
    assert replay.step(10_000)[-1].kind == "run.closed"
    assert replay.step() == []
    assert list(replay) == []
    assert replay.rewind().position == 0


def test_an_event_that_is_not_there_is_refused_with_what_is(run):
    assert ot.replay(run).to_event(17).event == run.recording.seq(17)
    with pytest.raises(TapeError, match=r"event 999 is not in this replay: it holds 380 events"):
        ot.replay(run).to_event(999)


def test_a_late_bust_is_passed_when_it_was_told_and_then_the_fill_never_was():
    tape = Tape().deposit(1000).on(1).fill(10, 5).on(2).fill(5, 6)
    bust = kinds.OrderVoided("O2", "GOOG", "S", "T2", reason="busted")
    tape.events.append(Event(4, DAY, 3 * DAY, "run", bust))
    replay = ot.replay(ot.Recording.of(tape.events))
    assert replay.to(DAY).state.positions["quantity"].to_list() == [10]
    assert replay.to(2 * DAY).position == 4
    assert replay.state.positions["quantity"].to_list() == [5]
    assert replay.step(-1)[0].kind == "order.voided"
    assert replay.state.positions["quantity"].to_list() == [15]


def test_a_broken_story_can_be_looked_at_up_to_where_it_breaks():
    tape = Tape().deposit(1000).fill(10, 5, client_order_id="O", trade_id="T")
    tape.fill(10, 5, client_order_id="O", trade_id="T").deposit(1)
    replay = ot.replay(ot.Recording.of(tape.events))
    assert replay.to_event(2).state.cash == {"USD": D(950)}
    with pytest.raises(BrokenTape, match="trade T of order O stands since seq 2"):
        _ = replay.to_event(4).state
    assert replay.to_event(1).state.cash == {"USD": D(1000)}


# -- playing


def test_playing_takes_as_long_as_it_did_over_the_speed():
    tape = Tape().deposit(1000).on(1).fill(10, 5).on(3).fill(5, 6)
    replay, clock, seen = ot.replay(ot.Recording.of(tape.events)), Clock(), []
    replay.play(86_400, each=lambda at: seen.append((at.position, round(clock.now - 100, 3))),
                clock=clock, wait=clock.wait)  # fmt: skip
    assert seen == [(1, 0.0), (2, 1.0), (3, 3.0)]


def test_at_any_speed_it_is_told_ten_times_a_second_at_most_and_of_the_end():
    tape = Tape()
    for n in range(100):
        tape.on(n / 86_400).deposit(n + 1)
    clock, seen = Clock(), []
    replay = ot.replay(ot.Recording.of(tape.events), speed=50)
    replay.play(each=lambda at: seen.append(at.position), clock=clock, wait=clock.wait)
    assert seen[0] == 1
    assert seen[-1] == 100
    assert 15 <= len(seen) <= 21
    assert replay.rewind().play(float("inf")).position == 100


def test_an_interrupt_leaves_it_where_it_was_and_playing_goes_on_from_there():
    tape = Tape().deposit(1000).on(1).fill(10, 5).on(3).fill(5, 6)
    replay, clock = ot.replay(ot.Recording.of(tape.events)), Clock(breaks_at=2)
    with pytest.raises(KeyboardInterrupt):
        replay.play(86_400, clock=clock, wait=clock.wait)
    assert replay.position == 2
    assert replay.state.positions["quantity"].to_list() == [10]
    assert replay.play(float("inf")).position == 3


def test_playing_stops_where_it_is_told_to(run):
    replay = ot.replay(run).play(float("inf"), until="2010-01-05")
    assert replay.position == ot.replay(run).to("2010-01-05").position
    assert replay.state.equity == run.at("2010-01-05").equity
    with pytest.raises(SettingsError, match="speed 0 found"):
        replay.play(0)


# -- looks


def test_it_shows_where_it_is_what_happened_last_and_what_is_held(run):
    replay = ot.replay(run).to("2010-01-05")
    assert "event 235 of 380" in repr(replay)
    assert "#235 order.filled, bought 20 GOOG.XNAS at 569.56" in repr(replay)
    assert "10 GOOG.XNAS at 569.56" in repr(replay)
    page = replay._repr_html_()
    for said in ("event 235 of 380", "bought 20 GOOG.XNAS", "569.5600", "18,603.19 USD", "<svg"):
        assert said in page
    assert "before the first event" in repr(replay.rewind())
    assert "before the first event" in replay._repr_html_()


def test_the_player_goes_where_its_slider_goes(run):
    replay = ot.replay(run)
    control, pane = replay.player()
    control.value = 235
    assert replay.position == 235
    assert "event 235 of 380" in pane.object


def test_every_kind_of_event_can_be_said_in_words(run):
    from onetape.results.player import words

    assert all(words(event) for event in run.recording)


# -- on a tape


def test_a_run_is_replayed_by_its_id_and_the_latest_by_none(tape):
    run = ot.backtest(Cross, ot.sample("FB"), tape=tape)
    replay = ot.replay(run.id, tape=tape).to("2013-01-02")
    assert replay.title == run.id
    assert replay.state.equity == run.at("2013-01-02").equity
    assert len(tape.replay()) == len(run.recording)
    with pytest.raises(TapeError):
        ot.replay("no-such-run", tape=tape)


def test_a_day_of_a_book_begins_with_what_was_held_and_ends_with_what_is_known_of_it(tape):
    first, other = Tape().deposit(1000), Tape(account="B", strategy="T")
    first.on(1).fill(10, 5).on(2.25).fill(-4, 6).on(3).fill(1, 7)
    other.on(2.5).deposit(50).fill(1, 5, client_order_id="P2")
    bust = kinds.OrderVoided("O2", "GOOG", "S", "T2", reason="busted")
    tape.append("desk/1", first.events, book="live")
    tape.append("desk/2", other.events, book="live")
    tape.append("elsewhere", Tape().on(2.1).deposit(7).events)
    tape.append("desk/1", [Event(5, DAY, 4 * DAY, "run", bust)])
    replay = tape.replay(date(1970, 1, 3))
    assert len(replay) == 4
    assert replay.state.positions["quantity"].to_list() == [10]
    assert replay.state.cash == {"USD": D(950)}
    assert [event.seq for event in replay] == [3, 5, 6, 8]
    assert replay.state.positions["quantity"].to_list() == [-4, 1]
    assert replay.rewind().to("1970-01-03T06:00").state.positions["quantity"].to_list() == [6]
    assert tape.replay("1970-01-03").title == "1970-01-03 of live"
    assert replay.now is not None
    assert replay.now - timedelta(hours=6) == replay.now.replace(hour=0)
    with pytest.raises(TapeError, match="nothing in book 'paper' up to"):
        tape.replay("1970-01-03", book="paper")
