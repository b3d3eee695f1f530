"""A tape in memory: the port's promises within one process, for tests and for research.

Nothing outlives the process. What PostgreSQL does on disk, a list and a lock do here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

from onetape.errors import TapeConflict, TapeError, TapeUnavailable
from onetape.tape.draft import Draft, drafts
from onetape.tape.event import Event
from onetape.tape.ledger import Entry, Head, Receipt
from onetape.tape.recording import Recording
from onetape.tape.words import no_such_stream

PAGE = 5_000
WAIT_S = 0.25


class MemoryTape:
    """The Tape port in memory."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._streams: dict[str, list[int]] = {}  # ledger seqs by version - 1
        self._books: dict[str, str] = {}
        self._batches = 0
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, stream: str, events: Sequence[Event], *, book: str = "") -> Future[Receipt]:
        """Record events at once; see the port."""
        done: Future[Receipt] = Future()
        try:
            done.set_result(self.append(stream, events, book=book))
        except TapeError as err:
            done.set_exception(err)
        return done

    def append(self, stream: str, events: Sequence[Event], *, book: str = "") -> Receipt:
        """Record events; see the port for what is promised and raised."""
        if not events:
            raise TapeError(f"no events found for stream {stream}; one or more expected")
        made = drafts(stream, events)
        with self._changed:
            if self._closed:
                raise TapeUnavailable("this tape is closed; open it again")
            known = self._streams.get(stream, [])
            standing = self._books.get(stream, book or stream)
            if book and book != standing:
                raise TapeError(f"stream {stream} is of book {standing}; book {book} found")
            fresh = self._fresh(stream, made, known)
            last = self.head()
            recorded = max(self._clock(), last.recorded + 1) if fresh else 0
            if fresh:
                self._batches += 1
                self._books[stream] = standing
                self._streams.setdefault(stream, known)
            for draft in fresh:
                seq = len(self._entries) + 1
                known.append(seq)
                self._entries.append(
                    Entry(seq, recorded, stream, draft.version, standing, draft.payload)
                )
            self._changed.notify_all()
            first, end = known[made[0].version - 1], known[made[-1].version - 1]
            at = self._entries[end - 1].recorded
            return Receipt(stream, first, end, len(known), at, not fresh)

    def _fresh(self, stream: str, made: list[Draft], known: list[int]) -> list[Draft]:
        first = made[0].version
        if first > len(known) + 1:
            raise TapeConflict(stream, first - 1, len(known))
        there = [self._entries[seq - 1].payload for seq in known[first - 1 :]]
        if any(a.payload != b for a, b in zip(made, there, strict=False)):
            raise TapeConflict(stream, first - 1, len(known), "with other events")
        return made[len(there) :]

    def version(self, stream: str) -> int:
        """Return how many events a stream holds."""
        return len(self._streams.get(stream, ()))

    def head(self) -> Head:
        """Return the end of the ledger; the chain is kept by durable tapes only."""
        last = self._entries[-1].recorded if self._entries else 0
        return Head(len(self._entries), self._batches, last)

    def read(
        self, after: int = 0, upto: int | None = None, *, streams: Sequence[str] = ()
    ) -> Iterator[Entry]:
        """Yield events with after < seq <= upto in order."""
        wanted = set(streams)
        for entry in self._entries[after:upto]:
            if not wanted or entry.stream in wanted:
                yield entry

    def follow(
        self, after: int = 0, *, until: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Entry]]:
        """Yield batches of events as they arrive, until `until()` is true."""
        while not until():
            with self._changed:
                if len(self._entries) <= after:
                    self._changed.wait(WAIT_S)
                page = self._entries[after : after + PAGE]
            if page:
                after += len(page)
                yield page

    def recording(self, stream: str) -> Recording:
        """Return a stream as a Recording."""
        if stream not in self._streams:
            raise no_such_stream(stream, self.streams())
        return Recording([self._entries[seq - 1].payload for seq in self._streams[stream]])

    def streams(self) -> list[str]:
        """Return the streams in the order in which they began."""
        return list(self._streams)

    def close(self) -> None:
        """Take no more events."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
