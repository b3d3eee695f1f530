# pyright: standard
"""Kept: from the frames that a session left to datasets of the catalog.

Rows come frame by frame and go on in blocks of the size that fingerprints are made of, so that a
long day takes the memory of one block for each subscription. The catalog's own writer and its own
commit are used: a crash leaves a dataset whole or not there, and the frames where they were.
"""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from onetape.market import catalog as catalogs
from onetape.market import layout
from onetape.market.blocks import BLOCK_ROWS, Block, Ints, even, ints, joined
from onetape.market.catalog import Catalog
from onetape.market.files import FILE_ROWS, Writer
from onetape.market.fingerprint import Fingerprint, header
from onetape.market.instruments import Instrument
from onetape.market.manifest import Card
from onetape.market.quality import Inspector, Ledger
from onetape.tape.kinds_live import DataKept

FOLDER, DONE = "kept", "done.json"
HEAD = struct.Struct("<4sIII")  # mark, length packed, length unpacked, CRC-32 of both
MARK = b"OTK1"
Key = tuple[str, str, str | None]  # instrument, data, step


class About(msgspec.Struct, frozen=True, tag="about"):
    """The first frame of a file: whose rows these are."""

    session: str
    feed: str
    synthetic: bool = False


class Named(msgspec.Struct, frozen=True, tag="instrument"):
    """An instrument, before the first of its rows."""

    instrument: Instrument


class Rows(msgspec.Struct, frozen=True, tag="rows"):
    """Rows of one subscription: stamps, own times and values as int64, little-endian."""

    instrument: str
    data: str
    step: str | None
    rows: int
    columns: tuple[bytes, ...]
    ids: tuple[str, ...] | None = None
    rounded: int = 0


AnyFrame = About | Named | Rows
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyFrame)


class Done(msgspec.Struct, frozen=True):
    """What became of a session's rows: the facts, and the files that they were taken from.

    A session that was closed and goes on later has several parts, each with datasets of its own.
    """

    session: str = ""
    kept: tuple[DataKept, ...] = ()
    files: tuple[str, ...] = ()
    parts: int = 0


class Stamped(NamedTuple):
    """Rows as scaled integers, with their stamps beside."""

    stamps: Ints
    block: Block


def bytes_of(frame: AnyFrame) -> bytes:
    """Return a frame as it stands in a file."""
    raw = _encoder.encode(frame)
    packed = pa.compress(raw, codec="lz4", asbytes=True)
    return HEAD.pack(MARK, len(packed), len(raw), zlib.crc32(packed, len(raw))) + packed


def recover(folder: Path, catalog: Catalog) -> tuple[DataKept, ...]:
    """Put what a session left in its folder into the catalog; return the facts that say so.

    Asked again, it returns the same facts. () where nothing was received.
    """
    place = folder / FOLDER
    done = done_of(place)
    fresh = [one for one in logs(place) if one.name not in done.files]
    if fresh:
        part = done.parts + 1
        about, facts = _ingested(fresh, catalog, part)
        files = (*done.files, *(one.name for one in fresh))
        done = Done(about.session or done.session, (*done.kept, *facts), files, part)
        draft = place / f"{DONE}.tmp"
        draft.write_bytes(msgspec.json.encode(done))
        draft.replace(place / DONE)
    for one in logs(place):
        one.unlink()
    return done.kept


def done_of(place: Path) -> Done:
    """Return what became of the files in a folder so far."""
    path = place / DONE
    return msgspec.json.decode(path.read_bytes(), type=Done) if path.exists() else Done()


def new_log(place: Path) -> Path:
    """Return the path of the next file of frames: no name is given twice."""
    known = [*(one.name for one in logs(place)), *done_of(place).files]
    number = 1 + max((int(name.partition(".")[0]) for name in known), default=0)
    return place / f"{number:04d}.log"


def logs(folder: Path) -> list[Path]:
    """Return the files of frames, in the order in which they were written."""
    return sorted(folder.glob("[0-9]*.log"))


def frames(path: Path) -> Iterator[AnyFrame]:
    """Yield the whole frames of a file, up to the first that was torn."""
    with path.open("rb") as file:
        while len(head := file.read(HEAD.size)) == HEAD.size:
            mark, length, size, crc = HEAD.unpack(head)
            packed = file.read(length) if mark == MARK else b""
            if len(packed) != length or zlib.crc32(packed, size) != crc:
                return
            yield _decoder.decode(pa.decompress(packed, size, codec="lz4", asbytes=True))


def _blocks(frame: Rows) -> Stamped:
    stamps, times, *values = (np.frombuffer(one, dtype="<i8") for one in frame.columns)
    ids = None if frame.ids is None else pa.array(frame.ids, pa.string())
    return Stamped(stamps, Block(times, tuple(values), ids))


def _ingested(
    files: Sequence[Path], catalog: Catalog, part: int
) -> tuple[About, tuple[DataKept, ...]]:
    catalog._recover()
    staging = f"{catalogs.STAGING}/{catalogs._owner()}-{uuid.uuid4().hex[:12]}"
    about, made = About("", ""), dict[Key, _Dataset]()
    known: dict[str, Instrument] = {}
    try:
        catalog._make_folder(staging)
        for path in files:
            for frame in frames(path):
                if isinstance(frame, About):
                    about = frame
                elif isinstance(frame, Named):
                    known[frame.instrument.id] = frame.instrument
                else:
                    _taken(frame, about, known, made, catalog, f"{staging}/{len(made)}")
        return about, tuple(one.committed(catalog, staging, part) for one in made.values())
    finally:
        catalog._clear(staging)


def _taken(
    frame: Rows,
    about: About,
    known: Mapping[str, Instrument],
    made: dict[Key, _Dataset],
    catalog: Catalog,
    folder: str,
) -> None:
    key = (frame.instrument, frame.data, frame.step)
    one = made.get(key)
    if one is None:
        one = made[key] = _Dataset(key, known[frame.instrument], about, catalog, folder)
    one.take(frame)


class _Files(Writer):
    """The catalog's files with stamps apart from the rows' own times."""

    def write_stamped(self, rows: Stamped) -> None:
        stamps, block = rows
        if self._open is not None and self._rows >= FILE_ROWS:
            self.close()
        if self._open is None:
            self._start = int(stamps[0])
            self._open = self._opened()
        batch = layout.to_batch(block, self._schema)
        times = pa.array(np.ascontiguousarray(stamps)).cast(layout.TIME)
        place = self._schema.get_field_index("ts_init")
        batch = batch.set_column(place, self._schema.field(place), times)
        self._open[0].write_batch(batch, row_group_size=max(1, batch.num_rows))
        self._rows += block.rows
        self._end = int(stamps[-1])


class _Dataset:
    """One dataset on its way into the catalog."""

    def __init__(
        self, key: Key, instrument: Instrument, about: About, catalog: Catalog, folder: str
    ) -> None:
        self.key, self.instrument, self.about = key, instrument, about
        _, self.data, self.step = key
        bars = layout.bar_type(instrument, self.step) if self.step else None
        schema = layout.schema(instrument, self.data, bars)
        self.writer = _Files(catalog._root, folder, schema)
        self.ledger = Ledger()
        self.print = Fingerprint(header(instrument, self.data, self.step, "close", ()))
        self.inspector = Inspector(instrument, self.data, self.step, self.ledger)
        self.stamps = hashlib.sha256()
        self.first = self.last = 0
        self._waiting: list[Stamped] = []
        self._held = 0

    def take(self, frame: Rows) -> None:
        """Take the next frame; rows go on in blocks of the size that fingerprints are made of."""
        rows = _blocks(frame)
        self.first = self.first or int(rows.stamps[0])
        self.last = int(rows.stamps[-1])
        if frame.rounded:
            where = (int(rows.stamps[0]), self.last)
            detail = "numbers with more digits than the instrument says, rounded"
            self.ledger.note("off_tick", frame.rounded, *where, detail)
        self._waiting.append(rows)
        self._held += frame.rows
        if self._held >= BLOCK_ROWS:
            self._pass(whole=False)

    def _pass(self, whole: bool) -> None:
        block = joined([one.block for one in self._waiting])
        stamps = np.concatenate([one.stamps for one in self._waiting])
        at = 0
        for part in even([block], BLOCK_ROWS):
            if part.rows < BLOCK_ROWS and not whole:
                break
            mine = Stamped(stamps[at : at + part.rows], part)
            self.print.add(part)
            self.inspector.look(part._replace(ts=mine.stamps))
            self.stamps.update(np.ascontiguousarray(mine.stamps))
            self.writer.write_stamped(mine)
            at += part.rows
        rest = Stamped(stamps[at:], block.cut(at, block.rows))
        self._waiting, self._held = ([rest], len(rest.stamps)) if len(rest.stamps) else ([], 0)

    def committed(self, catalog: Catalog, staging: str, part: int) -> DataKept:
        """Commit the dataset, unless it stands there already, and say so."""
        if self._waiting:
            self._pass(whole=True)
        self.writer.close()
        card = self._card(part)
        known = catalog._card(card.name)
        if known is None or known.fingerprint != card.fingerprint:
            catalog._commit(card, staging, after=known)
        name, data, _ = self.key
        what = (card.name, name, data, card.fingerprint, card.rows)
        return DataKept(*what, self.first, self.last)

    def _card(self, part: int) -> Card:
        about, own = self.about, self.instrument
        source = {
            "session": about.session,
            "feed": about.feed,
            "rows": self.print.rows,
            "stamps": self.stamps.hexdigest(),
        }
        return Card(
            name=dataset_name(self.key, about.session, self.first, part), instrument=own,
            kind=self.data, step=self.step, tz=own.tz, fingerprint=self.print.hex(),
            rows=self.print.rows, start=self.first, end=self.last, source=(source,),
            findings=self.ledger.findings(), synthetic=about.synthetic,
            inferred={"times": "ts_init is the session's stamp"},
            files=tuple(self.writer.runs[0]),
        )  # fmt: skip


def dataset_name(key: Key, session: str, first: int, part: int = 1) -> str:
    """Return the name of what a session received, as AAA.SIM-quotes-20240105-1f0c2a."""
    name, data, step = key
    day = f"{datetime.fromtimestamp(first // 1_000_000_000, UTC):%Y%m%d}"
    short = session.rpartition("-")[2][-12:] or "session"
    told = f"{name.replace('/', '')}-{step or data}-{day}-{short}"
    told += f"-{part}" if part > 1 else ""
    return re.sub(r"[^\w.@+=-]", "_", told).lstrip(".")


def stamps_of(dataset: Any) -> str:
    """Return the SHA-256 of a dataset's stamps, to be held against its source."""
    made = hashlib.sha256()
    for batch in dataset.batches():
        made.update(np.ascontiguousarray(ints(batch.column("ts_init"))))
    return made.hexdigest()
