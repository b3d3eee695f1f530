# pyright: standard
"""Receiving: a session's market data, from the feed to the kernel, judged and kept on its way.

A paced feed gives its next row once everything that the last one led to has been dealt with; on
paper the simulated fills of a row come before anybody acts on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from onetape.errors import OnetapeError
from onetape.market.instruments import Instrument
from onetape.run import ports
from onetape.run.health import Health
from onetape.run.keep import Keep
from onetape.run.kernel import Kernel
from onetape.run.line import Line
from onetape.run.loud import loud
from onetape.tape import kinds
from onetape.tape.kinds_live import RiskAlert

TICK_S = 0.1
SILENT_NS = 1_000_000_000  # after which the ladder looks without a row


class Paper:
    """A venue that fills against the rows of a feed, and must see each of them first."""

    def __init__(self, venue: Any) -> None:
        self.see: Callable[[ports.AnyRow], None] = venue.see

    @classmethod
    def of(cls, venue: Any, instruments: Mapping[str, Instrument]) -> Paper | None:
        """Return the paper side of a venue; None for one that has a market of its own."""
        if not hasattr(venue, "see"):
            return None
        for instrument in instruments.values():
            venue.know(instrument)
        return cls(venue)


class Receiving:
    """One feed's rows and words; `ended` is called when a replayed day has no more rows."""

    def __init__(self, feed: ports.Feed, ended: Callable[[], None]) -> None:
        self.feed, self._ended = feed, ended
        self.health = Health(feed.name, replayed=feed.replayed)
        self.now = 0  # what time a replayed feed says it is
        self.rows = 0
        self._last: dict[str, ports.AnyRow] = {}
        self._kernel: Kernel | None = None
        self._keep: Keep | None = None
        self._paper: Paper | None = None
        self._out = False  # a paced feed waits for us to be done with its row
        self._asking = False
        self._told_lost = False
        self._looked = 0
        self._ticking: asyncio.Task[None] | None = None

    def begin(self, kernel: Kernel, keep: Keep | None, paper: Paper | None) -> None:
        """Hand rows on from here."""
        self._kernel, self._keep, self._paper = kernel, keep, paper
        kernel.kept = self._received

    def run(self, line: Line, failed: Callable[[BaseException], None]) -> None:
        """Look, from now on, at what no row brings."""
        self._ticking = loud(self._tick(line), failed)

    def stop(self) -> None:
        """Look no more."""
        if self._ticking is not None:
            self._ticking.cancel()

    def take(self, row: ports.AnyRow | ports.FeedSignal) -> None:
        """Take a row, or a word of the feed about itself."""
        if isinstance(row, ports.FeedSignal):
            self._word(row)
            return
        if self._kernel is None:
            return
        self._out = True
        self._last[row.instrument] = row
        self.rows += 1
        if self._paper is not None:
            self._paper.see(row)
        self._kernel.row(row)

    def quiet(self) -> None:
        """When nothing is under way: let a paced feed go on."""
        kernel = self._kernel
        if kernel is None or not (self._out and self.feed.paced):
            return
        if kernel.still:
            self._out = self._asking = False
            self.feed.handled()
        elif kernel.commanded and not len(kernel.inputs) and not self._asking:
            self._asking = True
            kernel.barrier()
        if not kernel.commanded:
            self._asking = False

    def mark(self, instrument: str) -> Decimal | None:
        """Return the last price of an instrument; None before the first."""
        row = self._last.get(instrument)
        if row is None or isinstance(row, ports.Quote):
            return None if row is None else (row.bid + row.ask) / 2
        return row.price if isinstance(row, ports.Trade) else row.close

    def kept(self, where: str) -> list[kinds.Fact]:
        """Put the day's data into the catalog at `where`; return what is to be said of it."""
        if self._keep is None:
            return []
        from onetape.market.catalog import Catalog

        try:
            return list(self._keep.close(Catalog(where)))
        except (OnetapeError, OSError) as err:  # the rows stay in the folder, for `recover`
            said = f"the day's data could not be put into {where}: {err}"
            return [RiskAlert("data", "warning", "session", said)]

    def _word(self, said: ports.FeedSignal) -> None:
        kernel, self.now = self._kernel, said.ts_event or self.now
        if kernel is None:
            return
        now = kernel.stamps.peek()
        if self.health.signal(said, now):
            self._judge(kernel, now)
        if said.signal == "ended":
            kernel.call(self._ended)
        elif said.detail == "settle":  # a simulated feed had late reports: are we done with them?
            self._out = True
            self.quiet()

    def _received(self, row: ports.AnyRow, stamp: int) -> None:
        if self._keep is not None:
            self._keep.take(row, stamp)
        if self.health.take(row, stamp) and self._kernel is not None:
            self._judge(self._kernel, stamp)

    async def _tick(self, line: Line) -> None:
        """Look at silence, timers, data that waits to be written."""
        kernel = self._kernel
        assert kernel is not None
        while True:
            await asyncio.sleep(TICK_S)
            now = kernel.stamps.peek()
            self._judge(kernel, now)
            if not self.feed.replayed:
                while (due := kernel.timers.next) is not None and due <= now:
                    kernel.due()
                if kernel.setup.ladder.rungs and now - max(self._looked, kernel.now) > SILENT_NS:
                    self._looked = now
                    kernel.call(kernel.look)
            if self._keep is not None:
                self._keep.tick(now)
                self._lost(kernel, self._keep)
            line.send()

    def _judge(self, kernel: Kernel, now: int) -> None:
        for moved in self.health.tick(now):
            kernel.call(lambda moved=moved: kernel.note(moved, "input/feed"))

    def _lost(self, kernel: Kernel, keep: Keep) -> None:
        """Say once that the day's data cannot be written: it is not whole any more."""
        if keep.failed and not self._told_lost:
            self._told_lost = True
            alert = RiskAlert("data", "warning", "session", f"rows are not kept: {keep.failed}")
            kernel.call(lambda: kernel.note(alert, "input/data"))
