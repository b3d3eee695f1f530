# pyright: standard
"""Files: datasets on disk or in an object store, through fsspec."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import polars as pl
import pyarrow as pa

from onetape.errors import MarketDataError
from onetape.market import layout
from onetape.market.blocks import Block, ints
from onetape.market.manifest import DataFile

FILE_ROWS = 16_777_216
COMPRESSION = "lz4"
STATISTICS: Any = ["ts_init", "ts_event"]


class Root:
    """A folder somewhere: local or any fsspec URL."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.fs, path = url_to_fs(url)
        self.path = path.rstrip("/")
        protocol = self.fs.protocol
        self.local = "file" in (protocol if isinstance(protocol, tuple) else (protocol,))

    def at(self, relative: str) -> str:
        """Return the full path of something below the root."""
        return f"{self.path}/{relative}"

    def read(self, relative: str) -> bytes:
        """Return the bytes of a file."""
        return self.fs.cat_file(self.at(relative))

    def replace(self, relative: str, data: bytes, staged: str) -> None:
        """Write a file so that a reader sees the old bytes or the new ones, nothing between."""
        if not self.local:  # object stores put whole objects
            self.make_parent(relative)
            self.fs.pipe_file(self.at(relative), data)
            return
        import os
        from pathlib import Path

        temporary = Path(self.at(staged))
        temporary.parent.mkdir(parents=True, exist_ok=True)
        self.make_parent(relative)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.at(relative))

    def make_parent(self, relative: str) -> None:
        """Make the folders above a file."""
        self.fs.makedirs(str(PurePosixPath(self.at(relative)).parent), exist_ok=True)

    def move(self, source: str, target: str) -> None:
        """Move a file within the root."""
        self.make_parent(target)
        self.fs.mv(self.at(source), self.at(target))

    def remove(self, relative: str, *, recursive: bool = False) -> None:
        """Remove a file or folder if it is there."""
        with contextlib.suppress(FileNotFoundError):
            if recursive:
                self.fs.rm(self.at(relative), recursive=True)
            else:
                self.fs.rm_file(self.at(relative))  # rm would take a * for a pattern

    def exists(self, relative: str) -> bool:
        """Say whether there is such a file."""
        return self.fs.exists(self.at(relative))

    def listed(self, relative: str) -> list[str]:
        """Return the names in a folder, none if it is not there."""
        try:
            found = self.fs.ls(self.at(relative), detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(p).name for p in found)


class Files:
    """Rows in Parquet files below a root, in time order; the `Store` of a catalog's dataset."""

    def __init__(self, root: Root, files: tuple[DataFile, ...], schema: pa.Schema) -> None:
        self._root = root
        self._files = files
        self._schema = schema

    def batches(self, start: int | None, end: int | None, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of the layout with start <= ts_init < end, at most `rows` rows each."""
        for file in self._files:
            early = start is not None and file.end < start
            if early or (end is not None and file.start >= end):
                continue
            inside = (start is None or start <= file.start) and (end is None or file.end < end)
            for batch in self._read(file, None if inside else (start, end), rows):
                part = batch if inside else _within(batch, start, end)
                if part.num_rows:
                    yield part

    def _read(
        self, file: DataFile, span: tuple[int | None, int | None] | None, rows: int
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow.parquet as pq

        try:
            with (
                self._root.fs.open(self._root.at(file.path), "rb") as handle,
                pq.ParquetFile(handle, pre_buffer=False) as parquet,
            ):
                groups = list(range(parquet.num_row_groups))
                if span is not None:
                    groups = [g for g in groups if _meets(parquet, g, span)]
                for batch in parquet.iter_batches(batch_size=rows, row_groups=groups):
                    yield batch.cast(self._schema)
        except FileNotFoundError:
            raise MarketDataError(
                f"{file.path} is gone from the catalog; remove the dataset and ingest it again."
            ) from None
        except (pa.ArrowException, OSError) as error:
            raise MarketDataError(
                f"{file.path} cannot be read ({' '.join(str(error).split())[:160]}); it was "
                "changed or cut. Remove the dataset and ingest it again."
            ) from None

    def lazy(self) -> pl.LazyFrame:
        """Return all rows as a lazy frame."""
        paths = [self._root.at(f.path) for f in self._files]
        if self._root.local:
            return pl.scan_parquet(paths)
        import pyarrow.dataset as ds

        found: Any = ds.dataset(paths, filesystem=self._root.fs, format="parquet")
        return pl.scan_pyarrow_dataset(found)


def _meets(parquet: Any, group: int, span: tuple[int | None, int | None]) -> bool:
    meta = parquet.metadata.row_group(group)
    for at in range(meta.num_columns):
        column = meta.column(at)
        if column.path_in_schema == "ts_init" and column.is_stats_set:
            stats = column.statistics
            low, high = stats.min_raw, stats.max_raw
            return (span[0] is None or high >= span[0]) and (span[1] is None or low < span[1])
    return True


def _within(batch: pa.RecordBatch, start: int | None, end: int | None) -> pa.RecordBatch:
    ts = ints(batch.column("ts_init"))
    first = 0 if start is None else int(ts.searchsorted(start))
    stop = len(ts) if end is None else int(ts.searchsorted(end))
    return batch.slice(first, max(0, stop - first))


class Writer:
    """Writes sorted blocks as Parquet files into a staging folder.

    A file is closed at `FILE_ROWS` rows, but never between two rows of one time: the engine wants
    the times of its files not to overlap.
    """

    def __init__(self, root: Root, folder: str, schema: pa.Schema) -> None:
        self._root = root
        self._folder = folder
        self._schema = schema
        self._open: Any = None
        self._rows = 0
        self._start = 0
        self._end = 0
        self.runs: list[list[DataFile]] = [[]]

    def new_run(self) -> None:
        """Begin a new sorted run; rows of different runs may overlap in time."""
        self.close()
        self.runs.append([])

    def write(self, block: Block) -> None:
        """Write the next block, as one row group."""
        if self._open is not None and self._rows >= FILE_ROWS and int(block.ts[0]) > self._end:
            self.close()
        if self._open is None:
            self._start = int(block.ts[0])
            self._open = self._opened()
        batch = layout.to_batch(block, self._schema)
        self._open[0].write_batch(batch, row_group_size=max(1, batch.num_rows))
        self._rows += block.rows
        self._end = int(block.ts[-1])

    def _opened(self) -> tuple[Any, Any]:
        import pyarrow.parquet as pq

        path = f"{self._folder}/{len(self.runs)}-{len(self.runs[-1])}.parquet"
        self._root.make_parent(path)
        handle = self._root.fs.open(self._root.at(path), "wb")
        writer = pq.ParquetWriter(
            handle, self._schema, compression=COMPRESSION, use_dictionary=False,
            write_statistics=STATISTICS, store_schema=True,
        )  # fmt: skip
        return writer, (handle, path)

    def close(self) -> None:
        """Finish the open file."""
        if self._open is None:
            return
        writer, (handle, path) = self._open
        writer.close()
        handle.close()
        self.runs[-1].append(DataFile(path, self._start, self._end, self._rows))
        self._open, self._rows = None, 0
