# pyright: standard
"""Ingest: a source becomes sorted, checked, fingerprinted blocks of exact integers.

Order    chunks are read one at a time; where times go backwards the rows are written as several
         sorted runs and merged afterwards, so that memory stays bounded by the chunk.
Bars     that repeat are dropped and counted; bars of one time that differ raise Conflict.
Missing  sizes of quotes are taken as 1,000,000 (currency pairs) or one lot, and said so; missing
         trade ids are made from the time and the place within it.
Raises   MarketDataError for what cannot be read; SpoiledData with strict=True where there are
         findings of severity warning or error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from zoneinfo import available_timezones

import numpy as np
import polars as pl
import pyarrow as pa

from onetape.errors import Conflict, MarketDataError, SettingsError, SpoiledData
from onetape.market import columns, layout, times
from onetape.market.actions import Action
from onetape.market.blocks import COLUMNS, PRICES, SIZES, Block, Ints, even, joined
from onetape.market.dataset import Dataset, Memory
from onetape.market.fingerprint import Fingerprint, header
from onetape.market.instruments import Instrument
from onetape.market.manifest import Card, Finding
from onetape.market.merge import in_order
from onetape.market.quality import Inspector, Ledger
from onetape.market.sources import Source, opened

NAME = re.compile(r"[\w@+=-][\w.@+=-]*")


class Wanted(NamedTuple):
    """What the caller said about a source; None means: find out."""

    instrument: Instrument
    kind: str | None = None
    step: str | None = None
    tz: str | None = None
    stamp: str = "close"
    mapping: Mapping[str, str | int] | None = None
    name: str | None = None
    actions: tuple[Action, ...] = ()
    strict: bool = False
    synthetic: bool = False


class Reader:
    """Reads one source; `kind`, `step` and `inferred` are known once the first chunk is."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        check(wanted)
        self.source = source
        self.wanted = wanted
        self.ledger = Ledger()
        self.inferred: dict[str, Any] = {}
        self.step: str | None = wanted.step and wanted.step.upper()
        self._shift = 0
        self.rows = 0
        frames = (f for f in source.frames if f.height)
        first = next(frames, None)
        if first is None:
            raise MarketDataError("the source has no rows. Check the path, filter or query.")
        self._frames = frames
        self._first = first
        self.found = columns.find(first.columns, wanted.kind, wanted.mapping)
        self.kind = self.found.kind
        self._clock = self._plan_time(first)
        self._infer(first)

    def _plan_time(self, frame: pl.DataFrame) -> times.Clock:
        wanted, name = self.wanted, self.found.time
        zone = wanted.tz or ("UTC" if "utc" in name.lower() else wanted.instrument.tz)
        how = times.clock(self._times(frame), zone, self.found.format)
        if how.dates and self.kind != "bars":
            raise MarketDataError(
                f"{self.kind} need times, but column {name!r} holds dates only. Name the column "
                'with the time of day: mapping={"time": "date", "time_of_day": ...}.'
            )
        return how

    def _times(self, frame: pl.DataFrame) -> pl.Series:
        day = frame[self.found.time]
        if self.found.clock_time is None:
            return day
        clock = frame[self.found.clock_time].cast(pl.String)
        return (day.cast(pl.String) + " " + clock).alias(self.found.time)

    def _infer(self, frame: pl.DataFrame) -> None:
        how, found, wanted = self._clock, self.found, self.wanted
        ts = times.to_ns(self._times(frame), how, wanted.instrument)
        if self.kind == "bars":
            self.step = self.step or ("1-DAY" if how.dates and len(ts) == 1 else times.step_of(ts))
            length = times.step_ns(self.step)
            if wanted.stamp == "open" and not how.dates:
                if length is None:
                    raise SettingsError(f'stamp="open" needs a step in time, not {self.step!r}.')
                self._shift = length
        elif self.step:
            raise SettingsError(f"{self.kind} have no step; leave out step={self.step!r}.")
        said = {"time": found.time, **found.columns}
        if found.clock_time is not None:
            said["time"] = f"{found.time}+{found.clock_time}"
        self.inferred["columns"] = ", ".join(f"{k}={v}" for k, v in said.items())
        zone = "with offset or UTC" if how.offset else f"naive, read in {how.zone}"
        self.inferred["time"] = f"{how.format}, {zone}"
        if how.dates:
            session = wanted.instrument.session
            close = f"session close {session[1]}" if session else "next midnight"
            self.inferred["time"] = f"dates, bar closes at {close} {wanted.instrument.tz}"
        if self._shift:
            self.inferred["stamp"] = f"open, moved by {self.step} to the close"
        if wanted.step is None and self.step:
            self.inferred["step"] = self.step
        if wanted.kind is None:
            self.inferred["kind"] = self.kind

    def blocks(self) -> Iterator[Block]:
        """Yield the source as blocks, in the source's own order."""
        yield self._block(self._first)
        for frame in self._frames:
            yield self._block(frame)

    def _block(self, frame: pl.DataFrame) -> Block:
        missing = set(self.found.columns.values()) - set(frame.columns)
        if missing:
            raise MarketDataError(f"a later chunk lacks the column {sorted(missing)[0]!r}.")
        ts = times.to_ns(self._times(frame), self._clock, self.wanted.instrument) + self._shift
        values: list[Ints] = []
        for at, name in enumerate(COLUMNS[self.kind]):
            if name == "aggressor_side":
                values.append(columns.sides(frame, self.found.columns))
            elif name in self.found.columns:
                values.append(self._numbers(frame[self.found.columns[name]], at, name, ts))
            else:
                values.append(self._assumed(name, ts))
        self._refuse_levels(ts, values)
        self.rows += len(ts)
        return Block(ts, tuple(values), self._ids(frame))

    def _numbers(self, column: pl.Series, at: int, name: str, ts: Ints) -> Ints:
        own = self.wanted.instrument
        price = at in PRICES[self.kind]
        precision = own.price_precision if price else own.size_precision
        unit = columns.tick_units(own) if price else 1
        values, off = columns.scaled(column, precision, unit, name)
        if off is None:
            return values
        count = int(off.sum())
        if price:
            if count > columns.OFF_TICK_LIMIT * len(off):
                row = int(off.argmax())
                raise MarketDataError(
                    f"{count:,} of {len(off):,} values of {name} are not on the tick {own.tick}, "
                    f"the first is {column[row]}. Perhaps the tick is "
                    f"{columns.fitting_tick(column)}; say it in the instrument."
                )
            self.ledger.note_mask("off_tick", off, ts, f"rounded to the tick {own.tick}")
        else:
            detail = f"rounded to the size increment {own.size_increment}"
            self.ledger.note_mask("off_size", off, ts, detail)
        return values

    def _assumed(self, name: str, ts: Ints) -> Ints:
        own = self.wanted.instrument
        size = 0
        if self.kind == "quotes":
            whole = 1_000_000 if own.kind == "fx" else own.lot
            size = int(whole * 10**own.size_precision)
            detail = f"no {name} in the source, {whole} assumed"
        else:
            detail = f"no {name} in the source, 0 kept"
        self.inferred[name] = detail.partition(", ")[2]
        if name != "ask_size" or "bid_size" in self.found.columns:  # a row counts once
            self.ledger.note("assumed_size", len(ts), int(ts.min()), int(ts.max()), detail)
        return np.full(len(ts), size, dtype=np.int64)

    def _refuse_levels(self, ts: Ints, values: list[Ints]) -> None:
        for at in SIZES[self.kind]:
            if len(ts) and int(values[at].min()) < 0:
                raise self._negative(COLUMNS[self.kind][at], values[at] < 0, ts)
        if self.wanted.instrument.kind in ("future", "option"):
            return
        for at in PRICES[self.kind]:
            if len(ts) and int(values[at].min()) <= 0:
                raise self._negative(COLUMNS[self.kind][at], values[at] <= 0, ts)

    def _negative(self, name: str, bad: Any, ts: Ints) -> MarketDataError:
        first = np.datetime64(int(ts[int(bad.argmax())]), "ns")
        return MarketDataError(
            f"{name} is negative or zero in {int(bad.sum())} rows, the first at {first} UTC; "
            f"expected positive for {self.wanted.instrument.kind}. Drop such rows first."
        )

    def _ids(self, frame: pl.DataFrame) -> Any:
        if self.kind != "trades":
            return None
        if "trade_id" not in self.found.columns:
            return pa.array([""] * frame.height, pa.string())
        text = frame[self.found.columns["trade_id"]].cast(pl.String).fill_null("")
        return text.to_arrow().cast(pa.string())


def check(wanted: Wanted) -> None:
    """Refuse arguments of the wrong kind, naming what to type."""
    if not isinstance(wanted.instrument, Instrument):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SettingsError(
            f"instrument is {wanted.instrument!r}; expected an Instrument, for example "
            'ot.equity("GOOG.XNAS") or ot.fx("EUR/USD.SIM").'
        )
    if wanted.stamp not in ("close", "open"):
        raise SettingsError(f'stamp is {wanted.stamp!r}; expected "close" or "open".')
    if wanted.kind not in (None, "bars", "quotes", "trades"):
        raise SettingsError(f'kind is {wanted.kind!r}; expected "bars", "quotes" or "trades".')
    if wanted.tz is not None and wanted.tz not in available_timezones():
        raise SettingsError(f'tz is {wanted.tz!r}; expected an IANA name, as "America/New_York".')
    if wanted.name is not None and not NAME.fullmatch(wanted.name):
        raise SettingsError(
            f"name is {wanted.name!r}; expected a plain name without slashes: letters, "
            "digits and . _ - + = @, the first of them no dot."
        )


class Ordered:
    """Sorts within blocks and tells where a new sorted run begins."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._last: int | None = None
        self.runs = 1

    def over(self, blocks: Iterable[Block]) -> Iterator[tuple[bool, Block]]:
        """Yield (begins a new run, sorted block of even size)."""
        for block in even(blocks):
            ts = block.ts
            back = ts[1:] < ts[:-1]
            late = int(back.sum())
            begins = self._last is not None and int(ts[0]) < self._last
            if late or begins:
                late += begins
                self._ledger.note(
                    "out_of_order", late, int(ts.min()), int(ts.max()), "rows sorted by time"
                )
                block = in_order(block)
                fresh = self._last is not None and int(block.ts[0]) < self._last
                self.runs += fresh
                begins = fresh
            self._last = int(block.ts[-1])
            yield begins, block


def distinct(blocks: Iterable[Block], kind: str, ledger: Ledger) -> Iterator[Block]:
    """Yield sorted blocks with trade ids filled in and repeated bars left out."""
    last: Block | None = None
    last_id = (0, 0)
    for block in blocks:
        if kind == "bars":
            kept = _without_repeats(block, last, ledger)
            if kept is not None:
                last = kept.cut(kept.rows - 1, kept.rows)
                yield kept
        elif block.ids is not None:
            filled, last_id = _with_ids(block, last_id)
            yield filled
        else:
            yield block


def _without_repeats(block: Block, last: Block | None, ledger: Ledger) -> Block | None:
    whole = block if last is None else joined([last, block])
    same = np.flatnonzero(whole.ts[1:] == whole.ts[:-1])
    start = 0 if last is None else 1
    if not len(same):
        return block
    for at in same:
        if whole.row(int(at)) != whole.row(int(at) + 1):
            raise Conflict(
                f"two bars close at {np.datetime64(int(whole.ts[at]), 'ns')} UTC and differ: "
                f"{whole.row(int(at))} and {whole.row(int(at) + 1)} in scaled integers. "
                "Keep one of them."
            )
    times_of = whole.ts[same]
    ledger.note("duplicates", len(same), int(times_of[0]), int(times_of[-1]), "equal bars dropped")
    keep = np.ones(whole.rows, dtype=bool)
    keep[same + 1] = False
    keep[:start] = False
    return whole.take(np.flatnonzero(keep)) if keep.any() else None


def _with_ids(block: Block, last: tuple[int, int]) -> tuple[Block, tuple[int, int]]:
    missing: Any = pl.from_arrow(block.ids) == ""
    if not missing.any():
        return block, last
    told, ts = block.ids.to_pylist(), block.ts
    starts = np.concatenate([[0], np.flatnonzero(ts[1:] != ts[:-1]) + 1])
    place = np.arange(len(ts)) - np.repeat(starts, np.diff(np.append(starts, len(ts))))
    if int(ts[0]) == last[0]:
        first = int(starts[1]) if len(starts) > 1 else len(ts)
        place[:first] += last[1] + 1
    made = zip(told, ts.tolist(), place.tolist(), strict=True)
    ids = pa.array([known or f"{t}-{p}" for known, t, p in made], pa.string())
    return block._replace(ids=ids), (int(ts[-1]), int(place[-1]))


class Seal:
    """Fingerprint and findings over sorted blocks of even size."""

    def __init__(self, reader_kind: str, step: str | None, wanted: Wanted, ledger: Ledger) -> None:
        own = wanted.instrument
        head = header(own, reader_kind, step, wanted.stamp, wanted.actions)
        self.print = Fingerprint(head)
        self.ledger = ledger
        self._inspector = Inspector(own, reader_kind, step, ledger)
        self.start: int | None = None
        self.end = 0

    def add(self, block: Block) -> None:
        """Take in the next block."""
        self.print.add(block)
        self._inspector.look(block)
        self.start = int(block.ts[0]) if self.start is None else self.start
        self.end = int(block.ts[-1])

    def card(self, reader: Reader, lineage: dict[str, Any], name: str) -> Card:
        """Return the description of the dataset that was sealed."""
        wanted = reader.wanted
        findings = self.ledger.findings()
        refuse(wanted, findings)
        return Card(
            name=name, instrument=wanted.instrument, kind=reader.kind, step=reader.step,
            tz=wanted.tz or wanted.instrument.tz, stamp=wanted.stamp,
            fingerprint=self.print.hex(), rows=self.print.rows, start=self.start or 0,
            end=self.end, source=(lineage,), findings=findings, inferred=reader.inferred,
            actions=wanted.actions, synthetic=wanted.synthetic,
        )  # fmt: skip


def refuse(wanted: Wanted, findings: tuple[Finding, ...]) -> None:
    """Raise SpoiledData where strict=True and something is wrong."""
    bad = [f for f in findings if f.severity != "info"]
    if wanted.strict and bad:
        told = "; ".join(f"{f.count} {f.kind} ({f.detail})" for f in bad)
        raise SpoiledData(
            f"strict=True refuses {wanted.instrument.id}: {told}. Mend the source, or ingest "
            "without strict to keep the findings with the data.",
            findings,
        )


def default_name(reader: Reader) -> str:
    """Return the name of a dataset that was given none, as GOOG.XNAS-1-DAY."""
    own = reader.wanted.instrument.id.replace("/", "")
    return reader.wanted.name or f"{own}-{reader.step or reader.kind}"


def to_memory(source: Any, wanted: Wanted) -> Dataset:
    """Return a source as a dataset in memory."""
    reader = Reader(opened(source), wanted)
    ordered = Ordered(reader.ledger)
    blocks = [b for _, b in ordered.over(reader.blocks())]
    if ordered.runs > 1:
        blocks = [in_order(joined(blocks))]
    seal = Seal(reader.kind, reader.step, wanted, reader.ledger)
    bars = layout.bar_type(wanted.instrument, reader.step) if reader.step else None
    schema = layout.schema(wanted.instrument, reader.kind, bars)
    batches: list[pa.RecordBatch] = []
    for block in even(distinct(blocks, reader.kind, reader.ledger)):
        seal.add(block)
        batches.append(layout.to_batch(block, schema))
    card = seal.card(reader, {**reader.source.lineage(), "rows": reader.rows}, default_name(reader))
    return Dataset(card, Memory(pa.Table.from_batches(batches, schema)))
