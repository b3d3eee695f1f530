"""Replay: a recorded story passed again, event by event, with the books beside it.

    replay = ot.replay(run)                    or a run's id, a recording, a day, None: the latest
    replay.to("2010-01-05")                    forward and back
    replay.state                               held, worked, owed: after the last event passed
    replay.play(speed=86_400, each=print)      a day a second

Nothing is run again: what passes is what was recorded. `ot.rerun` runs the code again.

Instants   `to(when)` passes every event up to the first that the clock reached later than `when`;
           the clock is the greatest `ts_event` so far, so that a late event (a bust that comes in
           the afternoon for a fill of the morning) is passed when it was told, never before.
A day      of a book, in UTC: its events in the ledger's order, numbered by the ledger, from the
           first that happened on the day or later, to the last that is known of it today, later
           corrections at the end. What had been recorded before is the state it begins with.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from onetape.errors import MarketDataError, SettingsError, TapeError
from onetape.market.dataset import to_ns
from onetape.results.found import datasets_of
from onetape.results.moment import Moment
from onetape.results.passed import Passed, Prices
from onetape.results.run import Run, utc
from onetape.results.text import trimmed
from onetape.tape.event import Event
from onetape.tape.kinds import RunOpened
from onetape.tape.recording import Recording

if TYPE_CHECKING:
    from onetape.results.tape import Tape

LASTS = 30.0  # seconds that `play` takes when no speed is given
FRAME = 0.1  # seconds between two calls of `each`, at least
DAY = 86_400_000_000_000
When = int | str | date | datetime


def replay(
    what: Run | Recording | str | date | None = None,
    *,
    tape: Tape | None = None,
    book: str = "live",
    speed: float | None = None,
) -> Replay:
    """Return a replay that stands before the first event.

    what   a run, a recording, a run's id, a day (a date or "2010-01-05"); None: the latest run
    tape   where a run's id or a day is looked up; None: the default tape
    book   whose day: "live", "paper", or a run's id
    speed  for `play`: seconds told in one second; None: the whole in half a minute

    Raises TapeError when there is no such run, or nothing in that book up to that day.
    """
    if isinstance(what, Run):
        return _of_run(what, speed)
    if isinstance(what, Recording):
        opened = what[0].fact if len(what) else None
        if isinstance(opened, RunOpened):
            return _of_run(Run(what, datasets_of(opened)), speed)
        return Replay("a recording", what, speed=speed)
    if tape is None:
        from onetape.results.tape import open_tape

        tape = open_tape()
    day = _day(what)
    if day is not None:
        return _of_day(tape, book, day, speed)
    assert what is None or isinstance(what, str)
    return _of_run(tape.run(what), speed)


class Replay:
    """A story and a place in it; see `ot.replay`.

    title    what is replayed
    run      the run, when it is one
    """

    def __init__(
        self,
        title: str,
        events: Sequence[Event],
        *,
        before: int = 0,
        run: Run | None = None,
        speed: float | None = None,
    ) -> None:
        self.title, self.run = title, run
        self._events, self._before, self._speed = events, before, speed
        self._times = list(accumulate((event.ts_event for event in events[before:]), max))
        self._passed = Passed(events)
        self._position = 0
        self._instant: int | None = None
        self._state: tuple[tuple[int, int | None], Moment] | None = None
        self._prices: Prices | None = None

    # -- where we are

    def __len__(self) -> int:
        return len(self._times)

    @property
    def position(self) -> int:
        """How many events have passed."""
        return self._position

    @property
    def now(self) -> datetime | None:
        """The instant that `to` went to, else the latest `ts_event` that passed; None before."""
        if self._instant is not None:
            return utc(self._instant)
        return utc(self._times[self._position - 1]) if self._position else None

    @property
    def event(self) -> Event | None:
        """The last event that passed; None before the first."""
        return self._events[self._before + self._position - 1] if self._position else None

    @property
    def state(self) -> Moment:
        """What is held, worked and owed after the last event passed; equity when prices are here.

        Raises BrokenTape from the first event on that does not fit the ones before it.
        """
        if self._state is None or self._state[0] != (self._position, self._instant):
            self._state = (self._position, self._instant), self._moment()
        return self._state[1]

    # -- moving

    def step(self, n: int = 1) -> list[Event]:
        """Pass `n` events, fewer at the end, and return them; a negative `n` goes back."""
        start = self._position
        self._go(min(max(start + n, 0), len(self)))
        low, high = sorted((start, self._position))
        return list(self._events[self._before + low : self._before + high])

    def to(self, when: When) -> Replay:
        """Go to an instant, forward or back: all that the clock reached by then has passed.

        when   ns UTC, a datetime, a date or ISO text (its beginning); naive ones are in the zone
               of the run's data, UTC for a day of a book
        """
        ns = self._ns(when)
        self._go(bisect_right(self._times, ns), ns)
        return self

    def to_event(self, seq: int) -> Replay:
        """Go to where the event of that `seq` is the last one passed; 0 is before the first."""
        seqs = [event.seq for event in self._events[self._before :]]
        at = bisect_right(seqs, seq)
        if seq and (not at or seqs[at - 1] != seq):
            told = (
                f"it holds {len(seqs)} events, {seqs[0]} to {seqs[-1]}" if seqs else "it is empty"
            )
            raise TapeError(f"event {seq} is not in this replay: {told}")
        self._go(at)
        return self

    def rewind(self) -> Replay:
        """Go before the first event."""
        self._go(0)
        return self

    def __iter__(self) -> Iterator[Event]:
        while self._position < len(self):
            yield from self.step()

    def play(
        self,
        speed: float | None = None,
        until: When | None = None,
        each: Callable[[Replay], Any] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Any] = time.sleep,
    ) -> Replay:
        """Let events pass as they did, faster; a KeyboardInterrupt leaves it where it was.

        speed   seconds told in one second: 3600 is an hour a second, float("inf") at once
        until   where to stop, as in `to`; None: the end
        each    called with the replay as events pass, ten times a second at most
        clock, wait   seconds, for those who bring their own time
        """
        stop = None if until is None else self._ns(until)
        end = len(self) if stop is None else bisect_right(self._times, stop)
        speed = self._pace(speed)
        if self._position >= end:
            return self  # there already, or beyond
        start = self._times[max(self._position - 1, 0)]
        begun, told, fresh = clock(), -FRAME, False
        while self._position < end or fresh:
            now = clock() - begun
            if fresh and each and (self._position == end or now - told >= FRAME):
                told, fresh = now, False
                each(self)
                continue
            ahead = (self._times[self._position] - start) / 1e9 / speed - now
            if ahead > 1e-6:  # less is lost among the digits of a clock
                wait(min(ahead, FRAME))
            else:
                self._go(self._position + 1)
                fresh = each is not None
        self._instant = stop if self._position == end else self._instant
        return self

    # -- looks

    def __repr__(self) -> str:
        from onetape.results.player import told

        return told(self)

    def _repr_html_(self) -> str:
        from onetape.results.player import card

        return card(self)

    def player(self) -> Any:
        """Return a Panel widget to scrub through the story, with the run's equity beside it."""
        from onetape.results.player import player

        return player(self)

    # -- inside

    def _go(self, position: int, instant: int | None = None) -> None:
        self._position, self._instant = position, instant

    def _ns(self, when: When) -> int:
        if isinstance(when, int):
            return when
        ns = to_ns(when, self.run.opened.datasets[0].tz if self.run else "UTC")
        assert ns is not None
        return ns

    def _pace(self, speed: float | None) -> float:
        speed = speed if speed is not None else self._speed
        if speed is None:
            spent = (self._times[-1] - self._times[0]) / 1e9 if self._times else 0.0
            return spent / LASTS or float("inf")
        if not speed > 0:
            raise SettingsError(f"speed {speed!r} found, seconds told in a second expected: 3600")
        return speed

    def _moment(self) -> Moment:
        at = self._position
        ts = self._instant
        if ts is None:
            ts = self._times[max(at - 1, 0)] if self._times else 0
        folded = self._passed.after(self._before + at)
        equity = None
        if self.run is not None and self.run.datasets and at:
            if self._prices is None:
                self._prices = Prices.of(self.run.datasets, self.run.currency)
            try:
                equity = folded.worth(self._prices, ts)
            except MarketDataError:  # no rate: what is held can be shown all the same
                equity = None
        last = self._before + at
        return Moment(
            ts,
            self._events[last - 1].seq if last else 0,
            trimmed(folded.positions()),
            trimmed(folded.working()),
            folded.cash(),
            equity,
            self.run.currency if self.run else "",
        )


def _of_run(run: Run, speed: float | None) -> Replay:
    return Replay(run.id or run.opened.strategy, run.recording, run=run, speed=speed)


def _of_day(tape: Tape, book: str, day: date, speed: float | None) -> Replay:
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    placed = (entry.placed for entry in tape.read() if entry.book == book)
    events = [event for event in placed if event.ts_event < start + DAY]
    if not events:
        known = ", ".join(sorted({entry.book for entry in tape.read()})[:8]) or "none"
        raise TapeError(f"nothing in book {book!r} up to {day} UTC; books on this tape: {known}")
    news = (at for at, event in enumerate(events) if event.ts_event >= start)
    return Replay(f"{day} of {book}", events, before=next(news, len(events)), speed=speed)


def _day(what: object) -> date | None:
    if isinstance(what, datetime):
        return (what.astimezone(UTC) if what.tzinfo else what).date()
    if isinstance(what, date):
        return what
    if isinstance(what, str):
        try:
            return date.fromisoformat(what)
        except ValueError:
            return None
    if what is None:
        return None
    raise SettingsError(f"{what!r} found; a run, a recording, a run's id or a day expected")
