"""Timers and alerts: they come due at their time, stand on the tape, and come due again there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onetape as ot
from onetape.run.timers import Timer, Timers

from .desk import LEVEL, Live, again, lived

S = 1_000_000_000
START = 1_704_726_000 * S  # of the first row
Begin = Callable[[Any], object]


def timed(begin: Begin, react: Callable[[Any, Any], object] = lambda *_: None) -> type:
    """Return a strategy that sets what `begin` sets, and notes each timer that comes due."""

    class Timed(ot.Strategy):
        def on_start(self) -> None:
            self.n = 0
            begin(self)

        def on_quote(self, quote: Any) -> None:
            self.n += 1

        def due(self, event: Any) -> None:
            self.signal(event.name, (self.clock.timestamp_ns() - START) // 1_000_000)
            react(self, event)

    return Timed


def fired(live: Live) -> list[tuple[str, float]]:
    """Return (name, milliseconds after the first row) of what came due, as the strategy saw it."""
    return [(f.name, f.value) for f in live.facts("signal.noted")]


def every(seconds: float, **more: Any) -> Begin:
    return lambda s: s.clock.set_timer("beat", timedelta(seconds=seconds), callback=s.due, **more)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START / S + seconds, UTC)


def test_a_timer_comes_due_before_the_first_row_that_is_not_earlier() -> None:
    strategy = timed(every(3, start_time=at(0)))
    live, _ = lived(strategy, rows=LEVEL)
    assert fired(live) == [("beat", 3_000.0), ("beat", 6_000.0), ("beat", 9_000.0)]
    assert [e.stream for e in live.recording.of_kind("timer.fired")] == ["input/timer"] * 3
    assert again(live, strategy) is None


def test_a_timer_faster_than_the_rows_comes_due_as_often_as_it_should() -> None:
    strategy = timed(every(0.25, start_time=at(0), stop_time=at(2)))
    live, _ = lived(strategy, rows=LEVEL)
    assert [ms for _, ms in fired(live)] == [250.0 * n for n in range(1, 9)]
    assert again(live, strategy) is None


def test_alerts_come_due_once_and_in_order_of_their_times() -> None:
    def begin(s: Any) -> None:
        for name, seconds in (("late", 5.5), ("early", 1.5), ("soon", 1.2), ("past", -9)):
            s.clock.set_time_alert(name, at(seconds), callback=s.due)

    live, _ = lived(timed(begin), rows=LEVEL)
    assert [name for name, _ in fired(live)] == ["past", "soon", "early", "late"]
    assert again(live, timed(begin)) is None


def test_a_timer_that_is_canceled_comes_due_no_more() -> None:
    def react(s: Any, event: Any) -> None:
        if event.name == "beat" and s.n > 3:
            s.clock.cancel_timer("beat")
            s.clock.set_time_alert("last", s.clock.utc_now() + timedelta(seconds=2), callback=s.due)

    live, _ = lived(timed(every(2, start_time=at(0)), react), rows=LEVEL)
    assert [name for name, _ in fired(live)] == ["beat", "beat", "last"]


def test_a_timer_set_anew_forgets_its_old_time() -> None:
    def begin(s: Any) -> None:
        s.clock.set_time_alert("one", at(2), callback=s.due)
        s.clock.set_time_alert("one", at(4), callback=s.due)
        assert s.clock.timer_names() == ["one"]
        assert s.clock.next_time_ns("one") == START + 4 * S

    live, _ = lived(timed(begin), rows=LEVEL)
    assert fired(live) == [("one", 4_000.0)]


def test_orders_of_a_timer_name_it_as_their_reason() -> None:
    strategy = timed(every(5, start_time=at(0)), lambda s, _: s.buy(1))
    live, desk = lived(strategy, rows=LEVEL)
    assert desk.holds == 2
    lineages = [e.lineage.what for e in live.recording.of_kind("decision.made") if e.lineage]
    assert lineages == ["timer beat"] * 2
    assert again(live, strategy) is None


def test_a_timer_without_a_callback_goes_to_on_time_event() -> None:
    strategy = timed(lambda s: s.clock.set_timer("beat", timedelta(seconds=4), at(0)))
    strategy.on_time_event = strategy.due
    live, _ = lived(strategy, rows=LEVEL)
    assert [name for name, _ in fired(live)] == ["beat", "beat"]


def test_a_timer_that_never_ends_between_rows_is_refused() -> None:
    live, _ = lived(timed(every(0)), rows=LEVEL)
    assert "more than 0 expected" in live.error


def test_what_a_timer_cancels_at_the_same_moment_stays_canceled() -> None:
    """Two come due before one row: the first cancels the second."""

    def begin(s: Any) -> None:
        s.clock.set_time_alert(
            "first", at(2.1), callback=lambda e: (s.due(e), s.clock.cancel_timers())
        )
        s.clock.set_time_alert("second", at(2.2), callback=s.due)

    live, _ = lived(timed(begin), rows=LEVEL)
    assert [name for name, _ in fired(live)] == ["first"]
    assert again(live, timed(begin)) is None


TERMS = st.tuples(st.integers(0, 50), st.integers(0, 7))


@given(st.lists(TERMS, max_size=12), st.lists(st.integers(0, 11), max_size=4))
def test_timers_come_out_in_order_of_time_and_then_of_setting(
    terms: list[tuple[int, int]], canceled: list[int]
) -> None:
    timers = Timers()
    for name, (first, span) in enumerate(terms):
        timers.set(str(name), Timer(first, span, 60, lambda _: None))
    for name in canceled:
        timers.cancel(str(name))
    left = {n: t for n, t in enumerate(terms) if n not in canceled}
    wanted = sorted(
        t for f, s in left.values() for t in ([f] if not s else range(f, max(f, 60) + 1, s))
    )
    times: list[int] = []
    while (due := timers.next) is not None:
        popped = timers.pop()
        assert popped is not None
        assert popped[1].at == due
        times.append(due)
    assert times == wanted


@pytest.mark.parametrize("name", ["set_timer_ns", "set_time_alert_ns"])
def test_times_in_nanoseconds_mean_the_same(name: str) -> None:
    def begin(s: Any) -> None:
        if name == "set_timer_ns":
            s.clock.set_timer_ns("x", 6 * S, START, None, s.due)
        else:
            s.clock.set_time_alert_ns("x", START + 6 * S, s.due)

    live, _ = lived(timed(begin), rows=LEVEL)
    assert fired(live) == [("x", 6_000.0)]
