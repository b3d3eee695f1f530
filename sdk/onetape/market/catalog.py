# pyright: standard
"""The catalog: datasets under one root, local or in an object store.

    <root>/data/...                       Parquet files in the engine's layout
    <root>/onetape/datasets/<name>.json   one manifest a dataset; replacing it is the commit
    <root>/onetape/staging/<id>/          files of an ingest under way, and its journal

Commit   Files are written to staging, named in a journal, moved into place; then the manifest is
         replaced by one rename. A crash leaves the old manifest or the new one. The next ingest
         finds the journal and removes what no manifest names.
Engine   The engine's own catalog on the same local path reads the same files. Two datasets of one
         instrument and kind under different names lie apart, the second below `onetape/named/`.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from onetape.errors import MarketDataError, SettingsError, UnknownDataset
from onetape.market import layout
from onetape.market.actions import Action
from onetape.market.blocks import Block, even
from onetape.market.dataset import Dataset
from onetape.market.files import Files, Root, Writer
from onetape.market.ingest import Ordered, Reader, Seal, Wanted, default_name, distinct, refuse
from onetape.market.instruments import Instrument
from onetape.market.manifest import Card, DataFile, decode, encode
from onetape.market.merge import merged, united
from onetape.market.quality import Ledger
from onetape.market.sources import opened

DATASETS = "onetape/datasets"
STAGING = "onetape/staging"


class Catalog:
    """Datasets under `path`, a folder or an fsspec URL (memory://, s3://, gs://)."""

    def __init__(self, path: str | Path) -> None:
        url = str(Path(path).expanduser()) if "://" not in str(path) else str(path)
        if Path(url).is_file():
            raise SettingsError(f"{url!r} is a file; a catalog needs a folder.")
        self.path = url
        self._root = Root(url)

    def __repr__(self) -> str:
        return f"Catalog({self.path!r}, {len(self._names())} datasets)"

    def ingest(
        self,
        source: Any,
        *,
        instrument: Instrument,
        kind: Literal["bars", "quotes", "trades"] | None = None,
        step: str | None = None,
        tz: str | None = None,
        stamp: Literal["close", "open"] = "close",
        mapping: Mapping[str, str | int] | None = None,
        name: str | None = None,
        actions: Sequence[Action] = (),
        strict: bool = False,
        progress: bool = True,
        synthetic: bool = False,
    ) -> Dataset:
        """Take in a source and return its dataset; what is already kept is not kept twice.

        source    polars frame, pyarrow Table, CSV or Parquet path, glob, list of paths
        tz        zone of naive times; default the instrument's (UTC if the column says so)
        stamp     whether a bar's time is its "close" or its "open"; kept is the close
        mapping   our column names to the source's names or positions, and "format" of the time
        strict    refuse data with findings of severity warning or error

        Raises MarketDataError (unreadable), Conflict (disagrees with rows already kept),
        SpoiledData (strict). The catalog is then as before.
        """
        wanted = Wanted(
            instrument=instrument, kind=kind, step=step, tz=tz, stamp=stamp, mapping=mapping,
            name=name, actions=tuple(actions), strict=strict, synthetic=synthetic,
        )  # fmt: skip
        self._recover()
        reader = Reader(opened(source), wanted)
        known = self._card(default_name(reader))
        staging = f"{STAGING}/{os.getpid()}-{uuid.uuid4().hex[:12]}"
        try:
            new = _Intake(self._root, staging, reader, progress).taken()
            if known is not None:
                return self._extend(known, new, staging, reader)
            self._commit(new, staging, superseded=())
            return self._opened(self._card_of(new.name))
        finally:
            self._root.remove(staging, recursive=True)

    def datasets(self) -> pl.DataFrame:
        """Return one row a dataset: name, instrument, kind, step, rows, start, end, ..."""
        cards = [self._card_of(n) for n in self._names()]
        listing = [
            {
                "name": c.name,
                "instrument": c.instrument.id,
                "kind": c.kind,
                "step": c.step,
                "rows": c.rows,
                "start": c.start,
                "end": c.end,
                "findings": sum(f.count for f in c.findings),
                "synthetic": c.synthetic,
                "fingerprint": c.fingerprint[:12],
            }
            for c in cards
        ]
        text, whole = pl.String, pl.Int64
        schema = {"name": text, "instrument": text, "kind": text, "step": text, "rows": whole,
                  "start": whole, "end": whole, "findings": whole, "synthetic": pl.Boolean,
                  "fingerprint": text}  # fmt: skip
        frame = pl.DataFrame(listing, schema=schema)
        return frame.with_columns(pl.col("start", "end").cast(pl.Datetime("ns", "UTC")))

    def dataset(self, name: str) -> Dataset:
        """Return a dataset by name or first digits of its fingerprint (six or more)."""
        card = self._card(name)
        if card is not None:
            return self._opened(card)
        names = self._names()
        cards = [self._card_of(n) for n in names] if len(name) >= 6 else []
        found = [c for c in cards if c.fingerprint.startswith(name)]
        if len(found) == 1:
            return self._opened(found[0])
        import difflib

        close = difflib.get_close_matches(name, names, 3, 0.3) or names[:5]
        have = f"there are {', '.join(close)}" if close else "the catalog is empty"
        raise UnknownDataset(f"no dataset {name!r} in {self.path}; {have}. See datasets().")

    def remove(self, name: str) -> None:
        """Remove a dataset and its files; UnknownDataset if there is none."""
        card = self._card(self.dataset(name).name)
        assert card is not None
        self._root.remove(f"{DATASETS}/{card.name}.json")
        for file in card.files:
            self._root.remove(file.path)

    def _names(self) -> list[str]:
        return [n[:-5] for n in self._root.listed(DATASETS) if n.endswith(".json")]

    def _card(self, name: str) -> Card | None:
        if "/" in name or not self._root.exists(f"{DATASETS}/{name}.json"):
            return None
        return self._card_of(name)

    def _card_of(self, name: str) -> Card:
        try:
            return decode(self._root.read(f"{DATASETS}/{name}.json"))
        except msgspec.MsgspecError as error:
            raise MarketDataError(
                f"the manifest {name}.json is damaged ({error}); restore it, or delete it and "
                "ingest the data again."
            ) from None

    def _opened(self, card: Card) -> Dataset:
        return Dataset(card, Files(self._root, card.files, _schema(card)))

    def _extend(self, known: Card, new: Card, staging: str, reader: Reader) -> Dataset:
        if new.fingerprint == known.fingerprint:
            _say(f"{known.name}: the same {known.rows:,} rows are already kept, nothing added.")
            return self._opened(known)
        _same_terms(known, new)
        old = Files(self._root, known.files, _schema(known))
        fresh = Files(self._root, new.files, _schema(new))
        overlap = new.start <= known.end and known.start <= new.end
        together = united(_blocks(old), _blocks(fresh), known.kind)
        ledger = reader.ledger
        wanted = reader.wanted._replace(actions=new.actions)
        seal = Seal(known.kind, known.step, wanted, ledger := Ledger())
        writer = Writer(self._root, f"{staging}/all", _schema(known)) if overlap else None
        for block in even(together):
            seal.add(block)
            if writer is not None:
                writer.write(block)
        if seal.print.hex() == known.fingerprint:
            _say(f"{known.name}: all {new.rows:,} rows are already kept, nothing added.")
            return self._opened(known)
        kept = [f for f in (*known.findings, *new.findings) if f.kind in _OF_SOURCE]
        findings = (*kept, *ledger.findings())
        refuse(wanted, findings)
        files = (*known.files, *new.files)
        if writer is not None:
            writer.close()
            files = tuple(writer.runs[0])
        files = tuple(sorted(files, key=lambda f: f.start))
        card = msgspec.structs.replace(
            known, fingerprint=seal.print.hex(), rows=seal.print.rows, start=seal.start or 0,
            end=seal.end, source=(*known.source, *new.source), findings=findings, files=files,
        )  # fmt: skip
        self._commit(card, staging, superseded=known.files if overlap else ())
        return self._opened(self._card_of(card.name))

    def _commit(self, card: Card, staging: str, superseded: Iterable[DataFile]) -> None:
        folder = self._folder(card)
        placed: list[DataFile] = []
        moves: list[tuple[str, str]] = []
        taken = {f.path for n in self._names() for f in self._card_of(n).files}
        for file in card.files:
            if not file.path.startswith(staging):
                placed.append(file)
                continue
            end = file.end
            while (path := f"{folder}/{layout.file_name(file.start, end)}") in taken:
                end += 1  # a name is an interval that may be loose; the rows say the truth
            taken.add(path)
            moves.append((file.path, path))
            placed.append(msgspec.structs.replace(file, path=path))
        card = msgspec.structs.replace(card, files=tuple(placed))
        old = [f.path for f in superseded]
        journal = {"name": card.name, "new": [m[1] for m in moves], "old": old}
        self._root.replace(
            f"{staging}/journal.json", msgspec.json.encode(journal), f"{staging}/journal.tmp"
        )
        for source, target in moves:
            self._root.move(source, target)
        self._write_instrument(card)
        _fault("before manifest")
        self._root.replace(f"{DATASETS}/{card.name}.json", encode(card), f"{staging}/manifest.tmp")
        _fault("after manifest")
        for path in old:
            self._root.remove(path)

    def _folder(self, card: Card) -> str:
        bars = layout.bar_type(card.instrument, card.step, card.price) if card.step else None
        folder = layout.folder(card.instrument, card.kind, bars)
        for name in self._names():
            if name != card.name and any(
                f.path.startswith(folder + "/") for f in self._card_of(name).files
            ):
                return f"onetape/named/{card.name}/{folder}"
        return folder

    def _write_instrument(self, card: Card) -> None:
        if not self._root.local:
            return
        from nautilus_trader.persistence import ParquetDataCatalog

        base = self._root.path
        for file in card.files[:1]:
            if file.path.startswith("onetape/named/"):
                base = self._root.at(f"onetape/named/{card.name}")
        theirs = ParquetDataCatalog(str(Path(base).absolute()))
        if card.instrument.id not in {str(i.id) for i in theirs.instruments()}:
            theirs.write_instruments([card.instrument.to_engine()])

    def _recover(self) -> None:
        """Clear away what a killed ingest left; one that is still running is let alone."""
        for name in self._root.listed(STAGING):
            owner = name.partition("-")[0]
            if not owner.isdigit() or (self._root.local and _alive(int(owner))):
                continue
            staging = f"{STAGING}/{name}"
            if self._root.exists(f"{staging}/journal.json"):
                journal = msgspec.json.decode(self._root.read(f"{staging}/journal.json"))
                kept = {f.path for n in self._names() for f in self._card_of(n).files}
                for path in (*journal["new"], *journal["old"]):
                    if path not in kept:
                        self._root.remove(path)
            self._root.remove(staging, recursive=True)


_OF_SOURCE = ("off_tick", "off_size", "assumed_size", "out_of_order")


class _Intake:
    """One source on its way into the staging folder."""

    def __init__(self, root: Root, staging: str, reader: Reader, progress: bool) -> None:
        self._root = root
        self._staging = staging
        self._reader = reader
        self._progress = progress

    def taken(self) -> Card:
        """Write the source's rows to staging and return their card, files in staging."""
        reader = self._reader
        name = default_name(reader)
        card = Card(name=name, instrument=reader.wanted.instrument, kind=reader.kind,
                    step=reader.step)  # fmt: skip
        schema = _schema(card)
        writer = Writer(self._root, self._staging, schema)
        ledger = reader.ledger
        seal = Seal(reader.kind, reader.step, reader.wanted, ledger)
        ordered = Ordered(ledger)
        with _bar(reader, self._progress) as bar:
            for block in self._sealed(ordered, writer, bar):
                if ordered.runs == 1:
                    seal.add(block)
                writer.write(block)
        writer.close()
        runs = writer.runs
        if len(runs) > 1:
            seal, runs = self._sorted(runs, schema)
        lineage = {**reader.source.lineage(), "rows": reader.rows}
        sealed = seal.card(reader, lineage, name)
        return msgspec.structs.replace(sealed, files=tuple(runs[0]))

    def _sealed(self, ordered: Ordered, writer: Writer, bar: Any) -> Iterator[Block]:
        reader = self._reader

        def sorted_blocks() -> Iterator[Block]:
            for begins, block in ordered.over(reader.blocks()):
                bar.update(block.rows)
                if begins:
                    writer.new_run()
                yield block

        if reader.kind == "quotes":  # nothing is left out or filled in: blocks stay even
            return sorted_blocks()
        return _once_sorted(sorted_blocks(), ordered, reader)

    def _sorted(self, runs: list[list[DataFile]], schema: Any) -> tuple[Seal, list[list[DataFile]]]:
        reader = self._reader
        ledger = Ledger()
        for found in reader.ledger.findings():
            if found.kind in _OF_SOURCE:
                ledger.note(found.kind, found.count, found.first_ts, found.last_ts, found.detail)
        reader.ledger = ledger
        rows = max(1024, 262_144 // len(runs))
        streams = [_blocks(Files(self._root, tuple(r), schema), rows) for r in runs]
        seal = Seal(reader.kind, reader.step, reader.wanted, ledger)
        writer = Writer(self._root, f"{self._staging}/sorted", schema)
        for block in even(distinct(merged(streams), reader.kind, ledger)):
            seal.add(block)
            writer.write(block)
        writer.close()
        return seal, writer.runs


def _once_sorted(blocks: Iterator[Block], ordered: Ordered, reader: Reader) -> Iterator[Block]:
    """Drop repeated bars and fill ids while the source is in order; later runs wait for merging."""
    ahead = iter(blocks)

    def in_first_run() -> Iterator[Block]:
        for block in ahead:
            if ordered.runs > 1:
                waiting.append(block)
                return
            yield block

    waiting: list[Block] = []
    yield from even(distinct(in_first_run(), reader.kind, reader.ledger))
    yield from waiting
    yield from ahead


def _blocks(files: Files, rows: int = 65_536) -> Iterator[Block]:
    return (layout.from_batch(b) for b in files.batches(None, None, rows))


def _schema(card: Card) -> Any:
    bars = layout.bar_type(card.instrument, card.step, card.price) if card.step else None
    return layout.schema(card.instrument, card.kind, bars)


def _same_terms(known: Card, new: Card) -> None:
    for what in ("instrument", "kind", "step", "stamp", "synthetic"):
        before, after = getattr(known, what), getattr(new, what)
        if before != after:
            raise MarketDataError(
                f"{known.name} is kept with {what} {before!r}, the new rows say {after!r}. "
                "Ingest them under another name=."
            )


def _bar(reader: Reader, progress: bool) -> Any:
    from tqdm import tqdm

    quiet = not progress or not sys.stderr.isatty()
    return tqdm(
        total=reader.source.rows, unit=" rows", unit_scale=True, disable=quiet, leave=False
    )


def _say(text: str) -> None:
    import warnings

    warnings.warn(text, stacklevel=4)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != 0


def _fault(_place: str) -> None:
    """Do nothing; tests put a crash here."""
