# pyright: standard
"""The feed: rows of many datasets as the engine's objects, in one order, in bounded chunks.

Where the fill convention asks for it, each bar is preceded by a quote at its open (or by four
along its path), one nanosecond after the time at which the bar opens, so that all bars that
close at that time are handled first. These quotes are the venue's, not the data's: strategies
do not see them and the tape's lineage never names them.

Why chunks end between times: rows of one time must not be torn apart, or a chunked run would
not be the unchunked one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from onetape.market import layout
from onetape.market.blocks import Block, ints
from onetape.market.dataset import Dataset

PLENTY = 1_000_000_000  # units offered by an opening quote: an open fills any size
NS = 1_000_000_000
SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800}
HANDLERS = {"bars": "on_bar", "quotes": "on_quote", "trades": "on_trade"}


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset in a run, with the engine's names for it."""

    dataset: Dataset
    instrument_id: Any
    bar_type: Any | None
    adds: str  # "", "open" or "path": the venue's quotes that go before each bar

    @property
    def kind(self) -> str:
        return self.dataset.kind

    @property
    def handler(self) -> str:
        return HANDLERS[self.kind]

    @property
    def opening(self) -> bool:
        return bool(self.adds)

    @property
    def key(self) -> Any:
        """What the engine's row says of where it belongs."""
        return self.bar_type if self.bar_type is not None else (self.handler, self.instrument_id)

    @property
    def label(self) -> str:
        """What a row of it is called in lineage."""
        step = f" {self.dataset.step}" if self.dataset.step else ""
        return f"{self.kind}{step} {self.dataset.instrument.id}"


def sources(datasets: list[Dataset], adds: str) -> tuple[Source, ...]:
    """Return the run's sources; an instrument with quotes or trades needs no added quotes."""
    from nautilus_trader.model import BarType, InstrumentId

    ticked = {d.instrument.id for d in datasets if d.kind != "bars"}
    made: list[Source] = []
    opened: set[str] = set(ticked)
    for dataset in datasets:
        bar_type = BarType.from_str(dataset.bar_type) if dataset.bar_type else None
        name = dataset.instrument.id
        added = "" if name in opened or bar_type is None else adds
        opened.add(name)  # of two bar series of one instrument, the first opens its days
        made.append(Source(dataset, InstrumentId.from_str(name), bar_type, added))
    return tuple(made)


def chunks(given: tuple[Source, ...], rows: int) -> Iterator[tuple[list[list[Any]], int]]:
    """Yield (a list of rows per source, count of dataset rows) in order of time."""
    share = max(1, rows // len(given))
    lanes = [_Lane(source, share) for source in given]
    while True:
        for lane in lanes:
            lane.fill()
        waiting = [lane for lane in lanes if not lane.done]
        edge = min((lane.last for lane in waiting), default=None)
        out = [lane.take(edge) for lane in lanes]
        read = sum(lane.taken for lane in lanes)
        if any(out):
            yield [part for part in out if part], read
        for lane in waiting:
            if lane.last == edge:
                lane.more()
        if not waiting:
            return


class _Lane:
    """One source's rows, read ahead."""

    def __init__(self, source: Source, rows: int) -> None:
        self._source = source
        self._batches = source.dataset.batches(rows=rows)
        self._rows: list[Any] = []
        self._ts = np.empty(0, np.int64)
        self._before: int | None = None
        self._per_row = 1
        self.done = False
        self.taken = 0

    @property
    def last(self) -> int:
        return int(self._ts[-1])

    def fill(self) -> None:
        """Have something to give, or be done."""
        if not len(self._ts) and not self.done:
            self.more()

    def more(self) -> None:
        """Read one more batch behind what is waiting."""
        for batch in self._batches:
            if batch.num_rows:
                ts, rows = self._made(batch)
                self._ts = np.concatenate((self._ts, ts))
                self._rows += rows
                return
        self.done = True

    def take(self, edge: int | None) -> list[Any]:
        """Return the rows before `edge`; all when it is None."""
        stop = len(self._ts) if edge is None else int(self._ts.searchsorted(edge))
        out, self._rows, self._ts = self._rows[:stop], self._rows[stop:], self._ts[stop:]
        self.taken = stop // self._per_row
        return out

    def _made(self, batch: pa.RecordBatch) -> tuple[Any, list[Any]]:
        ts = ints(batch.column("ts_init"))
        objects = layout.to_objects(batch)
        source = self._source
        if not source.adds:
            return ts, objects
        block = layout.from_batch(batch)
        opens = open_times(source.dataset, ts, self._before)
        self._before = int(ts[-1])
        quotes = _path(source.dataset, block, opens) if source.adds == "path" else None
        if quotes is None:
            quotes = [_quotes(source.dataset, block.values[0], opens)]
        width = self._per_row = len(quotes) + 1
        times = np.empty(width * len(ts), np.int64)
        rows: list[Any] = [None] * (width * len(ts))
        for at, (when, made) in enumerate(quotes):
            times[at::width], rows[at::width] = when, made
        times[width - 1 :: width], rows[width - 1 :: width] = ts, objects
        return times, rows


def open_times(dataset: Dataset, ts: Any, before: int | None) -> Any:
    """Return when each bar opens (ns UTC): 1 ns after its start, or after the bar before."""
    session, step = dataset.instrument.session, dataset.step or ""
    count, _, unit = step.partition("-")
    known = unit in SECONDS
    first = before if before is not None else 0 if known else int(ts[0]) - 1
    previous = np.concatenate(([first], ts[:-1]))
    if unit == "DAY" and session is not None:
        local = (
            pl.Series(ts).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(dataset.instrument.tz)
        )
        hour, minute = (int(part) for part in session[0].split(":"))
        opened = local.dt.replace(hour=hour, minute=minute, second=0, microsecond=0)
        starts = opened.dt.timestamp("ns").to_numpy()
    elif known:
        starts = ts - int(count) * SECONDS[unit] * NS
    else:
        starts = previous
    return np.minimum(np.maximum(starts, previous) + 1, ts)


def begins(source: Source) -> int:
    """Return when a source's first row is (ns UTC); of bars that are opened, when it opens."""
    batch = next(iter(source.dataset.batches(rows=1)))
    ts = ints(batch.column("ts_init"))
    return int((open_times(source.dataset, ts, None) if source.adds else ts)[0])


def _quotes(dataset: Dataset, prices: Any, ts: Any) -> tuple[Any, list[Any]]:
    instrument = dataset.instrument
    offered = min(PLENTY * 10**instrument.size_precision, 2**62)
    size = np.full(len(ts), offered, np.int64)
    block = Block(np.ascontiguousarray(ts), (prices, prices, size, size), None)
    return ts, layout.to_objects(layout.to_batch(block, layout.schema(instrument, "quotes")))


def _path(dataset: Dataset, block: Block, opens: Any) -> list[tuple[Any, list[Any]]]:
    """Walk each bar: open, the extreme nearer to the open, the other extreme, close."""
    opened, high, low, close = block.values[:4]
    up_first = (high - opened) <= (opened - low)
    first, second = np.where(up_first, high, low), np.where(up_first, low, high)
    span = np.maximum(block.ts - opens, 0)
    walk = (
        (opened, opens),
        (first, opens + span // 3),
        (second, opens + 2 * span // 3),
        (close, block.ts - 1),
    )
    return [_quotes(dataset, price, np.maximum(at, opens)) for price, at in walk]
