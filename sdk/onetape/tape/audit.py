# pyright: standard
"""Audit: recompute the whole ledger from its bytes, and say what was touched.

A clean verdict means: every event of every batch hashes to the batch's root, the roots chain
to the head, no seq is missing or added, streams count 1, 2, 3, names are those that were given,
and every anchor that was handed in stands on the chain. A batch keeps one root, so a touched
event is named where its header, id and bytes disagree; else its batch is.

Speed   pages of live rows, read in binary; archived segments are read from their files.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from onetape import progress as bars
from onetape.errors import TapeError
from onetape.tape import merkle
from onetape.tape.anchors import Anchor, Anchors
from onetape.tape.draft import drafts
from onetape.tape.event import GENESIS, decode
from onetape.tape.ledger import Batch, Named, Row, chained, digest, leaf

PAGE = 20_000
MOST = 100  # findings told; a touched ledger may have many

BATCHES = """SELECT batch_id, seq_lo, seq_hi, recorded_ns, writer_id, root, named, chain
FROM onetape.batch WHERE batch_id > %b ORDER BY batch_id LIMIT 5000"""
ROWS = """SELECT seq, stream_id, version, ts_event, ts_init, cause, source_id, calculation_id,
account_id, instrument_id, kind_id, format, uuid_send(event_id), payload
FROM onetape.event WHERE seq BETWEEN %b AND %b ORDER BY seq"""
HEAD = "SELECT last_seq, last_batch, last_ns, chain, ledger::text FROM onetape.ledger_head"
DIMENSIONS = "SELECT batch_id, id, kind, key FROM onetape.dimension ORDER BY id"
STREAMS = "SELECT batch_id, id, key, book FROM onetape.stream ORDER BY id"
STRANGE = "SELECT batch_id, seq_lo FROM onetape.batch WHERE batch_id < 1 OR batch_id > %b LIMIT 100"
COUNTS = "SELECT last_ns, last_dimension, last_stream FROM onetape.ledger_head"
STREAM_HEADS = "SELECT stream_id, version FROM onetape.stream_head"


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `seq` 0: the batch as a whole."""

    batch: int
    seq: int
    what: str

    def __str__(self) -> str:
        where = f"batch {self.batch}" + (f", event {self.seq}" if self.seq else "")
        return f"{where}: {self.what}"


class Verdict(msgspec.Struct, frozen=True):
    """What an audit found; true when nothing."""

    events: int
    batches: int
    chain: str
    anchors: int
    findings: tuple[Finding, ...]
    seconds: float
    dropped: int = 0  # events whose file was let go: their roots and the chain were checked

    @property
    def ok(self) -> bool:
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        checked = f"{self.events:,} events in {self.batches:,} batches, {self.anchors} anchors"
        if self.dropped:
            checked += f", and the roots of {self.dropped:,} events that were dropped"
        if self.ok:
            return f"untouched: {checked}, chain {self.chain[:12]}"
        told = "\n  ".join(str(one) for one in self.findings)
        return f"TOUCHED: {len(self.findings)} findings in {checked}\n  {told}"


class Audit:
    """One pass over a ledger."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.cursor = connection.cursor(binary=True)
        self.findings: list[Finding] = []
        self.names: dict[int, list[Named]] = {}
        self.streams: dict[int, str] = {}
        self.dimensions: dict[int, tuple[str, str]] = {}
        self.versions: dict[int, int] = {}
        self.events = self.dropped = 0
        self._page: list[Row] = []
        self._page_lo, self._page_hi = 1, 0
        self._known: list[tuple[str, int, int]] | None = None
        self._let_go: list[tuple[int, int]] | None = None

    def tell(self, batch: int, seq: int, what: str) -> None:
        """Note a finding."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(batch, seq, what))

    def run(
        self, anchors: Sequence[Anchor], since: Anchor | None, progress: bool | None
    ) -> Verdict:
        """Recompute everything after `since` (the beginning when None)."""
        begun = time.perf_counter()
        last_seq, last_batch, _, head, ledger = self.cursor.execute(HEAD).fetchone()
        self.learn()
        start = since or Anchor(ledger, 0, 0, GENESIS.hex(), 0)
        if start.ledger != ledger:
            self._other(start, ledger)
        pending = self._pending(anchors, ledger, start.batch)
        given = {number for number in self.names if number > start.batch or number < 1}
        bar = bars.bar(last_seq - start.seq, "verify", progress)
        last = Batch(start.batch, 0, start.seq, 0, 0, b"", b"", bytes.fromhex(start.chain))
        for batch in self.batches(start.batch):
            self._follows(last, batch)
            if last.seq_hi < batch.seq_lo <= batch.seq_hi <= last_seq:
                self._batch(batch)
            else:
                self.tell(batch.batch_id, 0, f"its span {batch.seq_lo} to {batch.seq_hi} is none")
            for anchor in pending.pop(batch.batch_id, ()):
                if anchor.chain != batch.chain.hex() or anchor.seq != batch.seq_hi:
                    self._rewritten(anchor, "stands on another chain")
            last = batch
            given.discard(batch.batch_id)
            bar.update(batch.seq_hi - batch.seq_lo + 1)
        bar.close()
        for number in sorted(given):
            self.tell(number, 0, "names say that it gave them: there is no such batch")
        self._end(last, (last_seq, last_batch, bytes(head)), since is None)
        for anchor in (one for left in pending.values() for one in left):
            self._rewritten(anchor, "is not there")
        counts = (self.events, last.batch_id - start.batch, last.chain.hex(), len(anchors))
        return Verdict(*counts, tuple(self.findings), time.perf_counter() - begun, self.dropped)

    def _follows(self, last: Batch, batch: Batch) -> None:
        number, told = batch.batch_id, self.tell
        if number != last.batch_id + 1 or batch.seq_lo != last.seq_hi + 1:
            wanted = f"batch {last.batch_id + 1} from seq {last.seq_hi + 1}"
            told(number, 0, f"{wanted} was expected: it begins at seq {batch.seq_lo}")
        if batch.recorded <= last.recorded:
            told(number, 0, "its recorded time does not rise")
        if digest(self.names.get(number, ())) != batch.named:
            told(number, 0, "the names it gave were changed")
        place = (batch.seq_lo, batch.seq_hi, batch.recorded, batch.writer_id)
        if chained(last.chain, batch.root, batch.named, *place) != batch.chain:
            told(number, 0, "its chain does not follow from the batch before")

    def learn(self) -> None:
        """Read the names that the ledger gave."""
        for batch, number, kind, key in self.cursor.execute(DIMENSIONS).fetchall():
            self.names.setdefault(batch, []).append(Named(number, kind, key))
            self.dimensions[number] = (kind, key)
        for batch, number, key, book in self.cursor.execute(STREAMS).fetchall():
            self.names.setdefault(batch, []).append(Named(number, "stream", key, book))
            self.streams[number] = key

    def _pending(
        self, anchors: Sequence[Anchor], ledger: str, since: int
    ) -> dict[int, list[Anchor]]:
        pending: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            if anchor.ledger != ledger:
                self._other(anchor, ledger)
            elif anchor.batch > since:
                pending.setdefault(anchor.batch, []).append(anchor)
        return pending

    def _other(self, anchor: Anchor, ledger: str) -> None:
        told = f"this anchor is of ledger {anchor.ledger}, another one than this tape's {ledger}"
        self.tell(anchor.batch, anchor.seq, told)

    def _rewritten(self, anchor: Anchor, why: str) -> None:
        self.tell(anchor.batch, anchor.seq, f"what was anchored {why}: the tape was rewritten")

    def batches(self, after: int) -> Iterator[Batch]:
        """Yield the batches after a number."""
        while True:
            found = self.cursor.execute(BATCHES, (after,), prepare=True).fetchall()
            for row in found:
                yield Batch(*row)
            if not found:
                return
            after = found[-1][0]

    # -- the events of a batch

    def _batch(self, batch: Batch) -> None:
        if any(first <= batch.seq_lo <= last for first, last in self._gone()):
            self.dropped += batch.seq_hi - batch.seq_lo + 1
            self.versions.clear()  # where the streams stood is not known any more
            return
        rows = self._rows(batch)
        if len(rows) != batch.seq_hi - batch.seq_lo + 1:
            there = {row.seq for row in rows}
            gone = [s for s in range(batch.seq_lo, batch.seq_hi + 1) if s not in there]
            for seq in gone[:MOST]:
                self.tell(batch.batch_id, seq, "the event is gone")
        elif merkle.root([leaf(row) for row in rows]) != batch.root:
            self._touched(batch, rows)
        for row in rows:
            known = self.versions.get(row.stream_id)
            if known is not None and row.version != known + 1:
                stream = self.streams.get(row.stream_id, "?")
                self.tell(batch.batch_id, row.seq, f"stream {stream} jumps to {row.version}")
            self.versions[row.stream_id] = row.version
        self.events += len(rows)

    def _rows(self, batch: Batch) -> list[Row]:
        if batch.seq_hi > self._page_hi or batch.seq_lo < self._page_lo:
            self._page_lo = batch.seq_lo
            self._page_hi = max(batch.seq_hi, batch.seq_lo + PAGE)
            for first, _ in self._gone():  # a page ends where a dropped segment begins
                if batch.seq_lo < first <= self._page_hi:
                    self._page_hi = first - 1
            self._page = self._read(batch)
        lo, hi = batch.seq_lo - self._page_lo, batch.seq_hi - self._page_lo + 1
        rows = self._page[lo:hi]
        if len(rows) == hi - lo and rows[0].seq == batch.seq_lo and rows[-1].seq == batch.seq_hi:
            return rows
        return [row for row in self._page if batch.seq_lo <= row.seq <= batch.seq_hi]

    def _read(self, batch: Batch) -> list[Row]:
        import psycopg

        try:
            return self.fetched(self._page_lo, self._page_hi)
        except TapeError as err:  # a segment that is gone or damaged: the others are checked
            self._page_hi = batch.seq_hi
            self.tell(batch.batch_id, batch.seq_lo, str(err))
            return []
        except psycopg.errors.DataError:
            raise
        except psycopg.InternalError:  # a damaged page: take the batches one by one
            self._page_hi = batch.seq_hi
            return self._readable(batch)

    def fetched(self, lo: int, hi: int) -> list[Row]:
        """Return the rows from seq `lo` to `hi`, live or archived."""
        rows: list[Row] = []
        for uri, first, last in self._segments():
            if first <= hi and last >= lo:
                from onetape.tape.archive import rows as archived

                rows += archived(uri, max(lo, first) - 1, min(hi, last))
        if not rows or rows[-1].seq < hi:
            begin = rows[-1].seq + 1 if rows else lo
            with self.connection.transaction():  # a damaged page is not to end the whole audit
                found = self.cursor.execute(ROWS, (begin, hi), prepare=True).fetchall()
            rows += map(Row._make, found)
        return rows

    def _gone(self) -> list[tuple[int, int]]:
        """Return the ranges that retention let go, with a row that says so."""
        if self._let_go is None:
            asked = """SELECT seq_lo, seq_hi FROM onetape.archive_segment
            JOIN onetape.segment_dropped USING (seq_lo) ORDER BY seq_lo"""
            self._let_go = list(self.cursor.execute(asked).fetchall())
        return self._let_go

    def _segments(self) -> list[tuple[str, int, int]]:
        if self._known is None:
            asked = "SELECT uri, seq_lo, seq_hi FROM onetape.archive_segment ORDER BY seq_lo"
            self._known = list(self.cursor.execute(asked).fetchall())
        return self._known

    def _readable(self, batch: Batch) -> list[Row]:
        import psycopg

        rows: list[Row] = []
        for seq in range(batch.seq_lo, batch.seq_hi + 1):
            try:
                rows += self.fetched(seq, seq)
            except psycopg.InternalError as err:
                self.tell(batch.batch_id, seq, f"cannot be read: {str(err).splitlines()[0]}")
        return rows

    def _touched(self, batch: Batch, rows: list[Row]) -> None:
        named = False
        for row in rows:
            why = self._disagreement(row)
            if why:
                named = True
                self.tell(batch.batch_id, row.seq, f"was changed: {why}")
        if not named:
            span = f"one of the events {batch.seq_lo} to {batch.seq_hi}"
            self.tell(batch.batch_id, 0, f"{span} was changed, or its root was")

    def _disagreement(self, row: Row) -> str:
        """Return where a row's header, id and bytes do not fit each other."""
        if row.stream_id not in self.streams:
            return f"stream {row.stream_id} has no name"
        try:
            event = decode(row.payload)
            draft = drafts(self.streams[row.stream_id], [event], [row.payload])[0]
        except Exception as err:  # whatever the bytes are, the audit goes on
            return f"its bytes are no event ({err})"
        texts = {
            name: self.dimensions.get(getattr(row, f"{name}_id"), (name, None))[1]
            for name in ("source", "calculation", "account", "instrument", "kind")
        }
        wrong = [name for name, text in texts.items() if getattr(draft, name) != text]
        plain = ("version", "ts_event", "ts_init", "cause", "format")
        wrong += [name for name in plain if getattr(draft, name) != getattr(row, name)]
        if wrong:
            return f"{', '.join(wrong)} differ from its bytes"
        return "" if draft.event_id == row.event_id else "its bytes differ from its id"

    def _end(self, last: Batch, head: tuple[int, int, bytes], whole: bool) -> None:
        last_seq, batch, chain = head
        if (last.seq_hi, last.batch_id, last.chain) != head:
            says = f"the head says seq {last_seq}, batch {batch}, chain {chain.hex()[:12]}"
            found = f"seq {last.seq_hi}, batch {last.batch_id}, chain {last.chain.hex()[:12]}"
            self.tell(last.batch_id, 0, f"{says}; the batches end at {found}")
        asked = "SELECT count(*), min(seq) FROM onetape.event WHERE seq > %b OR seq < 1"
        extra, first = self.cursor.execute(asked, (last_seq,)).fetchone()
        if extra:
            self.tell(batch, first, f"{extra} events stand before the first or after the head")
        self._beside(batch)
        if whole:
            self._counts(batch, last.recorded)
            heads = dict(self.cursor.execute(STREAM_HEADS).fetchall())
            for number in self.streams.keys() - heads.keys():
                self.tell(batch, 0, f"stream {self.streams[number]} has lost its head")
            for number, version in heads.items():
                if self.dropped and number not in self.versions:
                    continue  # its last events were dropped
                if self.versions.get(number) != version:
                    told = f"stream {self.streams.get(number, number)} says version {version}"
                    self.tell(batch, 0, f"{told}, its events end at {self.versions.get(number)}")

    def _beside(self, batch: int) -> None:
        for number, seq in self.cursor.execute(STRANGE, (batch,)).fetchall():
            self.tell(number, 0, f"a batch at seq {seq} that is not on the chain")
        for lo, hi in self._gone():
            asked = "SELECT count(*) FROM onetape.event WHERE seq BETWEEN %b AND %b"
            if self.cursor.execute(asked, (lo, hi)).fetchone()[0]:
                self.tell(batch, lo, f"the events {lo} to {hi} are said to be dropped, and stand")

    def _counts(self, batch: int, recorded: int) -> None:
        told = self.cursor.execute(COUNTS).fetchone()
        given = (max(self.dimensions, default=0), max(self.streams, default=0))
        found = (recorded, *given)
        if told != found:
            self.tell(batch, 0, f"the head says {told} for time and names, {found} were given")


def verify(
    connection: Any,
    anchors: Anchors | None = None,
    since: Anchor | None = None,
    progress: bool | None = None,
) -> Verdict:
    """Recompute a ledger from its bytes; `since` starts at an anchor that is trusted."""
    import psycopg

    published = tuple(anchors.published()) if anchors is not None else ()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ  # others go on writing
    connection.read_only = True
    with connection.transaction():
        return Audit(connection).run(published, since, progress)


def anchor(connection: Any, place: Anchors, now: int) -> Anchor:
    """Publish the head of a ledger outside its database.

    Raises TapeError when there is nothing to publish or the place cannot be written.
    """
    seq, batch, _, chain, ledger = connection.execute(HEAD).fetchone()
    if not batch:
        raise TapeError("the tape is empty: there is nothing to anchor")
    made = Anchor(ledger, batch, seq, bytes(chain).hex(), now)
    where = place.publish(made)
    connection.execute(
        "INSERT INTO onetape.anchor VALUES (%s, %s, %s, %s, %s)",
        (batch, seq, bytes(chain), now, where),
    )
    return made
