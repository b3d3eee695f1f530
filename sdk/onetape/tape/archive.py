# pyright: standard
"""Archive: closed partitions of the log move into files, proved before anything is let go.

Closed   a partition whose end lies behind the ledger's head. Partitions go in order, so that
         what is archived is always the ledger's beginning.
Steps    the rows go to a file beside its final name, are made durable, renamed and read back;
         the root of each batch is made from those bytes and compared with what was recorded at
         the time of the append. Only then, in one transaction, the segment is recorded and the
         partition detached (and dropped, if so asked).
Killed   at any point, run it again: a file without its finish is made anew, a finished one is
         checked and used, and there is nothing between "recorded" and "detached".
Times    `t_lo` and `t_hi` of a segment are when its first and last batch were recorded, ns UTC.
Memory   bounded: rows travel as Arrow, some megabytes at a time; of a batch only its root stays.
Rights   who archives must own the log (the role onetape_owner): others may not detach.

Why recorded times: a backtest of ten-year-old data is a record of today, and is kept from today.
Detaching needs the whole log for a moment. It waits briefly and tries again, so that nobody who
appends ever queues behind it for long.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from onetape.errors import BrokenTape, TapeForbidden, TapeUnavailable
from onetape.progress import bar
from onetape.tape import segment as files
from onetape.tape.ledger import COLUMNS
from onetape.tape.segment import Said, batches, rows

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Segment", "archive", "batches", "check", "one_at_a_time", "rows", "segments"]

LOCK = 7_052_602  # of the session that archives or drops
PARTITIONS_LOCK = 7_052_601  # as in ensure_partitions
WAIT_S = 30  # for another one who archives
DETACH_MS = 500  # how long those who append may wait behind us
TRIES = 40
CHUNK_BYTES = 8 << 20

SEGMENTS = """SELECT s.seq_lo, s.seq_hi, s.t_lo, s.t_hi, s.uri, s.file_sha256, s.root, s.kinds,
  s.archived_ns, d.dropped_ns
FROM onetape.archive_segment s LEFT JOIN onetape.segment_dropped d USING (seq_lo)
ORDER BY s.seq_lo"""
CLOSED = """SELECT c.relname::text, b.lo, b.hi
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (SELECT (m)[1]::int8 AS lo, (m)[2]::int8 AS hi FROM regexp_match(
  pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''(\\d+)''\\) TO \\(''(\\d+)''\\)') m) b
WHERE i.inhparent = 'onetape.event'::regclass
  AND b.hi <= (SELECT last_seq FROM onetape.ledger_head)
ORDER BY b.lo"""
OWNED = """SELECT pg_has_role(relowner, 'USAGE'), pg_get_userbyid(relowner)::text,
  current_user::text
FROM pg_class WHERE oid = 'onetape.event'::regclass"""
ENDS = """SELECT batch_id, seq_lo, seq_hi, recorded_ns FROM onetape.batch WHERE seq_lo <= %s
ORDER BY seq_lo DESC LIMIT 1"""
BATCHES = """SELECT batch_id, seq_lo, seq_hi, root FROM onetape.batch
WHERE seq_lo BETWEEN %s AND %s ORDER BY seq_lo"""
KINDS = "SELECT key FROM onetape.dimension WHERE id = ANY(%s) ORDER BY key"
PUT = "INSERT INTO onetape.archive_segment VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
LEFT = """SELECT relname::text FROM pg_class WHERE relname = %s AND NOT relispartition
AND relnamespace = 'onetape'::regnamespace"""
NAME = "event_{:019}"


class Segment(NamedTuple):
    """A closed stretch of the ledger in a file; times in ns UTC."""

    seq_lo: int
    seq_hi: int
    t_lo: int  # recorded time of its first batch
    t_hi: int  # and of its last one
    uri: str
    sha256: bytes  # of the file
    root: bytes  # Merkle root over the roots of its batches
    kinds: tuple[str, ...]
    archived: int
    dropped: int | None = None  # when the file was let go; the row and its batches stay

    @property
    def path(self) -> Path:
        """Where the file is."""
        return files.place(self.uri)


class Closed(NamedTuple):
    """A partition that nothing is written to any more; `hi` is its last seq."""

    name: str
    lo: int
    hi: int
    first_batch: int
    last_batch: int
    t_lo: int
    t_hi: int


def segments(connection: Any) -> list[Segment]:
    """Return what was archived, in the ledger's order, dropped segments too."""
    cursor = connection.cursor(binary=True)
    told = cursor.execute(SEGMENTS).fetchall()
    return [
        Segment(lo, hi, t_lo, t_hi, uri, bytes(sha256), bytes(root), tuple(kinds), made, dropped)
        for lo, hi, t_lo, t_hi, uri, sha256, root, kinds, made, dropped in told
    ]


def archive(
    url: str,
    folder: str | Path,
    *,
    before: int | None = None,
    drop: bool = False,
    progress: bool | None = None,
) -> list[Segment]:
    """Move closed partitions whose last batch was recorded before `before` (ns UTC) to files.

    Returns the segments made by this call. With `drop` the detached tables are dropped, those
    of earlier calls too once their files are checked again; else they stay beside the log.

    Raises TapeForbidden for a login that does not own the log, BrokenTape for a batch that is
    not what it was (with its place), TapeUnavailable when the log is too busy; run it again.
    """
    folder = Path(folder).resolve()
    with one_at_a_time(url, "archiving") as connection:
        closed = [
            one
            for name, lo, hi in connection.execute(CLOSED).fetchall()
            if (one := _closed(connection, name, lo, hi - 1))
            and (before is None or one.t_hi < before)
        ]
        left = _left(connection) if drop else []
        size = sum(c.hi - c.lo + 1 for c in closed) * 2
        with bar(size + sum(s.seq_hi - s.seq_lo + 1 for s in left), "archiving", progress) as told:
            for one in left:
                check(connection, one, told.update)
                _let_go(connection, NAME.format(one.seq_lo), None, drop=True)
            return [_archived(connection, url, one, folder, drop, told.update) for one in closed]


@contextmanager
def one_at_a_time(url: str, doing: str, *, alone: bool = True) -> Generator[Any]:
    """Give a connection of the log's owner; `alone`: nobody else archives or drops meanwhile."""
    import psycopg

    from onetape.tape.server import connect, shown, translated

    with connect(url) as connection:
        try:
            owned, owner, me = connection.execute(OWNED).fetchone() or (False, "?", "?")
            if not owned:
                raise TapeForbidden(
                    f"{doing} {shown(url)}: {me} does not own the log, {owner} does; "
                    f"use a login that is a member of {owner}"
                )
            connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{WAIT_S}s"])
            if alone:
                connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            yield connection
        except psycopg.errors.LockNotAvailable as err:
            raise TapeUnavailable(
                f"{doing} {shown(url)}: somebody else has archived or dropped for more than "
                f"{WAIT_S} s; try again when that is done"
            ) from err
        except psycopg.Error as err:
            raise translated(err, f"{doing} {shown(url)}") from err


def _closed(connection: Any, name: str, lo: int, hi: int) -> Closed:
    first = connection.execute(ENDS, [lo]).fetchone()
    last = connection.execute(ENDS, [hi]).fetchone()
    if first is None or last is None:
        raise BrokenTape(lo, f"no batch holds it, though {name} does; run verify")
    for batch_id, seq_lo, seq_hi, _ in (first, last):
        if seq_lo < lo or seq_hi > hi:
            raise BrokenTape(
                seq_lo,
                f"batch {batch_id} (seq {seq_lo} to {seq_hi}) crosses an end of the partition "
                f"{name} ({lo} to {hi}); whole batches expected: written by another program?",
            )
    return Closed(name, lo, hi, first[0], last[0], first[3], last[3])


def _archived(
    connection: Any, url: str, one: Closed, folder: Path, drop: bool, update: Any
) -> Segment:
    path = folder / f"events_{one.lo:019}_{one.hi:019}.parquet"
    for part in folder.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)  # of a call that was killed: nobody else is at work
    if path.exists():
        update(one.hi - one.lo + 1)
    else:
        with _roots(connection, one.lo, one.hi) as told:
            root = files.Growing(said.root for said in told).root
        ledger = connection.execute("SELECT ledger::text FROM onetape.ledger_head").fetchone()
        said = {
            "ledger": ledger[0],
            "seq_lo": str(one.lo),
            "seq_hi": str(one.hi),
            "first_batch": str(one.first_batch),
            "last_batch": str(one.last_batch),
            "root": root.hex(),
        }
        files.write(path, _exported(url, one, update), said)
    with _roots(connection, one.lo, one.hi) as told:
        found = files.checked(path, one.lo, one.hi, told, update)
    kinds = [key for (key,) in connection.execute(KINDS, [list(found.kinds)]).fetchall()]
    made = Segment(
        one.lo,
        one.hi,
        one.t_lo,
        one.t_hi,
        path.as_uri(),
        found.sha256,
        found.root,
        tuple(kinds),
        time.time_ns(),
    )
    _let_go(connection, one.name, made, drop)
    return made


@contextmanager
def _roots(connection: Any, lo: int, hi: int) -> Generator[Iterator[Said]]:
    """Give the batches of a range, fetched as they are used: there may be one for each event."""
    with connection.transaction(), connection.cursor(name="roots", binary=True) as cursor:
        cursor.itersize = 20_000
        cursor.execute(BATCHES, [lo, hi])
        yield (Said(number, first, last, bytes(root)) for number, first, last, root in cursor)


def _exported(url: str, one: Closed, update: Any) -> Iterator[pa.RecordBatch]:
    """Yield a partition's rows in order, some megabytes at a time."""
    import adbc_driver_manager
    import adbc_driver_postgresql.dbapi as adbc
    from adbc_driver_postgresql import StatementOptions

    columns = ", ".join("uuid_send(event_id)" if c == "event_id" else c for c in COLUMNS)
    chosen = f"SELECT {columns} FROM onetape.event WHERE seq >= {one.lo:d} AND seq <= {one.hi:d}"
    try:
        with closing(adbc.connect(url)) as connection, closing(connection.cursor()) as cursor:
            cursor.adbc_statement.set_options(
                **{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(CHUNK_BYTES)}
            )
            cursor.execute(f"{chosen} ORDER BY seq")
            for batch in cursor.fetch_record_batch():
                update(batch.num_rows)
                yield _fitting(batch)
    except adbc_driver_manager.Error as err:
        raise TapeUnavailable(f"reading {one.name} to archive it: {err}; try again") from err


def _fitting(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    wanted = files.schema()
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)


def _let_go(connection: Any, name: str, made: Segment | None, drop: bool) -> None:
    """Record a segment (when given), detach its partition, and drop that if so asked: all or none.

    Raises TapeUnavailable when somebody keeps the log locked throughout.
    """
    from psycopg import errors

    for _ in range(TRIES):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {DETACH_MS:d}")
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITIONS_LOCK])
                if made is not None:
                    connection.execute(PUT, [*made[:7], list(made.kinds), made.archived])
                    _detach(connection, name)
                if drop:
                    connection.execute(_of("DROP TABLE onetape.{}", name))
            return
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            time.sleep(DETACH_MS / 1000)
    raise TapeUnavailable(
        f"{name} could not be detached in {TRIES} tries: somebody keeps the log locked, perhaps "
        "a transaction left open (see pg_stat_activity); end it and archive again"
    )


def _detach(connection: Any, name: str) -> None:
    connection.execute(_of("ALTER TABLE onetape.event DETACH PARTITION onetape.{}", name))
    # the log's own guard goes with the parent
    guard = """CREATE TRIGGER nothing_is_changed_apart BEFORE UPDATE OR DELETE ON onetape.{}
        FOR EACH ROW EXECUTE FUNCTION onetape.refuse()"""
    connection.execute(_of(guard, name))


def _of(text: str, name: str) -> Any:
    from psycopg import sql

    return sql.SQL(text).format(sql.Identifier(name))  # type: ignore[arg-type]


def _left(connection: Any) -> list[Segment]:
    """Return the segments whose detached table is still there."""
    return [
        one
        for one in segments(connection)
        if one.dropped is None and connection.execute(LEFT, [NAME.format(one.seq_lo)]).fetchone()
    ]


def check(connection: Any, one: Segment, update: Any = lambda _: None) -> None:
    """Prove a segment's file against the recorded batches and against its own SHA-256.

    Raises BrokenTape with the batch and the file, TapeError when the file is not there.
    """
    with _roots(connection, one.seq_lo, one.seq_hi) as told:
        found = files.checked(one.path, one.seq_lo, one.seq_hi, told, update)
    if found.root != one.root:
        raise BrokenTape(one.seq_lo, f"the root of {one.path} is not the one that was recorded")
    if found.sha256 != one.sha256:
        raise BrokenTape(
            one.seq_lo,
            f"{one.path} holds the right events, but not the bytes that were archived: it was "
            "written anew or touched outside of its rows; restore a copy of it",
        )
