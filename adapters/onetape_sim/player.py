"""The player: rows on their way to the core and to the feeds, stepped or on the clock.

Stepped (speed 0)   a row moves the market and the fills that it brings are told; then the row is
                    given out, and the next comes when every feed has said `handled`. What was
                    sent meanwhile is done first, so it meets the book of that row.
Settle              with `settle` a feed is asked again (a heartbeat that wants `handled`) as
                    long as what was done brought reports: reactions to late reports then still
                    belong to this row, as in a backtest with latency.
On the clock        rows come at their times divided by the speed, counted from the first `begin`.
                    With clock "wall" their times are shifted to now.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from onetape.run.ports import AnyRow, Bar, FeedSignal, Quote, Trade
from onetape_sim.audience import Audience, FeedDoor
from onetape_sim.book import Book
from onetape_sim.core import PLENTY
from onetape_sim.rows import Item, Opened, Source

if TYPE_CHECKING:
    from onetape_sim.world import World

NS = 1_000_000_000
BATCH = 256  # rows at a time between two turns of the loop


class Player:
    """See the module."""

    def __init__(self, world: World, source: Source, fed: bool) -> None:
        self._world = world
        self._speed = world.config.speed
        self.audience = Audience(source.streams, world.filter, snapshots=not self.stepped)
        self._items = source.read()
        self._next = next(self._items, None)
        self._wall = world.config.clock == "wall"
        self._settles = world.config.settle
        self._shift = 0
        self._started: tuple[float, int] | None = None  # loop time, row time
        self._timer: asyncio.Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False
        self.count = 0
        self._idle = self._next is None and not fed  # no rows at all: the time is the wall's
        self._at = 0 if self._next is None else self._next.ts_event - 1

    # -- time

    @property
    def stepped(self) -> bool:
        """Whether rows wait for `handled`."""
        return not self._speed

    @property
    def now(self) -> int:
        """The market's time, ns UTC; it never goes back."""
        if self._wall or (self._idle and not self.count):
            self._at = max(self._at, time.time_ns())
        elif self._started is not None:
            seconds, ts = self._started
            passed = ts + int((asyncio.get_running_loop().time() - seconds) * self._speed * NS)
            if self._next is not None:
                passed = min(passed, self._next.ts_event + self._shift)
            self._at = max(self._at, passed)
        return self._at

    # -- feeds

    def begin(self, feed: FeedDoor) -> None:
        """A feed has all its subscriptions: the clock starts with the first that says so."""
        feed.begun = True
        if self._ended:
            feed.emit(FeedSignal("ended", None, self._at))
            return
        if self.stepped:
            self._soon(self._step)
            return
        if self._started is None:
            if self._wall and self._next is not None:
                self._shift = time.time_ns() - self._next.ts_event
            first = self._at if self._next is None else self._next.ts_event + self._shift
            self._started = (asyncio.get_running_loop().time(), first)
        self._world.start()

    def handled(self, feed: FeedDoor) -> None:
        """A feed is done with the last row."""
        feed.busy = False
        if self.stepped:
            self._soon(self._step)

    def leave(self, feed: FeedDoor) -> None:
        """Let a feed go; the others are not held up by it."""
        if self.audience.close(feed):
            self.handled(feed)

    # -- rows

    def skip(self, count: int) -> None:
        """Go on behind the first `count` rows: they move the street, and nothing trades."""
        while self.count < count and self._next is not None:
            item = self._advance()
            pass_by(self._world.core.books[item.instrument], item)
            self._at = max(self._at, item.ts_event)
        self._world.core.at(self._at)

    def seen(self, row: AnyRow) -> None:
        """Take in a row of another feed (paper trading): the market and the time move with it."""
        if not self.count:
            self._at = row.ts_event  # from here on the time is that of the rows
        self.count += 1
        self._at = max(self._at, row.ts_event)
        self._world.core.row(row)
        self._world.flush()

    def stop(self) -> None:
        """Give out nothing more."""
        self._next, self._ended = None, True
        if self._timer is not None:
            self._timer.cancel()

    def attend(self) -> None:
        """On the clock: wake up for what comes next."""
        if self.stepped and self._ended:
            self._run_out()
        if self.stepped or self._started is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        due = [t for t in (self._next_ts(), self._world.next_due) if t is not None]
        if due:
            seconds, ts = self._started
            self._timer = loop.call_at(seconds + (min(due) - ts) / NS / self._speed, self._tick)

    def _next_ts(self) -> int | None:
        return None if self._next is None else self._next.ts_event + self._shift

    def _tick(self) -> None:
        self._timer = None
        try:
            for _ in range(BATCH):
                now, ts = self.now, self._next_ts()
                due = self._world.next_due
                if due is not None and due <= now and (ts is None or due < ts):
                    self._world.settle()
                elif ts is not None and ts <= now:
                    self._play()
                else:
                    break
        finally:
            self._finish()
            self.attend()

    def _soon(self, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None or self._loop is not loop:  # an earlier loop never got to it
            self._timer, self._loop = loop.call_soon(act), loop

    def _step(self) -> None:
        self._timer = None
        begun = self.audience.begun
        if not begun or any(feed.busy for feed in begun):
            return
        if self._world.settle() and self._settles:
            self._ask_again(begun)
            return
        for _ in range(BATCH):
            if self._next is None:
                self._run_out()
                return
            if self._play():
                return
            if self._world.settle() and self._settles:
                self._ask_again(begun)
                return
        self._soon(self._step)

    def _ask_again(self, begun: list[FeedDoor]) -> None:
        for feed in begun:
            feed.busy = True
        self.audience.say(FeedSignal("heartbeat", None, self.now, "settle"))

    def _run_out(self) -> None:
        """No rows are left: what is under way still arrives."""
        while (due := self._world.next_due) is not None:
            self._at = max(self._at, due)
            self._world.settle()
        self._finish()

    def _finish(self) -> None:
        if self._next is None and not self._ended:
            self._ended = True
            self.audience.say(FeedSignal("ended", None, self._at))

    def _advance(self) -> Item:
        item = self._next
        assert item is not None
        self._next = next(self._items, None)
        self.count += 1
        return item

    def _play(self) -> bool:
        """Let the next row happen; True when a feed has to say `handled`."""
        world, item = self._world, self._advance()
        if self._shift:
            ts = item.ts_event + self._shift
            item = (
                item._replace(ts_event=ts)
                if isinstance(item, Opened)
                else msgspec.structs.replace(item, ts_event=ts)
            )
        self._at = max(self._at, item.ts_event)
        if isinstance(item, Opened):
            world.core.opened(item.instrument, item.price, item.ts_event)
        else:
            world.core.row(item)
        world.flush()
        if world.journal is not None:
            world.journal.mark(self.count)  # killed before this, it comes again
        return not isinstance(item, Opened) and self.audience.give(item)


def pass_by(book: Book, item: Item) -> None:
    """Let a row that was played before a restart move the street again; nothing trades."""
    if isinstance(item, Quote):
        book.bid.set(item.bid, item.bid_size, 0)
        book.ask.set(item.ask, item.ask_size, 0)
    elif isinstance(item, Bar):
        book.bid.clear()
        book.ask.clear()
        book.closed = True
    else:
        size = item.size if isinstance(item, Trade) else PLENTY
        book.bid.set(item.price, size, 0)
        book.ask.set(item.price, size, 0)
        book.closed = False
