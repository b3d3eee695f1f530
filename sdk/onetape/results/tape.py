# pyright: standard
"""The open tape: everything that is asked of recorded events, by people and by their code.

    tape = ot.open_tape()                              our own server, in the user's data folder
    run = ot.backtest(Cross, ot.sample("GOOG"), tape=tape)
    tape.at("2010-01-05", book=run.id)                 what was held, worked and owed
    tape.frame("fills", book=run.id)                   polars, through Arrow
    tape.trace(...), tape.verify(), tape.prove(...)    why, and whether it was touched

Answers come from the projected tables, which are brought up to the tape's head before each; the
tape itself is never changed by a question.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onetape.errors import (
    OnetapeError,
    SettingsError,
    TapeError,
    TapeForbidden,
    TapeUnavailable,
)
from onetape.results import asked_of
from onetape.results.text import trimmed
from onetape.results.trace import Trace
from onetape.settings import settings
from onetape.tape.ledger import Entry
from onetape.tape.postgres import PostgresTape

if TYPE_CHECKING:
    import polars as pl

    from onetape.books.asof import AsOf
    from onetape.market.dataset import Dataset
    from onetape.results.keeping import Keeping
    from onetape.results.replay import Replay
    from onetape.results.run import Run
    from onetape.tape.embedded import Server
    from onetape.tape.wirelog import WireVerdict

When = int | str | datetime | None
WAIT_S, PAUSE_S = 30.0, 0.05
_open: dict[tuple[str, int], Tape] = {}


def open_tape(
    where: str | Path | None = None, *, patience: float = 0.0, partition: int | None = None
) -> Tape:
    """Open a tape, begin it when there is none; in one process a place is opened once.

    where      None: the server that ONETAPE_TAPE names, else our own PostgreSQL 18, started in
               the user's data folder (or ONETAPE_HOME); a folder: our own server there;
               "postgresql://...": any server from version 15 on, the database must exist
    patience   seconds for which writing is tried again before it is said to be impossible
    partition  events in each partition of the log

    Raises TapeUnavailable, TapeForbidden or TapeError, each saying what to do.
    """
    from onetape.tape.embedded import serve
    from onetape.tape.writer import STEP

    if not isinstance(where, str | Path | None):
        raise SettingsError(f"{where!r} found as tape; a server's URL or a folder expected")
    named = str(where if where is not None else settings().tape)
    known = _open.get((named, os.getpid()))
    if known is not None and known.health().state != "closed":
        return known
    server = None
    if "://" not in named:
        server = serve(Path(named).expanduser() if named else None)
    url = server.url if server is not None else named
    try:
        tape = Tape(url, server=server, patience=patience, partition=partition or STEP)
    except BaseException:
        if server is not None:
            server.stop()
        raise
    _open[named, os.getpid()] = tape
    return tape


class Tape(PostgresTape):
    """An open tape. Streams and events come from `PostgresTape`; here is what is asked of them."""

    def __init__(self, url: str, *, server: Server | None = None, **how: Any) -> None:
        self.server = server
        self._kept: Any = None
        self._keeper = 0  # the process that made it
        super().__init__(url, **how)

    def __enter__(self) -> Tape:
        return self

    def _connection(self) -> Any:
        if self.health().state == "closed":
            raise TapeUnavailable("this tape was closed; ot.open_tape opens it again")
        try:
            return super()._connection()
        except TapeUnavailable:
            if self.server is None:
                raise
            self.server.revive()  # our own server died: it comes up again, with all it was told
            return super()._connection()

    def close(self) -> None:
        """Write what waits, let go of the connections and of our own server."""
        super().close()
        if self._kept is not None and self._keeper == os.getpid():
            self._kept.close()
        if "keeping" in self.__dict__:
            self.keeping.close()
        if self.server is not None:
            self.server.stop()

    def __repr__(self) -> str:
        from onetape.tape.server import shown

        if self.health().state == "closed":
            return "Tape(closed)"
        head, streams = self.head(), len(self.streams())
        chain = head.chain.hex()[:12]
        return f"Tape({shown(self.url)}: {head.seq:,} events, {streams} streams, chain {chain})"

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(repr(self))}</pre>"

    # -- the read models

    def catch_up(self, progress: bool | None = None) -> int:
        """Bring the projected tables up to the tape's head; return the seq they stand at.

        Another projector that is at it already is waited for, as long as it gets on.
        """
        from onetape.books.projector import Projector

        head, seen, until = self.head().seq, -1, 0.0
        while True:
            at = self._projected()
            if at >= head and at:
                return at
            if at > seen:
                seen, until = at, time.monotonic() + WAIT_S
            try:
                with Projector(self) as projector:
                    return projector.catch_up(progress=progress)
            except TapeForbidden:
                return at  # a reader gets what is projected, and `projected_to` says how far
            except TapeUnavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(PAUSE_S)

    def _projected(self) -> int:
        from onetape.books import generations

        asking = self._asking()
        return generations.bookmark(asking, generations.live(asking))[0]

    def _asking(self) -> Any:
        """Return a connection that is kept for questions."""
        kept, me = self._kept, os.getpid()
        if kept is None or kept.closed or kept.broken or self._keeper != me:
            kept = self._kept = self._connection()  # a forked child never uses its parent's
            self._keeper = me
        return kept

    def rebuild(self, progress: bool | None = None) -> dict[str, Any]:
        """Project everything anew beside the old tables, then switch to the new ones."""
        from onetape.books.projector import Projector

        with Projector(self) as projector:
            projector.rebuild(progress=progress)
        return self.status()

    def status(self) -> dict[str, Any]:
        """Return how far the projections are, what waits, what was parked, how the writer is."""
        from onetape.books.projector import Projector

        with Projector(self) as projector:
            projected = projector.status()
        return {"projection": projected, "writer": self.health()._asdict()}

    def frame(
        self,
        name: str,
        *,
        account: str | None = None,
        instrument: str | None = None,
        book: str | None = None,
        since: When = None,
        until: When = None,
        stream: str | None = None,
    ) -> pl.DataFrame:
        """Return recorded and derived tables as polars frames, with exact decimals.

        name          fills, orders, trades, positions, cash, exposure, equity, runs, findings,
                      events or parked
        since, until  half-open in ts_event: ns UTC, text or datetime
        """
        from onetape.books.frames import frame

        self.catch_up()
        whose = self.book(book) if book is not None else None
        asked: dict[str, Any] = {
            "account": asked_of.named(self._asking(), "account", account),
            "instrument": asked_of.named(self._asking(), "instrument", instrument),
            "book": whose,
        }
        return trimmed(frame(self.url, name, **asked, since=since, until=until, stream=stream))

    def wire(
        self, session: str | None = None, *, since: When = None, until: When = None, **asked: Any
    ) -> pl.DataFrame:
        """Return what FIX sessions said and heard, message by message, secrets masked.

        session       as the gateway names it; None: all
        since, until  half-open on the gateway's clock: ns UTC, text or datetime
        asked         order (a ClOrdID or OrderID, with all that replaced it), execution, types,
                      direction ("in", "out"), gateway, limit; see `results.wire`
        """
        from onetape.results.wire import wire_frame

        return trimmed(wire_frame(self, session, since=since, until=until, **asked))

    def verify_wire(self) -> list[WireVerdict]:
        """Compute the chains of all kept FIX messages again, a verdict for each gateway.

        `verify` covers the events, the seals of these chains among them; this covers the messages.
        """
        from onetape.results.wire import verify_wire

        return verify_wire(self)

    def runs(self) -> pl.DataFrame:
        """Return one row for each run: what, when, how it ended, how much it traded."""
        return self.frame("runs")

    # -- instants

    def at(
        self,
        true_at: When | date = None,
        known_at: When = None,
        *,
        book: str = "live",
        account: str | None = None,
        instrument: str | None = None,
        marks: Any = None,
    ) -> AsOf:
        """Return what was held, worked, owed and earned at an instant, in both times.

        true_at    what had happened by then (`ts_event`): ns UTC, text, datetime or date, UTC
                   where no zone is said; None: all
        known_at   what had been recorded by then: a ledger seq, text or datetime; None: all
        book       "live", "paper", or a run's id
        account, instrument   narrow the answer
        marks      prices by instrument to value holdings with; else the last fill's price

        at(T, T) is what was believed at T; at(T) is what is now known to have been true at T.
        """
        from onetape.books.asof import at

        self.catch_up()
        whose = self.book(book)
        asked: dict[str, Any] = {
            "book": whose,
            "account": asked_of.named(self._asking(), "account", account),
            "instrument": asked_of.named(self._asking(), "instrument", instrument),
        }
        if isinstance(true_at, date) and not isinstance(true_at, datetime):
            true_at = datetime(true_at.year, true_at.month, true_at.day, tzinfo=UTC)
        return at(self._asking(), true_at=true_at, known_at=known_at, marks=marks, **asked)

    # -- runs

    def stream(self, named: str | None = None) -> str:
        """Return the one stream that a name means: whole, a run's id, or the start of either.

        None means the latest run, a strategy's name its latest run. Raises TapeError when there
        is none, or more than one.
        """
        return asked_of.stream(self.streams(), named)

    def book(self, named: str) -> str:
        """Return the book that a name means: "live", "paper", a book, or a run as `stream` has it.

        Raises TapeError when there is none of that name.
        """
        asked = "SELECT 1 FROM onetape.stream WHERE book = %s LIMIT 1"
        if self._asking().execute(asked, (named,)).fetchone():
            return named
        if named in ("live", "paper"):
            told = "SELECT book FROM onetape.stream GROUP BY book ORDER BY max(id) DESC LIMIT 5"
            books = ", ".join(book for (book,) in self._asking().execute(told).fetchall())
            raise TapeError(f"nothing in book {named!r} yet; the latest books: {books or 'none'}")
        return self.stream(named)

    def run(
        self, named: str | None = None, data: Dataset | tuple[Dataset, ...] | None = None
    ) -> Run:
        """Return a recorded run, by default the latest one.

        data   the datasets it was made on; None looks among the samples and in the catalog of
               ONETAPE_CATALOG, and goes on without when they are not at hand
        """
        from onetape.results import session_again
        from onetape.results.found import datasets_of
        from onetape.results.run import Run

        stream = self.stream(named)
        run = Run(self.recording(stream), id=stream)
        if data is None:
            session = session_again.is_session(run.opened)
            run.datasets = (
                session_again.data_of(run.recording, stream) if session else datasets_of(run.opened)
            )
            return run
        return run.on(data)

    def replay(self, named: str | date | None = None, *, book: str = "live") -> Replay:
        """Step through a run, or through a day of a book; see `ot.replay`."""
        from onetape.results.replay import replay

        return replay(named, tape=self, book=book)

    # -- why

    def event(self, seq: int) -> Entry:
        """Return the entry at a ledger seq."""
        if not isinstance(seq, int):
            raise SettingsError(f"{seq!r} found, an event's ledger seq expected, a whole number")
        for entry in self.read(seq - 1, seq):
            return entry
        raise TapeError(f"no event {seq} on this tape: it holds 1 to {self.head().seq}")

    def trace(self, what: Any, *, book: str | None = None) -> Trace:
        """Return where a number comes from: fills, orders, decisions, rows, data, code.

        what   a ledger seq, an entry, a one-row frame or dict of one of the frames, or
               ("position", book, account, instrument)
        book   whose a row is, where it does not say so itself; "live" unless told
        """
        from onetape.books.provenance import origin

        self.catch_up()
        asked = what.seq if isinstance(what, Entry) else what
        asked_of.own(self, asked)
        whose = self.book(book) if book is not None else None
        return asked_of.shown(origin(self._asking(), asked, book=whose))

    def effects(self, seq: int) -> list[Trace]:
        """Return what the event at a ledger seq led to, in the order in which it happened."""
        from onetape.books.provenance import effects

        return [asked_of.shown(one) for one in effects(self._asking(), seq)]

    @cached_property
    def keeping(self) -> Keeping:
        """Archive, retention, legal holds, and what can be forgotten of persons."""
        from onetape.results.keeping import Keeping

        return Keeping(self)


def prove(what: int | Entry, tape: Tape | None = None) -> Any:
    """Return the proof that an event stands on the published chain; see `onetape.tape.proof`.

    what   a ledger seq, or an entry as `tape.read` gives it
    tape   the tape it is on; None: the default one
    """
    seq = what.seq if isinstance(what, Entry) else what
    if not isinstance(seq, int):
        raise SettingsError(f"{seq!r} found, an event's ledger seq or an entry expected")
    return (tape or open_tape()).prove(seq)


def tape_of(where: Any) -> Tape | None:
    """Return the tape that an argument means; None when it names a file."""
    if isinstance(where, Tape):
        return where
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        return open_tape(where)
    if where is None or isinstance(where, str | Path):
        return None
    raise OnetapeError(f"{where!r} found as tape; an open tape, a URL or a file's path expected")
