# pyright: standard
"""Projector: read models kept beside the tape, by the folds that a backtest's result uses.

Bookmark   moves in the transaction that writes the rows: killed at any point, it goes on where
           its rows end, and no event is booked twice.
The same   whatever the batches: rows are functions of the ledger, ids are handed out in its
           order, equity stands at the ends of ledger batches. So a rebuilt generation equals
           the one that was kept live, row for row.
Generation one projector writes it at a time (an advisory lock); a rebuild makes the next one
           beside it, catches up, switches the views and removes the old one. Readers never see
           a half-built one, and a live projector elsewhere goes on with the new one.
Parked     an event that cannot be read or booked is put aside with the reason; the reader goes
           on. A refusal leaves the books as they were; after any other exception the unit is
           rolled back and booked again without the event.
Loaded     only what a batch touches, and let go of beyond a bound.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import psycopg

from onetape.books import generations, snapshot
from onetape.books.keeper import Keeper, Retired
from onetape.books.undo import Source
from onetape.errors import SettingsError, TapeError, TapeUnavailable
from onetape.progress import bar
from onetape.tape.ledger import Entry
from onetape.tape.port import Tape
from onetape.tape.server import connect, translated

UNIT = 50_000  # events committed together while catching up
FAR = 5  # times as many when much waits: a row that changes often is then written less often
RETRY_S = 0.2


class Projector:
    """Keeps one generation of read models.

    tape        what to read: any Tape
    url         the database of the tables; by default that of the tape
    generation  which one to write; by default the one that readers see, made when there is none
    patience    seconds to wait for another projector of the generation to end
    unit        the most events that are committed together

    Raises TapeUnavailable when another projector holds the generation.
    """

    def __init__(
        self,
        tape: Tape,
        url: str | None = None,
        generation: int | None = None,
        *,
        patience: float = 0.0,
        unit: int = UNIT,
    ) -> None:
        self.tape = tape
        own: str | None = getattr(tape, "url", None)
        if not (url or own):
            raise SettingsError("a tape without a database; say url= of the one for the tables")
        self.url: str = url or own or ""
        self._holds_log = own == self.url
        self._asked, self._patience, self._unit = generation, patience, unit
        self._connection: Any = None
        self._keeper: Keeper | None = None
        self._snapper: threading.Thread | None = None
        self._snapped = 0

    def __enter__(self) -> Projector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the generation; what is not committed is left to the next projector."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with suppress(Exception):
                keeper.close()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):  # a session ends some time after its connection
                connection.rollback()
                generations.release(connection)
            connection.close()

    def catch_up(self, upto: int | None = None, progress: bool | None = False) -> int:
        """Book what follows the bookmark, to the head or to seq `upto`; return the bookmark."""
        with self._guarded():
            keeper = self._attached()
            head = self.tape.head().seq
            end = head if upto is None else min(upto, head)
            with bar(max(0, end - keeper.seq), "projecting", progress) as shown:
                if keeper.seq < end:
                    size = self._unit * (FAR if end - keeper.seq > FAR * self._unit else 1)
                    for unit in _units(self.tape.read(keeper.seq, end), size):
                        keeper.take(unit, aside=len(unit) == size)
                        shown.update(len(unit))
                keeper.settled()
            self._snapshots(keeper.seq, aside=False)
            return keeper.seq

    def _snapshots(self, seq: int, aside: bool) -> None:
        """Take the snapshots that are due; `aside` in a thread, so that a live one goes on."""
        if self._asked is not None or seq < self._snapped + snapshot.EVERY:
            return  # a generation that is being built has none yet
        if self._snapper is not None and self._snapper.is_alive():
            return
        self._snapped = seq - seq % snapshot.EVERY
        self._snapper = threading.Thread(target=self._snap, daemon=True)
        self._snapper.start()
        if not aside:
            self._snapper.join()

    def _snap(self) -> None:
        with suppress(TapeError, psycopg.Error), connect(self.url) as beside:
            snapshot.take_due(beside)  # a cache: what fails today is taken after the next commit

    def follow(self, until: Callable[[], bool] = lambda: False) -> None:
        """Book events as they arrive, until `until()` is true; outages are waited for."""
        while not until():
            try:
                seq = self.catch_up()
                with self._guarded():
                    keeper = self._attached()
                    for batch in self.tape.follow(seq, until=until):
                        keeper.take(batch)
                        self._snapshots(keeper.seq, aside=True)
            except Retired:
                self.close()
            except TapeUnavailable:
                self.close()
                time.sleep(RETRY_S)

    def rebuild(self, progress: bool | None = False) -> int:
        """Make a new generation from the start of the tape and show it; return its number."""
        with self._guarded(), connect(self.url) as beside:
            generations.sweep(beside)
            number = generations.announce(beside)
            with Projector(self.tape, self.url, number, unit=self._unit) as builder:
                builder.catch_up(progress=progress)
                while not generations.switch(beside, number):
                    builder.catch_up()
            self.close()
            generations.sweep(beside)
        self._snapped = 0
        self._snapshots(self.tape.head().seq, aside=False)
        return number

    def status(self) -> dict[str, Any]:
        """Return where the read models stand.

        generation, state, seq, head, lag (events), lag_ns (age of the first event that waits),
        parked.
        """
        with connect(self.url) as beside:
            number = self._asked or generations.live(beside)
            seq, state = generations.bookmark(beside, number)
            parked = generations.parked(beside, number) if state != "missing" else 0
        head = self.tape.head().seq
        waiting = next(iter(self.tape.read(seq, seq + 1)), None) if seq < head else None
        return {
            "generation": number,
            "state": state,
            "seq": seq,
            "head": head,
            "lag": head - seq,
            "lag_ns": max(0, time.time_ns() - waiting.recorded) if waiting else 0,
            "parked": parked,
        }

    def _log(self) -> Any:
        return connect(self.url)

    def _attached(self) -> Keeper:
        if self._keeper is None:
            connection = connect(self.url)
            try:
                # a lost commit is booked again from the bookmark that was lost with it
                connection.execute("SET synchronous_commit = off")
                number = self._asked or generations.ensure(connection)
                generations.lock(connection, number, self._patience)
                source = Source(self.tape, self._log if self._holds_log else None)
                self._keeper = Keeper(connection, number, source)
                self._connection = connection
            except BaseException:
                connection.close()
                raise
        return self._keeper

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as err:
            self.close()
            raise Retired(f"the generation is gone, rebuilt elsewhere: {err}") from err
        except psycopg.Error as err:
            self.close()
            raise translated(err, "projecting") from err


def _units(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    while unit := list(islice(entries, size)):
        yield unit
