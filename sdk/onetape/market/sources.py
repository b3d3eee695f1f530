# pyright: standard
"""Sources: frames and files as a stream of polars frames, in memory bounded by one chunk.

Accepted  polars DataFrame or LazyFrame, pyarrow Table, CSV (.csv, .txt, .gz) and Parquet paths,
          globs and lists of paths, or any iterable of polars frames.
Raises    MarketDataError for a missing or damaged file, a directory, a file that is not text, or
          a line longer than 4 MiB.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from onetape.errors import MarketDataError
from onetape.market.columns import NAMES, TIMES, plain

CHUNK_ROWS = 262_144
CSV_BLOCK = 4 << 20
PEEK = 1 << 16
_NUMBER = re.compile(r"[\s\d.,:+\-TZeE/]*")


@dataclass
class Source:
    """A stream of frames and where it comes from."""

    frames: Iterator[pl.DataFrame]
    kind: str
    paths: list[str] = field(default_factory=list)
    rows: int | None = None
    origin: dict[str, Any] | None = None

    def lineage(self) -> dict[str, Any]:
        """Return what the manifest keeps: file names and the SHA-256 of each file."""
        if self.origin is not None:
            return self.origin
        files = [{"file": Path(p).name, "sha256": sha256(p)} for p in self.paths]
        return {"type": self.kind, "files": files}


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opened(source: Any) -> Source:
    """Return `source` as a stream; nothing but the first block is read before it is consumed."""
    if isinstance(source, pl.DataFrame):
        return Source(source.iter_slices(CHUNK_ROWS), "polars.DataFrame", rows=source.height)
    if isinstance(source, pl.LazyFrame):
        return Source(_lazy(source), "polars.LazyFrame")
    if isinstance(source, pa.Table | pa.RecordBatch):
        frame = pl.from_arrow(source)
        assert isinstance(frame, pl.DataFrame)
        return Source(frame.iter_slices(CHUNK_ROWS), "pyarrow.Table", rows=frame.height)
    if isinstance(source, str | Path):
        return _files(_expanded(source))
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | Path):
        return _files([p for one in source for p in _expanded(one)])
    if isinstance(source, Iterable):
        return Source(_iterated(source), "iterable")
    raise MarketDataError(
        f"cannot ingest a {type(source).__name__}. Expected a polars frame, a pyarrow Table, a "
        "CSV or Parquet path, a glob, or a list of paths."
    )


def adopted(dataset: Any) -> Source:
    """Return a dataset's rows as a stream that keeps the dataset's own account of its source."""
    told = dataset.source
    origin = dict(told[0]) if len(told) == 1 else {"type": "onetape.Dataset", "sources": told}
    return Source(_lazy(dataset.scan()), "onetape.Dataset", rows=dataset.rows, origin=origin)


def _iterated(source: Iterable[Any]) -> Iterator[pl.DataFrame]:
    for item in source:
        frame = item if isinstance(item, pl.DataFrame) else pl.from_arrow(item)
        assert isinstance(frame, pl.DataFrame)
        yield from frame.iter_slices(CHUNK_ROWS)


def _lazy(source: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    for frame in source.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
        yield from frame.iter_slices(CHUNK_ROWS)


def _expanded(source: str | Path) -> list[str]:
    path = Path(source).expanduser()
    if path.is_dir():
        raise MarketDataError(
            f'{path.name!r} is a directory. Name its files with a glob: "{path.name}/*.csv".'
        )
    if path.exists():
        return [str(path)]
    found = sorted(str(p) for p in path.parent.glob(path.name)) if "*" in path.name else []
    if not found:
        raise MarketDataError(f"no file at {str(source)!r}. Check the path or the glob.")
    return found


def _files(paths: list[str]) -> Source:
    parquet = [p.endswith((".parquet", ".pq")) for p in paths]
    if all(parquet):
        return Source(_parquets(paths), "parquet", paths)
    if any(parquet):
        raise MarketDataError("the paths mix Parquet and CSV files; ingest them one kind a time.")
    return Source((f for p in paths for f in _csv(p)), "csv", paths)


def _parquets(paths: list[str]) -> Iterator[pl.DataFrame]:
    import pyarrow.parquet as pq

    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=CHUNK_ROWS):
                    frame = pl.from_arrow(batch)
                    assert isinstance(frame, pl.DataFrame)
                    yield frame
        except (pa.ArrowException, OSError) as error:
            raise MarketDataError(
                f"{Path(path).name!r} is not a whole Parquet file ({_short(error)}). "
                "It may be truncated; fetch it again."
            ) from None


def _csv(path: str) -> Iterator[pl.DataFrame]:
    from pyarrow import csv

    names, has_header, types, delimiter = _looked_at(path)
    try:
        reader = csv.open_csv(
            path,
            read_options=csv.ReadOptions(
                block_size=CSV_BLOCK, column_names=names, skip_rows=int(has_header)
            ),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True),
        )
        for batch in reader:
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield from frame.iter_slices(CHUNK_ROWS)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise MarketDataError(
            f"{Path(path).name!r} cannot be read as CSV: {_short(error)}. Expected one row a "
            "line, as many cells in each, lines up to 4 MiB."
        ) from None


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def _looked_at(path: str) -> tuple[list[str], bool, dict[str, pa.DataType], str]:
    """Return names, whether the first line is a header, the types and the delimiter."""
    name = Path(path).name
    try:
        with gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb") as file:
            head = file.read(PEEK)
    except (OSError, EOFError) as error:
        raise MarketDataError(f"{name!r} cannot be read: {_short(error)}.") from None
    if not head.strip():
        raise MarketDataError(f"{name!r} is empty; expected a header and rows.")
    if b"\0" in head:
        raise MarketDataError(f"{name!r} holds NUL bytes: it is no text file, or is damaged.")
    if b"\n" not in head and len(head) == PEEK:
        raise MarketDataError(f"{name!r} has no line end in its first {PEEK} bytes: not a CSV.")
    lines = head.decode("utf-8-sig", "replace").splitlines()
    if len(head) == PEEK:
        lines.pop()
    delimiter = max(",;\t|", key=lines[0].count)
    first = [c.strip().strip('"') for c in lines[0].split(delimiter)]
    has_header = not all(_NUMBER.fullmatch(c) for c in first)
    names = first if has_header else [str(i) for i in range(len(first))]
    if len(set(names)) < len(names):
        raise MarketDataError(f"{name!r} names a column twice: {', '.join(first)}.")
    body = [line.split(delimiter) for line in lines[int(has_header) :] if line.strip()]
    if not body:
        raise MarketDataError(f"{name!r} has a header but no rows.")
    types = {n: _type(n, [r[i] for r in body if i < len(r)]) for i, n in enumerate(names)}
    return names, has_header, types, delimiter


def _type(name: str, cells: list[str]) -> pa.DataType:
    """Return text, int64 for epochs and dates as numbers, or float64."""
    values = [c.strip().strip('"') for c in cells if c.strip()]
    if not values or plain(name) in NAMES["trade_id"]:
        return pa.string()
    try:
        numbers = [float(v) for v in values]
    except ValueError:
        return pa.string()
    low, high = min(numbers), max(numbers)
    alike = len({len(v) for v in values}) == 1  # an epoch or a date has a fixed length
    stamp = plain(name) in TIMES or low >= 1e9 or 19_000_101 <= low <= high <= 21_001_231
    whole = all(v.isdigit() for v in values)
    return pa.int64() if whole and alike and stamp else pa.float64()
