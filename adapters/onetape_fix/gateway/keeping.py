"""What was said on the wire, copied from the journals to the tape's database, by a thread.

The journals are the queue: nothing is handed over by the sessions, nothing is held in memory, and
a database that is slow or down delays this and nothing else. Where it went on is the database's
own bookmark, so a gateway that was killed goes on there, and a message sent twice is there once.

Messages become rows of the wire log, masked as the journal has them. Of the journal's notes,
logons and their ends become WireMoved, alarms WireAlarm, operators' actions WireAsked.

Lost journals   where a journal's positions are lower than what is kept of it, it is another one
                (its folder was lost): it is kept beside the first under a name of its own.
Units    ns UTC; seconds for the pauses.
Raises   nothing: trouble is in `status` and, once for each kind, in the log.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from onetape.errors import OnetapeError, TapeConflict
from onetape.tape.wirelog import (
    WireAlarm,
    WireAsked,
    WireLog,
    WireMoved,
    WireRow,
    stream_of,
)
from onetape_fix.session.store import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from onetape_fix.session.store import Record, Store

Fact = WireAlarm | WireAsked | WireMoved
PAUSE_S = 0.25  # between two looks while nothing is behind
WAITS_S = (0.5, 30.0)  # after trouble: the shortest and the longest
ROWS, BYTES = 2_000, 4 << 20  # of one batch of one session
SEAL_S = 600.0
SOH = b"\x01"
_log = logging.getLogger("onetape_fix")


class Shelf:
    """One session's journal, and how far it is kept."""

    def __init__(self, session: str, store: Store) -> None:
        self.session, self.store = session, store
        self.journal = ""
        self.kept: int | None = None  # None: the database has not been asked yet
        self.epoch: int | None = None
        self.waiting_since = 0  # ns, of the oldest record that is not kept

    def unkept(self) -> Iterator[Record]:
        """Return the records that are not kept, the oldest first."""
        assert self.kept is not None
        return self.store.records(self.kept)

    def epoch_at(self, first: Record) -> int:
        """Return the epoch that a journal's next record belongs to."""
        if self.epoch is None:
            self.epoch = self.store.epoch
            if first.ts < self.epoch:  # behind by a reset: look where it began
                oldest, began = first, list[int]()
                for record in self.store.records(0):
                    if record.position >= first.position:
                        break
                    oldest = oldest if oldest is not first else record
                    if record.kind == "reset":
                        began.append(record.ts)
                self.epoch = began[-1] if began else oldest.ts
        return self.epoch


class Keeping:
    """The thread; `sessions` are the journals by session."""

    def __init__(
        self, log: WireLog, gateway: str, notebook: Path | None = None, *, pause: float = PAUSE_S
    ) -> None:
        self._log, self._gateway, self._pause = log, gateway, pause
        self._notebook = notebook  # names of journals that are not the first of their session
        self._shelves: dict[str, Shelf] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._sealed_at = time.monotonic()
        self.trouble = ""
        self._damaged = False  # a journal cannot be read
        self.rows = 0

    def start(self, stores: dict[str, Store]) -> None:
        """Begin to copy."""
        names = self._names()
        for session, store in stores.items():
            shelf = self._shelves[session] = Shelf(session, store)
            shelf.journal = names.get(session, "")
        self._thread = threading.Thread(target=self._run, name="wire-keeping", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Copy what is left, for as long as the database answers, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._log.close()

    def status(self, session: str) -> dict[str, Any]:
        """Return how far a session's journal is kept."""
        shelf = self._shelves.get(session)
        if shelf is None:
            return {"kept": None, "lag": None, "lag_s": None, "trouble": self.trouble}
        lag = None if shelf.kept is None else max(shelf.store.position - shelf.kept, 0)
        since = shelf.waiting_since
        lag_s = 0.0 if not lag or not since else round(max(time.time_ns() - since, 0) / 1e9, 3)
        return {"kept": shelf.kept, "lag": lag, "lag_s": lag_s, "trouble": self.trouble}

    # -- the thread

    def _run(self) -> None:
        wait, rows = WAITS_S[0], self.rows
        while True:
            stopping = self._stop.is_set()
            try:
                more = self._turn()
                if stopping or time.monotonic() - self._sealed_at > SEAL_S:
                    self._sealed_at = time.monotonic()
                    self._log.seal(self._gateway)
            except OnetapeError as err:
                self._say(str(err))
                for shelf in self._shelves.values():
                    # it may be another state of the database that answers next
                    shelf.kept = shelf.epoch = None
                wait = WAITS_S[0] if self.rows > rows else wait
                rows = self.rows
                if stopping or self._stop.wait(wait):
                    return
                wait = min(wait * 2, WAITS_S[1])
                continue
            except Exception as err:  # the thread must not die: the journals would not be kept
                _log.exception("keeping the wire failed")
                self._say(f"{type(err).__name__}: {err}")
                if stopping or self._stop.wait(WAITS_S[1]):
                    return
                continue
            self.trouble, wait = self.trouble if self._damaged else "", WAITS_S[0]
            if stopping and not more:
                return
            if not more and self._stop.wait(self._pause):
                continue

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.warning("the wire is not kept for now: %s", trouble)
        self.trouble = trouble

    def _turn(self) -> bool:
        """Copy one batch of each session; True where more is waiting."""
        more = False
        troubles: list[str] = []
        for shelf in self._shelves.values():
            try:
                if shelf.kept is None:
                    self._open(shelf)
                if shelf.store.position > (shelf.kept or 0):
                    more = self._copy(shelf) or more
            except StoreError as err:  # one journal that cannot be read leaves the others alone
                troubles.append(f"{shelf.session}: {err}")
        if troubles:
            self._say("; ".join(troubles))
        self._damaged = bool(troubles)
        return more

    def _open(self, shelf: Shelf) -> None:
        kept = self._log.bookmark(self._gateway, shelf.session, shelf.journal)
        if kept > shelf.store.position:
            self._rename(shelf)
            kept = 0
        shelf.kept = kept

    def _copy(self, shelf: Shelf) -> bool:
        records: list[Record] = []
        size = 0
        for record in islice(shelf.unkept(), ROWS):
            records.append(record)
            size += len(record.raw)
            if size > BYTES:
                break
        if not records:  # what stood here is not kept by the journal any more
            shelf.kept = shelf.store.position
            return False
        shelf.waiting_since = records[0].ts
        rows, facts, epoch = self._told(shelf, records)
        upto = {(self._gateway, shelf.session): records[-1].position}
        try:
            if facts:  # first: the bookmark must not pass what is not kept
                self._log.append_facts(stream_of(self._gateway), facts)
            self.rows += self._log.append(rows, upto=upto, journal=shelf.journal)
        except TapeConflict:
            self._rename(shelf)
            return True
        shelf.kept, shelf.epoch = records[-1].position, epoch
        return shelf.store.position > shelf.kept

    def _told(
        self, shelf: Shelf, records: list[Record]
    ) -> tuple[list[WireRow], list[tuple[int, Fact]], int]:
        rows: list[WireRow] = []
        facts: list[tuple[int, Fact]] = []
        epoch = shelf.epoch_at(records[0])
        for record in records:
            if record.kind == "reset":
                epoch = record.ts
            elif record.kind == "note":
                fact = fact_of(self._gateway, shelf.session, record.raw.decode("utf-8", "replace"))
                if fact is not None:
                    facts.append((record.ts, fact))
            elif record.raw:
                rows.append(row_of(self._gateway, shelf.session, epoch, record))
        return rows, facts, epoch

    # -- journals that were lost and begun anew

    def _rename(self, shelf: Shelf) -> None:
        shelf.journal, shelf.kept, shelf.epoch = str(time.time_ns()), 0, None
        _log.warning(
            "%s: its journal is not the one that is kept; it is kept as %s from now on",
            shelf.session, shelf.journal,
        )  # fmt: skip
        if self._notebook is not None:
            names = {name: one.journal for name, one in self._shelves.items() if one.journal}
            self._notebook.parent.mkdir(parents=True, exist_ok=True)
            self._notebook.write_text(json.dumps(names), encoding="utf-8")

    def _names(self) -> dict[str, str]:
        if self._notebook is None or not self._notebook.exists():
            return {}
        try:
            return dict(json.loads(self._notebook.read_text(encoding="utf-8")))
        except (OSError, ValueError) as err:
            self._say(f"{self._notebook} cannot be read: {err}")
            return {}


def row_of(gateway: str, session: str, epoch: int, record: Record) -> WireRow:
    """Return a journal's record as a row of the wire log."""
    raw = record.raw
    return WireRow(
        gateway,
        session,
        epoch,
        "in" if record.kind.startswith("in") else "out",
        record.seq,
        0,
        record.ts,
        _field(raw, b"\x0135="),
        b"\x0143=Y\x01" in raw,
        _field(raw, b"\x0111="),
        _field(raw, b"\x0137="),
        _field(raw, b"\x0117="),
        raw,
        record.position,
    )


def _field(raw: bytes, mark: bytes) -> str:
    at = raw.find(mark)
    if at < 0:
        return ""
    at += len(mark)
    return raw[at : raw.find(SOH, at)].decode("latin-1")


def fact_of(gateway: str, session: str, note: str) -> Fact | None:
    """Return what a journal's note means to the tape; None where it is for people only."""
    if note.startswith("{"):
        try:
            said = json.loads(note)
        except ValueError:
            return None
        what, who = str(said.pop("action", "")), str(said.pop("who", ""))
        return WireAsked(gateway, session, what, who, json.dumps(said)) if what else None
    if note == "up":
        return WireMoved(gateway, session, "up")
    word, _, rest = note.partition(": ")
    if word == "down":
        return WireMoved(gateway, session, "down", rest)
    if word.startswith("alarm "):
        return WireAlarm(gateway, session, word.removeprefix("alarm "), rest)
    return None


def keeping_of(where: str, gateway: str, notebook: Path | None) -> Keeping:
    """Return what keeps a gateway's wire at a tape: a URL, a folder, or "own" for the user's."""
    return Keeping(WireLog.open(None if where == "own" else where), gateway, notebook)
