# pyright: standard
"""Fingerprints: the name of a dataset's content, whatever file it lies in.

Method   SHA-256 over a header (instrument id, kind, step, precisions, stamp convention, corporate
         actions) and the SHA-256 of each block of 65,536 rows in time order; within a block
         column by column, little-endian int64 in scaled units, trade ids as lengths and UTF-8.
         Files, chunks and row groups do not enter, so moving or merging files changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl

from onetape.market.blocks import Block, even
from onetape.market.instruments import Instrument

FORMAT = 1


class Fingerprint:
    """A fingerprint in the making; feed it blocks of `BLOCK_ROWS` rows."""

    def __init__(self, header: bytes) -> None:
        self._hash = hashlib.sha256(header)
        self.rows = 0

    def add(self, block: Block) -> None:
        """Take in the next block, which must be of even size unless it is the last."""
        inner = hashlib.sha256(np.ascontiguousarray(block.ts))
        for column in block.values:
            inner.update(np.ascontiguousarray(column))
        if block.ids is not None:
            ids: Any = pl.from_arrow(block.ids)
            inner.update(ids.str.len_bytes().to_numpy().astype("<i8"))
            inner.update("".join(block.ids.to_pylist()).encode())
        self._hash.update(inner.digest())
        self.rows += block.rows

    def hex(self) -> str:
        """Return the fingerprint as 64 hexadecimal digits."""
        last = self._hash.copy()
        last.update(str(self.rows).encode())
        return last.hexdigest()


def header(
    instrument: Instrument, kind: str, step: str | None, stamp: str, actions: Sequence[Any]
) -> bytes:
    """Return what besides the rows makes two datasets differ."""
    what = {
        "format": FORMAT,
        "instrument": instrument.id,
        "kind": kind,
        "step": step,
        "price_precision": instrument.price_precision,
        "size_precision": instrument.size_precision,
        "stamp": stamp,
        "actions": list(actions),
    }
    return msgspec.json.encode(what, order="sorted")


def fingerprint(header: bytes, blocks: Iterable[Block]) -> str:
    """Return the fingerprint of blocks of any sizes."""
    made = Fingerprint(header)
    for block in even(blocks):
        made.add(block)
    return made.hex()
