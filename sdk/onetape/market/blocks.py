# pyright: standard
"""Blocks: market rows as exact scaled integers, the form in which all checking is done.

A price of 1.12345 at precision 5 is the int64 112345; nothing between a source file and the disk
is a float. A block holds rows in time order, one numpy array a column.

Shape    `ts` and each of `values` have one int64 per row. Columns of `values` by kind:
         bars open high low close volume; quotes bid_price ask_price bid_size ask_size;
         trades price size aggressor_side (0 none, 1 buy, 2 sell), and `ids` with the trade ids.
Units    `ts` ns UTC (bars: the close); prices in 10**-price_precision, sizes in
         10**-size_precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Kind = Literal["bars", "quotes", "trades"]
Ints = NDArray[np.int64]

BLOCK_ROWS = 65_536  # fixed: fingerprints and findings are defined over blocks of this size

COLUMNS: dict[str, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "volume"),
    "quotes": ("bid_price", "ask_price", "bid_size", "ask_size"),
    "trades": ("price", "size", "aggressor_side"),
}
PRICES: dict[str, tuple[int, ...]] = {"bars": (0, 1, 2, 3), "quotes": (0, 1), "trades": (0,)}
SIZES: dict[str, tuple[int, ...]] = {"bars": (4,), "quotes": (2, 3), "trades": (1,)}
SIDES = ("NO_AGGRESSOR", "BUY", "SELL")


class Block(NamedTuple):
    """Some consecutive rows of one dataset."""

    ts: Ints
    values: tuple[Ints, ...]
    ids: Any = None  # pa.StringArray for trades

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.ts)

    def cut(self, start: int, stop: int) -> Block:
        """Return rows `start` to `stop`, without copying."""
        ids = None if self.ids is None else self.ids.slice(start, stop - start)
        return Block(self.ts[start:stop], tuple(v[start:stop] for v in self.values), ids)

    def take(self, at: NDArray[Any]) -> Block:
        """Return the rows at positions `at`, in that order."""
        ids = None if self.ids is None else self.ids.take(pa.array(at))
        return Block(self.ts[at], tuple(v[at] for v in self.values), ids)

    def row(self, at: int) -> tuple[Any, ...]:
        """Return one row as plain values, without its time."""
        ids = () if self.ids is None else (self.ids[at].as_py(),)
        return (*(int(v[at]) for v in self.values), *ids)


def joined(blocks: Sequence[Block]) -> Block:
    """Return several blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    ts = np.concatenate([b.ts for b in blocks])
    columns = zip(*(b.values for b in blocks), strict=True)
    ids = None if blocks[0].ids is None else pa.concat_arrays([b.ids for b in blocks])
    return Block(ts, tuple(np.concatenate(c) for c in columns), ids)


def ints(array: Any) -> Ints:
    """Return an Arrow array of int64 or times, none null, as numpy without a copy.

    Arrow's own `to_numpy` would import pandas where it is installed: half a second of CPU.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return np.frombuffer(array.buffers()[1], np.int64, len(array), array.offset * 8)


def same_as_before(block: Block) -> NDArray[np.bool_]:
    """Say for each row but the first whether it repeats the row before, time included."""
    same = block.ts[1:] == block.ts[:-1]
    if not same.any():
        return same
    for column in block.values:
        same &= column[1:] == column[:-1]
    if block.ids is not None and same.any():
        ids: Any = pl.from_arrow(block.ids)
        same &= (ids[1:] == ids[:-1]).to_numpy()
    return same


def even(blocks: Iterable[Block], rows: int = BLOCK_ROWS) -> Iterator[Block]:
    """Yield the same rows in blocks of exactly `rows`, the last one shorter."""
    waiting: list[Block] = []
    held = 0
    for block in blocks:
        at = 0
        while held + block.rows - at >= rows:
            take = rows - held
            waiting.append(block.cut(at, at + take))
            yield joined(waiting)
            waiting, held, at = [], 0, at + take
        if at < block.rows:
            waiting.append(block.cut(at, block.rows))
            held += block.rows - at
    if waiting:
        yield joined(waiting)
