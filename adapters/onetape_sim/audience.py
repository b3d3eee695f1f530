"""The audience: feeds that are connected, what each wants, and what the feed does wrong to them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from onetape.errors import VenueError
from onetape.run.ports import AnyRow, Bar, FeedSignal, Quote, Subscription
from onetape_sim.faults import Filter, Gap, Mute

Key = tuple[str, str, str | None]


class FeedDoor:
    """One feed's connection: what it wants, and whether it is still busy with the last row."""

    def __init__(self, emit: Callable[[AnyRow | FeedSignal], None]) -> None:
        self.emit = emit
        self.wanted: set[Key] = set()
        self.begun = False
        self.busy = False


class Audience:
    """All feeds on one world."""

    def __init__(self, streams: frozenset[Key], wrong: Filter, snapshots: bool) -> None:
        self._streams = streams
        self._filter = wrong
        self._snapshots = snapshots
        self._feeds: list[FeedDoor] = []
        self._last: dict[Key, AnyRow] = {}
        self._muted: set[str | None] = set()
        self._gap = 0

    @property
    def muted(self) -> bool:
        """Whether the feed gives nothing at all."""
        return None in self._muted

    @property
    def begun(self) -> list[FeedDoor]:
        """The feeds that want rows."""
        return [feed for feed in self._feeds if feed.begun]

    def open(self, feed: FeedDoor) -> None:
        """Let a feed in."""
        self._feeds.append(feed)

    def close(self, feed: FeedDoor) -> bool:
        """Let a feed go; False where it was not there."""
        if feed not in self._feeds:
            return False
        self._feeds.remove(feed)
        return True

    def is_open(self, feed: FeedDoor) -> bool:
        """Return whether a feed's connection stands."""
        return feed in self._feeds

    def subscribe(self, feed: FeedDoor, wanted: Subscription) -> None:
        """Begin a stream of rows; VenueError where there is none like it."""
        key = (wanted.instrument, wanted.data, wanted.step)
        if key not in self._streams:
            told = sorted(" ".join(filter(None, each)) for each in self._streams)
            raise VenueError(
                f"no {wanted.data} {wanted.step or ''} of {wanted.instrument}; "
                f"there are {', '.join(told) or 'none'}"
            )
        feed.wanted.add(key)
        if self._snapshots and key in self._last:
            feed.emit(self._last[key])

    def give(self, row: AnyRow) -> bool:
        """Give a row to all who want it; False where nobody gets it."""
        key = key_of(row)
        self._last[key] = row
        if self._gap:
            self._gap -= 1
            return False
        if self._muted and (None in self._muted or row.instrument in self._muted):
            return False
        if self._filter.row_offset:
            ts = row.ts_event + self._filter.row_offset
            row = msgspec.structs.replace(row, ts_event=ts)
        given = False
        for feed in self._feeds if len(self._feeds) == 1 else list(self._feeds):
            if feed.begun and key in feed.wanted:
                feed.busy = given = True
                feed.emit(row)
        return given

    def say(self, signal: FeedSignal) -> None:
        """Tell all feeds that want rows something about the feed itself."""
        for feed in self.begun:
            feed.emit(signal)

    def drop(self, now: int) -> None:
        """Hang up on all feeds."""
        dropped, self._feeds = self._feeds, []
        for feed in dropped:
            feed.emit(FeedSignal("closed", None, now, "the simulated feed hung up"))

    def fault(self, fault: Mute | Gap) -> None:
        """Begin a fault of the feed."""
        if isinstance(fault, Gap):
            self._gap = fault.count
        elif fault.on:
            self._muted.add(fault.instrument)
        else:
            self._muted.discard(fault.instrument)


def key_of(row: AnyRow) -> Key:
    """Return the stream that a row belongs to."""
    if isinstance(row, Bar):
        return row.instrument, "bars", row.step
    return row.instrument, "quotes" if isinstance(row, Quote) else "trades", None
