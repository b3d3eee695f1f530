"""Inputs: what happens to a live session, one after another, each with a stamp of its own.

Rows, reports, timers and persons' words stand in one queue. Each gets its stamp when it is handed
to the engine, strictly rising, and the next is handed over only when nothing is under way that
could be handled after it: rows may follow rows, anything else waits for silence. The tape's order
is therefore the order of stamps, and the session can be made again from its inputs.

Why not trust the engine's own order: its live node keeps rows and order events in channels of
their own, and which one it empties first is its business.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

ROWS_AT_ONCE = 64


class Input(NamedTuple):
    """Something to hand over; `act(stamp)` does it, and says whether it will be heard of."""

    kind: str  # row, event or call
    act: Callable[[int], bool]
    ts: int = 0  # of a row: its own time, which is the session's where a past day is replayed


class Stamps:
    """Strictly rising times: the wall's, or those of the rows of a past day."""

    def __init__(self, replayed: bool, start: int = 0) -> None:
        self.replayed = replayed
        self.last = start

    def next(self, ts: int = 0) -> int:
        """Return the stamp of the next input; `ts` is a row's own time."""
        now = max(ts, self.last) if self.replayed else time.time_ns()
        self.last = max(now, self.last + 1)
        return self.last

    def peek(self) -> int:
        """Return what time it is, without taking it."""
        return self.last if self.replayed else max(time.time_ns(), self.last)


class Inputs:
    """The queue; everything runs on one loop, nothing here blocks."""

    def __init__(self, stamps: Stamps, at_once: int = ROWS_AT_ONCE) -> None:
        self.stamps = stamps
        self.at_once = at_once
        self.stopped = False
        self._queue: deque[Input] = deque()
        self._rows: deque[int] = deque()  # stamps of rows that the engine has and nobody handled
        self._event: int | None = None  # the stamp of the event that is under way
        self._busy = False
        self.trouble: Callable[[str, Exception], None] = _raised  # told of an act that raised

    def __len__(self) -> int:
        return len(self._queue) + len(self._rows) + (self._event is not None)

    @property
    def under_way(self) -> tuple[int, int | None]:
        """How many rows the engine has, and the stamp of the event that it has."""
        return len(self._rows), self._event

    def give(self, made: Input) -> None:
        """Take an input, and hand it over when its turn has come."""
        self._queue.append(made)
        self.advance()

    @property
    def ahead(self) -> int | None:
        """The stamp of the row that will be handled next; None when the engine has none."""
        return self._rows[0] if self._rows else None

    def row_handled(self) -> int:
        """Return the stamp of the row that is being handled: the oldest under way."""
        return self._rows.popleft() if self._rows else self.stamps.last

    def event_handled(self) -> None:
        """Learn that the event under way was dealt with."""
        self._event = None

    @property
    def event_stamp(self) -> int | None:
        """The stamp of the event under way."""
        return self._event

    def advance(self) -> None:
        """Hand over what may be handed over now."""
        if self._busy:  # an act gave another input: the loop below will see it
            return
        self._busy = True
        try:
            while self._queue and not self.stopped and self._may(self._queue[0]):
                self._hand(self._queue.popleft())
        finally:
            self._busy = False

    def _may(self, made: Input) -> bool:
        if self._event is not None:
            return False
        return not self._rows or (made.kind == "row" and len(self._rows) < self.at_once)

    def _hand(self, made: Input) -> None:
        stamp = self.stamps.next(made.ts)
        if made.kind == "row":
            self._rows.append(stamp)
        elif made.kind == "event":
            self._event = stamp
        try:
            comes = made.act(stamp)
        except Exception as err:  # nothing of it is under way: what comes after must not wait
            comes = False
            self.trouble(made.kind, err)
        if comes:
            return
        if made.kind == "row" and self._rows and self._rows[-1] == stamp:
            self._rows.pop()
        elif made.kind == "event" and self._event == stamp:
            self._event = None


def _raised(_kind: str, err: Exception) -> None:
    raise err
