# pyright: standard
"""Snapshots: all positions of a book as they stood at a place of the ledger, in one blob.

A snapshot is a cache: it is made from the projected tables, deleting it changes nothing but
time, and one that does not carry its own sha256 any more is passed over. It answers for every
instant that knows it wholly: known_at >= its seq and true_at >= the latest time in it.

Form     Arrow IPC, lz4. Amounts are decimals of the smallest scale that holds a column exactly;
         keys with a longer one are listed in the schema's metadata, to be asked for elsewhere.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from onetape.books import many
from onetape.books.many import AMOUNTS, Base
from onetape.books.past import FOREVER, Instant
from onetape.books.projected import Bookmark, bookmark

KIND = "positions"
LOOKED = "looked"  # a row that says: nothing was worth keeping up to here
EVERY = 250_000
WORTH = 1_000  # positions from which on a book is worth a snapshot
SCALES = (2, 4, 6, 8, 12)
METADATA = b"onetape"

NEAREST = """SELECT seq, max_ts, sha256, arrow FROM onetape.snapshot
WHERE kind = %b AND book = %b AND generation = %b AND seq <= %b AND max_ts <= %b
ORDER BY seq DESC LIMIT 1"""
BEFORE = NEAREST.replace("LIMIT 1", "OFFSET 1")  # only when the nearest was spoiled
KEEP = """INSERT INTO onetape.snapshot (kind, book, seq, max_ts, n, sha256, arrow, generation)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
LATEST = "SELECT coalesce(max(seq), 0) FROM onetape.snapshot WHERE generation = %s"
BOOKS = """SELECT book FROM onetape_books.position_key GROUP BY book HAVING count(*) >= %s
ORDER BY book"""


class About(msgspec.Struct, frozen=True):
    """What a snapshot says of itself beside its columns."""

    last_key: int
    again: tuple[int, ...]


def take(connection: Any, book: str, seq: int | None = None) -> int:
    """Keep the positions of a book as they stand after `seq` (the bookmark); return the seq."""
    mark = bookmark(connection)
    at = mark.seq if seq is None else min(seq, mark.seq)
    instant = Instant(FOREVER, at)
    base = load(connection, book, instant, mark)
    if base.seq == at:
        return at
    stands = many.of_book(
        connection, book, instant, base, many.read(connection, book, instant, base)
    ).base
    blob = _packed(stands)
    n = 0 if stands.states is None else stands.states.height
    row = (KIND, book, at, stands.max_ts, n, hashlib.sha256(blob).digest(), blob, mark.generation)
    connection.execute(KEEP, row)
    return at


def take_due(connection: Any, every: int = EVERY, worth: int = WORTH) -> list[int]:
    """Take the snapshots that are due, one for every `every` events; return where they stand.

    Call it after a commit: it reads over a connection of its own. Books of fewer than `worth`
    positions are left out, their history is read as fast without.
    """
    mark = bookmark(connection)
    (last,) = connection.execute(LATEST, (mark.generation,)).fetchone()
    due = list(range(last + every, mark.seq + 1, every))
    if not due:
        return []
    books = [book for (book,) in connection.execute(BOOKS, (worth,)).fetchall()]
    for at in due if books else due[-1:]:
        for book in books:
            take(connection, book, at)
        if not books:
            row = (LOOKED, "", at, 0, 0, hashlib.sha256(b"").digest(), b"", mark.generation)
            connection.execute(KEEP, row)
    return due if books else []


def load(connection: Any, book: str, instant: Instant, mark: Bookmark | None = None) -> Base:
    """Return the nearest snapshot that the instant knows wholly; an empty base for none."""
    return nearest(connection, book, instant, mark).unpacked()


def nearest(connection: Any, book: str, instant: Instant, mark: Bookmark | None = None) -> Snapshot:
    """Return the nearest snapshot as it is kept, sha256 checked."""
    mark = mark or bookmark(connection)
    asked = (KIND, book, mark.generation, instant.known_at, instant.true_at)
    with connection.cursor(binary=True) as cursor:
        for statement in (NEAREST, BEFORE):
            for seq, max_ts, sha256, blob in cursor.execute(statement, asked):
                if hashlib.sha256(blob).digest() == bytes(sha256):
                    return Snapshot(seq, max_ts, blob)
    return Snapshot()


class Snapshot:
    """A snapshot as it is kept; its columns wait until they are asked for."""

    def __init__(self, seq: int = 0, max_ts: int = -(2**63), blob: bytes = b"") -> None:
        self.seq, self.max_ts = seq, max_ts
        self._file: Any = None
        said = About(0, ())
        if blob:
            import pyarrow as pa

            self._file = pa.ipc.open_file(pa.BufferReader(blob))
            said = msgspec.json.decode(self._file.schema.metadata[METADATA], type=About)
        self.about = Base(seq, max_ts, said.last_key, said.again)

    def unpacked(self) -> Base:
        """Return the columns, amounts as Decimal(38, 18)."""
        import polars as pl

        from onetape.books.tables import MONEY

        if self._file is None:
            return self.about
        frame: Any = pl.from_arrow(self._file.read_all())
        frame = frame.with_columns(pl.col(*AMOUNTS, "multiplier").cast(MONEY))
        return self.about._replace(states=frame)


def _packed(stands: Base) -> bytes:
    import pyarrow as pa

    assert stands.states is not None
    table = _small(stands.states).to_arrow()
    about = msgspec.json.encode(About(stands.last_key, stands.again))
    table = table.replace_schema_metadata({METADATA: about})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _small(states: Any) -> Any:
    """Return the columns with scales that fit: the zeros of a scale of 18 do not compress."""
    import polars as pl

    for name in (*AMOUNTS, "multiplier"):
        column = states[name]
        for scale in SCALES:
            if (column.round(scale) == column).all():
                states = states.with_columns(column.cast(pl.Decimal(38, scale)))
                break
    return states
