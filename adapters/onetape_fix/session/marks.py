"""Where messages stand in a journal's files: a mark every 64 KiB, not one for each message.

From a mark on a file is read forward to what is looked for, so that memory does not grow with the
messages. A stretch is a run of rising numbers; when an operator sets our number back, the
messages from that number on count no more, and a new stretch begins.

Covers one epoch. Offsets in bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple

SPACING = 64 << 10


class Mark(NamedTuple):
    """The record `position` stands at `offset` of a segment; `out` was then our next number."""

    position: int
    out: int
    segment: int
    offset: int


class Stretch(NamedTuple):
    """Read from `begin` for the numbers lo to hi, up to `until` (None: to the end)."""

    lo: int
    hi: int
    begin: Mark
    until: Mark | None


class Marks:
    """The marks of an epoch; see the module."""

    __slots__ = ("_columns", "_due", "_stretches", "segment")

    def __init__(self) -> None:
        self.segment = 0
        self._columns = tuple(array("q") for _ in Mark._fields)
        self._stretches: list[tuple[int, int]] = []  # (index of its first mark, first number)
        self._due = 0

    def load(
        self, segment: int, columns: list[list[int]], stretches: list[tuple[int, int]]
    ) -> None:
        """Go on from what a segment's head says."""
        self.clear()
        self.begin(segment)
        if columns:
            self._columns = tuple(array("q", column) for column in columns)
            self._stretches = list(stretches)

    def saved(self) -> tuple[list[list[int]], list[tuple[int, int]]]:
        """What `load` takes."""
        return [list(column) for column in self._columns], list(self._stretches)

    def begin(self, segment: int) -> None:
        """A segment begins."""
        self.segment, self._due = segment, 0

    def clear(self) -> None:
        """An epoch begins."""
        self._columns = tuple(array("q") for _ in Mark._fields)
        self._stretches = []
        self._due = 0

    def pass_by(self, position: int, out: int, offset: int) -> None:
        """A record is to stand at an offset; mark it where one is due."""
        if offset >= self._due:
            self._add(position, out, offset)

    def back(self, position: int, out: int, offset: int) -> None:
        """Our next number is `out` again, from the record at an offset on."""
        while self._stretches and self._stretches[-1][1] >= out:
            self._stretches.pop()
        first = len(self._columns[0])
        self._add(position, out, offset)
        self._stretches.append((first, out))

    def stretches(self, lo: int, hi: int) -> list[Stretch]:
        """What to read for the numbers lo to hi."""
        found: list[Stretch] = []
        for place, (first, number) in enumerate(self._stretches):
            last = place + 1 == len(self._stretches)
            stop, limit = (None, hi + 1) if last else self._stretches[place + 1]
            low, high = max(lo, number), min(hi, limit - 1)
            if low <= high:
                end = len(self._columns[1]) if stop is None else stop
                at = max(bisect_right(self._columns[1], low, first, end) - 1, first)
                until = None if stop is None else self._mark(stop)
                found.append(Stretch(low, high, self._mark(at), until))
        return found

    def near(self, position: int) -> Mark | None:
        """The last mark up to a position."""
        at = bisect_right(self._columns[0], position) - 1
        return None if at < 0 else self._mark(at)

    def _mark(self, at: int) -> Mark:
        return Mark(*(column[at] for column in self._columns))

    def _add(self, position: int, out: int, offset: int) -> None:
        if not self._stretches:
            self._stretches.append((0, out))
        for column, value in zip(self._columns, (position, out, self.segment, offset), strict=True):
            column.append(value)
        self._due = offset + SPACING
