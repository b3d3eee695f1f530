"""Sessions on the wall's clock: bursts of rows, timers, clocks that jump, a feed that is silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import pytest

import onetape as ot
import onetape_sim as sim
from onetape.risk.limitbook import LimitBook, book, to_json
from onetape.run import inputs
from onetape.run.folder import Endpoint, LiveSpec, Wanted
from onetape.run.ports import FeedSignal, Quote
from onetape.tape.memory import MemoryTape

from .desk import AAA, OPEN, Alone, D, Live, again

Act = Callable[[Live], Coroutine[Any, Any, None]]


class Burst:
    """A feed whose rows come when a test says so, as many at once as it says."""

    name, replayed, paced = "BURST", False, False

    def __init__(self) -> None:
        self.sequence = 0

    async def connect(self, emit: Callable[[Any], None]) -> None:
        self.emit = emit
        emit(FeedSignal("live", None, time.time_ns()))

    async def disconnect(self) -> None:
        pass

    async def instruments(self) -> Sequence[Any]:
        return [ot.equity(AAA)]

    async def subscribe(self, wanted: Any) -> None:
        pass

    async def begin(self) -> None:
        pass

    def handled(self) -> None:
        pass

    def rows(self, count: int) -> None:
        for _ in range(count):
            self.sequence += 1
            size = D(1_000)
            self.emit(Quote(AAA, time.time_ns(), D(100), D(101), size, size, self.sequence))


def traded(strategy: Any, act: Act, limits: LimitBook = OPEN) -> Live:
    """Return a paper session in which `act` happened."""
    return asyncio.run(_traded(strategy(), act, limits))


async def _traded(strategy: Any, act: Act, limits: LimitBook) -> Live:
    end = Endpoint("sim", {})
    name = f"wall-{time.time_ns()}"
    spec = LiveSpec(
        "Hand-20240108T150000-00000a", "", "Hand", end, end, "A", to_json(limits), "",
        subscriptions=(Wanted(AAA, "quotes"),),
    )  # fmt: skip
    tape, feed = MemoryTape(), Burst()
    venue = sim.paper({"world": name})
    live = Live(spec, tape, Alone(), (venue, feed), strategy)  # type: ignore[arg-type]
    await live.begin()
    try:
        async with asyncio.timeout(10):
            await act(live)
    finally:
        live.ended_as = await live.end()
        await live.close(live.ended_as)
        live.recording = tape.recording(live.stream)
    return live


async def until(live: Live, done: Callable[[], object]) -> None:
    while not done():
        live.kernel.recorder.flush()  # as the status does: nobody else hurries here
        await asyncio.sleep(0.002)


def quiet(live: Live) -> bool:
    """Say whether all rows were handled, and all that followed from them."""
    return not len(live.kernel.inputs) and not live.outbox.waiting


def rising(live: Live) -> bool:
    stamps = [event.ts_init for event in live.recording]
    rows = [row.stamp for row in live.rows]
    return stamps == sorted(stamps) and rows == sorted(set(rows))


class Counts(ot.Strategy):
    def on_start(self) -> None:
        self.n = 0

    def on_quote(self, quote: Any) -> None:
        self.n += 1
        self.signal("n", self.n)
        if self.n % 10 == 1:
            self.buy(1, limit=50)
        if self.n % 10 == 6:
            self.target(self.n)


def test_bursts_of_rows_with_orders_among_them_are_made_again_to_the_byte() -> None:
    async def act(live: Live) -> None:
        for count in (30, 1, 100):
            live.feed.rows(count)
            await asyncio.sleep(0)
        await until(live, lambda: live.held == 126 and quiet(live))

    live = traded(Counts, act)
    assert [f.value for f in live.facts("signal.noted")] == list(range(1, 132))
    assert rising(live)
    assert live.held == 126
    assert again(live, Counts) is None


def test_a_strategy_that_raises_on_the_first_of_many_rows_leaves_nothing_working() -> None:
    class Wrong(ot.Strategy):
        def on_quote(self, quote: Any) -> None:
            self.buy(1, limit=50)
            if self.cache.orders_total_count() > 2:
                raise ValueError("on purpose")

    async def act(live: Live) -> None:
        live.feed.rows(40)
        await live.ended.wait()

    live = traded(Wrong, act)
    assert live.ended_as == "failed"
    assert all({"canceled", "rejected"} & set(life) for life in live.lives)
    assert again(live, Wrong) is None


def test_timers_come_due_by_the_wall_and_at_the_same_place_in_a_rerun() -> None:
    class Beats(ot.Strategy):
        def on_start(self) -> None:
            self.beats = 0
            self.clock.set_timer("beat", timedelta(milliseconds=50), callback=self.beat)

        def beat(self, event: Any) -> None:
            self.beats += 1
            self.signal("beat", self.beats)
            if self.beats == 2:
                self.buy(1)
                self.clock.cancel_timer("beat")

        def on_quote(self, quote: Any) -> None:
            pass

    async def act(live: Live) -> None:
        live.feed.rows(5)
        await until(live, lambda: live.strategy.beats == 2 and live.held)
        live.feed.rows(5)

    live = traded(Beats, act)
    assert [f.value for f in live.facts("signal.noted")] == [1, 2]
    assert again(live, Beats) is None


class Turned:
    """The wall's clock, turned by somebody."""

    def __init__(self) -> None:
        self.by = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Turned:
    made = Turned()
    monkeypatch.setattr(inputs, "time", made)
    return made


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_breaks_neither_the_order_nor_the_rerun(
    clock: Turned, hours: int
) -> None:
    async def act(live: Live) -> None:
        for rows in (20, 20):
            live.feed.rows(rows)
            await until(live, lambda: live.strategy.n == live.feed.sequence and quiet(live))
            clock.by += hours * 3_600 * 1_000_000_000
        live.feed.rows(20)
        await until(live, lambda: live.held == 56 and quiet(live))

    live = traded(Counts, act)
    assert rising(live)
    assert live.held == 56
    assert again(live, Counts) is None


def test_a_feed_that_is_silent_is_seen_and_new_orders_are_refused(clock: Turned) -> None:
    async def act(live: Live) -> None:
        live.feed.rows(1)
        live.ask("order", side="buy", quantity=1)
        await until(live, lambda: live.held)
        clock.by = 60 * 1_000_000_000
        await until(live, lambda: live.receiving.health.state(AAA) == "stale")
        live.ask("order", side="buy", quantity=1)
        await until(live, lambda: live.counts["denied"])

    class Nothing(ot.Strategy):
        def on_quote(self, quote: Any) -> None:
            pass

    live = traded(Nothing, act, book([("firm", "reference_age_seconds", 2)], "allow"))
    moved = [f.state for f in live.facts("feed.moved")]
    assert "live" in moved
    assert "stale" in moved
    allowed, denied = live.facts("risk.decided")
    assert (allowed.verdict, denied.verdict, denied.check) == ("allow", "deny", "R05")
    assert live.held == 1
    assert again(live, Nothing) is None
