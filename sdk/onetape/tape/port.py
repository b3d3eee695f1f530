"""The Tape port: what every tape promises, in memory and on PostgreSQL alike.

Promises   events of a stream are numbered 1, 2, 3 by their own `seq`; an append is whole or
           not at all, durable when it returns, and recognized when it is sent again; the
           ledger's seq has no gap and its order is the order of commits; a reader that
           follows gets every event once, in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from onetape.tape.event import Event
from onetape.tape.ledger import Entry, Head, Receipt
from onetape.tape.recording import Recording


class Tape(Protocol):
    """An append-only ledger of events in streams."""

    def submit(self, stream: str, events: Sequence[Event], *, book: str = "") -> Future[Receipt]:
        """Hand events to the writer; the future is done once they are durable.

        The first event's `seq` must be the stream's version + 1. `book` says whose books a
        new stream moves ("live", "paper"; by default the stream's own).

        The future raises TapeConflict when another writer was first, TapeUnavailable when the
        tape cannot write, BrokenTape when the events do not follow one another.
        """
        ...

    def append(self, stream: str, events: Sequence[Event], *, book: str = "") -> Receipt:
        """Record events and return once they are durable; errors as in `submit`."""
        ...

    def version(self, stream: str) -> int:
        """Return how many events a stream holds; 0 for one that was never written."""
        ...

    def head(self) -> Head:
        """Return the end of the ledger."""
        ...

    def read(
        self, after: int = 0, upto: int | None = None, *, streams: Sequence[str] = ()
    ) -> Iterator[Entry]:
        """Yield events with after < seq <= upto in order, of all streams or of those named."""
        ...

    def follow(
        self, after: int = 0, *, until: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Entry]]:
        """Yield batches of events after `after` as they arrive, until `until()` is true."""
        ...

    def recording(self, stream: str) -> Recording:
        """Return a stream as a Recording: the canonical bytes as they were written.

        Raises TapeError when there is no such stream, with the closest names.
        """
        ...

    def streams(self) -> list[str]:
        """Return the streams in the order in which they began."""
        ...

    def close(self) -> None:
        """Write what waits, then let go of everything."""
        ...
