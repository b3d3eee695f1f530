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
import socket
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from onetape.errors import Conflict, MarketDataError, SettingsError, UnknownDataset
from onetape.market import layout
from onetape.market.actions import Action
from onetape.market.blocks import even
from onetape.market.dataset import Dataset
from onetape.market.files import Files, Root, Writer
from onetape.market.ingest import Reader, Seal, Wanted, default_name, refuse
from onetape.market.instruments import Instrument
from onetape.market.intake import OF_SOURCE, Intake, blocks_of, schema_of
from onetape.market.manifest import Card, DataFile, Finding, decode, encode
from onetape.market.merge import united
from onetape.market.quality import Ledger
from onetape.market.sources import adopted, opened

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

    def ingest(  # noqa: PLR0913
        self,
        source: Any,
        *,
        instrument: Instrument | None = None,
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

        source    polars frame, pyarrow Table, CSV or Parquet path, glob, list of paths; or a
                  Dataset, which says all but `name` itself and keeps its account of its source
        tz        zone of naive times; default the instrument's (UTC if the column says so)
        stamp     whether a bar's time is its "close" or its "open"; kept is the close
        mapping   our column names to the source's names or positions, and "format" of the time
        strict    refuse data with findings of severity warning or error

        Raises MarketDataError (unreadable), Conflict (disagrees with rows already kept),
        SpoiledData (strict). The catalog is then as before.
        """
        if isinstance(source, Dataset):
            wanted = Wanted(
                source.instrument, source.kind, source.step, source.tz, name=name or source.name,
                actions=source.actions, strict=strict, synthetic=source.synthetic,
            )  # fmt: skip
            return self._take_in(Reader(adopted(source), wanted), progress, source.findings)
        if instrument is None:
            raise SettingsError(
                'say whose data this is: ingest(source, instrument=ot.equity("GOOG.XNAS")).'
            )
        wanted = Wanted(
            instrument=instrument, kind=kind, step=step, tz=tz, stamp=stamp, mapping=mapping,
            name=name, actions=tuple(actions), strict=strict, synthetic=synthetic,
        )  # fmt: skip
        return self._take_in(Reader(opened(source), wanted), progress)

    def _take_in(self, reader: Reader, progress: bool, told: Iterable[Finding] = ()) -> Dataset:
        self._recover()
        for found in told:
            if found.kind in OF_SOURCE:  # what can no longer be seen in the rows
                where = (found.first_ts, found.last_ts)
                reader.ledger.note(found.kind, found.count, *where, found.detail)
        known = self._card(default_name(reader))
        staging = f"{STAGING}/{_owner()}-{uuid.uuid4().hex[:12]}"
        try:
            self._make_folder(staging)
            new = Intake(self._root, staging, reader, progress).taken()
            if known is not None:
                return self._extend(known, new, staging, reader)
            self._commit(new, staging, after=None)
            return self._opened(self._card_of(new.name))
        finally:
            self._clear(staging)

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
        return Dataset(card, Files(self._root, card.files, schema_of(card)))

    def _make_folder(self, staging: str) -> None:
        try:
            self._root.fs.makedirs(self._root.at(staging), exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the catalog {self.path!r} cannot be written ({error}). Name a folder of yours."
            ) from None

    def _extend(self, known: Card, new: Card, staging: str, reader: Reader) -> Dataset:
        _same_terms(known, new)
        if new.fingerprint == known.fingerprint:
            return self._unchanged(known, new)
        old = Files(self._root, known.files, schema_of(known))
        fresh = Files(self._root, new.files, schema_of(new))
        overlap = new.start <= known.end and known.start <= new.end
        together = united(blocks_of(old), blocks_of(fresh), known.kind)
        both = {*known.actions, *new.actions}
        actions = tuple(sorted(both, key=lambda a: (a.ts, repr(a))))
        wanted, ledger = reader.wanted._replace(actions=actions), Ledger()
        seal = Seal(known.kind, known.step, wanted, ledger)
        writer = Writer(self._root, f"{staging}/all", schema_of(known)) if overlap else None
        for block in even(together):
            seal.add(block)
            if writer is not None:
                writer.write(block)
        if seal.print.hex() == known.fingerprint:
            return self._unchanged(known, new)
        kept = [f for f in (*known.findings, *new.findings) if f.kind in OF_SOURCE]
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
            actions=actions,
        )  # fmt: skip
        self._commit(card, staging, after=known)
        return self._opened(self._card_of(card.name))

    def _unchanged(self, known: Card, new: Card) -> Dataset:
        told = f"all {new.rows:,} rows were already kept, nothing added"
        inferred = {**known.inferred, "ingest": told}
        return self._opened(msgspec.structs.replace(known, inferred=inferred))

    def _commit(self, card: Card, staging: str, after: Card | None) -> None:
        self._refuse_raced(card, after)
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
        kept = {f.path for f in card.files}
        old = [f.path for f in after.files if f.path not in kept] if after else []
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

    def _refuse_raced(self, card: Card, after: Card | None) -> None:
        now = self._card(card.name)
        if (now and now.fingerprint) != (after and after.fingerprint):
            raise Conflict(
                f"{card.name} was changed by another ingest while this one ran. Nothing was "
                "changed by this one; run it again."
            )

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
        """Clear away what a killed ingest on this machine left; running ones are let alone."""
        for name in self._root.listed(STAGING):
            host, _, rest = name.rpartition("-")[0].rpartition("-")
            if host == _host() and rest.isdigit() and not _alive(int(rest)):
                self._clear(f"{STAGING}/{name}")

    def _clear(self, staging: str) -> None:
        """Remove a staging folder and what its journal names but no manifest does."""
        if self._root.exists(f"{staging}/journal.json"):
            journal = msgspec.json.decode(self._root.read(f"{staging}/journal.json"))
            kept = {f.path for n in self._names() for f in self._card_of(n).files}
            for path in (*journal["new"], *journal["old"]):
                if path not in kept:
                    self._root.remove(path)
        self._root.remove(staging, recursive=True)


def _same_terms(known: Card, new: Card) -> None:
    for what in ("instrument", "kind", "step", "stamp", "synthetic"):
        before, after = getattr(known, what), getattr(new, what)
        if before != after:
            raise MarketDataError(
                f"{known.name} is kept with {what} {before!r}, the new rows say {after!r}. "
                "Ingest them under another name=."
            )


def _host() -> str:
    return "".join(c for c in socket.gethostname() if c.isalnum()) or "host"


def _owner() -> str:
    return f"{_host()}-{os.getpid()}"


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
