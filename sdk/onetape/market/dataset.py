# pyright: standard
"""Datasets: immutable, named, fingerprinted market data, in a catalog or in memory.

Shape    bars have ts_event, ts_init, open, high, low, close, volume; quotes bid_price, ask_price,
         bid_size, ask_size; trades price, size, aggressor_side, trade_id. One row an event.
Units    prices and sizes are exact Decimals, times Datetime("ns", "UTC"). A bar's `ts_event` is
         its close; `ts_init` equals it.
Ranges   are half open, [start, end). A date is local midnight in the dataset's `tz`, so a date as
         `end` leaves that day out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

import msgspec
import polars as pl
import pyarrow as pa

from onetape.errors import EmptyRange, MarketDataError
from onetape.market import actions as corporate
from onetape.market import layout
from onetape.market.blocks import Block, ints
from onetape.market.fingerprint import fingerprint, header
from onetape.market.instruments import Instrument
from onetape.market.manifest import Card

When = str | date | datetime | None


class Store(Protocol):
    """Where rows lie: in memory or in files."""

    def batches(self, start: int | None, end: int | None, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of the layout with start <= ts_init < end, at most `rows` rows each."""
        ...

    def lazy(self) -> pl.LazyFrame:
        """Return all rows as a lazy frame."""
        ...


class Memory:
    """Rows in memory, as one Arrow table in the layout, in time order."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()

    def batches(self, start: int | None, end: int | None, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Store`."""
        first, stop = 0, self.table.num_rows
        if stop and (start is not None or end is not None):
            ts = ints(self.table["ts_init"])
            first = 0 if start is None else int(ts.searchsorted(start))
            stop = stop if end is None else int(ts.searchsorted(end))
        for at in range(first, stop, rows):
            yield from self.table.slice(at, min(rows, stop - at)).to_batches()

    def lazy(self) -> pl.LazyFrame:
        """See `Store`."""
        frame = pl.from_arrow(self.table)
        assert isinstance(frame, pl.DataFrame)
        return frame.lazy()


class Dataset:
    """Market data of one instrument and one kind; see the module for columns and units.

    Attributes: name, instrument, kind, step, tz, stamp, source, findings, inferred, actions,
    synthetic, rows, start and end (datetime UTC of the first and last row), fingerprint (hex),
    parent_fingerprint and range (start_ns, end_ns) where it is a slice of another. Two datasets
    are equal where their fingerprints are.
    """

    def __init__(
        self,
        card: Card,
        store: Store,
        *,
        range: tuple[int | None, int | None] | None = None,
        parent: str | None = None,
    ) -> None:
        self.name = card.name
        self.instrument = card.instrument
        self.kind = card.kind
        self.step = card.step
        self.tz = card.tz
        self.stamp = card.stamp
        self.source = card.source
        self.findings = card.findings
        self.inferred = card.inferred
        self.actions = card.actions
        self.synthetic = card.synthetic
        self.rows = card.rows
        self.start = moment(card.start)
        self.end = moment(card.end)
        self.range = range
        self.parent_fingerprint = parent
        self._card = card
        self._store = store
        self._hash: str | None = card.fingerprint or None
        self._made = True

    def __setattr__(self, name: str, value: object) -> None:
        if name != "_hash" and "_made" in self.__dict__:
            raise AttributeError(
                f"{name}: a dataset does not change; slice or ingest makes another"
            )
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @classmethod
    def from_frame(  # noqa: PLR0913
        cls,
        frame: pl.DataFrame | pl.LazyFrame | pa.Table,
        *,
        instrument: Instrument,
        kind: Literal["bars", "quotes", "trades"] | None = None,
        step: str | None = None,
        tz: str | None = None,
        stamp: Literal["close", "open"] = "close",
        mapping: Mapping[str, str | int] | None = None,
        name: str | None = None,
        actions: tuple[corporate.Action, ...] = (),
        strict: bool = False,
        synthetic: bool = False,
    ) -> Dataset:
        """Return a dataset in memory; arguments and errors as for `Catalog.ingest`."""
        from onetape.market.ingest import Wanted, to_memory

        wanted = Wanted(
            instrument=instrument, kind=kind, step=step, tz=tz, stamp=stamp, mapping=mapping,
            name=name, actions=tuple(actions), strict=strict, synthetic=synthetic,
        )  # fmt: skip
        return to_memory(frame, wanted)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content, 64 hexadecimal digits; of a slice, of the slice's own rows."""
        if self._hash is None:
            self._hash = self.content_hash()
        return self._hash

    @property
    def bar_type(self) -> str | None:
        """The engine's name for this series of bars; None for ticks."""
        if self.kind != "bars" or self.step is None:
            return None
        return layout.bar_type(self.instrument, self.step, self._card.price)

    def scan(self, adjust: Literal["splits", "all"] | None = None) -> pl.LazyFrame:
        """Return the rows as a lazy frame; `adjust` back-adjusts bars (then Float64)."""
        frame = self._store.lazy()
        if self.range:
            low, high = (None if t is None else _lit(t) for t in self.range)
            if low is not None:
                frame = frame.filter(pl.col("ts_init") >= low)
            if high is not None:
                frame = frame.filter(pl.col("ts_init") < high)
        columns = layout.schema(self.instrument, self.kind).names
        frame = frame.select("ts_event", "ts_init", *(c for c in columns if c[:3] != "ts_"))
        if self.kind == "trades":
            frame = frame.with_columns(pl.col("aggressor_side").cast(pl.String))
        return corporate.adjust(frame, self.actions, adjust) if adjust else frame

    def frame(self, adjust: Literal["splits", "all"] | None = None) -> pl.DataFrame:
        """Return the rows as a polars frame."""
        return self.scan(adjust).collect()

    def slice(self, start: When = None, end: When = None) -> Dataset:
        """Return the rows with start <= ts_init < end; EmptyRange if there are none."""
        low, high = to_ns(start, self.tz), to_ns(end, self.tz)
        if self.range:
            low = max((t for t in (low, self.range[0]) if t is not None), default=None)
            high = min((t for t in (high, self.range[1]) if t is not None), default=None)
        rows, first, last = 0, 0, 0
        for batch in self._store.batches(low, high, 1 << 20):
            ts = batch.column("ts_init").cast(pa.int64())
            if len(ts):
                first = first if rows else ts[0].as_py()
                last, rows = ts[-1].as_py(), rows + len(ts)
        if not rows:
            raise EmptyRange(
                f"{self.name} has no rows from {start} to {end}. It runs from "
                f"{self.start:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC."
            )
        card = msgspec.structs.replace(
            self._card, rows=rows, start=first, end=last, fingerprint="",
            findings=tuple(f for f in self.findings if f.first_ts <= last and f.last_ts >= first),
        )  # fmt: skip
        parent = self.parent_fingerprint or self.fingerprint
        return Dataset(card, self._store, range=(low, high), parent=parent)

    def batches(
        self, start_ns: int | None = None, end_ns: int | None = None, rows: int = 100_000
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches of the engine's layout in ts_init order, in constant memory."""
        if self.range:
            start_ns = max((t for t in (start_ns, self.range[0]) if t is not None), default=None)
            end_ns = min((t for t in (end_ns, self.range[1]) if t is not None), default=None)
        return self._store.batches(start_ns, end_ns, rows)

    def blocks(self, rows: int = 65_536) -> Iterator[Block]:
        """Yield the rows as blocks of scaled integers."""
        return (layout.from_batch(b) for b in self.batches(rows=rows) if b.num_rows)

    def content_hash(self) -> str:
        """Read all rows and return their fingerprint."""
        head = header(self.instrument, self.kind, self.step, self.stamp, self.actions)
        return fingerprint(head, self.blocks())

    def verify(self) -> bool:
        """Read all rows again; MarketDataError if they are not those that were kept."""
        found = self.content_hash()
        if found != self.fingerprint:
            raise MarketDataError(
                f"{self.name} was kept with fingerprint {self.fingerprint[:12]} and now has "
                f"{found[:12]}: its files were changed. Remove it and ingest it again."
            )
        return True

    def bars(self, step: str) -> Dataset:
        """Return bars built from ticks, in memory: "1-MINUTE", "100-TICK", "1000-VOLUME" ..."""
        from onetape.market.bars import built

        return built(self, step)

    def __repr__(self) -> str:
        made = " SYNTHETIC" if self.synthetic else ""
        what = f"{self.kind} {self.step}" if self.step else self.kind
        lines = [
            f"Dataset {self.name}{made}: {self.rows:,} {what} of {self.instrument.id}",
            f"  {self.start:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC, "
            f"display zone {self.tz}, fingerprint {self.fingerprint[:12]}",
        ]
        if self.inferred:
            lines.append("  read as: " + "; ".join(f"{k} {v}" for k, v in self.inferred.items()))
        if self.actions:
            splits = sum(isinstance(a, corporate.Split) for a in self.actions)
            lines.append(f"  {splits} splits, {len(self.actions) - splits} dividends")
        lines += [f"  {f.severity}: {f.count:,} {f.kind} ({f.detail})" for f in self.findings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from onetape.market.show import card_html

        return card_html(self)


def moment(ns: int) -> datetime:
    """Return ns UTC as a datetime, cut to microseconds."""
    return datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(
        microsecond=ns % 1_000_000_000 // 1000
    )


def to_ns(when: When, zone: str) -> int | None:
    """Return a date, datetime or ISO text as ns UTC; naive ones are in `zone`."""
    if when is None:
        return None
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            raise MarketDataError(
                f'cannot read the time {when!r}; expected "2012-05-18" or "2012-05-18T09:30".'
            ) from None
    if not isinstance(when, datetime):
        when = datetime.combine(when, time())
    if when.tzinfo is None:
        when = when.replace(tzinfo=ZoneInfo(zone))
    whole = int(when.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + when.microsecond * 1000


def _lit(ns: int) -> Any:
    return pl.lit(ns).cast(pl.Datetime("ns", "UTC"))
