# pyright: standard
"""Keeper: the books over the tables of one generation, in units that are committed whole.

A unit is booked, rendered as text and written, bookmark included, in one transaction. Writing
may go on aside while the next unit is booked; whatever asks the tables waits for it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import localcontext
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from onetape.books import rows, schema
from onetape.books.cache import Cache
from onetape.books.exact import EXACT
from onetape.books.load import Loader
from onetape.books.state import Books
from onetape.books.undo import Source, redo_order
from onetape.books.void import take_back
from onetape.books.write import Sheet, put, render
from onetape.errors import BrokenTape, TapeError
from onetape.tape.event import Event
from onetape.tape.kinds import OrderFilled, OrderVoided
from onetape.tape.ledger import Entry

CHUNK = 10_000  # events for which rows are fetched together
Pairs = list[tuple[Entry, Event | None]]

BOOKMARK = """SELECT seq FROM onetape.projection WHERE name = %s AND generation = %s FOR UPDATE"""
MOVE = """UPDATE onetape.projection SET seq = %s, updated_ns = %s
WHERE name = %s AND generation = %s"""
NEXT_ID = "SELECT coalesce(max(id), 0) + 1 FROM {}.position_key"


class Retired(TapeError):
    """The generation was replaced by a rebuilt one."""


class _Poisoned(Exception):
    def __init__(self, seq: int, why: str) -> None:
        super().__init__(why)
        self.seq, self.why = seq, why


@contextmanager
def _uncollected(entries: int) -> Iterator[None]:
    """Pause the collector over big units: it walked the cells, which hold no cycles, for 6 us."""
    if entries < CHUNK or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Keeper:
    """Books events into the tables of one generation; the bookmark stands at `seq`."""

    def __init__(self, connection: Connection[Any], generation: int, source: Source) -> None:
        self.connection, self.generation = connection, generation
        self._loader = Loader(connection, generation)
        self._source = source
        self._writer = ThreadPoolExecutor(1, "projector")
        self._pending: Future[None] | None = None
        self._reset()

    def close(self) -> None:
        """Finish what is being written, and let go of what is not."""
        try:
            self.settled()
        finally:
            self._writer.shutdown()
            self._source.close()

    def take(self, entries: Sequence[Entry], aside: bool = False) -> None:
        """Book entries and commit them, `aside`: in the background; all or nothing."""
        skipped: dict[int, str] = {}
        while True:
            try:
                with localcontext(EXACT), _uncollected(len(entries)):
                    for start in range(0, len(entries), CHUNK):
                        self._book(entries[start : start + CHUNK], skipped)
                    self._commit(aside)
                return
            except _Poisoned as poison:
                skipped[poison.seq] = poison.why
                self._rollback()
            except BaseException:
                self._rollback()
                raise

    def settled(self) -> None:
        """Wait for what is being written; raises what went wrong with it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except BaseException:
                self._rollback()
                raise

    def _reset(self) -> None:
        where = (schema.NAME, self.generation)
        found = self.connection.execute(BOOKMARK, where).fetchone()
        if found is None:
            raise Retired(f"generation {self.generation} is gone: it was replaced by another")
        self.seq: int = found[0]
        self._since = self._written = self.seq
        names = SQL(NEXT_ID).format(Identifier(schema.schema_of(self.generation)))
        (first,) = self.connection.execute(names).fetchone() or (1,)
        self.books = Books(first)
        self._cache = Cache(self.books, fresh=self.seq == 0)
        self._recorded = self._first = 0
        self._parked: list[str] = []
        self._began = False
        self._partition = -1

    def _rollback(self) -> None:
        self._pending = None
        if not self.connection.closed:
            self.connection.rollback()
            self._reset()

    def _book(self, entries: Sequence[Entry], skipped: dict[int, str]) -> None:
        pairs: Pairs = [(entry, self._read(entry, skipped)) for entry in entries]
        wanted = self._cache.wanted(pairs)
        if wanted.any():
            self.settled()
            self._loader.load(self.books, wanted)
        books = self.books
        self._first = self._first or entries[0].recorded
        for entry, event in pairs:
            if entry.version == 1 and event is not None:
                books.begin_run(entry, event)
        books.note(entries)
        for entry, event in pairs:
            if entry.recorded != self._recorded:
                if self._recorded:
                    books.settle(self._recorded)
                self._recorded = entry.recorded
            if event is not None:
                self._enter(entry, event)
        self.seq = entries[-1].seq

    def _read(self, entry: Entry, skipped: dict[int, str]) -> Event | None:
        why = skipped.get(entry.seq)
        if why is None:
            try:
                return entry.placed
            except BrokenTape as err:
                why = str(err)
        self._parked.append(rows.parked(self.generation, entry, why))
        return None

    def _enter(self, entry: Entry, event: Event) -> None:
        try:
            if type(event.fact) is OrderVoided:
                self._void(entry, event, event.fact)
            else:
                self.books.book(event, entry.book)
        except BrokenTape as err:
            self._parked.append(rows.parked(self.generation, entry, str(err)))
        except (psycopg.Error, OSError, TapeError):
            raise
        except Exception as err:
            raise _Poisoned(entry.seq, f"{type(err).__name__}: {err}") from err

    def _void(self, entry: Entry, event: Event, fact: OrderVoided) -> None:
        books = self.books
        fill_seq = books.shelf(entry.book).executions.void(event.seq, fact)
        try:
            (fill,) = self._source.events([fill_seq])
            gone = fill.fact
            if not isinstance(gone, OrderFilled):
                raise BrokenTape(event.seq, f"{fill.kind} at seq {fill_seq}, a fill expected")
            held = self._held(entry, fill, gone)
            take_back(books, entry.book, event, (fill_seq, gone), held)
            redo_order(books, entry.book, event, fill_seq, self._source)
        except BrokenTape as err:
            raise _Poisoned(entry.seq, str(err)) from err

    def _held(self, entry: Entry, fill: Event, gone: OrderFilled) -> list[Event]:
        wanted = self._cache.wanted([(entry._replace(version=1), fill)])
        if wanted.any():
            self.settled()
            self._loader.load(self.books, wanted)
        line = self.books.shelf(entry.book).lines[gone.account, gone.instrument]
        if line.seqs is None:
            self._flush(entry.seq)
            line.seqs = self._loader.seqs(entry.book, gone.account, gone.instrument)
        return self._source.events(line.seqs)

    def _flush(self, seq: int) -> None:
        """Put what is not written into the tables, to be committed with the rest."""
        self.settled()
        self._begin()
        self._put(self._sheet(), seq)
        self._since = seq - 1

    def _sheet(self) -> Sheet:
        sheet = render(self.books, self.books.drain(), self._since, self._first)
        sheet.add("parked", self._parked)
        self._parked = []
        return sheet

    def _commit(self, aside: bool) -> None:
        self.books.settle(self._recorded)
        sheet, seq = self._sheet(), self.seq
        self._cache.trim()
        self._since, self._first = seq, 0
        self.settled()
        if aside:
            self._pending = self._writer.submit(self._write, sheet, seq)
        else:
            self._write(sheet, seq)

    def _write(self, sheet: Sheet, seq: int) -> None:
        self._begin()
        self._put(sheet, seq)
        where = (schema.NAME, self.generation)
        self.connection.execute(MOVE, (seq, time.time_ns(), *where))
        self.connection.execute("COMMIT")
        self._began, self._written = False, seq

    def _begin(self) -> None:
        if self._began:
            return
        self.connection.execute("BEGIN")
        found = self.connection.execute(BOOKMARK, (schema.NAME, self.generation)).fetchone()
        if found is None or found[0] != self._written:
            stands = "gone" if found is None else f"at seq {found[0]}"
            why = f"the bookmark of generation {self.generation} is {stands}"
            raise Retired(f"{why}, at seq {self._written} expected: somebody else moved it")
        self._began = True

    def _put(self, sheet: Sheet, upto: int) -> None:
        if upto // schema.STEP != self._partition:
            schema.extend(self.connection, self.generation, upto)
            self._partition = upto // schema.STEP
        put(self.connection, self.generation, sheet)
