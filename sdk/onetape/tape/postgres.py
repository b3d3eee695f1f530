# pyright: standard
"""The tape on PostgreSQL: the port's promises, durable and provable.

One writer thread commits in groups (`writer`, `append`), readers page through the ledger
(`reader`), `audit` recomputes everything from the bytes. Any number of processes may have the
same tape open. The server is any PostgreSQL from 15 on; see `embedded` for our own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from onetape.errors import TapeError
from onetape.tape import audit, proving
from onetape.tape.anchors import Anchor, Anchors
from onetape.tape.anchors import anchors as named
from onetape.tape.append import Request
from onetape.tape.audit import Verdict
from onetape.tape.draft import drafts, fitting
from onetape.tape.event import Event
from onetape.tape.ledger import Entry, Head, Receipt
from onetape.tape.proof import Proof
from onetape.tape.reader import Reader
from onetape.tape.recording import Recording
from onetape.tape.server import connect, prepare, shown
from onetape.tape.words import no_such_stream
from onetape.tape.writer import STEP, Health, Writer

HEAD = "SELECT last_seq, last_batch, last_ns, chain FROM onetape.ledger_head"
VERSION = """SELECT h.version FROM onetape.stream s JOIN onetape.stream_head h ON h.stream_id = s.id
WHERE s.key = %s"""
NUMBERS = "SELECT id, key FROM onetape.stream WHERE key = ANY(%s)"


class PostgresTape:
    """The Tape port on a PostgreSQL database.

    url        a database; it is brought into this version's form on opening
    clock      ns UTC, for the recorded time; recorded times rise whatever it says
    patience   seconds for which the writer tries again before it tells that it cannot write
    partition  events in each partition of the log
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        patience: float = 0.0,
        partition: int = STEP,
    ) -> None:
        prepare(url, partition)
        self.url = url
        self._clock = clock
        self._reader = Reader(self._connection)
        self._writer = Writer(self._connection, clock=clock, patience=patience, step=partition)

    def __repr__(self) -> str:
        head = self.head()
        return (
            f"PostgresTape({shown(self.url)}, {head.seq:,} events, chain {head.chain.hex()[:12]})"
        )

    def __enter__(self) -> PostgresTape:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connection(self) -> Any:
        return connect(self.url)

    # -- writing

    def submit(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        book: str = "",
        raws: Sequence[bytes] | None = None,
    ) -> Future[Receipt]:
        """Hand events to the writer; see the port. `raws` are their canonical bytes, if at hand."""
        if not events:
            raise TapeError(f"no events found for stream {stream}; one or more expected")
        if book:
            fitting("book", book)
        return self._writer.submit(Request(stream, book, drafts(stream, events, raws)))

    def append(self, stream: str, events: Sequence[Event], *, book: str = "") -> Receipt:
        """Record events and return once they are durable; see the port."""
        return self.submit(stream, events, book=book).result()

    def health(self) -> Health:
        """Return how the writer is: its state, what waits, what it wrote."""
        return self._writer.health()

    def close(self) -> None:
        """Write what waits, then let go of the connections."""
        self._writer.close()

    # -- reading

    def head(self) -> Head:
        """Return the end of the ledger."""
        with self._connection() as connection:
            seq, batch, recorded, chain = connection.execute(HEAD).fetchone()
        return Head(seq, batch, recorded, bytes(chain))

    def version(self, stream: str) -> int:
        """Return how many events a stream holds; 0 for one that was never written."""
        with self._connection() as connection:
            found = connection.execute(VERSION, (stream,)).fetchone()
        return found[0] if found else 0

    def read(
        self, after: int = 0, upto: int | None = None, *, streams: Sequence[str] = ()
    ) -> Iterator[Entry]:
        """Yield events with after < seq <= upto in order, of all streams or of those named."""
        if not streams:
            return self._reader.read(after, upto)
        with self._connection() as connection:
            found = connection.execute(NUMBERS, (list(streams),)).fetchall()
        known = {key: number for number, key in found}
        for stream in streams:
            if stream not in known:
                raise no_such_stream(stream, self.streams())
        return self._reader.read(after, upto, list(known.values()))

    def follow(
        self, after: int = 0, *, until: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Entry]]:
        """Yield batches of events as they arrive, until `until()` is true."""
        return self._reader.follow(after, until)

    def recording(self, stream: str) -> Recording:
        """Return a stream as a Recording: the canonical bytes as they were written."""
        entries = sorted(self.read(streams=[stream]), key=lambda entry: entry.version)
        return Recording([entry.payload for entry in entries])

    def streams(self) -> list[str]:
        """Return the streams in the order in which they began."""
        with self._connection() as connection:
            found = connection.execute("SELECT key FROM onetape.stream ORDER BY id").fetchall()
        return [key for (key,) in found]

    # -- proving

    def verify(
        self,
        anchors: str | Path | Anchors | None = None,
        *,
        since: Anchor | None = None,
        progress: bool | None = None,
    ) -> Verdict:
        """Recompute the whole tape from its bytes; see `audit`.

        anchors   where anchors were published: a file, a plug-in's address, or an object
        since     begin at an anchor that is trusted, for the nightly run
        """
        place = named(anchors) if anchors is not None else None
        with self._connection() as connection:
            return audit.verify(connection, place, since, progress)

    def anchor(self, where: str | Path | Anchors) -> Anchor:
        """Publish the head outside the database: a file, a plug-in's address, or an object."""
        with self._connection() as connection:
            return audit.anchor(connection, named(where), self._clock())

    def prove(self, seq: int) -> Proof:
        """Return the proof that the event at ledger `seq` stands on the published chain."""
        with self._connection() as connection:
            return proving.prove(connection, seq)
