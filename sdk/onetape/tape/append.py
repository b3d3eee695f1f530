# pyright: standard
"""Append: how a group of requests becomes rows, in one transaction under one lock.

    1  BEGIN, the ledger's head FOR UPDATE, the heads of the streams     one trip
    2  texts that are new get numbers                                    only if there are any
    3  the rows (COPY BINARY, or unnest for few), the heads, the batch, COMMIT

Why one locked row: it gives a gapless seq, commit order = seq order, the hash chain and
strictly rising recorded times at once, to any number of processes. Plain sequences lose events
for readers that tail them; compare-and-set starves single events under many writers.
A batch never crosses a partition's end, so that a partition holds whole batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from onetape.errors import TapeConflict, TapeError
from onetape.tape import merkle
from onetape.tape.draft import Draft
from onetape.tape.ledger import COLUMNS, HEADER, Batch, Receipt, chained, digest, leaf_of
from onetape.tape.names import Names, Naming

FEW = 48  # events up to which one INSERT .. unnest costs less than COPY
CHANNEL = "onetape"
TYPES = ("int8",) * 6 + ("int4",) * 5 + ("int2", "uuid", "bytea")

LOCK_HEAD = """SELECT last_seq, last_batch, last_ns, last_dimension, last_stream, chain
FROM onetape.ledger_head FOR UPDATE"""
STREAM_HEADS = (
    "SELECT stream_id, version FROM onetape.stream_head WHERE stream_id = ANY(%b::int8[])"
)
STREAM_HEAD = "SELECT stream_id, version FROM onetape.stream_head WHERE stream_id = %b"
PUT_EVENTS = "INSERT INTO onetape.event SELECT * FROM unnest({})".format(
    ", ".join(f"%b::{t}[]" for t in TYPES)
)
WIDTHS = (8,) * 6 + (4,) * 5 + (2, 16)  # of the header's fields
TEMPLATE = b"".join(
    [
        len(COLUMNS).to_bytes(2),
        *(width.to_bytes(4) + bytes(width) for width in WIDTHS),
        bytes(4),  # the payload's length
    ]
)
PREFIX = len(TEMPLATE)
SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
PUT_EVENT = f"INSERT INTO onetape.event VALUES ({', '.join(['%b'] * len(COLUMNS))})"
PUT_STREAM_HEAD = """INSERT INTO onetape.stream_head VALUES (%b, %b, %b)
ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, last_seq = excluded.last_seq"""
PUT_BATCH = "INSERT INTO onetape.batch VALUES (%b, %b, %b, %b, %b, %b, %b, %b)"
COPY_EVENTS = f"COPY onetape.event ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
PUT_STREAM_HEADS = """INSERT INTO onetape.stream_head
SELECT * FROM unnest(%b::int8[], %b::int8[], %b::int8[])
ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, last_seq = excluded.last_seq"""
MOVE_HEAD = """UPDATE onetape.ledger_head SET last_seq = %b, last_batch = %b, last_ns = %b,
last_dimension = %b, last_stream = %b, chain = %b"""
THERE = """SELECT seq, payload FROM onetape.event
WHERE stream_id = %b AND version BETWEEN %b AND %b ORDER BY version"""
RECORDED = "SELECT recorded_ns FROM onetape.batch WHERE seq_lo <= %b ORDER BY seq_lo DESC LIMIT 1"


class Request(NamedTuple):
    """The next events of one stream."""

    stream: str
    book: str
    drafts: list[Draft]


class Later(NamedTuple):
    """The answer to a request that must wait for another one in the same group."""


class Placed(NamedTuple):
    """What became of a request: its first and last place, once the transaction commits."""

    stream: str
    first_seq: int
    last_seq: int
    version: int


class NoRoom(Exception):
    """The rows would go beyond the last partition."""


Answer = Receipt | TapeError | Later


class Transaction:
    """One group of requests on its way into the ledger."""

    def __init__(self, connection: Any, names: Names, ends: Sequence[int]) -> None:
        self.connection, self.names, self.ends = connection, names, ends
        self.in_doubt = False  # whether COMMIT may have reached the server
        self._naming: Naming | None = None
        self._versions: dict[str, int] = {}
        self._touched: set[str] = set()
        self._headers: list[bytes] = []
        self._payloads: list[bytes] = []
        self._ends: dict[int, tuple[int, int]] = {}  # stream: version, seq
        self.last_seq = 0

    @property
    def events(self) -> int:
        """How many events were written."""
        return len(self._headers)

    def write(self, requests: Sequence[Request], clock: Callable[[], int]) -> list[Answer]:
        """Record what can be recorded; a refused request does not hinder the others.

        Raises whatever psycopg raises; then nothing was recorded, unless `in_doubt`.
        """
        cursor = self.connection.cursor(binary=True)
        head = self._locked(cursor, requests)
        self.last_seq = head[0] + sum(len(one.drafts) for one in requests)
        if self.last_seq >= self.ends[-1]:
            cursor.execute("ROLLBACK", prepare=False)
            raise NoRoom
        self._naming = Naming(self.names, cursor, head[3], head[4])
        try:
            if self._naming.meet(one.stream for one in requests):
                self._learn_versions(cursor, requests)
            placed = [self._place(cursor, one, head[0]) for one in requests]
            if not self._headers:
                cursor.execute("ROLLBACK", prepare=False)
                return [one for one in placed if not isinstance(one, Placed)]
            batches = self._batches(head, max(clock(), head[2] + 1))
            self._send(cursor, batches)
        except BaseException:
            self._naming.unlearn()  # also when in doubt: what was written is found again
            raise
        return [_receipt(p, batches) if isinstance(p, Placed) else p for p in placed]

    def _locked(self, cursor: Any, requests: Sequence[Request]) -> Any:
        met = {one.stream for one in requests if one.stream in self.names.streams}
        numbers = {self.names.streams[key][0]: key for key in met}
        with self.connection.pipeline():
            cursor.execute("BEGIN", prepare=False)
            cursor.execute(LOCK_HEAD, prepare=True)
            heads = self.connection.cursor(binary=True)
            if len(numbers) == 1:
                heads.execute(STREAM_HEAD, (*numbers,), prepare=True)
            else:
                heads.execute(STREAM_HEADS, (list(numbers),), prepare=True)
            head = cursor.fetchone()
            self._versions = {numbers[number]: version for number, version in heads.fetchall()}
        return head

    def _learn_versions(self, cursor: Any, requests: Sequence[Request]) -> None:
        known = self.names.streams
        numbers = {known[r.stream][0]: r.stream for r in requests if r.stream in known}
        cursor.execute(STREAM_HEADS, (list(numbers),), prepare=True)
        self._versions = {numbers[number]: version for number, version in cursor.fetchall()}

    def _place(self, cursor: Any, request: Request, last_seq: int) -> Placed | Answer:
        stream, book, drafts = request
        assert self._naming is not None
        number, standing = self._naming.stream(stream, book)
        if book and book != standing:
            return TapeError(f"stream {stream} is of book {standing}; book {book} found")
        at, first, last = self._versions.get(stream, 0), drafts[0].version, drafts[-1].version
        if first > at + 1:
            return TapeConflict(stream, first - 1, at)
        first_seq = last_seq + len(self._headers) + 1
        if first <= at:
            if stream in self._touched:
                return Later()
            there = self._there(cursor, request, number, at)
            if not isinstance(there, Placed):
                return there
            first_seq, drafts = there.first_seq, drafts[at - first + 1 :]
        seq = last_seq + len(self._headers) + 1
        try:
            self._headers += self._naming.headers(seq, stream, book, drafts)
        except TapeError as err:
            return err
        self._payloads += [draft[-1] for draft in drafts]
        end = last_seq + len(self._headers)
        self._ends[self._naming.begin(stream)] = (last, end)
        self._versions[stream] = last
        self._touched.add(stream)
        return Placed(stream, first_seq, end, last)

    def _there(self, cursor: Any, request: Request, number: int, at: int) -> Placed | Answer:
        """Recognize what was sent before; an event that differs is another writer's."""
        stream, _, drafts = request
        first, last = drafts[0].version, min(drafts[-1].version, at)
        cursor.execute(THERE, (number, first, last), prepare=True)
        there = cursor.fetchall()
        if len(there) < last - first + 1:
            return TapeConflict(stream, first - 1, at, "the earlier events are archived")
        if any(raw != draft.payload for (_, raw), draft in zip(there, drafts, strict=False)):
            return TapeConflict(stream, first - 1, at, "with other events")
        if last < drafts[-1].version:
            return Placed(stream, there[0][0], there[-1][0], at)
        recorded = cursor.execute(RECORDED, (there[-1][0],)).fetchone()[0]
        return Receipt(stream, there[0][0], there[-1][0], at, recorded, repeated=True)

    def _batches(self, head: Any, now: int) -> list[Batch]:
        assert self._naming is not None
        writer, named, chain = self._naming.writer(), digest(self._naming.given), head[5]
        batches: list[Batch] = []
        leaves = list(map(leaf_of, self._headers, self._payloads))
        first, last = head[0] + 1, head[0] + len(leaves)
        while first <= last:
            end = min(next(e for e in self.ends if e > first) - 1, last)
            root, at = merkle.root(leaves[first - head[0] - 1 : end - head[0]]), len(batches)
            chain = chained(chain, root, named, first, end, now + at, writer)
            batches.append(
                Batch(head[1] + at + 1, first, end, now + at, writer, root, named, chain)
            )
            first, named = end + 1, digest(())
        return batches

    def _send(self, cursor: Any, batches: list[Batch]) -> None:
        assert self._naming is not None
        end, few = batches[-1], len(self._headers) <= FEW
        if self._naming.given:
            self._naming.put(batches[0].batch_id)
        if not few:
            with cursor.copy(COPY_EVENTS) as copy:
                copy.write(copied(self._headers, self._payloads))
        counts = (self._naming.last_dimension, self._naming.last_stream)
        with self.connection.pipeline():
            if few:
                self._put_few(cursor)
            self._put_heads(cursor)
            for batch in batches:  # more than one only where a partition ends
                cursor.execute(PUT_BATCH, batch, prepare=True)
            place = (end.seq_hi, end.batch_id, end.recorded)
            cursor.execute(MOVE_HEAD, (*place, *counts, end.chain), prepare=True)
            cursor.execute(f"NOTIFY {CHANNEL}, '{end.seq_hi}'", prepare=False)
            self.in_doubt = True
            cursor.execute("COMMIT", prepare=False)

    def _put_few(self, cursor: Any) -> None:
        rows = [HEADER.unpack(header) for header in self._headers]
        if len(rows) == 1:  # arrays of one cost a third of a lone event's time
            values = (*rows[0][:12], UUID(bytes=rows[0][12]), self._payloads[0])
            cursor.execute(PUT_EVENT, values, prepare=True)
            return
        columns = [list(column) for column in zip(*rows, strict=True)]
        columns[12] = [UUID(bytes=one) for one in columns[12]]
        cursor.execute(PUT_EVENTS, [*columns, self._payloads], prepare=True)

    def _put_heads(self, cursor: Any) -> None:
        if len(self._ends) == 1:
            ((stream, (version, seq)),) = self._ends.items()
            cursor.execute(PUT_STREAM_HEAD, (stream, version, seq), prepare=True)
            return
        versions, seqs = zip(*self._ends.values(), strict=True)
        values = (list(self._ends), list(versions), list(seqs))
        cursor.execute(PUT_STREAM_HEADS, values, prepare=True)


def copied(headers: Sequence[bytes], payloads: Sequence[bytes]) -> bytes:
    """Return rows in PostgreSQL's binary COPY format, for the columns in COLUMNS.

    Why by hand: the driver's row writer takes four times as long for fourteen columns, and the
    headers are there already, for the leaves. Only lengths go between their fields.
    """
    import numpy as np

    rows = np.empty((len(headers), PREFIX), dtype=np.uint8)
    rows[:] = np.frombuffer(TEMPLATE, dtype=np.uint8)
    told = np.frombuffer(b"".join(headers), dtype=np.uint8).reshape(len(headers), HEADER.size)
    at, place = 0, 6
    for width in WIDTHS:
        rows[:, place : place + width] = told[:, at : at + width]
        at, place = at + width, place + width + 4
    sizes = np.array([len(payload) for payload in payloads], dtype=">i4")
    rows[:, -4:] = sizes.view(np.uint8).reshape(len(payloads), 4)
    whole = rows.tobytes()
    parts = [SIGNATURE]
    for begin, payload in zip(range(0, len(whole), PREFIX), payloads, strict=True):
        parts += (whole[begin : begin + PREFIX], payload)
    parts.append(b"\xff\xff")
    return b"".join(parts)


def _receipt(placed: Placed, batches: list[Batch]) -> Receipt:
    recorded = next(b.recorded for b in batches if b.seq_hi >= placed.last_seq)
    return Receipt(placed.stream, placed.first_seq, placed.last_seq, placed.version, recorded)
