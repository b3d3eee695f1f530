"""Merging: sorted streams of blocks into one, in time order, in bounded memory.

Law      Two streams that tell of the same times must agree there: rows at a time that both know
         are kept once if equal, else `Conflict` names the first such time and both rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from onetape.errors import Conflict
from onetape.market.blocks import COLUMNS, Block, Ints, joined


class _Pile:
    """A stream with its first rows in hand."""

    def __init__(self, stream: Iterator[Block]) -> None:
        self.stream = stream
        self.block: Block | None = None
        self.more()

    def more(self) -> bool:
        """Add the next block; False at the end of the stream."""
        for block in self.stream:
            if block.rows:
                self.block = block if self.block is None else joined([self.block, block])
                return True
        self.stream = iter(())
        self.ended = True
        return False

    ended = False

    def before(self, ts: int | None) -> Block | None:
        """Take the rows before `ts`, all of them if None."""
        block = self.block
        if block is None:
            return None
        stop = block.rows if ts is None else int(np.searchsorted(block.ts, ts))
        if not stop:
            return None
        self.block = block.cut(stop, block.rows) if stop < block.rows else None
        if self.block is None and not self.ended:
            self.more()
        return block.cut(0, stop)


def _rounds(streams: Sequence[Iterator[Block]]) -> Iterator[list[Block | None]]:
    piles = [_Pile(s) for s in streams]
    while any(p.block is not None for p in piles):
        open_ends = [p for p in piles if not p.ended and p.block is not None]
        cut = min((int(p.block.ts[-1]) for p in open_ends if p.block is not None), default=None)
        taken = [p.before(cut) for p in piles]
        if any(t is not None for t in taken):
            yield taken
        else:  # one time fills the blocks in hand: read on where it stands
            for pile in open_ends:
                if pile.block is not None and int(pile.block.ts[-1]) == cut:
                    pile.more()


def merged(streams: Sequence[Iterator[Block]]) -> Iterator[Block]:
    """Yield the rows of all streams by time; at equal times the earlier stream comes first."""
    if len(streams) == 1:
        yield from streams[0]
        return
    for taken in _rounds(streams):
        yield in_order(joined([t for t in taken if t is not None]))


def in_order(block: Block) -> Block:
    """Return the rows by time, rows of one time in the order they had."""
    if block.rows < 2 or bool((block.ts[1:] >= block.ts[:-1]).all()):
        return block
    return block.take(np.argsort(block.ts, kind="stable"))


def united(old: Iterator[Block], new: Iterator[Block], kind: str) -> Iterator[Block]:
    """Yield what `old` and `new` tell together; Conflict where they disagree."""
    for before, after in _rounds([old, new]):
        if before is None or after is None:
            yield before if after is None else after  # type: ignore[misc]
            continue
        both = np.intersect1d(before.ts, after.ts)
        if len(both):
            known = np.isin(after.ts, both)
            _agree(before.take(np.flatnonzero(np.isin(before.ts, both))),
                   after.take(np.flatnonzero(known)), kind)  # fmt: skip
            after = after.take(np.flatnonzero(~known))
        yield in_order(joined([before, after])) if after.rows else before


def _agree(old: Block, new: Block, kind: str) -> None:
    length = min(old.rows, new.rows)
    differ: Ints = np.flatnonzero(old.ts[:length] != new.ts[:length])
    for a, b in zip(old.values, new.values, strict=True):
        differ = np.union1d(differ, np.flatnonzero(a[:length] != b[:length]))
    if old.ids is not None:
        pairs = zip(old.ids.to_pylist(), new.ids.to_pylist(), strict=False)
        differ = np.union1d(differ, np.array([i for i, (a, b) in enumerate(pairs) if a != b], int))
    if old.rows == new.rows and not len(differ):
        return
    names = COLUMNS[kind] + (("trade_id",) if old.ids is not None else ())
    where = [int(i) for i in differ[:3]] or [length - 1]
    told = [
        f"{np.datetime64(int(old.ts[i]), 'ns')} UTC: kept {_shown(names, old, i)}, "
        f"new {_shown(names, new, i)}"
        for i in where
    ]
    counts = "" if old.rows == new.rows else f" ({old.rows} rows kept, {new.rows} new)"
    raise Conflict(
        f"{max(len(differ), 1)} overlapping rows disagree with those kept{counts}. In scaled "
        "integers, " + "; ".join(told) + ". Nothing was changed. Ingest under another name=, or "
        "remove() the kept dataset first."
    )


def _shown(names: Sequence[str], block: Block, at: int) -> str:
    return " ".join(f"{n}={v}" for n, v in zip(names, block.row(at), strict=True))
