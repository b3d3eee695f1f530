"""The law of inputs: whatever comes, however interleaved, there is one order, that of stamps."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onetape.run import inputs as module
from onetape.run.inputs import Input, Inputs, Stamps

GIVEN = st.lists(
    st.one_of(
        st.tuples(st.just("row"), st.integers(0, 60)),
        st.tuples(st.just("event"), st.booleans()),
        st.tuples(st.just("call"), st.integers(0, 2)),  # how many events it gives while it acts
        st.tuples(st.just("handle"), st.just(0)),
    ),
    max_size=60,
)


class Engine:
    """What stands behind the inputs: takes rows and events, and handles each some time later."""

    def __init__(self, stamps: Stamps, at_once: int) -> None:
        self.inputs = Inputs(stamps, at_once)
        self.at_once = at_once
        self.given = 0
        self.handed: list[tuple[str, int, int]] = []  # kind, number, stamp
        self.rows: list[int] = []
        self.event: int | None = None
        self.row_times: dict[int, int] = {}

    def give(self, kind: str, said: Any) -> None:
        number, self.given = self.given, self.given + 1
        ts = said if kind == "row" else 0
        self.inputs.give(Input(kind, lambda stamp: self.act(kind, number, stamp, said), ts))

    def act(self, kind: str, number: int, stamp: int, said: Any) -> bool:
        assert self.event is None, "an event is under way, and nothing else beside it"
        assert kind == "row" or not self.rows, "rows are under way"
        self.handed.append((kind, number, stamp))
        if kind == "row":
            self.rows.append(stamp)
            self.row_times[stamp] = said
            assert len(self.rows) <= self.at_once
            return True
        if kind == "event":
            self.event = stamp if said else None
            return bool(said)
        for _ in range(said):
            self.give("event", True)
        return True

    def handle(self) -> None:
        """Deal with what is under way: one row, or the event."""
        if self.rows:
            assert self.inputs.ahead == self.rows[0]
            assert self.inputs.row_handled() == self.rows.pop(0)
        elif self.event is not None:
            assert self.inputs.event_stamp == self.event
            self.event = None
            self.inputs.event_handled()
        self.inputs.advance()

    def finish(self) -> None:
        while len(self.inputs):
            self.handle()


@given(GIVEN, st.integers(1, 4), st.booleans())
def test_stamps_rise_strictly_and_inputs_are_handed_over_once_in_the_order_given(
    steps: list[tuple[str, Any]], at_once: int, replayed: bool
) -> None:
    engine = Engine(Stamps(replayed), at_once)
    for kind, said in steps:
        if kind == "handle":
            engine.handle()
        else:
            engine.give(kind, said)
    engine.finish()
    stamps = [stamp for _, _, stamp in engine.handed]
    assert stamps == sorted(set(stamps))
    assert [number for _, number, _ in engine.handed] == list(range(engine.given))
    assert engine.inputs.under_way == (0, None)


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=30))
def test_on_a_replayed_day_stamps_follow_the_rows_own_times(times: list[int]) -> None:
    """A row that is not earlier than all before it has its own time; others come right behind."""
    engine = Engine(Stamps(replayed=True), 64)
    for ts in times:
        engine.give("row", ts)
    last = 0
    for _, number, stamp in engine.handed:
        assert stamp == max(times[number], last + 1)
        last = stamp


def test_rows_follow_rows_without_waiting_and_everything_else_waits_for_silence() -> None:
    engine = Engine(Stamps(replayed=True), 3)
    for ts in (10, 20, 30, 40):
        engine.give("row", ts)
    engine.give("event", True)
    engine.give("row", 50)
    assert [kind for kind, _, _ in engine.handed] == ["row"] * 3
    engine.handle()
    assert len(engine.handed) == 4
    for _ in range(3):
        engine.handle()
    assert [kind for kind, _, _ in engine.handed] == [*["row"] * 4, "event"]
    engine.handle()
    assert [stamp for *_, stamp in engine.handed] == [10, 20, 30, 40, 41, 50]


def test_what_raises_loses_nothing_that_stands_behind_it() -> None:
    engine = Engine(Stamps(replayed=True), 3)

    def wrong(_: int) -> bool:
        raise ValueError("on purpose")

    engine.give("row", 1)
    engine.inputs.give(Input("call", wrong))
    engine.give("row", 2)
    with pytest.raises(ValueError, match="on purpose"):
        engine.handle()
    engine.inputs.advance()
    assert [stamp for *_, stamp in engine.handed] == [1, 3]


def test_after_the_end_nothing_is_handed_over() -> None:
    engine = Engine(Stamps(replayed=False), 3)
    engine.inputs.stopped = True
    engine.give("row", 1)
    assert engine.handed == []


class Wall:
    """A clock on the wall that somebody turns."""

    def __init__(self, *told: int) -> None:
        self.told = list(told)

    def time_ns(self) -> int:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]


def test_a_clock_that_jumps_does_not_break_the_order_of_stamps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "time", Wall(1_000, 5_000, 2_000, 2_000, 9_000))
    stamps = Stamps(replayed=False)
    assert [stamps.next() for _ in range(5)] == [1_000, 5_000, 5_001, 5_002, 9_000]
    assert stamps.peek() == 9_000


def test_stamps_of_a_day_that_is_not_replayed_are_the_walls() -> None:
    before, stamp, after = time.time_ns(), Stamps(replayed=False).next(5), time.time_ns()
    assert before <= stamp <= after
