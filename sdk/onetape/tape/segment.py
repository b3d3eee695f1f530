# pyright: standard
"""Segment: a closed stretch of the ledger as one Parquet file, readable with any Parquet tool.

Columns  those of the ledger (`ledger.COLUMNS`) under their names; `event_id` as 16 bytes, the
         payload as the canonical bytes. Rows in the order of seq, without a gap.
Said     in the file's metadata: format, ledger, seq_lo, seq_hi, first_batch, last_batch and
         root, which is the Merkle root over the roots of its batches.
Groups   GROUP rows each, with the range of seq of each in the file's footer: one event is found
         by reading one group. Pages carry checksums.
Proof    `checked` reads a file back and makes every batch's root anew from its bytes. What a
         file says of itself is believed nowhere.
Raises   BrokenTape for a file that is not what it was; TapeError for one that cannot be read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlparse
from urllib.request import url2pathname
from uuid import uuid4

from onetape.errors import BrokenTape, TapeError
from onetape.tape import merkle
from onetape.tape.ledger import COLUMNS, HEADER, Row

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "onetape.segment/1"
GROUP = 8_192  # rows: a lookup reads one group, a footer lists them all
RISING = ("seq", "version", "ts_event", "ts_init", "cause")
REPEATED = (
    "stream_id",
    "source_id",
    "calculation_id",
    "account_id",
    "instrument_id",
    "kind_id",
    "format",
)
CHUNK = 1 << 20


class Said(NamedTuple):
    """What a batch of the ledger says of itself."""

    batch_id: int
    seq_lo: int
    seq_hi: int
    root: bytes


class Checked(NamedTuple):
    """What a file was found to hold."""

    root: bytes
    sha256: bytes
    kinds: frozenset[int]  # numbers in the table `dimension`


class Growing:
    """A Merkle tree that takes leaf after leaf and keeps only the hashes that are still open."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._open: list[tuple[int, bytes]] = []  # whole trees of falling size
        for one in leaves:
            self.add(one)

    def add(self, leaf: bytes) -> None:
        """Take the next leaf."""
        size, node = 1, leaf
        while self._open and self._open[-1][0] == size:
            node = merkle.root((self._open.pop()[1], node))
            size *= 2
        self._open.append((size, node))

    @property
    def root(self) -> bytes:
        """The root over all leaves so far: what `merkle.root` gives for them."""
        nodes = [node for _, node in self._open]
        if not nodes:
            return merkle.root(())
        node = nodes.pop()
        while nodes:
            node = merkle.root((nodes.pop(), node))
        return node


def schema() -> pa.Schema:
    """Return the columns of a segment and of what `batches` yields."""
    import pyarrow as pa

    types = [pa.int64()] * 6 + [pa.int32()] * 5 + [pa.int16(), pa.binary(16), pa.binary()]
    fields = zip(COLUMNS, types, strict=True)
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


def place(uri: str) -> Path:
    """Return the file that a segment's uri names."""
    return Path(url2pathname(urlparse(uri).path)) if uri.startswith("file:") else Path(uri)


def write(path: Path, told: Iterable[pa.RecordBatch], said: dict[str, str]) -> None:
    """Write a segment to `path`, whole or not at all, and durable once this returns.

    Raises TapeError when the place cannot be written to.
    """
    import pyarrow.parquet as pq

    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    kept = schema().with_metadata({"format": FORMAT, **said})
    options: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": list(REPEATED),
        "column_encoding": dict.fromkeys(RISING, "DELTA_BINARY_PACKED"),
        "write_statistics": [*RISING, *REPEATED],
        "write_page_checksum": True,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as out:
            with pq.ParquetWriter(out, kept, **options) as writer:
                for table in _groups(told):
                    writer.write_table(table, row_group_size=GROUP)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
        settle(path.parent)
    except OSError as err:
        raise TapeError(f"{path} cannot be written ({err}); say another place") from err
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Make what was named or removed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _groups(told: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut batches of any size into tables of whole groups; the last one holds the rest."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    for batch in told:
        waiting.append(batch)
        held = sum(one.num_rows for one in waiting)
        if whole := held - held % GROUP:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, whole)
            waiting = table.slice(whole).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting)


def batches(uri: str, after: int = 0, upto: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield a segment's rows with after < seq <= upto as Arrow, reading only groups that hold some.

    Raises TapeError when the file is not there, BrokenTape when rows are missing from it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = place(uri)
    try:
        stat = path.stat()
        footer = _footer(str(path), stat.st_mtime_ns, stat.st_size)
        with pq.ParquetFile(path, metadata=footer, page_checksum_verification=True) as file:
            _fits(path, file.schema_arrow)
            for number in _holding(footer, after, upto):
                yield _cut(path, file.read_row_group(number), footer, number, after, upto)
    except FileNotFoundError as err:
        raise TapeError(
            f"the archived segment {path} is not there: dropped when its retention class ran out "
            "(see segments), or moved; put it back under that name"
        ) from err
    except (OSError, pa.ArrowException) as err:
        raise BrokenTape(after + 1, f"{path} cannot be read: {err}; restore a copy of it") from err


@lru_cache(maxsize=64)  # some megabytes of footers; a changed file has another time or size
def _footer(path: str, _changed: int, _size: int) -> Any:
    import pyarrow.parquet as pq

    return pq.read_metadata(path)


def _fits(path: Path, found: pa.Schema) -> None:
    said = (found.metadata or {}).get(b"format", b"no format mark").decode(errors="replace")
    if said != FORMAT or not found.equals(schema()):
        raise TapeError(f"{path} holds {said}, {FORMAT} expected; it is no archive of a tape")


def _holding(footer: Any, after: int, upto: int | None) -> Iterator[int]:
    for number in range(footer.num_row_groups):
        lo, hi = _range(footer, number)
        if hi > after and (upto is None or lo <= upto):
            yield number


def _range(footer: Any, number: int) -> tuple[int, int]:
    told = footer.row_group(number).column(0).statistics
    return told.min, told.max


def _cut(
    path: Path, table: pa.Table, footer: Any, number: int, after: int, upto: int | None
) -> pa.RecordBatch:
    """Return what is asked for of a group, having seen that it holds what its footer says."""
    import numpy as np

    batch = table.combine_chunks().to_batches()[0]
    lo, hi = _range(footer, number)
    seqs = batch.column(0).to_numpy()
    if not np.array_equal(seqs, np.arange(lo, hi + 1)):
        raise BrokenTape(lo, f"{path} does not hold all of {lo} to {hi}; restore a copy of it")
    first = max(after + 1, lo)
    last = hi if upto is None else min(upto, hi)
    return batch.slice(first - lo, last - first + 1)


def rows(uri: str, after: int = 0, upto: int | None = None) -> Iterator[Row]:
    """Yield a segment's rows with after < seq <= upto; errors as in `batches`."""
    for batch in batches(uri, after, upto):
        yield from map(Row._make, zip(*(c.to_pylist() for c in batch.columns), strict=True))


def leaves(batch: pa.RecordBatch) -> list[bytes]:
    """Return the leaf of each row: what `ledger.leaf` gives, in a third of its time."""
    import numpy as np

    widths = [">i8"] * 6 + [">i4"] * 5 + [">i2", "V16"]
    layout = np.dtype([("zero", "u1"), *zip(COLUMNS[:13], widths, strict=True)])
    size = HEADER.size + 1
    if layout.itemsize != size:
        raise AssertionError(f"a header of {layout.itemsize} bytes, {size} expected")
    heads = np.zeros(batch.num_rows, layout)
    for name in COLUMNS[:12]:
        heads[name] = batch.column(name).to_numpy()
    ids = batch.column("event_id")
    start = ids.offset * 16
    heads["event_id"] = np.frombuffer(ids.buffers()[1], "V16", len(ids), start)
    raw, sha256 = heads.tobytes(), hashlib.sha256
    return [
        sha256(raw[at * size : at * size + size] + payload).digest()
        for at, payload in enumerate(batch.column("payload").to_pylist())
    ]


def checked(
    path: Path, lo: int, hi: int, said: Iterable[Said], update: Callable[[int], object]
) -> Checked:
    """Make the root of every batch from a file's bytes, compare, and return what the file holds.

    `said` are the batches of the range lo to hi in order. Raises BrokenTape for the first batch
    that differs, with its place and the file; `update` hears of rows as they are read.
    """
    kinds, pending, at, tree = set[int](), list[bytes](), lo, Growing()
    read = batches(str(path))
    for one in said:
        if one.seq_lo != at:
            raise BrokenTape(at, f"batch {one.batch_id} begins at {one.seq_lo}, {at} expected")
        wanted = one.seq_hi - one.seq_lo + 1
        while len(pending) < wanted:
            pending += _more(path, read, at + len(pending), kinds, update)
        if merkle.root(pending[:wanted]) != one.root:
            raise BrokenTape(
                at,
                f"batch {one.batch_id} (seq {one.seq_lo} to {one.seq_hi}) in {path} is not what "
                "was recorded: the file or the table was changed; restore a copy of it",
            )
        del pending[:wanted]
        tree.add(one.root)
        at = one.seq_hi + 1
    if at != hi + 1 or pending or next(read, None) is not None:
        raise BrokenTape(at, f"{path} and its batches end apart; both are to end at {hi}")
    return Checked(tree.root, digest(path), frozenset(kinds))


def _more(
    path: Path,
    read: Iterator[pa.RecordBatch],
    at: int,
    kinds: set[int],
    update: Callable[[int], object],
) -> Sequence[bytes]:
    batch = next(read, None)
    if batch is None:
        raise BrokenTape(at, f"{path} ends before seq {at}; restore a copy of it")
    kinds.update(batch.column("kind_id").unique().to_pylist())
    update(batch.num_rows)
    return leaves(batch)


def digest(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    told = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            told.update(chunk)
    return told.digest()


def columns(path: Path, *names: str) -> Iterator[list[Any]]:
    """Yield some columns of a whole segment as numpy arrays, a stretch of rows at a time.

    Raises TapeError for a file that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _fits(path, file.schema_arrow)
            for batch in file.iter_batches(columns=list(names)):
                yield [batch.column(name).to_numpy() for name in names]
    except (OSError, pa.ArrowException) as err:
        raise TapeError(f"{path} cannot be read: {err}; restore a copy of it") from err
